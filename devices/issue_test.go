package devices

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"gatepost.dev/posture"
)

// authority signs plain certificates and says how it was asked to.
type authority struct {
	key    *ecdsa.PrivateKey
	issued []string
}

func (a *authority) ID() string { return "a0" }

func (a *authority) Issue(deviceID string, pub crypto.PublicKey, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	a.issued = append(a.issued, deviceID)
	template := &x509.Certificate{SerialNumber: big.NewInt(0xabc), NotBefore: now, NotAfter: now.Add(lifetime), Subject: pkix.Name{CommonName: deviceID}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

type records struct {
	devices map[string]posture.Device
	added   []posture.Certificate
	err     error
}

func (r *records) Device(_ context.Context, id string) (posture.Device, error) {
	d, ok := r.devices[id]
	if !ok {
		return d, posture.ErrNoDevice
	}
	return d, nil
}

func (r *records) AddCertificate(_ context.Context, c posture.Certificate) error {
	if r.err == nil {
		r.added = append(r.added, c)
	}
	return r.err
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newIssuer(t *testing.T) (*Issuer, *authority, *records) {
	a := &authority{key: newKey(t)}
	r := &records{devices: map[string]posture.Device{"d1": {ID: "d1"}, "gone": {ID: "gone", RetiredAt: now}}}
	return &Issuer{Authority: a, Records: r, Now: func() time.Time { return now }}, a, r
}

func TestIssueRecordsBeforeHandingOut(t *testing.T) {
	t.Parallel()
	issuer, _, records := newIssuer(t)
	key := newKey(t)
	cert, err := issuer.Issue(t.Context(), "d1", key.Public(), posture.RankImported, 0)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(spki)
	want := posture.Certificate{Authority: "a0", Serial: "abc", DeviceID: "d1", KeyHash: hex.EncodeToString(hash[:]),
		NotBefore: now, NotAfter: now.Add(DefaultLifetime), Rank: posture.RankImported}
	if len(records.added) != 1 || records.added[0] != want {
		t.Errorf("recorded %+v, want %+v", records.added, want)
	}
	if cert.Subject.CommonName != "d1" {
		t.Errorf("issued to %q", cert.Subject)
	}

	issuer.Lifetime = 720 * time.Hour
	if cert, err := issuer.Issue(t.Context(), "d1", key.Public(), posture.RankImported, 0); err != nil || !cert.NotAfter.Equal(now.Add(720*time.Hour)) {
		t.Errorf("configured lifetime: %v, %v", cert, err)
	}

	full := errors.New("no space left")
	for _, failure := range []error{full, posture.ErrKeyInUse, posture.ErrRetired} {
		records.err = failure
		if cert, err := issuer.Issue(t.Context(), "d1", key.Public(), posture.RankImported, time.Hour); cert != nil || !errors.Is(err, failure) {
			t.Errorf("handed out %v with error %v, want %v", cert != nil, err, failure)
		}
	}
}

func TestIssueRefused(t *testing.T) {
	t.Parallel()
	good := newKey(t).Public()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16383), E: 65537}
	for _, test := range []struct {
		name     string
		device   string
		key      crypto.PublicKey
		lifetime time.Duration
		want     error
	}{
		{"unknown device", "d2", good, 0, posture.ErrNoDevice},
		{"retired device", "gone", good, 0, posture.ErrRetired},
		{"negative lifetime", "d1", good, -time.Hour, ErrBadLifetime},
		{"short lifetime", "d1", good, time.Second, ErrBadLifetime},
		{"long lifetime", "d1", good, 399 * 24 * time.Hour, ErrBadLifetime},
		{"weak RSA key", "d1", weak.Public(), 0, ErrBadRequest},
		{"huge RSA key", "d1", huge, 0, ErrBadRequest},
		{"RSA exponent 3", "d1", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 3}, 0, ErrBadRequest},
		{"weak curve", "d1", p224.Public(), 0, ErrBadRequest},
		{"a key that browsers cannot use", "d1", ed25519.PublicKey(make([]byte, 32)), 0, ErrBadRequest},
		{"no key", "d1", nil, 0, ErrBadRequest},
	} {
		issuer, authority, records := newIssuer(t)
		cert, err := issuer.Issue(t.Context(), test.device, test.key, posture.RankImported, test.lifetime)
		if cert != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if len(authority.issued) > 0 || len(records.added) > 0 {
			t.Errorf("%s: signed %q, recorded %d", test.name, authority.issued, len(records.added))
		}
	}
}

func TestKeyOfRequest(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "somebody-else"}, DNSNames: []string{"admin.example.com"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	pub, err := KeyOfRequest(good)
	if err != nil || !key.PublicKey.Equal(pub) {
		t.Fatal(pub, err)
	}
	forged := bytes.Clone(der)
	forged[bytes.Index(forged, []byte("somebody"))] ^= 1
	for name, csr := range map[string][]byte{
		"nothing":       nil,
		"DER":           der,
		"two":           append(bytes.Clone(good), good...),
		"other block":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"not a request": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte("x")}),
		"forged":        pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged}),
	} {
		if key, err := KeyOfRequest(csr); key != nil || !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}
