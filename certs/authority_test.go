package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func newTestAuthority(t testing.TB) (a *Authority, certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "device-ca.crt"), filepath.Join(dir, "device-ca.key")
	a, err := CreateAuthority(certFile, keyFile, "Device authority", testNow)
	if err != nil {
		t.Fatal(err)
	}
	return a, certFile, keyFile
}

func TestCreateAuthority(t *testing.T) {
	t.Parallel()
	a, certFile, keyFile := newTestAuthority(t)
	c := a.Certificate
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("authority %v, path length %d, key usage %b", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
	if pub, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		t.Errorf("key is a %T", c.PublicKey)
	}
	if c.NotBefore.After(testNow) || !c.NotAfter.Equal(testNow.AddDate(10, 0, 0)) {
		t.Errorf("from %v to %v", c.NotBefore, c.NotAfter)
	}
	if a.ID() != KeyHash(c) || len(a.ID()) != 64 {
		t.Errorf("ID %q", a.ID())
	}
	info, err := os.Stat(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v", info.Mode())
	}
	loaded, err := LoadAuthority(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if !loaded.Certificate.Equal(c) || loaded.ID() != a.ID() {
		t.Error("another authority came back")
	}
	_, err = CreateAuthority(certFile, keyFile+"2", "x", testNow)
	wantError(t, err, nil, "exists already")
	_, err = CreateAuthority(certFile+"2", keyFile, "x", testNow)
	wantError(t, err, nil, "exists already")
}

func TestLoadAuthorityRefuses(t *testing.T) {
	t.Parallel()
	a, certFile, keyFile := newTestAuthority(t)
	_, otherCert, otherKey := newTestAuthority(t)
	leafKey := newECKey()
	leaf, err := a.Issue("laptop-1", leafKey.Public(), testNow, day)
	if err != nil {
		t.Fatal(err)
	}
	file := func(data []byte, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "file.pem")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keyPEM := must(os.ReadFile(keyFile))
	tests := []struct {
		name, cert, key string
		part            string
	}{
		{"another key", certFile, otherKey, "another key"},
		{"another certificate", otherCert, keyFile, "another key"},
		{"key for all to read", certFile, file(keyPEM, 0o644), "mode 0644"},
		{"no certificate", certFile + "x", keyFile, "no such file"},
		{"no key", certFile, keyFile + "x", "no such file"},
		{"key as certificate", keyFile, keyFile, `no PEM block "CERTIFICATE"`},
		{"certificate as key", certFile, file(must(os.ReadFile(certFile)), 0o600), `no PEM block "PRIVATE KEY"`},
		{"a device's", file(CertificatePEM(leaf), 0o644), file(must(encodeKey(leafKey)), 0o600), "not an authority's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadAuthority(tt.cert, tt.key)
			wantError(t, err, nil, tt.part)
		})
	}
}

func TestIssue(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	v := newTestVerifier(t, TrustedAuthority{Certificate: a.Certificate, IDFrom: IDFromURI, BuiltIn: true})
	long := strings.Repeat("x", 128)
	for _, tt := range []struct {
		id  string
		pub crypto.PublicKey
	}{
		{"laptop-1", newECKey().Public()},
		{"A.b_c:d-9", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public()},
		{long, must(rsa.GenerateKey(rand.Reader, 2048)).Public()},
	} {
		c, err := a.Issue(tt.id, tt.pub, testNow, 30*day)
		if err != nil {
			t.Fatal(err)
		}
		usage := x509.KeyUsageDigitalSignature
		if _, ok := tt.pub.(*rsa.PublicKey); ok {
			usage |= x509.KeyUsageKeyEncipherment // for SCEP
		}
		if c.IsCA || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || c.KeyUsage != usage {
			t.Errorf("authority %v, extended key usage %v, key usage %b", c.IsCA, c.ExtKeyUsage, c.KeyUsage)
		}
		if len(c.URIs) != 1 || c.URIs[0].String() != "urn:gatepost:device:"+tt.id || len(c.DNSNames) > 0 {
			t.Errorf("names %v %v", c.URIs, c.DNSNames)
		}
		if !strings.HasPrefix(tt.id, c.Subject.CommonName) || len(c.Subject.CommonName) > 64 {
			t.Errorf("common name %q", c.Subject.CommonName)
		}
		if !c.NotBefore.Equal(testNow.Add(-5*time.Minute)) || !c.NotAfter.Equal(testNow.Add(30*day)) {
			t.Errorf("from %v to %v", c.NotBefore, c.NotAfter)
		}
		id, err := v.Verify(chain(c), testNow)
		if err != nil {
			t.Fatal(err)
		}
		if id.DeviceID != tt.id || id.Authority != a.ID() || !id.BuiltIn || id.Serial != Serial(c) || id.KeyHash != KeyHash(c) {
			t.Errorf("identity %+v", id)
		}
	}
}

