package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// Certified is an answer to TPM2_Certify: one key vouches for another.
type Certified struct {
	Public    []byte // TPMT_PUBLIC of the key
	Info      []byte // TPMS_ATTEST
	Signature []byte // TPMT_SIGNATURE over it
}

// VerifyCertified tells which key the attestation key vouches for, if that is a
// key that cannot leave its TPM, and if the attestation is fresh: it holds the
// nonce, which libraries leave to their callers to look at.
func VerifyCertified(ak crypto.PublicKey, c *Certified, nonce []byte) (crypto.PublicKey, error) {
	if len(nonce) == 0 {
		return nil, bad("no nonce to compare")
	}
	if _, err := verifySignature(ak, c.Info, c.Signature); err != nil {
		return nil, err
	}
	if len(c.Info) > maxStructure {
		return nil, bad("an attestation of %d bytes; at most %d are taken", len(c.Info), maxStructure)
	}
	attest, err := unmarshal[tpm2.TPMSAttest](c.Info)
	switch {
	case err != nil:
		return nil, bad("read attestation: %w", err)
	case attest.Magic != tpm2.TPMGeneratedValue:
		return nil, bad("the attestation's magic number is %#x: no TPM made it", uint32(attest.Magic))
	case attest.Type != tpm2.TPMSTAttestCertify:
		return nil, bad("an attestation of type %#x, not of a key", uint16(attest.Type))
	case subtle.ConstantTimeCompare(attest.ExtraData.Buffer, nonce) != 1:
		return nil, bad("the attestation holds another nonce")
	}
	info, err := attest.Attested.Certify()
	if err != nil {
		return nil, bad("read attestation: %w", err)
	}
	p, err := parsePublic(c.Public)
	switch {
	case err != nil:
		return nil, err
	case subtle.ConstantTimeCompare(info.Name.Buffer, p.name) != 1:
		return nil, bad("the attestation is of another key")
	}
	if err := p.bound(); err != nil {
		return nil, err
	}
	return p.key, nil
}

// signed is how a signature was made.
type signed struct {
	alg  tpm2.TPMIAlgSigScheme
	hash crypto.Hash
}

// verifySignature verifies a TPMT_SIGNATURE over the message.
func verifySignature(key crypto.PublicKey, message, signature []byte) (*signed, error) {
	if len(signature) > maxStructure {
		return nil, bad("a signature of %d bytes; at most %d are taken", len(signature), maxStructure)
	}
	s, err := unmarshal[tpm2.TPMTSignature](signature)
	if err != nil {
		return nil, bad("read signature: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	out := &signed{alg: s.SigAlg}
	var verify func(digest []byte) bool
	switch s.SigAlg {
	case tpm2.TPMAlgRSASSA, tpm2.TPMAlgRSAPSS:
		verify, err = out.rsa(key, &s.Signature)
	case tpm2.TPMAlgECDSA:
		verify, err = out.ecdsa(key, &s.Signature)
	default:
		err = bad("signature scheme %#x; RSASSA, RSAPSS and ECDSA are taken", uint16(s.SigAlg))
	}
	if err != nil {
		return nil, err
	}
	h := out.hash.New()
	h.Write(message)
	if !verify(h.Sum(nil)) {
		return nil, bad("the signature is not the key's")
	}
	return out, nil
}

func (s *signed) rsa(key crypto.PublicKey, u *tpm2.TPMUSignature) (func(digest []byte) bool, error) {
	pub, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, bad("an RSA signature for a key of type %T", key)
	}
	get := u.RSASSA
	if s.alg == tpm2.TPMAlgRSAPSS {
		get = u.RSAPSS
	}
	sig, err := get()
	if err != nil {
		return nil, bad("read signature: %w", err)
	}
	if s.hash, err = hashOf(sig.Hash); err != nil {
		return nil, err
	}
	return func(digest []byte) bool {
		if s.alg == tpm2.TPMAlgRSAPSS {
			return rsa.VerifyPSS(pub, s.hash, digest, sig.Sig.Buffer, nil) == nil
		}
		return rsa.VerifyPKCS1v15(pub, s.hash, digest, sig.Sig.Buffer) == nil
	}, nil
}

func (s *signed) ecdsa(key crypto.PublicKey, u *tpm2.TPMUSignature) (func(digest []byte) bool, error) {
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, bad("an ECDSA signature for a key of type %T", key)
	}
	sig, err := u.ECDSA()
	if err != nil {
		return nil, bad("read signature: %w", err)
	}
	if s.hash, err = hashOf(sig.Hash); err != nil {
		return nil, err
	}
	r, t := new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)
	return func(digest []byte) bool { return ecdsa.Verify(pub, digest, r, t) }, nil
}
