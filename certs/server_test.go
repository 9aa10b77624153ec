package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewServerCertificate(t *testing.T) {
	t.Parallel()
	caPEM, certPEM, keyPEM, err := NewServerCertificate([]string{"posture.example.com", "127.0.0.1", "::1"}, testNow, 90*day)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(caPEM) {
		t.Fatal("the authority is not PEM")
	}
	block, _ := pem.Decode(certPEM)
	c := must(x509.ParseCertificate(block.Bytes))
	for _, host := range []string{"posture.example.com", "127.0.0.1", "::1"} {
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: testNow}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || c.IsCA || !c.NotAfter.Equal(testNow.Add(90*day)) {
		t.Errorf("key %T, authority %v, until %v", c.PublicKey, c.IsCA, c.NotAfter)
	}
	if !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("extended key usage %v", c.ExtKeyUsage)
	}
	if key := must(parseSigner(must(decodePEM(keyPEM, pemKey))[pemKey])); !samePublicKey(c, key) {
		t.Error("the key is another's")
	}
	for _, tt := range []struct {
		hosts    []string
		lifetime time.Duration
		part     string
	}{
		{nil, day, "no host"},
		{[]string{""}, day, "not a host"},
		{[]string{"a.example:443"}, day, "not a host"},
		{[]string{"https://a.example"}, day, "not a host"},
		{[]string{"a.example"}, 0, "lifetime"},
	} {
		_, _, _, err := NewServerCertificate(tt.hosts, testNow, tt.lifetime)
		wantError(t, err, nil, tt.part)
	}
}

func TestLoadPair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, data []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, certPEM, keyPEM, err := NewServerCertificate([]string{"a.example"}, testNow, day)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := file("a.crt", certPEM, 0o644), file("a.key", keyPEM, 0o600)
	open := file("open.key", keyPEM, 0o644)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	rsaLeaf := root("x").leafFor(rsaKey.Public(), dates(-day, day))
	rsaCert, rsaFile := file("rsa.crt", CertificatePEM(rsaLeaf), 0o644), file("rsa.key", must(encodeKey(rsaKey)), 0o600)

	for _, tt := range []struct {
		name, cert, key string
		now             time.Time
		warnings        []string
	}{
		{"good", cert, key, testNow, nil},
		{"expired", cert, key, testNow.Add(2 * day), []string{"expired on 2026-11-23T12:00:00Z"}},
		{"not yet valid", cert, key, testNow.Add(-day), []string{"not valid before"}},
		{"key for all to read, and expired", cert, open, testNow.Add(2 * day), []string{"expired", "mode 0644"}},
		{"RSA", rsaCert, rsaFile, testNow, []string{"P-256"}},
	} {
		pair, warnings, err := LoadPair(tt.cert, tt.key, tt.now)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if pair.Leaf == nil {
			t.Errorf("%s: no leaf", tt.name)
		}
		if !slices.EqualFunc(warnings, tt.warnings, strings.Contains) {
			t.Errorf("%s: warnings %q, want %q", tt.name, warnings, tt.warnings)
		}
	}
	for _, tt := range []struct{ cert, key, part string }{
		{rsaCert, key, "does not match"},
		{cert + "x", key, "no such file"},
		{cert, key + "x", "no such file"},
		{key, cert, "a.key"},
		{file("empty.crt", nil, 0o644), key, "empty.crt"},
		{dir, key, "not a regular file"},
	} {
		_, _, err := LoadPair(tt.cert, tt.key, testNow)
		wantError(t, err, nil, tt.part)
	}
}