func TestIssueSerialsAreRandom(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	pub := newECKey().Public()
	seen := map[string]bool{}
	all := new(big.Int)
	for range 64 {
		c, err := a.Issue("laptop-1", pub, testNow, day)
		if err != nil {
			t.Fatal(err)
		}
		if n := c.SerialNumber; n.Sign() <= 0 || n.BitLen() > 128 || seen[Serial(c)] {
			t.Fatalf("serial number %v", n)
		}
		seen[Serial(c)] = true
		all.Or(all, c.SerialNumber)
	}
	if want := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)); all.Cmp(want) != 0 {
		t.Errorf("64 serial numbers never set some of 128 bits: %x", all)
	}
}

func TestIssueStaysWithinTheAuthority(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	pub := newECKey().Public()
	end := a.Certificate.NotAfter
	c, err := a.Issue("laptop-1", pub, end.Add(-day), 30*day)
	if err != nil {
		t.Fatal(err)
	}
	if !c.NotAfter.Equal(end) {
		t.Errorf("ends %v, its authority %v", c.NotAfter, end)
	}
	begin := a.Certificate.NotBefore
	if c, err = a.Issue("laptop-1", pub, begin.Add(time.Minute), day); err != nil {
		t.Fatal(err)
	}
	if !c.NotBefore.Equal(begin) {
		t.Errorf("begins %v, its authority %v", c.NotBefore, begin)
	}
	for _, now := range []time.Time{begin.Add(-time.Second), end} {
		_, err := a.Issue("laptop-1", pub, now, day)
		wantError(t, err, nil, "the authority is valid from")
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestAuthority(t)
	good := newECKey().Public()
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	off := *newECKey().Public().(*ecdsa.PublicKey)
	//lint:ignore SA1019 a key that is not on its curve cannot be made otherwise
	off.X = new(big.Int).Add(off.X, big.NewInt(1))
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	tests := []struct {
		name     string
		id       string
		pub      crypto.PublicKey
		lifetime time.Duration
		part     string
	}{
		{"no ID", "", good, day, "0 bytes"},
		{"long ID", strings.Repeat("x", 129), good, day, "129 bytes"},
		{"slash", "a/b", good, day, "character"},
		{"space", "a b", good, day, "character"},
		{"NUL", "a\x00b", good, day, "character"},
		{"not ASCII", "é", good, day, "character"},
		{"percent", "a%20b", good, day, "character"},
		{"no lifetime", "a", good, 0, "lifetime"},
		{"negative lifetime", "a", good, -day, "lifetime"},
		{"RSA-1024", "a", weak.Public(), day, "1024 bits"},
		{"RSA without a modulus", "a", &rsa.PublicKey{E: 65537}, day, "modulus"},
		{"RSA of 16384 bits", "a", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16383), E: 65537}, day, "16384 bits"},
		{"even exponent", "a", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65538}, day, "exponent"},
		{"P-224", "a", must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).Public(), day, "elliptic curve"},
		{"P-521", "a", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).Public(), day, "P-521"},
		{"Ed25519", "a", edKey, day, "Ed25519"},
		{"not on the curve", "a", &off, day, "elliptic curve"},
		{"no key", "a", nil, day, "not supported"},
		{"no key type", "a", "key", day, "not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := a.Issue(tt.id, tt.pub, testNow, tt.lifetime)
			wantError(t, err, nil, tt.part)
			if c != nil {
				t.Error("a certificate beside the error")
			}
		})
	}
}
