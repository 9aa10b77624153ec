package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openTestRA(t testing.TB, a *Authority) (ra *RA, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "scep-ra.pem")
	ra, err := OpenRA(file, a, testNow)
	if err != nil {
		t.Fatal(err)
	}
	return ra, file
}

func TestOpenRA(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	ra, file := openTestRA(t, a)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	if pub, ok := ra.Certificate.PublicKey.(*rsa.PublicKey); !ok || pub.N.BitLen() < 2048 {
		t.Errorf("key is a %T", ra.Certificate.PublicKey)
	}
	if want := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment; ra.Certificate.KeyUsage != want || ra.Certificate.IsCA {
		t.Errorf("key usage %b, authority %v", ra.Certificate.KeyUsage, ra.Certificate.IsCA)
	}
	again, err := OpenRA(file, a, testNow)
	if err != nil || !again.Certificate.Equal(ra.Certificate) {
		t.Errorf("opened again it is another one, %v", err)
	}
	other, _, _ := newTestAuthority(t)
	anew, err := OpenRA(file, other, testNow)
	switch {
	case err != nil:
		t.Fatal(err)
	case anew.Certificate.CheckSignatureFrom(other.Certificate) != nil:
		t.Error("the certificate is still the former authority's")
	case !anew.key.Equal(ra.key):
		t.Error("another authority changed the key")
	}
}

// TestRAIsNoDevice: whoever got hold of the pair could sign in as nobody.
func TestRAIsNoDevice(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	ra, _ := openTestRA(t, a)
	for _, from := range []IDFrom{IDFromURI, IDFromCN} {
		v, err := NewVerifier([]TrustedAuthority{{Certificate: a.Certificate, IDFrom: from, BuiltIn: from == IDFromURI}})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := v.Verify([]*x509.Certificate{ra.Certificate}, testNow); err == nil {
			t.Errorf("it identifies %+v", id)
		}
	}
}

func TestDamagedRA(t *testing.T) {
	t.Parallel()
	a, certFile, keyFile := newTestAuthority(t)
	_, file := openTestRA(t, a)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	key, rest := pem.Decode(good)
	_, foreign := openTestRA(t, a)
	_, foreignCertificate := pem.Decode(read(foreign))
	for name, c := range map[string]struct {
		data []byte
		mode os.FileMode
		want string
	}{
		"empty":                  {nil, 0o600, file},
		"no certificate":         {pem.EncodeToMemory(key), 0o600, file},
		"no key":                 {rest, 0o600, file},
		"cut":                    {good[:len(good)/2], 0o600, file},
		"another's key":          {append(pem.EncodeToMemory(key), foreignCertificate...), 0o600, "another key"},
		"not RSA":                {append(read(keyFile), read(certFile)...), 0o600, "RSA"},
		"readable by all":        {good, 0o644, "0600"},
		"something that follows": {append(bytes.Clone(good), good...), 0o600, file},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scep-ra.pem")
			if err := os.WriteFile(path, c.data, c.mode); err != nil {
				t.Fatal(err)
			}
			ra, err := OpenRA(path, a, testNow)
			if err == nil {
				t.Fatalf("opened: %v", ra.Certificate.Subject)
			}
			if want := strings.ReplaceAll(c.want, file, path); !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not tell %q", err, want)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.data) {
				t.Error("the file was written over")
			}
		})
	}
}
