package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func pemFile(blocks ...*pem.Block) []byte {
	var b bytes.Buffer
	for _, block := range blocks {
		if err := pem.Encode(&b, block); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func pkcs8(key crypto.PrivateKey) *pem.Block {
	return &pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}
}

func TestOpenKeyringRefuses(t *testing.T) {
	t.Parallel()
	ring := newTestRing(t, rsa2048)
	if _, err := ring.Rotate(testNow, true); err != nil {
		t.Fatal(err)
	}
	signing, next := ring.Signing().ID+".pem", ring.Published()[1].ID+".pem"
	good := must(os.ReadFile(filepath.Join(ring.dir, signing)))
	certPEM := good[bytes.Index(good, []byte("-----BEGIN CERT")):]
	keyPEM := good[:len(good)-len(certPEM)]
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	third, thirdFile, err := generateKey("x", rsa2048, testNow)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), data, 0o600) }
	}
	chmod := func(name string, mode os.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
	}
	tests := []struct {
		name  string
		spoil func(dir string) error
		part  string
	}{
		{"readable by the group", chmod(signing, 0o640), "mode 0640"},
		{"readable by the world", chmod(next, 0o604), "mode 0604"},
		{"roles writable by others", chmod("signing", 0o622), "mode 0622"},
		{"stray file", put("README", nil), "stray file"},
		{"directory", func(d string) error { return os.Mkdir(filepath.Join(d, "old.pem"), 0o700) }, "not a regular file"},
		{"symbolic link", func(d string) error { return os.Symlink(signing, filepath.Join(d, "link.pem")) }, "not a regular file"},
		{"third key", put(third+".pem", thirdFile), "there are 3 keys"},
		{"wrong name", put("0123456789abcdef.pem", good), "belongs into"},
		{"empty", put(signing, nil), `no PEM block "PRIVATE KEY"`},
		{"no certificate", put(signing, keyPEM), `no PEM block "CERTIFICATE"`},
		{"no key", put(signing, certPEM), `no PEM block "PRIVATE KEY"`},
		{"two certificates", put(signing, slices.Concat(good, certPEM)), "two PEM blocks"},
		{"another block", put(signing, slices.Concat(good, pemFile(&pem.Block{Type: "DH PARAMETERS"}))), "3 PEM blocks"},
		{"text", put(signing, slices.Concat([]byte("hello\n"), good)), "text beside"},
		{"truncated", put(signing, good[:len(good)-40]), "damaged"},
		{"damaged block", put(signing, slices.Concat(keyPEM[:200], good)), "damaged"},
		{"too large", put(signing, bytes.Repeat([]byte(" "), maxFile+1)), "larger than"},
		{"another certificate", put(signing, slices.Concat(keyPEM, thirdFile[bytes.Index(thirdFile, []byte("-----BEGIN CERT")):])), "another key"},
		{"weak", put(signing, slices.Concat(pemFile(pkcs8(weak)), certPEM)), "1024 bits"},
		{"EC", put(signing, slices.Concat(pemFile(pkcs8(newECKey())), certPEM)), "not RSA"},
		{"P-384", put(signing, slices.Concat(pemFile(pkcs8(p384)), certPEM)), "is P-384, not RSA"},
		{"Ed25519", put(signing, slices.Concat(pemFile(pkcs8(edKey)), certPEM)), "not RSA"},
		{"key damaged", put(signing, slices.Concat(pemFile(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), certPEM)), "read the private key"},
		{"certificate damaged", put(signing, slices.Concat(keyPEM, pemFile(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}))), "read the certificate"},
		{"signing key gone", remove(signing), "which is not there"},
		{"roles gone", remove("signing"), "which one signs"},
		{"roles empty", put("signing", nil), "line 1"},
		{"roles of something else", put("signing", []byte("previous 0123456789abcdef\n")), "line 1"},
		{"roles with a path", put("signing", []byte("signing ../../etc/passwd\n")), "line 1"},
		{"roles, previous signs", put("signing", []byte("signing 0123456789abcdef\nprevious 0123456789abcdef\n")), "line 2"},
		{"roles too long", put("signing", []byte("signing 0123456789abcdef\nprevious 1123456789abcdef\nx\n")), "line 3"},
		{"roles since a local time", put("signing", []byte("signing 0123456789abcdef\nprevious 1123456789abcdef\nsince 2026-11-22T13:00:00+01:00\n")), "line 3"},
		{"roles since no time", put("signing", []byte("signing 0123456789abcdef\nprevious 1123456789abcdef\nsince\n")), "line 3"},
		{"roles since, without a previous", put("signing", []byte("signing 0123456789abcdef\nsince 2026-11-22T12:00:00Z\n")), "line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := copyRing(t, ring.dir)
			if err := tt.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := OpenKeyring(dir, RS256)
			wantError(t, err, nil, tt.part)
			wantError(t, err, nil, dir)
		})
	}
	_, err = OpenKeyring(t.TempDir(), RS256)
	wantError(t, err, nil, "there is no signing key")
	_, err = OpenKeyring(filepath.Join(t.TempDir(), "none"), RS256)
	wantError(t, err, os.ErrNotExist, "")
}

func TestOpenKeyringNamesEveryFault(t *testing.T) {
	t.Parallel()
	ring := newTestRing(t, rsa2048)
	err := errors.Join(
		os.Chmod(filepath.Join(ring.dir, ring.Signing().ID+".pem"), 0o644),
		os.WriteFile(filepath.Join(ring.dir, "note"), nil, 0o600),
		os.WriteFile(filepath.Join(ring.dir, "signing"), []byte("x"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenKeyring(ring.dir, RS256)
	for _, part := range []string{"mode 0644", "note", "line 1"} {
		wantError(t, err, nil, part)
	}
}

func copyRing(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chmod(filepath.Join(dir, e.Name()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func FuzzOpenKeyring(f *testing.F) {
	for _, kind := range []Kind{rsa2048, p256} {
		_, file, err := generateKey("posture.example.com", kind, testNow)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
		f.Add(file[:len(file)/2])
		f.Add(slices.Concat(file, file))
	}
	f.Add([]byte("signing 0123456789abcdef\nprevious 1123456789abcdef\n"))
	f.Add([]byte("signing 0123456789abcdef\nprevious 1123456789abcdef\nsince 2026-11-22T12:00:00Z\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := parseRoles(data); err == nil {
			again, err := parseRoles(n.encode())
			if err != nil || again != n {
				t.Fatalf("roles %+v came back as %+v, %v", n, again, err)
			}
		}
		for _, algorithm := range []string{RS256, ES256} {
			key, err := parseKeyFile(data, algorithm)
			if err != nil {
				continue
			}
			if !validKeyID(key.ID) || key.Algorithm() != algorithm || checkPublicKey(key.signer.Public()) != nil || !samePublicKey(key.Certificate, key.signer) {
				t.Fatalf("accepted %+v", key)
			}
		}
	})
}
