package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"
)

// TestBySerial: a part that is a serial number is never taken for an ID.
func TestBySerial(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	a, err := CreateAuthority(dir+"/ca.crt", dir+"/ca.key", "Company devices", now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := CreateAuthority(dir+"/b.crt", dir+"/b.key", "Built in", now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier([]TrustedAuthority{{Certificate: a.Certificate, IDFrom: IDFromCN, BySerial: true}, {Certificate: b.Certificate, IDFrom: IDFromURI, BuiltIn: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		by         *Authority
		id, serial string
	}{{a, "", "PF3ABC"}, {b, "PF3ABC", ""}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tt.by.Issue("PF3ABC", key.Public(), now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		id, err := v.Verify([]*x509.Certificate{c}, now)
		if err != nil || id.DeviceID != tt.id || id.HardwareSerial != tt.serial {
			t.Errorf("%+v, %v; want ID %q, serial number %q", id, err, tt.id, tt.serial)
		}
	}
	for name, authorities := range map[string][]TrustedAuthority{
		"built in":  {{Certificate: b.Certificate, IDFrom: IDFromURI, BuiltIn: true, BySerial: true}},
		"both ways": {{Certificate: a.Certificate, IDFrom: IDFromCN}, {Certificate: resigned(t, a, now), IDFrom: IDFromCN, BySerial: true}},
	} {
		if _, err := NewVerifier(authorities); err == nil {
			t.Errorf("%s: no fault was found", name)
		}
	}
}

// resigned is another certificate of the same authority's key.
func resigned(t *testing.T, a *Authority, now time.Time) *x509.Certificate {
	t.Helper()
	template := *a.Certificate
	template.NotAfter = now.Add(time.Hour)
	c, err := sign(&template, &template, a.signer.Public(), a.signer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
