package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/certs"
)

// TestAttestationAuthority: it is the same after a restart, its key is its own, and
// what it signs never passes for a device's certificate.
func TestAttestationAuthority(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	device, err := certs.CreateAuthority(filepath.Join(dir, "device-ca.crt"), filepath.Join(dir, "device-ca.key"), "Device CA", now)
	if err != nil {
		t.Fatal(err)
	}
	made, err := certs.OpenAttestationAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "attestation-ca.key")
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info, err)
	}
	opened, err := certs.OpenAttestationAuthority(dir, now.AddDate(1, 0, 0))
	if err != nil || !opened.Certificate.Equal(made.Certificate) {
		t.Errorf("opened again: %v", err)
	}
	if certs.KeyHash(made.Certificate) == certs.KeyHash(device.Certificate) {
		t.Error("it has the device authority's key")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	what := &certs.TPM{DeviceID: "mac-1", EK: strings.Repeat("ab", 32), Vendor: "id:00001014", Model: "swtpm", Version: "id:1"}
	ak, err := opened.Issue(what, &key.PublicKey, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if len(ak.Subject.Names) != 0 || ak.IsCA || len(ak.ExtKeyUsage) != 0 || len(ak.UnknownExtKeyUsage) != 1 || ak.UnknownExtKeyUsage[0].String() != "2.23.133.8.3" ||
		len(ak.URIs) != 1 || !strings.HasPrefix(ak.URIs[0].String(), "urn:ek:sha256:") || ak.NotAfter.Sub(now) != time.Hour {
		t.Errorf("certificate %q %v %v %s", ak.Subject, ak.UnknownExtKeyUsage, ak.URIs, ak.NotAfter)
	}
	// Not even where somebody trusts the attestation authority with devices by mistake.
	for name, trusted := range map[string]certs.TrustedAuthority{
		"the device authority":      {Certificate: device.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true},
		"itself as the built-in":    {Certificate: made.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true},
		"itself as a foreign one":   {Certificate: made.Certificate, IDFrom: certs.IDFromURI},
		"itself, by the serial too": {Certificate: made.Certificate, IDFrom: certs.IDFromSerial, BySerial: true},
	} {
		v, err := certs.NewVerifier([]certs.TrustedAuthority{trusted})
		if err != nil {
			continue // not even trusted
		}
		for _, chain := range [][]*x509.Certificate{{ak}, {ak, made.Certificate}} {
			if id, err := v.Verify(chain, now); !errors.Is(err, certs.ErrUntrusted) {
				t.Errorf("%s: taken for device %+v: %v", name, id, err)
			}
		}
	}
	for name, wrong := range map[string]certs.TPM{
		"device": {DeviceID: "mac 1", EK: what.EK}, "no device": {EK: what.EK}, "endorsement key": {DeviceID: "mac-1", EK: "ab"}, "no endorsement key": {DeviceID: "mac-1"},
	} {
		if c, err := opened.Issue(&wrong, &key.PublicKey, now, time.Hour); err == nil {
			t.Errorf("%s: issued %v", name, c.URIs)
		}
	}
	other, err := os.ReadFile(filepath.Join(dir, "device-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.OpenAttestationAuthority(dir, now); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("opened with another key: %v", err)
	}
}
