package devices

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/posture"
)

// Why no certificate was issued, besides the sentinels of posture.
var (
	ErrBadRequest  = errors.New("bad certificate request")
	ErrBadLifetime = errors.New("bad lifetime")
)

// Lifetimes of a device's certificate.
const (
	DefaultLifetime = 90 * 24 * time.Hour
	minLifetime     = 5 * time.Minute
	maxLifetime     = 398 * 24 * time.Hour
)

// Authority is the device authority.
type Authority interface {
	// Issue signs a client certificate that names the device.
	Issue(deviceID string, pub crypto.PublicKey, now time.Time, lifetime time.Duration) (*x509.Certificate, error)
	// ID is the lower-case hex SHA-256 of the authority's SubjectPublicKeyInfo.
	ID() string
}

// IssueRecords knows the devices and keeps the certificates.
type IssueRecords interface {
	// Device: posture.ErrNoDevice.
	Device(ctx context.Context, id string) (posture.Device, error)
	// AddCertificate: posture.ErrNoDevice, ErrRetired, ErrKeyInUse.
	AddCertificate(ctx context.Context, c posture.Certificate) error
}

// Issuer issues client certificates to devices of the inventory.
type Issuer struct {
	Authority Authority
	Records   IssueRecords
	Lifetime  time.Duration // when none is asked for; 0: DefaultLifetime
	Now       func() time.Time
}

// Issue makes a certificate that identifies the device by this key, valid from
// now for the lifetime (0: the issuer's own). rank is what who asks knows of the
// key. It is recorded before it is handed out: a certificate that the inventory does not know never leaves.
//
// Errors: posture.ErrNoDevice, ErrRetired, ErrKeyInUse, ErrBadRequest for a key
// that is too weak, ErrBadLifetime.
func (i *Issuer) Issue(ctx context.Context, deviceID string, key crypto.PublicKey, rank posture.Rank, lifetime time.Duration) (*x509.Certificate, error) {
	device, err := i.Records.Device(ctx, deviceID)
	if err != nil {
		return nil, err
	}
	if device.Retired() {
		return nil, fmt.Errorf("device %q: %w", deviceID, posture.ErrRetired)
	}
	cert, record, err := i.make(device.ID, key, lifetime)
	if err != nil {
		return nil, err
	}
	record.Rank = rank
	if err := i.Records.AddCertificate(ctx, record); err != nil {
		return nil, fmt.Errorf("record certificate of device %q: %w", deviceID, err)
	}
	return cert, nil
}

// make makes a certificate and what is to be recorded of it.
func (i *Issuer) make(deviceID string, key crypto.PublicKey, lifetime time.Duration) (*x509.Certificate, posture.Certificate, error) {
	lifetime = cmp.Or(lifetime, i.Lifetime, DefaultLifetime)
	if lifetime < minLifetime || lifetime > maxLifetime {
		return nil, posture.Certificate{}, fmt.Errorf("%w: %s; from %s to %s", ErrBadLifetime, lifetime, minLifetime, maxLifetime)
	}
	if err := CheckKey(key); err != nil {
		return nil, posture.Certificate{}, err
	}
	cert, err := i.Authority.Issue(deviceID, key, i.Now(), lifetime)
	if err != nil {
		return nil, posture.Certificate{}, err
	}
	return cert, posture.Certificate{
		Authority: i.Authority.ID(),
		Serial:    certs.Serial(cert),
		DeviceID:  deviceID,
		KeyHash:   certs.KeyHash(cert),
		NotBefore: cert.NotBefore,
		NotAfter:  cert.NotAfter,
	}, nil
}

// KeyOfRequest takes the key, and nothing else, from a certificate request in
// PEM (PKCS #10, RFC 2986), once its signature has shown that the requester
// holds the private key. Errors are ErrBadRequest.
func KeyOfRequest(csr []byte) (crypto.PublicKey, error) {
	block, rest := pem.Decode(csr)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: no PEM block", ErrBadRequest)
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, fmt.Errorf("%w: a PEM block of type %s", ErrBadRequest, quote(block.Type))
	case strings.TrimSpace(string(rest)) != "":
		return nil, fmt.Errorf("%w: something follows the PEM block", ErrBadRequest)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	// Before the signature is verified: a huge key makes that slow.
	if err := CheckKey(request.PublicKey); err != nil {
		return nil, err
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return request.PublicKey, nil
}

// CheckKey takes the keys that browsers use for client certificates, and
// refuses one that is weak, or so large that using it would tire us.
func CheckKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
			return fmt.Errorf("%w: an RSA key of %d bits; 2048 to 4096 are taken", ErrBadRequest, bits)
		}
		if key.E < 1<<16+1 || key.E%2 == 0 { // FIPS 186-5 section A.1.1
			return fmt.Errorf("%w: an RSA key with the exponent %d; 65537 is usual", ErrBadRequest, key.E)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("%w: an elliptic curve other than P-256 and P-384", ErrBadRequest)
		}
	default:
		return fmt.Errorf("%w: a key of type %T; RSA, P-256 and P-384 are taken", ErrBadRequest, key)
	}
	return nil
}
