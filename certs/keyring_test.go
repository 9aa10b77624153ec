package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newTestRing(t testing.TB) *Keyring {
	t.Helper()
	k, err := CreateKeyring(filepath.Join(t.TempDir(), "keys"), "posture.example.com", 2048, testNow)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// states are the published keys in short, such as "a1b2=signing c3d4=next".
func states(k *Keyring) string {
	var s []string
	for _, key := range k.Published() {
		s = append(s, key.ID+"="+string(key.State))
	}
	return strings.Join(s, " ")
}

func wantStates(t *testing.T, k *Keyring, want string) {
	t.Helper()
	if got := states(k); got != want {
		t.Errorf("in memory: %s, want %s", got, want)
	}
	reopened, err := OpenKeyring(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := states(reopened); got != want {
		t.Errorf("on disk: %s, want %s", got, want)
	}
}

func verifies(key *SigningKey, digest, sig []byte) error {
	return rsa.VerifyPKCS1v15(key.Certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest, sig)
}

func TestCreateKeyring(t *testing.T) {
	t.Parallel()
	k := newTestRing(t)
	key := k.Signing()
	wantStates(t, k, key.ID+"=signing")
	c := key.Certificate
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		t.Errorf("not self-signed: %v", err)
	}
	if c.SignatureAlgorithm != x509.SHA256WithRSA || key.bits() != 2048 || c.Subject.CommonName != "posture.example.com" {
		t.Errorf("certificate: %v, %d bits, %v", c.SignatureAlgorithm, key.bits(), c.Subject)
	}
	if c.IsCA || c.NotBefore.After(testNow) || !c.NotAfter.Equal(testNow.AddDate(10, 0, 0)) {
		t.Errorf("authority %v, from %v to %v", c.IsCA, c.NotBefore, c.NotAfter)
	}
	if key.ID != KeyHash(c)[:16] {
		t.Errorf("ID %q is not of key %q", key.ID, KeyHash(c))
	}
	for _, name := range []string{key.ID + ".pem", "signing"} {
		info, err := os.Stat(filepath.Join(k.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	digest := sha256.Sum256([]byte("answer"))
	sig, err := key.Sign(t.Context(), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := verifies(key, digest[:], sig); err != nil {
		t.Error(err)
	}
}

func TestCreateKeyringRefuses(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "note"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir, name string
		bits      int
		part      string
	}{
		{used, "a.example", 2048, `"note"`},
		{t.TempDir(), "a.example", 1024, "1024 bits"},
		{t.TempDir(), "a.example", 1 << 20, "1048576 bits"},
		{t.TempDir(), "", 2048, "common name"},
	} {
		_, err := CreateKeyring(tt.dir, tt.name, tt.bits, testNow)
		wantError(t, err, nil, tt.part)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	k := newTestRing(t)
	a := k.Signing().ID

	next, err := k.Rotate(testNow)
	if err != nil {
		t.Fatal(err)
	}
	b := next.ID
	if next.State != StateNext || next.Certificate.Subject.CommonName != "posture.example.com" || next.bits() != 2048 {
		t.Errorf("next key: %+v", next)
	}
	wantStates(t, k, a+"=signing "+b+"=next")

	_, err = k.Rotate(testNow)
	wantError(t, err, nil, "activate it first")
	wantError(t, k.Activate("0123456789abcdef"), nil, `no key "0123456789abcdef"`)
	wantStates(t, k, a+"=signing "+b+"=next")

	for _, step := range []struct{ id, want string }{
		{a, a + "=signing " + b + "=next"}, // it signs already
		{b, b + "=signing " + a + "=previous"},
		{b, b + "=signing " + a + "=previous"},
		{a, a + "=signing " + b + "=previous"}, // back
		{b, b + "=signing " + a + "=previous"},
	} {
		if err := k.Activate(step.id); err != nil {
			t.Fatal(err)
		}
		wantStates(t, k, step.want)
	}

	if next, err = k.Rotate(testNow); err != nil {
		t.Fatal(err)
	}
	wantStates(t, k, b+"=signing "+next.ID+"=next")
	wantError(t, k.Activate(a), nil, "there is no key")
	if err := k.Activate(next.ID); err != nil {
		t.Fatal(err)
	}
	wantStates(t, k, next.ID+"=signing "+b+"=previous")
}

func TestRotateNoticesAnotherProcess(t *testing.T) {
	t.Parallel()
	k := newTestRing(t)
	other, err := OpenKeyring(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	next, err := other.Rotate(testNow)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, k.Activate(next.ID), nil, "another process")
	again, err := k.Reopen(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Activate(next.ID); err != nil {
		t.Fatal(err)
	}
}

// Rotations while answers are signed: none may fail, and each signature is good
// under the certificate of the key that made it.
func TestRotationWhileSigning(t *testing.T) {
	t.Parallel()
	k := newTestRing(t)
	digest := sha256.Sum256([]byte("answer"))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				key := k.Signing()
				sig, err := key.Sign(context.Background(), digest[:])
				if err == nil {
					err = verifies(key, digest[:], sig)
				}
				if n := len(k.Published()); n < 1 || n > 2 || key.State != StateSigning {
					t.Errorf("%d keys published, one that is %s signed", n, key.State)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		next, err := k.Rotate(testNow)
		if err != nil {
			t.Error(err)
			break
		}
		before := k.Signing().ID
		for _, id := range []string{next.ID, before, next.ID} {
			if err := k.Activate(id); err != nil {
				t.Error(err)
			}
		}
	}
	stop()
	wg.Wait()
}

// gate is a signer that says when it was entered and waits to be let go.
type gate struct {
	entered chan struct{}
	leave   chan struct{}
}

func (g gate) Public() crypto.PublicKey { return nil }

func (g gate) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	g.entered <- struct{}{}
	<-g.leave
	return []byte("signature"), nil
}

// Signatures at once are bounded across a reload, and who waits can give up.
func TestSignWaitsForASlot(t *testing.T) {
	t.Parallel()
	first := newTestRing(t)
	second, err := first.Reopen(first.dir)
	if err != nil {
		t.Fatal(err)
	}
	g := gate{make(chan struct{}), make(chan struct{})}
	digest := make([]byte, sha256.Size)
	n := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for i := range n {
		key := *[]*Keyring{first, second}[i%2].Signing()
		key.signer = g
		wg.Go(func() {
			if _, err := key.Sign(context.Background(), digest); err != nil {
				t.Error(err)
			}
		})
	}
	for range n {
		<-g.entered
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = second.Signing().Sign(ctx, digest)
	wantError(t, err, context.DeadlineExceeded, second.Signing().ID)
	close(g.leave)
	wg.Wait()
	if _, err := second.Signing().Sign(t.Context(), digest); err != nil {
		t.Errorf("with a slot free: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	key := newTestRing(t).Signing()
	_, err := key.Sign(t.Context(), []byte("not a digest"))
	wantError(t, err, nil, "12 bytes")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = key.Sign(ctx, make([]byte, sha256.Size))
	wantError(t, err, context.Canceled, "")
}

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
	ring := newTestRing(t)
	if _, err := ring.Rotate(testNow); err != nil {
		t.Fatal(err)
	}
	signing, next := ring.Signing().ID+".pem", ring.Published()[1].ID+".pem"
	good := must(os.ReadFile(filepath.Join(ring.dir, signing)))
	certPEM := good[bytes.Index(good, []byte("-----BEGIN CERT")):]
	keyPEM := good[:len(good)-len(certPEM)]
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	third, thirdFile, err := generateKey("x", 2048, testNow)
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := copyRing(t, ring.dir)
			if err := tt.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := OpenKeyring(dir)
			wantError(t, err, nil, tt.part)
			wantError(t, err, nil, dir)
		})
	}
	_, err = OpenKeyring(t.TempDir())
	wantError(t, err, nil, "there is no signing key")
	_, err = OpenKeyring(filepath.Join(t.TempDir(), "none"))
	wantError(t, err, os.ErrNotExist, "")
}

func TestOpenKeyringNamesEveryFault(t *testing.T) {
	t.Parallel()
	ring := newTestRing(t)
	err := errors.Join(
		os.Chmod(filepath.Join(ring.dir, ring.Signing().ID+".pem"), 0o644),
		os.WriteFile(filepath.Join(ring.dir, "note"), nil, 0o600),
		os.WriteFile(filepath.Join(ring.dir, "signing"), []byte("x"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenKeyring(ring.dir)
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
	_, file, err := generateKey("posture.example.com", 2048, testNow)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add(slices.Concat(file, file))
	f.Add([]byte("signing 0123456789abcdef\nprevious 1123456789abcdef\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := parseRoles(data); err == nil {
			again, err := parseRoles(n.encode())
			if err != nil || again != n {
				t.Fatalf("roles %+v came back as %+v, %v", n, again, err)
			}
		}
		key, err := parseKeyFile(data)
		if err != nil {
			return
		}
		if !validKeyID(key.ID) || key.bits() < minRSABits || !samePublicKey(key.Certificate, key.signer) {
			t.Fatalf("accepted %+v", key)
		}
	})
}
