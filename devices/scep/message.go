// Package scep serves the Simple Certificate Enrolment Protocol (RFC 8894), by
// which management systems give devices certificates of the built-in authority.
// Who gets one is decided in devices, as for every other channel; here are the
// messages.
package scep

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
)

// The attributes of a message (RFC 8894 section 3.2.1).
var (
	oidMessageType    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidStatus         = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID  = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// Bounds of what a client may send besides the message's own size.
const (
	maxTransactionID = 256
	maxNonce         = 64
	maxCertificates  = 8
)

// errNoMessage is of bytes that no signed answer could go with.
var errNoMessage = errors.New("no SCEP message")

// message is one that was signed by the key of its signer's certificate, whoever
// that is.
type message struct {
	kind        wire.MessageType
	transaction string
	nonce       []byte
	signer      *x509.Certificate
	digest      asn1.ObjectIdentifier // of the signature
	envelope    []byte
}

// parse reads a message in BER. Its errors are errNoMessage; a signature that does
// not verify is one too, since then nobody has said anything.
func parse(data []byte) (m *message, err error) {
	err = guard(func() error {
		m, err = parseSigned(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoMessage, err)
	}
	return m, nil
}

func parseSigned(data []byte) (*message, error) {
	if err := checkNesting(data); err != nil {
		return nil, err
	}
	p7, err := pkcs7.Parse(data)
	if err != nil {
		return nil, err
	}
	m := &message{signer: p7.GetOnlySigner(), envelope: p7.Content}
	switch {
	case m.signer == nil:
		return nil, errors.New("not one signer whose certificate is there")
	case len(p7.Certificates) > maxCertificates:
		return nil, fmt.Errorf("%d certificates", len(p7.Certificates))
	}
	if err := devices.CheckKey(m.signer.PublicKey); err != nil { // before a huge one is used
		return nil, err
	}
	m.digest = p7.Signers[0].DigestAlgorithm.Algorithm
	if err := p7.Verify(); err != nil {
		return nil, err
	}
	for _, a := range []struct {
		oid  asn1.ObjectIdentifier
		into any
	}{{oidMessageType, &m.kind}, {oidTransactionID, &m.transaction}, {oidSenderNonce, &m.nonce}} {
		if err := p7.UnmarshalSignedAttribute(a.oid, a.into); err != nil {
			return nil, fmt.Errorf("attribute %v: %w", a.oid, err)
		}
	}
	switch {
	case m.transaction == "" || len(m.transaction) > maxTransactionID:
		return nil, fmt.Errorf("a transaction ID of %d bytes", len(m.transaction))
	case len(m.nonce) == 0 || len(m.nonce) > maxNonce:
		return nil, fmt.Errorf("a nonce of %d bytes", len(m.nonce))
	case len(m.kind) > 4:
		return nil, fmt.Errorf("a message type of %d bytes", len(m.kind))
	}
	return m, nil
}

// request is what a PKCSReq or a RenewalReq asks for.
type request struct {
	csr       *x509.CertificateRequest
	key       crypto.PublicKey // of csr, whose signature was verified
	challenge string
}

// digest names the request.
func (r *request) digest() string {
	sum := sha256.Sum256(r.csr.Raw)
	return hex.EncodeToString(sum[:])
}

// open decrypts what the message asks for. All errors look alike to the client, or
// their differences would decrypt what others sent.
func (m *message) open(ra *certs.RA, legacy bool) (r *request, err error) {
	err = guard(func() error {
		if err := checkNesting(m.envelope); err != nil {
			return err
		}
		p7, err := pkcs7.Parse(m.envelope)
		if err != nil {
			return err
		}
		der, err := p7.Decrypt(ra.Certificate, contentKeys{ra, legacy})
		if err != nil {
			return err
		}
		if r, err = parseRequest(der); err != nil {
			return err
		}
		if a := r.csr.SignatureAlgorithm; !legacy && (a == x509.SHA1WithRSA || a == x509.ECDSAWithSHA1) {
			return fmt.Errorf("a request that is signed by %v", a)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open the envelope: %w", err)
	}
	return r, nil
}

func parseRequest(der []byte) (*request, error) {
	key, err := devices.KeyOfRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	challenge, err := challengeOf(der)
	if err != nil {
		return nil, err
	}
	return &request{csr: csr, key: key, challenge: challenge}, nil
}

// contentKeys decrypts the keys of envelopes, and takes those of AES only, unless
// legacy: the library would also decrypt DES and triple DES, whose keys have 8 and
// 24 bytes. What does not
// decrypt gives a key at random, so that a forged one and a wrong one take the same
// way to their end (RFC 3218 section 2.3.2).
type contentKeys struct {
	*certs.RA
	legacy bool
}

// Decrypt makes it a crypto.Decrypter.
func (k contentKeys) Decrypt(random io.Reader, sealed []byte, o crypto.DecrypterOpts) ([]byte, error) {
	key, err := k.RA.Decrypt(random, sealed, o)
	aes := len(key) == 16 || len(key) == 32
	if err != nil || !aes && !k.legacy {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// guard turns a panic into an error: the library indexes what it decrypted by the
// padding that stands in it, and panics on a block that is cut short.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	return do()
}

// sameKey tells whether the certificate is for the key.
func sameKey(c *x509.Certificate, key crypto.PublicKey) bool {
	pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(key)
}

// canDecrypt tells whether an answer can be encrypted to the certificate.
func canDecrypt(c *x509.Certificate) bool {
	_, ok := c.PublicKey.(*rsa.PublicKey)
	return ok
}

// printable is the text of an attribute that can stand in a log.
func printable(s string) string { return strings.ToValidUTF8(s, "?") }
