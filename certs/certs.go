// Package certs holds every key and certificate of a provider: the RSA and P-256
// keys that sign answers and their rotation, the built-in authority that issues
// device certificates, the verification of the certificates that devices
// present or that a proxy forwards for them, and the TLS configuration of the
// public listener.
//
// It is not an inventory: it says which device a certificate names and by whom
// it was issued, never whether that device is known, revoked or retired; what
// authorities say of revocation is read in certs/revocation. It has
// no clock, no logger and no HTTP.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
)

// KeyHash names a key: the SHA-256 of the certificate's SubjectPublicKeyInfo as
// 64 lower-case hexadecimal digits.
func KeyHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Serial is the certificate's serial number in lower-case hexadecimal, without
// leading zeros.
func Serial(c *x509.Certificate) string {
	return c.SerialNumber.Text(16)
}

// Bounds of RSA keys in bits. Less is weak (NIST SP 800-131A section 3); more
// costs a verifier so much that it is a way to tire it.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// checkPublicKey refuses keys that are weak or that crypto/tls cannot use.
func checkPublicKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return checkRSA(k)
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return errors.New("elliptic curve is none of P-256, P-384, P-521")
		}
		// The conversion is what checks that the point lies on the curve.
		if _, err := k.ECDH(); err != nil {
			return fmt.Errorf("elliptic curve key: %w", err)
		}
		return nil
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key of %d bytes", len(k))
		}
		return nil
	}
	return fmt.Errorf("key type %T is not supported", pub)
}

func checkRSA(k *rsa.PublicKey) error {
	if k.N == nil {
		return errors.New("RSA key without a modulus")
	}
	if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
		return fmt.Errorf("RSA key of %d bits is not between %d and %d", n, minRSABits, maxRSABits)
	}
	// FIPS 186-5 section A.1.1: 2^16 < e, and odd.
	if k.E < 1<<16+1 || k.E%2 == 0 {
		return fmt.Errorf("RSA exponent %d is not an odd number above 65536", k.E)
	}
	return nil
}

// CheckSignatureAlgorithm refuses what forgeries are known or near for, SHA-1
// among them, which [x509.Certificate.CheckSignature] still takes.
func CheckSignatureAlgorithm(a x509.SignatureAlgorithm) error {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
		x509.PureEd25519:
		return nil
	}
	return fmt.Errorf("signature algorithm %q is not accepted", a)
}

// newSerial makes a random serial number of at most 128 bits; RFC 5280 section
// 4.1.2.2 wants it positive.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	for {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("make a serial number: %w", err)
		}
		if n := new(big.Int).SetBytes(b); n.Sign() > 0 {
			return n, nil
		}
	}
}

// sign makes the certificate of template, signed by parent's key, and reads it
// back, so that what is returned is what others will see.
func sign(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
