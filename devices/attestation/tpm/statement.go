package tpm

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/tpm2"

	"gatepost.dev/devices/attestation"
	"gatepost.dev/posture"
)

// Limits of a statement.
const (
	maxStatement = 64 << 10
	maxChain     = 8
)

// statement is the attStmt of WebAuthn level 2, section 8.3.
type statement struct {
	Version   string   `cbor:"ver"`
	Alg       int64    `cbor:"alg"`
	X5C       [][]byte `cbor:"x5c"`
	Signature []byte   `cbor:"sig"`
	Info      []byte   `cbor:"certInfo"`
	Public    []byte   `cbor:"pubArea"`
}

// Verifier judges statements of the format "tpm" as device-attest-01 carries
// them: an attestation key with a certificate vouches for a key.
type Verifier struct {
	Roots *x509.CertPool // of those who certify attestation keys; nil: nobody is trusted
}

var _ attestation.Verifier = (*Verifier)(nil)

// Verify verifies that the attestation key's certificate is of the roots, that it
// names the device, and that the key vouches for another and the nonce.
func (v *Verifier) Verify(raw, nonce []byte, now time.Time) (*attestation.Result, error) {
	s, err := parseStatement(raw)
	if err != nil {
		return nil, err
	}
	ak, names, err := v.attestationKey(s.X5C, now)
	if err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	made, err := verifySignature(ak, s.Info, s.Signature)
	if err != nil {
		return nil, err
	}
	if !made.is(s.Alg) {
		return nil, bad("alg is %d and the signature is of another", s.Alg)
	}
	key, err := VerifyCertified(ak, &Certified{Public: s.Public, Info: s.Info, Signature: s.Signature}, nonce)
	if err != nil {
		return nil, err
	}
	return &attestation.Result{
		Key: key,
		Attested: posture.AttestedKey{
			Format: Format, KeyHash: KeyHash(key), At: now, HardwareID: names.ek,
			Vendor: names.vendor, Model: names.model, Version: names.version,
		},
		Identifiers: names.identifiers,
	}, nil
}

// parseStatement reads the CBOR. A key twice would be one thing to us and another
// to somebody else.
func parseStatement(raw []byte) (*statement, error) {
	if len(raw) > maxStatement {
		return nil, bad("a statement of %d bytes; at most %d are taken", len(raw), maxStatement)
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		return nil, bad("read statement: %w", err)
	}
	var s statement
	if err := mode.Unmarshal(raw, &s); err != nil {
		return nil, bad("read statement: %w", err)
	}
	switch {
	case s.Version != "2.0":
		return nil, bad("version %.20q; 2.0 is taken", s.Version)
	case len(s.X5C) == 0:
		return nil, bad("no certificate of the attestation key")
	case len(s.X5C) > maxChain:
		return nil, bad("%d certificates; at most %d are taken", len(s.X5C), maxChain)
	}
	return &s, nil
}

// attestationKey verifies the chain of the attestation key's certificate, which
// stands for what Challenge proves: that the key is one of a TPM, and which.
func (v *Verifier) attestationKey(x5c [][]byte, now time.Time) (crypto.PublicKey, *names, error) {
	cert, err := parseCertificate(x5c[0])
	if err != nil {
		return nil, nil, err
	}
	if !hasUsage(cert, oidAKCertificate) {
		return nil, nil, bad("the certificate is for other uses")
	}
	intermediates := x509.NewCertPool()
	for _, der := range x5c[1:] {
		if len(der) > maxCertificate {
			return nil, nil, bad("a certificate of %d bytes; at most %d are taken", len(der), maxCertificate)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, bad("read certificate: %w", err)
		}
		intermediates.AddCert(c)
	}
	names, err := parseNames(cert)
	switch {
	case err != nil:
		return nil, nil, err
	case len(names.identifiers) == 0:
		return nil, nil, bad("the certificate names no device")
	}
	if err := verifyChain(cert, v.Roots, intermediates, now); err != nil {
		return nil, nil, err
	}
	return cert.PublicKey, names, nil
}

// is tells whether the signature can be meant by the COSE algorithm (RFC 9053, RFC
// 8812). Only the hash must be the same: smallstep's clients name the algorithm of
// the key that is certified, where WebAuthn wants that of the one that certifies.
// Nothing depends on it, as the signature says itself how it was made.
func (s *signed) is(cose int64) bool {
	algorithms := map[int64]signed{
		-7: {tpm2.TPMAlgECDSA, crypto.SHA256}, -35: {tpm2.TPMAlgECDSA, crypto.SHA384}, -36: {tpm2.TPMAlgECDSA, crypto.SHA512},
		-37: {tpm2.TPMAlgRSAPSS, crypto.SHA256}, -38: {tpm2.TPMAlgRSAPSS, crypto.SHA384}, -39: {tpm2.TPMAlgRSAPSS, crypto.SHA512},
		-257: {tpm2.TPMAlgRSASSA, crypto.SHA256}, -258: {tpm2.TPMAlgRSASSA, crypto.SHA384}, -259: {tpm2.TPMAlgRSASSA, crypto.SHA512},
	}
	a, ok := algorithms[cose]
	return ok && a.hash == s.hash
}
