package certs

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// KeyState is what a signing key does now.
type KeyState string

// The states of a key. All but a dropped one are published.
const (
	StateSigning  KeyState = "signing"  // signs every answer
	StateNext     KeyState = "next"     // published so that relying parties can learn it; signs nothing yet
	StatePrevious KeyState = "previous" // signed until lately; still published for answers on their way
)

// SigningKey is one RSA key that signs answers, with the self-signed
// certificate that relying parties hold. It does not change: a rotation makes
// new values, and one in use goes on signing.
type SigningKey struct {
	ID          string // first 16 hexadecimal digits of the certificate's KeyHash
	Certificate *x509.Certificate
	State       KeyState

	signer crypto.Signer // *rsa.PrivateKey from a file, or hardware
	slots  slots
}

// Sign signs a SHA-256 digest (32 bytes) by RSASSA-PKCS1-v1_5 (RFC 8017 section
// 8.2). It waits for one of the process's slots, but not longer than ctx.
func (k *SigningKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("sign with key %q: digest of %d bytes is not SHA-256", k.ID, len(digest))
	}
	if err := k.slots.take(ctx); err != nil {
		return nil, fmt.Errorf("sign with key %q: %w", k.ID, err)
	}
	defer k.slots.give()
	sig, err := k.signer.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign with key %q: %w", k.ID, err)
	}
	return sig, nil
}

// bits is the size of the key; readers of keys made sure that it is RSA.
func (k *SigningKey) bits() int { return k.Certificate.PublicKey.(*rsa.PublicKey).N.BitLen() }

// slots bounds the signatures that are computed at once. An RSA signature is
// pure computation: more of them than processors only makes all of them late.
type slots chan struct{}

func newSlots() slots { return make(slots, runtime.GOMAXPROCS(0)) }

func (s slots) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) give() { <-s }

const (
	signingKeyYears = 10
	// backdate is how far before now a certificate begins, for verifiers whose
	// clock is late.
	backdate = 5 * time.Minute
)

// generateKey makes a key and its certificate and gives them as a file.
func generateKey(commonName string, bits int, now time.Time) (id string, file []byte, err error) {
	if bits < minRSABits || bits > maxRSABits {
		return "", nil, fmt.Errorf("RSA key of %d bits is not between %d and %d", bits, minRSABits, maxRSABits)
	}
	if commonName == "" {
		return "", nil, errors.New("signing key without a common name")
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return "", nil, fmt.Errorf("make an RSA key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return "", nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(signingKeyYears, 0, 0),
		SignatureAlgorithm:    x509.SHA256WithRSA,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return "", nil, fmt.Errorf("make the certificate of %q: %w", commonName, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return "", nil, err
	}
	return keyID(cert), append(keyPEM, encodeCertificate(cert)...), nil
}

// keyIDLength is in hexadecimal digits: 64 bits tell a handful of keys apart.
const keyIDLength = 16

func keyID(c *x509.Certificate) string { return KeyHash(c)[:keyIDLength] }

// parseKeyFile reads one file of the ring: a PKCS#8 RSA key and its certificate.
func parseKeyFile(data []byte) (*SigningKey, error) {
	blocks, err := decodePEM(data, pemKey, pemCertificate)
	if err != nil {
		return nil, err
	}
	signer, err := parseSigner(blocks[pemKey])
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	pub, ok := signer.Public().(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the private key is a %T, not RSA", signer)
	}
	if err := checkRSA(pub); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(blocks[pemCertificate])
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	if !samePublicKey(cert, signer) {
		return nil, errors.New("the certificate is for another key")
	}
	return &SigningKey{ID: keyID(cert), Certificate: cert, signer: signer}, nil
}
