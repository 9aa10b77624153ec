package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
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

// Algorithms of signatures, by their names in JOSE (RFC 7518 section 3.1).
const (
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
)

// Kind says what a new key is.
type Kind struct {
	Algorithm string // RS256 or ES256
	Bits      int    // of an RSA key, 2048 to 8192; 0 with ES256
}

// SigningKey is one RSA or P-256 key that signs answers, with the self-signed
// certificate that relying parties hold. It does not change: a rotation makes
// new values, and one in use goes on signing.
type SigningKey struct {
	ID          string // first 16 hexadecimal digits of the certificate's KeyHash
	Certificate *x509.Certificate
	State       KeyState

	signer crypto.Signer // *rsa.PrivateKey or *ecdsa.PrivateKey from a file, or hardware
	slots  slots
}

// Algorithm is how the key signs: RS256 or ES256.
func (k *SigningKey) Algorithm() string { return k.kind().Algorithm }

// kind is that of a key like this one. Readers of keys made sure that the curve
// is P-256.
func (k *SigningKey) kind() Kind {
	if pub, ok := k.Certificate.PublicKey.(*rsa.PublicKey); ok {
		return Kind{Algorithm: RS256, Bits: pub.N.BitLen()}
	}
	return Kind{Algorithm: ES256}
}

// madeAt is when the key was made, in whole seconds.
func (k *SigningKey) madeAt() time.Time { return k.Certificate.NotBefore.Add(backdate) }

// Sign signs a SHA-256 digest (32 bytes): with RS256 by RSASSA-PKCS1-v1_5 (RFC
// 8017 section 8.2); with ES256 the result is R and S, of 32 bytes each (RFC
// 7518 section 3.4). It waits for one of the slots that the keys of a ring
// share, but not longer than ctx.
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
	if k.Algorithm() == ES256 {
		if sig, err = joinedRS(sig); err != nil {
			return nil, fmt.Errorf("sign with key %q: %w", k.ID, err)
		}
	}
	return sig, nil
}

// joinedRS takes R and S out of the DER that every crypto.Signer gives (RFC 3279
// section 2.2.3), each filled up to the 32 bytes of a P-256 number.
func joinedRS(der []byte) ([]byte, error) {
	const size = 32
	var n struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &n)
	if err != nil {
		return nil, fmt.Errorf("read the signature: %w", err)
	}
	if len(rest) > 0 || n.R.Sign() <= 0 || n.S.Sign() <= 0 || n.R.BitLen() > 8*size || n.S.BitLen() > 8*size {
		return nil, errors.New("the signature is none of P-256")
	}
	sig := make([]byte, 2*size)
	n.R.FillBytes(sig[:size])
	n.S.FillBytes(sig[size:])
	return sig, nil
}

// slots bounds the signatures that are computed at once. A signature is pure
// computation: more of them than processors only makes all of them late. Each
// ring has its own, or those of P-256 would wait for RSA, which takes 30 times
// as long.
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
func generateKey(commonName string, kind Kind, now time.Time) (id string, file []byte, err error) {
	if commonName == "" {
		return "", nil, errors.New("signing key without a common name")
	}
	key, err := kind.generate()
	if err != nil {
		return "", nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return "", nil, err
	}
	template := &x509.Certificate{ // signed with SHA-256, which goes with both kinds
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(signingKeyYears, 0, 0),
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
	return keyID(cert), append(keyPEM, CertificatePEM(cert)...), nil
}

func (n Kind) generate() (crypto.Signer, error) {
	switch {
	case n.Algorithm == RS256 && (n.Bits < minRSABits || n.Bits > maxRSABits):
		return nil, fmt.Errorf("RSA key of %d bits is not between %d and %d", n.Bits, minRSABits, maxRSABits)
	case n.Algorithm == RS256:
		return rsa.GenerateKey(rand.Reader, n.Bits)
	case n.Algorithm == ES256 && n.Bits == 0:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, fmt.Errorf("there are no keys of %d bits for algorithm %q", n.Bits, n.Algorithm)
}

// keyIDLength is in hexadecimal digits: 64 bits tell a handful of keys apart.
const keyIDLength = 16

func keyID(c *x509.Certificate) string { return KeyHash(c)[:keyIDLength] }

// parseKeyFile reads one file of a ring: a PKCS#8 key for that algorithm and its
// certificate.
func parseKeyFile(data []byte, algorithm string) (*SigningKey, error) {
	blocks, err := decodePEM(data, pemKey, pemCertificate)
	if err != nil {
		return nil, err
	}
	signer, err := parseSigner(blocks[pemKey])
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	if err := checkSigner(signer.Public(), algorithm); err != nil {
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

// checkSigner refuses keys that are not for the algorithm: a ring holds keys of
// one kind, so that one published key follows another for the same relying
// parties.
func checkSigner(pub crypto.PublicKey, algorithm string) error {
	var found string
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if algorithm == RS256 {
			return checkRSA(k)
		}
		found = "RSA"
	case *ecdsa.PublicKey:
		if algorithm == ES256 && k.Curve == elliptic.P256() {
			return checkPublicKey(k)
		}
		found = k.Params().Name
	default:
		found = fmt.Sprintf("a %T", pub)
	}
	wanted := map[string]string{RS256: "RSA", ES256: "P-256"}[algorithm]
	return fmt.Errorf("the private key is %s, not %s: in this folder all keys sign by %s", found, wanted, algorithm)
}
