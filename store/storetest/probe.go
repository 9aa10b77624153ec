package storetest

import (
	"errors"
	"testing"

	"gatepost.dev/store"
)

// testProbe: a probe writes and leaves nothing, and fails where a write does.
func testProbe(t *testing.T, kv store.KV) {
	r := store.New(kv)
	for range 2 {
		if err := r.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := kv.Scan(t.Context(), "", "", 10); err != nil || len(left) != 0 {
		t.Errorf("a probe left %v, %v", left, err)
	}
	kv.Close()
	if err := r.Probe(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("probe of a closed store: %v", err)
	}
}
