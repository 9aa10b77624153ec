package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"
)

// RA is the RSA pair of a registration authority: SCEP encrypts to it and
// verifies answers by it (RFC 8894 section 2.1.2), neither of which goes with the
// ECDSA key of the authority beside it. It issues nothing.
type RA struct {
	Certificate *x509.Certificate

	key *rsa.PrivateKey
}

const (
	raBits      = 2048
	raRenewal   = 90 * 24 * time.Hour // before its certificate expires there is a new one for the same key
	raYears     = 10
	raNameExtra = " SCEP RA"
)

// OpenRA reads the pair from one PEM file with mode 0600, and makes it there if
// there is none. A certificate that is another authority's, or that expires soon,
// is made anew, for the same key.
func OpenRA(file string, a *Authority, now time.Time) (*RA, error) {
	ra, err := readRA(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		ra = &RA{}
		if ra.key, err = rsa.GenerateKey(rand.Reader, raBits); err != nil {
			return nil, fmt.Errorf("make the key of the registration authority: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("open the registration authority: %w", err)
	case ra.Certificate.CheckSignatureFrom(a.Certificate) == nil && (now.Add(raRenewal).Before(ra.Certificate.NotAfter) || ra.Certificate.NotAfter.Equal(a.Certificate.NotAfter)):
		return ra, nil
	}
	if ra.Certificate, err = a.issueRA(ra.key.Public(), now); err != nil {
		return nil, fmt.Errorf("certify the registration authority: %w", err)
	}
	keyPEM, err := encodeKey(ra.key)
	if err != nil {
		return nil, fmt.Errorf("write the registration authority: %w", err)
	}
	if err := (disk{}).write(file, slices.Concat(keyPEM, CertificatePEM(ra.Certificate)), privateMode); err != nil {
		return nil, fmt.Errorf("write the registration authority: %w", err)
	}
	return ra, nil
}

func readRA(file string) (*RA, error) {
	data, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	blocks, err := decodePEM(data, pemKey, pemCertificate)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	signer, err := parseSigner(blocks[pemKey])
	if err != nil {
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	key, ok := signer.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%q: a %T cannot decrypt what SCEP sends; it takes an RSA key", file, signer)
	}
	if err := checkRSA(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	cert, err := x509.ParseCertificate(blocks[pemCertificate])
	if err != nil {
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	if !samePublicKey(cert, key) {
		return nil, fmt.Errorf("%q: the certificate is that of another key", file)
	}
	return &RA{Certificate: cert, key: key}, nil
}

// issueRA makes a certificate that is no device's: it has no extended key usage,
// which would have to name client authentication, and no device's URI. (With one
// that is not e-mail's, OpenSSL would not verify the signatures.)
func (a *Authority) issueRA(pub crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	name := a.Certificate.Subject.CommonName
	until := now.AddDate(raYears, 0, 0)
	if until.After(a.Certificate.NotAfter) {
		until = a.Certificate.NotAfter
	}
	if !now.Before(until) {
		return nil, fmt.Errorf("the authority expired at %s", stamp(until))
	}
	return sign(&x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name[:min(len(name), maxCommonName-len(raNameExtra))] + raNameExtra},
		NotBefore:             now.Add(-backdate),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
	}, a.Certificate, pub, a.signer)
}

// Public is the public key.
func (r *RA) Public() crypto.PublicKey { return r.key.Public() }

// Sign makes it a crypto.Signer.
func (r *RA) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return r.key.Sign(random, digest, o)
}

// Decrypt makes it a crypto.Decrypter.
func (r *RA) Decrypt(random io.Reader, message []byte, o crypto.DecrypterOpts) ([]byte, error) {
	return r.key.Decrypt(random, message, o)
}
