package saml

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // only ever reached by way of AllowSHA1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
)

// Algorithms of requests' signatures, besides those that answers carry (RFC
// 9231). HMAC has no place here: its key would be public.
const (
	algRSASHA384   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"
	algRSASHA512   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"
	algECDSASHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	algECDSASHA384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
	algSHA384      = "http://www.w3.org/2001/04/xmldsig-more#sha384"
	algSHA512      = "http://www.w3.org/2001/04/xmlenc#sha512"
	algSHA1        = "http://www.w3.org/2000/09/xmldsig#sha1"
)

// signatureHash gives the hash of a signature algorithm, and whether its keys
// are RSA or ECDSA.
func signatureHash(algorithm string) (hash crypto.Hash, isRSA, ok bool) {
	switch algorithm {
	case algRSASHA256:
		return crypto.SHA256, true, true
	case algRSASHA384:
		return crypto.SHA384, true, true
	case algRSASHA512:
		return crypto.SHA512, true, true
	case algECDSASHA256:
		return crypto.SHA256, false, true
	case algECDSASHA384:
		return crypto.SHA384, false, true
	}
	return 0, false, false
}

func digestHash(algorithm string, allowSHA1 bool) (hash crypto.Hash, ok bool) {
	switch algorithm {
	case algSHA256:
		return crypto.SHA256, true
	case algSHA384:
		return crypto.SHA384, true
	case algSHA512:
		return crypto.SHA512, true
	case algSHA1:
		return crypto.SHA1, allowSHA1
	}
	return 0, false
}

// believe makes sure that the message comes from sp, if sp signs its messages or
// this one is signed.
//
// The key is always one that sp registered: nothing that the message says of a
// key is read, and neither a certificate's dates nor its issuer matter, since it
// stands for its key (SAML metadata 2.4.1.1).
func (m *Message) believe(r *Request, sp *ServiceProvider) error {
	switch {
	case !r.Signed && sp.RequestsSigned:
		return bad("signature_missing", "relying party signs its requests, but not this one")
	case !r.Signed:
		return nil
	case len(sp.Keys) == 0:
		return bad("signature_no_key", "signed, but the relying party registered no key")
	case m.redirect != nil:
		s := m.redirect
		hash, _, ok := signatureHash(s.algorithm)
		if !ok {
			return bad("signature_algorithm", "SigAlg %.100q", s.algorithm)
		}
		h := hash.New()
		h.Write([]byte(s.octets))
		return verifySignature(sp.Keys, s.algorithm, h.Sum(nil), s.value)
	}
	return m.verifyEnveloped(r, sp)
}

// verifyEnveloped verifies the ds:Signature in the message (SAML core 5.4). The
// signature over SignedInfo comes before the digest of the message, so that
// nobody but a holder of a registered key chooses what the latter costs.
func (m *Message) verifyEnveloped(r *Request, sp *ServiceProvider) error {
	s, err := readSignature(m.signature)
	if err != nil {
		return err
	}
	hash, _, ok := signatureHash(s.algorithm)
	if !ok {
		return bad("signature_algorithm", "SignatureMethod %.100q", s.algorithm)
	}
	digest, ok := digestHash(s.digestAlgorithm, sp.AllowSHA1)
	if !ok {
		return bad("signature_algorithm", "DigestMethod %.100q", s.digestAlgorithm)
	}
	if s.reference != "#"+r.ID {
		return bad("signature_reference", "Reference to %.100q in the message with ID %q", s.reference, r.ID)
	}
	sum := hash.New()
	if err := (&canonical{to: sum, prefixes: s.infoPrefixes}).write(s.info); err != nil {
		return err
	}
	if err := verifySignature(sp.Keys, s.algorithm, sum.Sum(nil), s.value); err != nil {
		return err
	}
	sum = digest.New()
	if err := (&canonical{to: sum, prefixes: s.rootPrefixes, without: m.signature}).write(m.root); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), s.digest) {
		return bad("signature_digest", "message is not the one that was signed")
	}
	r.SHA1Digest = digest == crypto.SHA1
	return nil
}

// verifySignature verifies a signature over a digest with any of the keys.
func verifySignature(keys []*x509.Certificate, algorithm string, digest, value []byte) error {
	hash, isRSA, _ := signatureHash(algorithm)
	for _, c := range keys {
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if isRSA && rsa.VerifyPKCS1v15(key, hash, digest, value) == nil {
				return nil
			}
		case *ecdsa.PublicKey:
			if !isRSA && verifyECDSA(key, digest, value) {
				return nil
			}
		}
	}
	return bad("signature_invalid", "no registered key verifies it")
}

// verifyECDSA verifies r||s, each as long as the order of the curve (XML
// Signature 1.1 section 6.4.3); the ASN.1 form has no place in XML.
func verifyECDSA(key *ecdsa.PublicKey, digest, value []byte) bool {
	n := (key.Params().N.BitLen() + 7) / 8
	if len(value) != 2*n {
		return false
	}
	return ecdsa.Verify(key, digest, new(big.Int).SetBytes(value[:n]), new(big.Int).SetBytes(value[n:]))
}

// decodeText decodes the base64 text of an element, which may be broken into
// lines.
func decodeText(e *element) ([]byte, error) {
	text, err := e.text()
	if err != nil {
		return nil, err
	}
	value, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, bad("signature_shape", "%s: %w", e.local, err)
	}
	return value, nil
}
