package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	rsa2048 = Kind{Algorithm: RS256, Bits: 2048}
	p256    = Kind{Algorithm: ES256}
)

// eachKind runs test for every kind of key.
func eachKind(t *testing.T, test func(*testing.T, Kind)) {
	t.Parallel()
	for _, kind := range []Kind{rsa2048, p256} {
		t.Run(kind.Algorithm, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

func newTestRing(t testing.TB, kind Kind) *Keyring {
	t.Helper()
	k, err := CreateKeyring(filepath.Join(t.TempDir(), "keys"), "posture.example.com", kind, testNow)
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
	reopened, err := OpenKeyring(k.dir, k.algorithm)
	if err != nil {
		t.Fatal(err)
	}
	if got := states(reopened); got != want {
		t.Errorf("on disk: %s, want %s", got, want)
	}
}

func verifies(key *SigningKey, digest, sig []byte) error {
	pub, ok := key.Certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return rsa.VerifyPKCS1v15(key.Certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest, sig)
	}
	if len(sig) != 64 {
		return fmt.Errorf("signature of %d bytes", len(sig))
	}
	if !ecdsa.Verify(pub, digest, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return errors.New("bad signature")
	}
	return nil
}

func TestCreateKeyring(t *testing.T) { eachKind(t, testCreateKeyring) }

func testCreateKeyring(t *testing.T, kind Kind) {
	k := newTestRing(t, kind)
	key := k.Signing()
	wantStates(t, k, key.ID+"=signing")
	c := key.Certificate
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		t.Errorf("not self-signed: %v", err)
	}
	by := map[Kind]x509.SignatureAlgorithm{rsa2048: x509.SHA256WithRSA, p256: x509.ECDSAWithSHA256}[kind]
	if c.SignatureAlgorithm != by || key.kind() != kind || key.Algorithm() != kind.Algorithm || c.Subject.CommonName != "posture.example.com" {
		t.Errorf("certificate: %v, %v, %v", c.SignatureAlgorithm, key.kind(), c.Subject)
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
		kind      Kind
		part      string
	}{
		{used, "a.example", rsa2048, `"note"`},
		{t.TempDir(), "a.example", Kind{RS256, 1024}, "1024 bits"},
		{t.TempDir(), "a.example", Kind{RS256, 1 << 20}, "1048576 bits"},
		{t.TempDir(), "", p256, "common name"},
		{t.TempDir(), "a.example", Kind{ES256, 2048}, `2048 bits for algorithm "ES256"`},
		{t.TempDir(), "a.example", Kind{"ES384", 0}, `algorithm "ES384"`},
	} {
		_, err := CreateKeyring(tt.dir, tt.name, tt.kind, testNow)
		wantError(t, err, nil, tt.part)
	}
}

func TestRotation(t *testing.T) { eachKind(t, testRotation) }

func testRotation(t *testing.T, kind Kind) {
	k := newTestRing(t, kind)
	a := k.Signing().ID

	next, err := k.Rotate(testNow, true)
	if err != nil {
		t.Fatal(err)
	}
	b := next.ID
	if next.State != StateNext || next.Certificate.Subject.CommonName != "posture.example.com" || next.kind() != kind {
		t.Errorf("next key: %+v", next)
	}
	wantStates(t, k, a+"=signing "+b+"=next")

	_, err = k.Rotate(testNow, true)
	wantError(t, err, nil, "activate it first")
	wantError(t, k.Activate("0123456789abcdef", testNow, true), nil, `no key "0123456789abcdef"`)
	wantStates(t, k, a+"=signing "+b+"=next")

	for _, step := range []struct{ id, want string }{
		{a, a + "=signing " + b + "=next"}, // it signs already
		{b, b + "=signing " + a + "=previous"},
		{b, b + "=signing " + a + "=previous"},
		{a, a + "=signing " + b + "=previous"}, // back
		{b, b + "=signing " + a + "=previous"},
	} {
		if err := k.Activate(step.id, testNow, true); err != nil {
			t.Fatal(err)
		}
		wantStates(t, k, step.want)
	}

	if next, err = k.Rotate(testNow, true); err != nil {
		t.Fatal(err)
	}
	wantStates(t, k, b+"=signing "+next.ID+"=next")
	wantError(t, k.Activate(a, testNow, true), nil, "there is no key")
	if err := k.Activate(next.ID, testNow, true); err != nil {
		t.Fatal(err)
	}
	wantStates(t, k, next.ID+"=signing "+b+"=previous")
}

func TestRotateNoticesAnotherProcess(t *testing.T) {
	t.Parallel()
	k := newTestRing(t, p256)
	other, err := OpenKeyring(k.dir, k.algorithm)
	if err != nil {
		t.Fatal(err)
	}
	next, err := other.Rotate(testNow, true)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, k.Activate(next.ID, testNow, true), nil, "another process")
	again, err := k.Reopen(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Activate(next.ID, testNow, true); err != nil {
		t.Fatal(err)
	}
}

// Rotations while answers are signed: none may fail, and each signature is good
// under the certificate of the key that made it.
func TestRotationWhileSigning(t *testing.T) { eachKind(t, testRotationWhileSigning) }

func testRotationWhileSigning(t *testing.T, kind Kind) {
	k := newTestRing(t, kind)
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
		next, err := k.Rotate(testNow, true)
		if err != nil {
			t.Error(err)
			break
		}
		before := k.Signing().ID
		for _, id := range []string{next.ID, before, next.ID} {
			if err := k.Activate(id, testNow, true); err != nil {
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
	first := newTestRing(t, rsa2048)
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
	key := newTestRing(t, p256).Signing()
	_, err := key.Sign(t.Context(), []byte("not a digest"))
	wantError(t, err, nil, "12 bytes")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = key.Sign(ctx, make([]byte, sha256.Size))
	wantError(t, err, context.Canceled, "")
}
