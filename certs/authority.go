package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"
)

// Authority is the built-in certification authority for device certificates.
type Authority struct {
	Certificate *x509.Certificate

	signer crypto.Signer
}

const authorityYears = 10

// CreateAuthority makes a P-256 authority that may issue to devices only (path
// length 0) and writes it to two PEM files, neither of which may exist: the
// certificate, and the PKCS#8 key with mode 0600.
func CreateAuthority(certFile, keyFile, commonName string, now time.Time) (*Authority, error) {
	for _, path := range []string{certFile, keyFile} {
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("create a device authority: %q exists already", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("create a device authority: %w", err)
		}
	}
	cert, key, err := newAuthority(commonName, now, now.AddDate(authorityYears, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("create a device authority: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("create a device authority: %w", err)
	}
	var d disk
	if err := d.write(keyFile, keyPEM, privateMode); err != nil {
		return nil, fmt.Errorf("write the device authority's key: %w", err)
	}
	if err := d.write(certFile, CertificatePEM(cert), publicMode); err != nil {
		return nil, fmt.Errorf("write the device authority's certificate: %w", err)
	}
	return &Authority{Certificate: cert, signer: key}, nil
}

// newAuthority makes a self-signed authority that may have no other below it, for
// those uses only; none: for any.
func newAuthority(commonName string, now, until time.Time, uses ...asn1.ObjectIdentifier) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	if commonName == "" {
		return nil, nil, errors.New("authority without a common name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		UnknownExtKeyUsage:    uses,
	}
	cert, err := sign(template, template, key.Public(), key)
	return cert, key, err
}

// LoadAuthority reads an authority from two PEM files.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	cert, certErr := readCertificate(certFile)
	key, keyErr := readKeyFile(keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("load the device authority: %w", err)
	}
	if !samePublicKey(cert, key) {
		return nil, fmt.Errorf("load the device authority: %q is the certificate of another key than %q", certFile, keyFile)
	}
	if err := checkAuthority(cert); err != nil {
		return nil, fmt.Errorf("load the device authority: %q: %w", certFile, err)
	}
	return &Authority{Certificate: cert, signer: key}, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	blocks, err := decodePEM(data, pemCertificate)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	cert, err := x509.ParseCertificate(blocks[pemCertificate])
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return cert, nil
}

func readKeyFile(path string) (crypto.Signer, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	blocks, err := decodePEM(data, pemKey)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	key, err := parseSigner(blocks[pemKey])
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return key, nil
}

// checkAuthority refuses certificates that may not issue others (RFC 5280
// sections 4.2.1.3 and 4.2.1.9) or that cannot be verified.
func checkAuthority(c *x509.Certificate) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("the certificate is not an authority's")
	case hasKeyUsage(c) && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("the certificate's key usage forbids it to issue certificates")
	case len(c.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("the certificate has an unknown critical extension %v", c.UnhandledCriticalExtensions[0])
	}
	return checkPublicKey(c.PublicKey)
}

// ID names the authority's key: its KeyHash.
func (a *Authority) ID() string { return KeyHash(a.Certificate) }

// deviceURI begins the URI that names a device in a certificate.
const deviceURI = "urn:gatepost:device:"

// maxDeviceID is in bytes.
const maxDeviceID = 128

// ValidDeviceID tells whether id can stand in a certificate of the built-in
// authority: 1 to 128 characters of A-Z a-z 0-9 . _ : -
func ValidDeviceID(id string) error {
	if id == "" || len(id) > maxDeviceID {
		return fmt.Errorf("device ID %.40q has %d bytes, not 1 to %d", id, len(id), maxDeviceID)
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '-':
		default:
			return fmt.Errorf("device ID %q has a character that is none of A-Z a-z 0-9 . _ : -", id)
		}
	}
	return nil
}

// maxCommonName is ub-common-name of RFC 5280 appendix A.1.
const maxCommonName = 64

// Issue makes the client certificate of a device. Nothing is taken from the
// requester but the public key: P-256, P-384, or RSA of 2048 bits and more,
// which is what browsers use for client certificates. The certificate ends with
// the authority's at the latest.
func (a *Authority) Issue(deviceID string, pub crypto.PublicKey, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	cert, err := a.issue(deviceID, pub, now, lifetime)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate to device %q: %w", deviceID, err)
	}
	return cert, nil
}

func (a *Authority) issue(deviceID string, pub crypto.PublicKey, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	if err := ValidDeviceID(deviceID); err != nil {
		return nil, err
	}
	if err := checkDeviceKey(pub); err != nil {
		return nil, err
	}
	if lifetime <= 0 {
		return nil, fmt.Errorf("lifetime %v is not positive", lifetime)
	}
	from, until := now.Add(-backdate), now.Add(lifetime)
	if now.Before(a.Certificate.NotBefore) || !now.Before(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("the authority is valid from %s to %s only", stamp(a.Certificate.NotBefore), stamp(a.Certificate.NotAfter))
	}
	if from.Before(a.Certificate.NotBefore) {
		from = a.Certificate.NotBefore
	}
	if until.After(a.Certificate.NotAfter) {
		until = a.Certificate.NotAfter
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// For people only; the URI is what identifies.
		Subject:               pkix.Name{CommonName: deviceID[:min(len(deviceID), maxCommonName)]},
		URIs:                  []*url.URL{{Scheme: "urn", Opaque: deviceURI[len("urn:"):] + deviceID}},
		NotBefore:             from,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if _, ok := pub.(*rsa.PublicKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment // SCEP encrypts to it when it is renewed
	}
	return sign(template, a.Certificate, pub, a.signer)
}

func checkDeviceKey(pub crypto.PublicKey) error {
	if err := checkPublicKey(pub); err != nil {
		return err
	}
	if k, ok := pub.(*ecdsa.PublicKey); ok && k.Curve == elliptic.P521() {
		return errors.New("browsers do not sign with P-521")
	}
	if _, ok := pub.(ed25519.PublicKey); ok {
		return errors.New("browsers do not sign with Ed25519")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
