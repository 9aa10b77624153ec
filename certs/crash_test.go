package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var errCrash = errors.New("crash")

// crashAt makes a disk that stops for good before its nth step.
func crashAt(n int) disk {
	steps := 0
	return disk{before: func(string) error {
		if steps++; steps >= n {
			return errCrash
		}
		return nil
	}}
}

// eachCrash runs act on a copy of the ring with a crash before its first,
// second, ... step, until it runs through, and then opens the ring as a
// restart would.
func eachCrash(t *testing.T, dir, algorithm string, act func(*Keyring) error, check func(t *testing.T, after *Keyring)) {
	t.Helper()
	for n := 1; ; n++ {
		k, err := OpenKeyring(copyRing(t, dir), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		k.disk = crashAt(n)
		err = act(k)
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		after, errOpen := OpenKeyring(k.dir, k.algorithm)
		if errOpen != nil {
			t.Fatalf("crash before step %d: %v", n, errOpen)
		}
		if states(k) != states(after) {
			t.Errorf("crash before step %d: in memory %s, on disk %s", n, states(k), states(after))
		}
		check(t, after)
		if err == nil {
			if n == 1 {
				t.Fatal("no step was taken")
			}
			return
		}
	}
}

// goesOn demands that a ring can be rotated once around and leaves nothing lying.
func goesOn(t *testing.T, k *Keyring) {
	t.Helper()
	if other := k.ring.Load().other(); other == nil || other.State == StatePrevious {
		if _, err := k.Rotate(testNow, true); err != nil {
			t.Fatal(err)
		}
	}
	next := k.Published()[1]
	if next.State != StateNext {
		t.Fatalf("rotated to %s", states(k))
	}
	old := k.Signing().ID
	if err := k.Activate(next.ID, testNow, true); err != nil {
		t.Fatal(err)
	}
	wantStates(t, k, next.ID+"=signing "+old+"=previous")
	left, err := filepath.Glob(filepath.Join(k.dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// oneOf demands one of these states of a ring; * is a next key of any ID.
func oneOf(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got == w || strings.HasSuffix(w, "*") && strings.HasPrefix(got, strings.TrimSuffix(w, "*")) && strings.HasSuffix(got, "=next") {
			return
		}
	}
	t.Errorf("ring is %q, want one of %q", got, want)
}

func TestCrashInCreate(t *testing.T) { eachKind(t, testCrashInCreate) }

func testCrashInCreate(t *testing.T, kind Kind) {
	for n := 1; ; n++ {
		k := &Keyring{dir: filepath.Join(t.TempDir(), "keys"), algorithm: kind.Algorithm, slots: newSlots(), disk: crashAt(n)}
		err := k.create("posture.example.com", kind, testNow)
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		after, errOpen := OpenKeyring(k.dir, k.algorithm)
		if errOpen != nil {
			// Nothing was made yet: making it again must work.
			wantError(t, errOpen, nil, "there is no signing key")
			if after, errOpen = CreateKeyring(k.dir, "posture.example.com", kind, testNow); errOpen != nil {
				t.Fatalf("crash before step %d: %v", n, errOpen)
			}
		}
		if after.Signing().State != StateSigning {
			t.Errorf("crash before step %d: %s", n, states(after))
		}
		goesOn(t, after)
		if err == nil {
			return
		}
	}
}

func TestCrashInRotate(t *testing.T) { eachKind(t, testCrashInRotate) }

func testCrashInRotate(t *testing.T, kind Kind) {
	k := newTestRing(t, kind)
	a := k.Signing().ID
	rotate := func(k *Keyring) error { _, err := k.Rotate(testNow, true); return err }

	eachCrash(t, k.dir, k.algorithm, rotate, func(t *testing.T, after *Keyring) {
		oneOf(t, states(after), a+"=signing", a+"=signing *")
		goesOn(t, after)
	})

	unsaid := copyRing(t, k.dir)
	if err := os.Remove(filepath.Join(unsaid, rolesFile)); err != nil {
		t.Fatal(err)
	}
	eachCrash(t, unsaid, k.algorithm, rotate, func(t *testing.T, after *Keyring) {
		oneOf(t, states(after), a+"=signing", a+"=signing *")
		goesOn(t, after)
	})

	next, err := k.Rotate(testNow, true)
	if err != nil {
		t.Fatal(err)
	}
	b := next.ID
	if err := k.Activate(b, testNow, true); err != nil {
		t.Fatal(err)
	}
	eachCrash(t, k.dir, k.algorithm, rotate, func(t *testing.T, after *Keyring) {
		oneOf(t, states(after), b+"=signing "+a+"=previous", b+"=signing", b+"=signing *")
		if key := after.ring.Load().find(a); key != nil && key.State != StatePrevious {
			t.Errorf("the previous key became %s", key.State)
		}
		goesOn(t, after)
	})
}

func TestCrashInActivate(t *testing.T) { eachKind(t, testCrashInActivate) }

func testCrashInActivate(t *testing.T, kind Kind) {
	k := newTestRing(t, kind)
	a := k.Signing().ID
	next, err := k.Rotate(testNow, true)
	if err != nil {
		t.Fatal(err)
	}
	b := next.ID
	eachCrash(t, k.dir, k.algorithm, func(k *Keyring) error { return k.Activate(b, testNow, true) }, func(t *testing.T, after *Keyring) {
		oneOf(t, states(after), a+"=signing "+b+"=next", b+"=signing "+a+"=previous")
		goesOn(t, after)
	})
	if err := k.Activate(b, testNow, true); err != nil {
		t.Fatal(err)
	}
	eachCrash(t, k.dir, k.algorithm, func(k *Keyring) error { return k.Activate(a, testNow, true) }, func(t *testing.T, after *Keyring) {
		oneOf(t, states(after), b+"=signing "+a+"=previous", a+"=signing "+b+"=previous")
		goesOn(t, after)
	})
}

// What a crash left is private and goes with the next change.
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	k := newTestRing(t, p256)
	left := filepath.Join(k.dir, tempPrefix+"123")
	if err := os.WriteFile(left, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(k.dir, k.algorithm); err != nil {
		t.Errorf("a leftover keeps the ring from opening: %v", err)
	}
	if _, err := k.Rotate(testNow, true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
}
