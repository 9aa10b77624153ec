package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A key that relying parties may not know must not sign, and one that they may
// need must not go; how long that is, the files say, so a restart changes
// nothing.
func TestRotationTooSoon(t *testing.T) { eachKind(t, testRotationTooSoon) }

func testRotationTooSoon(t *testing.T, kind Kind) {
	const wait = PublishFor + settle
	k := newTestRing(t, kind)
	a := k.Signing().ID
	made := testNow.Add(time.Hour + 700*time.Millisecond)
	next, err := k.Rotate(made, false)
	if err != nil {
		t.Fatal(err)
	}
	b := next.ID
	until := made.Truncate(time.Second).Add(wait)
	for _, now := range []time.Time{made, made.Add(-time.Hour), made.Add(PublishFor), until.Add(-1)} {
		k = reopen(t, k)
		wantTooSoon(t, k.Activate(b, now, false), TooSoon{b, StateNext, until})
		wantStates(t, k, a+"=signing "+b+"=next")
	}
	if err := k.Activate(b, until, false); err != nil {
		t.Fatal(err)
	}

	// The previous key stays as long as what it signed last, which is not counted
	// from when the next one was made.
	active := until.Add(300 * time.Millisecond)
	if err := k.Activate(a, active, false); err != nil { // known for long
		t.Fatal(err)
	}
	until = active.Truncate(time.Second).Add(wait)
	for _, now := range []time.Time{active, until.Add(-1)} {
		k = reopen(t, k)
		_, err := k.Rotate(now, false)
		wantTooSoon(t, err, TooSoon{b, StatePrevious, until})
		wantStates(t, k, a+"=signing "+b+"=previous")
	}
	if next, err = k.Rotate(until, false); err != nil {
		t.Fatal(err)
	}

	// Forced, both go at once.
	if err := k.Activate(next.ID, until, true); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rotate(until, true); err != nil {
		t.Fatal(err)
	}
}

func reopen(t *testing.T, k *Keyring) *Keyring {
	t.Helper()
	again, err := OpenKeyring(k.dir, k.algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func wantTooSoon(t *testing.T, err error, want TooSoon) {
	t.Helper()
	got, ok := errors.AsType[*TooSoon](err)
	if !ok || got.Key != want.Key || got.State != want.State || !got.Until.Equal(want.Until) {
		t.Fatalf("error %v, want %+v", err, want)
	}
	if !strings.Contains(err.Error(), want.Key) || !strings.Contains(err.Error(), stamp(want.Until)) {
		t.Errorf("error %q does not say which key and until when", err)
	}
}

// A ring from before there was a JWKS does not say when its keys changed, and
// nobody caches them: its previous key may go.
func TestRotateWithoutSince(t *testing.T) {
	t.Parallel()
	k := newTestRing(t, p256)
	a := k.Signing().ID
	next, err := k.Rotate(testNow, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Activate(next.ID, testNow, true); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(k.dir, rolesFile)
	if got, want := string(must(os.ReadFile(path))), "signing "+next.ID+"\nprevious "+a+"\nsince 2026-11-22T12:00:00Z\n"; got != want {
		t.Errorf("roles are %q, want %q", got, want)
	}
	if err := os.WriteFile(path, []byte("signing "+next.ID+"\nprevious "+a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, k).Rotate(testNow, false); err != nil {
		t.Fatal(err)
	}
}

func TestOpenKeyringRefusesAnotherKind(t *testing.T) {
	t.Parallel()
	rsaRing, ecRing := newTestRing(t, rsa2048), newTestRing(t, p256)
	_, err := OpenKeyring(rsaRing.dir, ES256)
	wantError(t, err, nil, "is RSA, not P-256")
	_, err = OpenKeyring(ecRing.dir, RS256)
	wantError(t, err, nil, "is P-256, not RSA")
	_, err = ecRing.Reopen(rsaRing.dir)
	wantError(t, err, nil, "is RSA, not P-256")

	p384 := pemFile(pkcs8(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))), &pem.Block{Type: pemCertificate})
	_, err = parseKeyFile(p384, ES256)
	wantError(t, err, nil, "is P-384, not P-256")

	name := rsaRing.Signing().ID + keySuffix
	if err := os.WriteFile(filepath.Join(ecRing.dir, name), must(os.ReadFile(filepath.Join(rsaRing.dir, name))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{RS256, ES256} {
		_, err := OpenKeyring(ecRing.dir, algorithm)
		wantError(t, err, nil, "in this folder all keys sign by "+algorithm)
	}
}

// R and S are short now and then, and are filled up all the same.
func TestJoinedRS(t *testing.T) {
	t.Parallel()
	type pair struct{ R, S *big.Int }
	one, most := big.NewInt(1), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	sig, err := joinedRS(must(asn1.Marshal(pair{one, most})))
	if want := strings.Repeat("\x00", 31) + "\x01" + strings.Repeat("\xff", 32); err != nil || string(sig) != want {
		t.Errorf("signature %x, %v", sig, err)
	}
	good := must(asn1.Marshal(pair{one, one}))
	for name, der := range map[string][]byte{
		"empty":     nil,
		"cut":       good[:len(good)-1],
		"more":      append(good[:len(good):len(good)], 0),
		"R of zero": must(asn1.Marshal(pair{big.NewInt(0), one})),
		"negative":  must(asn1.Marshal(pair{one, big.NewInt(-1)})),
		"too large": must(asn1.Marshal(pair{one, new(big.Int).Add(most, one)})),
	} {
		if sig, err := joinedRS(der); err == nil {
			t.Errorf("%s: %x", name, sig)
		}
	}
}
