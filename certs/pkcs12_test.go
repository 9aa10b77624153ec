package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

const testPassword = "Zu5pKq-test"

func TestEncodePKCS12(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	for name, key := range map[string]crypto.Signer{"EC": newECKey(), "RSA": must(rsa.GenerateKey(rand.Reader, 2048))} {
		cert, err := a.Issue("laptop-1", key.Public(), testNow, day)
		if err != nil {
			t.Fatal(err)
		}
		data, err := EncodePKCS12(key, cert, a.Certificate, testPassword)
		if err != nil {
			t.Fatal(err)
		}
		gotKey, gotCert, gotCAs, err := pkcs12.DecodeChain(data, testPassword)
		if err != nil {
			t.Fatal(err)
		}
		if !gotCert.Equal(cert) || !samePublicKey(cert, gotKey.(crypto.Signer)) || len(gotCAs) != 1 || !gotCAs[0].Equal(a.Certificate) {
			t.Errorf("%s: something else came back", name)
		}
		t.Run(name+" openssl", func(t *testing.T) { t.Parallel(); importOpenSSL(t, data) })
		t.Run(name+" NSS", func(t *testing.T) { t.Parallel(); importNSS(t, data) })
	}
}

func TestEncodePKCS12Refuses(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	key := newECKey()
	cert, err := a.Issue("laptop-1", key.Public(), testNow, day)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key      crypto.PrivateKey
		password string
		part     string
	}{
		{key, "", "no password"},
		{newECKey(), testPassword, "another key"},
		{nil, testPassword, "another key"},
		{key, "\U0001F511", "UCS-2"}, // a password of PKCS#12 is in UCS-2
	} {
		_, err := EncodePKCS12(tt.key, cert, nil, tt.password)
		wantError(t, err, nil, tt.part)
	}
	data, err := EncodePKCS12(key, cert, nil, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, cas, err := pkcs12.DecodeChain(data, testPassword); err != nil || len(cas) > 0 {
		t.Errorf("without an authority: %v %v", cas, err)
	}
}

// tool runs a program that the test needs.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; make test says how to get it", name)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func p12File(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device.p12")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenSSL 3 reads it without its legacy provider.
func importOpenSSL(t *testing.T, data []byte) {
	out := tool(t, "openssl", "pkcs12", "-in", p12File(t, data), "-passin", "pass:"+testPassword, "-nodes")
	for _, part := range []string{"laptop-1", "Device authority", "PRIVATE KEY"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
}

// NSS is what Firefox, and Chromium on Linux, keep certificates in.
func importNSS(t *testing.T, data []byte) {
	db := "sql:" + t.TempDir()
	tool(t, "certutil", "-N", "--empty-password", "-d", db)
	tool(t, "pk12util", "-i", p12File(t, data), "-W", testPassword, "-d", db)
	if out := tool(t, "certutil", "-L", "-d", db); !strings.Contains(out, "laptop-1") || !strings.Contains(out, "u,u,u") {
		t.Errorf("no certificate with a key under the device's name in\n%s", out)
	}
	if out := tool(t, "certutil", "-K", "-d", db); !strings.Contains(out, "laptop-1") {
		t.Errorf("no key in\n%s", out)
	}
}

// What we issue also holds by another implementation's strict rules.
func TestVerifyByOpenSSL(t *testing.T) {
	t.Parallel()
	a, certFile, _ := newTestAuthority(t)
	cert, err := a.Issue("laptop-1", newECKey().Public(), testNow, day)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "device.crt")
	if err := os.WriteFile(path, CertificatePEM(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-attime", strconv.FormatInt(testNow.Unix(), 10), "-CAfile", certFile, path)
}
