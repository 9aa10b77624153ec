package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"

	"gatepost.dev/devices/attestation"
)

// maxCertificate bounds a certificate in DER.
const maxCertificate = 8 << 10

var (
	oidSAN           = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEKCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 1} // tcg-kp-EKCertificate
	oidAKCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 3} // tcg-kp-AIKCertificate
)

// EK is an endorsement key: it is one TPM's, for ever.
type EK struct {
	Key  crypto.PublicKey
	Hash string // as KeyHash
	// Vendor, Model and Version are the certificate's; empty without one.
	Vendor, Model, Version string
}

// VerifyEK verifies the certificate of an endorsement key, in DER, against the
// roots of vendors, at now; intermediates may be nil. Whoever has the key's
// certificate does not have the key: see Challenge.
func VerifyEK(der []byte, roots, intermediates *x509.CertPool, now time.Time) (*EK, error) {
	cert, err := parseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("endorsement key: %w", err)
	}
	if err := checkKey(cert.PublicKey); err != nil {
		return nil, fmt.Errorf("endorsement key: %w", err)
	}
	// Certificates of before the profile's version 2.0 have no extended key usage;
	// but then an authority that certifies other things too would do for a TPM.
	if !hasUsage(cert, oidEKCertificate) {
		return nil, bad("endorsement key: the certificate is for other uses")
	}
	names, err := parseNames(cert)
	if err != nil {
		return nil, fmt.Errorf("endorsement key: %w", err)
	}
	if err := verifyChain(cert, roots, intermediates, now); err != nil {
		return nil, fmt.Errorf("endorsement key: %w", err)
	}
	return &EK{
		Key: cert.PublicKey, Hash: KeyHash(cert.PublicKey),
		Vendor: names.vendor, Model: names.model, Version: names.version,
	}, nil
}

// ParseEK reads an endorsement key without a certificate, a SubjectPublicKeyInfo
// in DER. It counts for nothing unless somebody knows its hash.
func ParseEK(spki []byte) (*EK, error) {
	if len(spki) > maxStructure {
		return nil, bad("endorsement key of %d bytes; at most %d are taken", len(spki), maxStructure)
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, bad("read endorsement key: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("endorsement key: %w", err)
	}
	return &EK{Key: key, Hash: KeyHash(key)}, nil
}

func parseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, bad("a certificate of %d bytes; at most %d are taken", len(der), maxCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return nil, bad("read certificate: %w", err)
	case cert.IsCA:
		return nil, bad("the certificate is an authority's")
	}
	return cert, nil
}

func hasUsage(cert *x509.Certificate, usage asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(cert.UnknownExtKeyUsage, usage.Equal)
}

// verifyChain verifies that the certificate is one of the roots' and valid now.
// Those of TPMs have a critical subjectAltName with names that crypto/x509 does
// not know, and whose subject is empty; parseNames has read them.
func verifyChain(cert *x509.Certificate, roots, intermediates *x509.CertPool, now time.Time) error {
	if roots == nil { // crypto/x509 would take those of the system
		return bad("no root is configured")
	}
	own := *cert
	own.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(cert.UnhandledCriticalExtensions), oidSAN.Equal)
	_, err := own.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return bad("verify certificate: %w", err)
	}
	return nil
}

// Challenge encrypts the secret, of at most 32 bytes, so that only the TPM with
// the endorsement key gets it, and only if it has the attestation key with the
// name (part 1, section 24): whoever returns it has both in one TPM.
func Challenge(random io.Reader, ek crypto.PublicKey, akName, secret []byte) (credential, encrypted []byte, err error) {
	area, err := ekArea(ek)
	if err != nil {
		return nil, nil, err
	}
	key, err := tpm2.ImportEncapsulationKey(area)
	if err != nil {
		return nil, nil, bad("use endorsement key: %w", err)
	}
	if credential, encrypted, err = tpm2.CreateCredential(random, key, akName, secret); err != nil {
		return nil, nil, fmt.Errorf("%w: make credential: %w", attestation.ErrEvidence, err)
	}
	return credential, encrypted, nil
}

// ekArea is the public area of an endorsement key by the profile's default
// templates L-1 and L-2; with others the secret would not come back.
func ekArea(key crypto.PublicKey) (*tpm2.TPMTPublic, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() == 2048 {
			area := tpm2.RSAEKTemplate
			area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.FillBytes(make([]byte, 256))})
			return &area, nil
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			area := tpm2.ECCEKTemplate
			point, err := key.Bytes()
			if err != nil {
				return nil, bad("endorsement key: %w", err)
			}
			area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
				X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
			})
			return &area, nil
		}
	}
	return nil, bad("an endorsement key that is neither RSA of 2048 bits nor P-256")
}
