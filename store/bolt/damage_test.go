package bolt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost.dev/store"
)

// wantHarmless checks that an error is none, or one of a damaged store.
func wantHarmless(t *testing.T, what string, err error) (damaged bool) {
	t.Helper()
	if err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrNoKey) {
		t.Errorf("%s: %v", what, err)
	}
	return errors.Is(err, store.ErrDamaged)
}

// TestDamagedPages: a page that turned to garbage makes errors, never the end
// of the process.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	_, good := newFile(t)
	page := os.Getpagesize()
	pages := len(good) / page
	random := rand.New(rand.NewPCG(1, 2))
	seen := 0
	for n := 2; n < pages; n += 5 {
		for kind := range 3 {
			content := spoil(good, func(b []byte) {
				b = b[n*page : (n+1)*page]
				switch kind {
				case 0:
					clear(b)
				case 1: // the header is right, the rest is not
					for i := 16; i < len(b); i++ {
						b[i] = byte(random.Uint32())
					}
				case 2:
					for i := range b {
						b[i] = 0xFF
					}
				}
			})
			if useDamaged(t, content) {
				seen++
			}
		}
	}
	if seen == 0 {
		t.Error("no damage was found")
	}
}

// useDamaged uses a store with that content, in every way, and tells whether it
// noticed that it is damaged.
func useDamaged(t *testing.T, content []byte) (noticed bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(path, Options{})
	if wantHarmless(t, "open", err) || err != nil {
		return true
	}
	defer d.Close()
	_, err = d.Scan(t.Context(), "", "", 10_000)
	noticed = wantHarmless(t, "scan", err)
	for i := range 4 {
		key := fmt.Sprintf("key/%04d", i*499)
		_, err := d.Get(t.Context(), key)
		noticed = wantHarmless(t, "get", err) || noticed
		err = d.Commit(t.Context(), put(key, "new", store.Any), put("key/new", "new", store.Any))
		noticed = wantHarmless(t, "commit", err) || noticed
	}
	return noticed
}

// TestCutWhileOpen: the file is cut short under a running process, so that its
// memory faults.
func TestCutWhileOpen(t *testing.T) {
	t.Parallel()
	for _, left := range []int64{4, 0} {
		path, _ := newFile(t)
		d, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, left*int64(os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		// Again and again: no lock may be left that a later call waits for.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 3 {
			_, err := d.Scan(ctx, "", "", 10_000)
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%d pages left: scan: %v", left, err)
			}
			err = d.Commit(ctx, put("key/0000", "x", store.Any))
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%d pages left: commit: %v", left, err)
			}
		}
		if err := d.Close(); err != nil {
			t.Errorf("%d pages left: close: %v", left, err)
		}
	}
}
