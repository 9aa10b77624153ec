package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/store"
)

// fullableMain is the real program, on a disk that can be made full: beyond the
// limit on the size of a file writing fails, as it does there, in place of a
// signal.
func fullableMain() {
	signal.Ignore(syscall.SIGXFSZ)
	main()
}

// stubbornStore writes nothing, and says that it did, or that it could not.
type stubbornStore struct {
	store.KV
	answer error
}

func (s *stubbornStore) Commit(context.Context, ...store.Op) error { return s.answer }

// TestReadyIdle: a server to which nobody comes finds out by itself that
// nothing can be written.
func TestReadyIdle(t *testing.T) {
	t.Parallel()
	now, full := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), errors.New("no space left on device")
	kv := &stubbornStore{}
	s := newWatchedStore(kv, func() time.Time { return now })
	commit := func(ctx context.Context) error { return s.Commit(ctx, store.Op{Key: "k", Rev: store.Any}) }
	probes := 0
	writable := func() error {
		return s.writable(t.Context(), func(ctx context.Context) error { probes++; return commit(ctx) })
	}
	want := func(what string, n int, good bool) {
		t.Helper()
		if err := writable(); (err == nil) != good || probes != n {
			t.Errorf("%s: %v after %d probes, want %d", what, err, probes, n)
		}
	}
	want("at the start, where nothing is known", 1, true)
	want("right after", 1, true)
	kv.answer = full
	now = now.Add(trustWrite - time.Second)
	want("while the last commit proves it", 1, true)
	now = now.Add(time.Second)
	want("when it does not any more", 2, false)
	now = now.Add(probeEvery - time.Millisecond)
	want("too early for another try", 2, false)
	now = now.Add(time.Millisecond)
	want("another try", 3, false)
	kv.answer = nil
	now = now.Add(probeEvery)
	want("there is room again", 4, true)
	kv.answer = full
	if err := commit(t.Context()); err == nil {
		t.Fatal("the commit was to fail")
	}
	want("somebody's commit failed", 4, false)
	kv.answer = nil
	if err := commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("somebody's commit was good", 4, true)
	kv.answer = store.ErrConflict
	if err := commit(t.Context()); err == nil {
		t.Fatal("the commit was to fail")
	}
	want("a conflict says nothing", 4, true)
}

// TestReadyKey: with a signing key out of its dates the server is not ready.
func TestReadyKey(t *testing.T) {
	t.Parallel()
	ring, err := certs.CreateKeyring(t.TempDir(), "posture.example.com", certs.Kind{Algorithm: certs.RS256, Bits: 2048}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	o := &ops{now: func() time.Time { return now }, current: &generations{}}
	if err := o.keyInDate(); err == nil {
		t.Error("ready without a configuration")
	}
	o.current.Store(&generation{keyring: ring})
	for years, want := range map[int]string{0: "", 11: "expired at", -1: "is not valid before"} {
		now = time.Now().AddDate(years, 0, 0)
		if got := fmt.Sprint(o.keyInDate()); want == "" && got != "<nil>" || !strings.Contains(got, want) {
			t.Errorf("in %d years: %s, want %q", years, got, want)
		}
	}
	running := o.readyChecks()[0]
	if err := running.run(t.Context()); running.name != "running" || err != nil {
		t.Errorf("%s: %v", running.name, err)
	}
	o.stopping.Store(true)
	if running.run(t.Context()) == nil {
		t.Error("ready while it stops")
	}
}
