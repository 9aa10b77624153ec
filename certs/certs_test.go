package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// issuer is an authority of a test.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type change func(*x509.Certificate)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newECKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func caTemplate(name string, changes []change) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          must(newSerial()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             testNow.Add(-365 * day),
		NotAfter:              testNow.Add(365 * day),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	for _, f := range changes {
		f(c)
	}
	return c
}

// root makes a self-signed authority.
func root(name string, changes ...change) issuer {
	key := newECKey()
	c := caTemplate(name, changes)
	return issuer{must(sign(c, c, key.Public(), key)), key}
}

// sub makes an authority below.
func (i issuer) sub(name string, changes ...change) issuer {
	key := newECKey()
	return issuer{must(sign(caTemplate(name, changes), i.cert, key.Public(), i.key)), key}
}

// renewed is the same authority with another certificate.
func (i issuer) renewed(changes ...change) issuer {
	c := caTemplate(i.cert.Subject.CommonName, changes)
	return issuer{must(sign(c, c, i.key.Public(), i.key)), i.key}
}

// leafFor makes a device certificate for a key.
func (i issuer) leafFor(pub crypto.PublicKey, changes ...change) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          must(newSerial()),
		Subject:               pkix.Name{CommonName: "Laptop 1"},
		URIs:                  []*url.URL{must(url.Parse("urn:gatepost:device:laptop-1"))},
		NotBefore:             testNow.Add(-30 * day),
		NotAfter:              testNow.Add(30 * day),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, f := range changes {
		f(c)
	}
	return must(sign(c, i.cert, pub, i.key))
}

func (i issuer) leaf(changes ...change) *x509.Certificate {
	return i.leafFor(newECKey().Public(), changes...)
}

func dates(from, until time.Duration) change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = testNow.Add(from), testNow.Add(until) }
}

func uris(list ...string) change {
	return func(c *x509.Certificate) {
		c.URIs = nil
		for _, s := range list {
			c.URIs = append(c.URIs, must(url.Parse(s)))
		}
	}
}

func usages(list ...x509.ExtKeyUsage) change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = list }
}

func chain(certs ...*x509.Certificate) []*x509.Certificate { return certs }

// wantError demands an error of that kind (nil: any) whose text has part.
func wantError(t *testing.T, err, kind error, part string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error; want one with %q", part)
	case kind != nil && !errors.Is(err, kind):
		t.Fatalf("error %q is not %q", err, kind)
	case !strings.Contains(err.Error(), part):
		t.Fatalf("error %q does not say %q", err, part)
	}
}
