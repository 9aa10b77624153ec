package browser

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

const deviceURL = "https://device.example.com/"

// authority issues to the devices of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, commonName string) authority {
	t.Helper()
	key := newKey(t)
	return authority{sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour),
	}, nil, key, key), key}
}

// credential is one whose certificate is valid for that long already.
func (a authority) credential(t *testing.T, device string, age time.Duration) Credential {
	t.Helper()
	key := newKey(t)
	return Credential{Key: key, Certificate: sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: device}, NotBefore: time.Now().Add(-age),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, key, a.key)}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = serial, time.Now().Add(24*time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantInstalled checks that the places are those with the certificate, and so
// many policies.
func wantInstalled(t *testing.T, i Installer, c *x509.Certificate, databases, policies int) {
	t.Helper()
	places, err := i.Installed(t.Context())
	check(t, err)
	for _, p := range places {
		if p.Certificate == nil {
			policies--
		} else if p.Certificate.Equal(c) {
			databases--
		} else {
			t.Errorf("%s has the certificate %s", p.Where, p.Certificate.SerialNumber)
		}
	}
	if databases != 0 || policies != 0 {
		t.Errorf("%d databases and %d policies are missing in %v", databases, policies, places)
	}
}
