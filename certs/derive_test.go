package certs_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"gatepost.dev/certs"
)

// TestDeriveKey: what is derived is the same after a restart, and differs by
// purpose and by authority.
func TestDeriveKey(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	derive := func(a *certs.Authority, purpose string) []byte {
		t.Helper()
		key, err := a.DeriveKey(purpose, 32)
		if err != nil || len(key) != 32 {
			t.Fatalf("%d bytes, %v", len(key), err)
		}
		return key
	}
	create := func(name string) *certs.Authority {
		t.Helper()
		a, err := certs.CreateAuthority(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), name, now)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first, second := create("first"), create("second")
	again, err := certs.LoadAuthority(filepath.Join(dir, "first.crt"), filepath.Join(dir, "first.key"))
	if err != nil {
		t.Fatal(err)
	}
	key := derive(first, "a")
	if !bytes.Equal(key, derive(again, "a")) {
		t.Error("another key after loading")
	}
	if bytes.Equal(key, derive(first, "b")) || bytes.Equal(key, derive(second, "a")) {
		t.Error("the same key for another purpose or of another authority")
	}
}
