package android

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"gatepost.dev/devices/attestation"
)

// bad is evidence that proves nothing.
func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", attestation.ErrEvidence, fmt.Errorf(format, args...))
}

// keyOf is the key of the leaf and the lower-case hex SHA-256 of its
// SubjectPublicKeyInfo, if it is one that can stand in a device's certificate.
func keyOf(leaf *x509.Certificate) (key crypto.PublicKey, hash string, err error) {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
			return nil, "", bad("an RSA key of %d bits; 2048 to 4096 are taken", bits)
		}
		if key.E < 1<<16+1 || key.E%2 == 0 { // FIPS 186-5 section A.1.1
			return nil, "", bad("an RSA key with the exponent %d", key.E)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return nil, "", bad("an elliptic curve other than P-256 and P-384")
		}
	default: // nil for an algorithm that crypto/x509 does not know, such as ML-DSA
		return nil, "", bad("a key of type %T; RSA, P-256 and P-384 are taken", key)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return leaf.PublicKey, hex.EncodeToString(sum[:]), nil
}

// maxText bounds what the hardware says of a device, in bytes.
const maxText = 64

// text is what the hardware says of a device, if it is printable ASCII.
func text(what string, value []byte) (string, error) {
	if len(value) == 0 || len(value) > maxText {
		return "", bad("%s of %d bytes, not 1 to %d", what, len(value), maxText)
	}
	for _, c := range value {
		if c < ' ' || c > '~' {
			return "", bad("%s %q has a character that is not printable ASCII", what, value)
		}
	}
	return string(value), nil
}
