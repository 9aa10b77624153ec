package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// TestServerSweepsClaims leaves a claim that ended long ago and one that holds,
// and waits until the running server has deleted the first, and only that.
func TestServerSweepsClaims(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if _, err := initialize(&initCommand{Issuer: "https://localhost:" + port, Data: dir, TrialTLS: true}, time.Now()); err != nil {
		t.Fatal(err)
	}
	c, faults := LoadConfig(filepath.Join(dir, "gatepost.yaml"), os.LookupEnv)
	if c == nil {
		t.Fatal(faults)
	}
	c.Listen.Ops = "127.0.0.1:0"

	claim := func(r *store.Records, id, request string, until time.Time) error {
		return r.Decide(t.Context(), posture.Decision{ID: id, RelyingParty: "acme", RequestID: request}, until)
	}
	db, err := bolt.Open(c.StorePath(), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		claim(store.New(db), "d1", "over", time.Now().Add(-time.Hour)),
		claim(store.New(db), "d2", "holds", time.Now().Add(time.Hour)),
		db.Close(),
	); err != nil {
		t.Fatal(err)
	}

	s, err := startServer(t.Context(), c, serverOptions{
		log: slog.New(slog.NewJSONHandler(io.Discard, nil)), now: time.Now, getenv: os.LookupEnv, listener: listener, sweepEvery: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := claim(s.records, "d3", "over", time.Now().Add(time.Hour))
		if err == nil {
			break
		}
		if !errors.Is(err, posture.ErrReplayed) || time.Now().After(deadline) {
			t.Fatalf("the claim that ended an hour ago: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := claim(s.records, "d4", "holds", time.Now().Add(time.Hour)); !errors.Is(err, posture.ErrReplayed) {
		t.Errorf("the claim that holds: %v", err)
	}
}
