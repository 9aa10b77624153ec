package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatepost.dev/store"
)

func put(key, value string, rev uint64) store.Op {
	return store.Op{Kind: store.Put, Key: key, Value: []byte(value), Rev: rev}
}

func del(key string, rev uint64) store.Op { return store.Op{Kind: store.Delete, Key: key, Rev: rev} }

func check(key string, rev uint64) store.Op { return store.Op{Kind: store.Check, Key: key, Rev: rev} }

func commit(t testing.TB, kv store.KV, ops ...store.Op) {
	t.Helper()
	if err := kv.Commit(t.Context(), ops...); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func get(t testing.TB, kv store.KV, key string) store.Entry {
	t.Helper()
	e, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return e
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func testGetPutDelete(t *testing.T, kv store.KV) {
	_, err := kv.Get(t.Context(), "a")
	wantErr(t, "key that is not there", err, store.ErrNoKey)
	_, err = kv.Get(t.Context(), "")
	wantErr(t, "empty key", err, store.ErrNoKey)
	_, err = kv.Get(t.Context(), strings.Repeat("k", 5000))
	wantErr(t, "key too long to be there", err, store.ErrNoKey)

	binary := "\x00\xff\x80 \n"
	long := strings.Repeat("v", 100_000)
	commit(t, kv, put("a", "1", store.Absent), put("empty", "", store.Absent), put(binary, binary, store.Any), put("long", long, store.Absent))
	for key, value := range map[string]string{"a": "1", "empty": "", binary: binary, "long": long} {
		e := get(t, kv, key)
		if e.Key != key || string(e.Value) != value || e.Rev == store.Absent || e.Rev == store.Any {
			t.Errorf("get %q: key %q, value of %d bytes, revision %d", key, e.Key, len(e.Value), e.Rev)
		}
	}
	commit(t, kv, put("a", "2", store.Any))
	if e := get(t, kv, "a"); string(e.Value) != "2" {
		t.Errorf("after the second put: %q", e.Value)
	}
	commit(t, kv, del("a", store.Any), del("never there", store.Any))
	_, err = kv.Get(t.Context(), "a")
	wantErr(t, "deleted key", err, store.ErrNoKey)
	commit(t, kv) // nothing
}

func testScan(t *testing.T, kv store.KV) {
	for _, key := range []string{"b/2", "a", "b/10", "b", "b/", "b/1\x00", "b0", "b/1", "b/\xff\xff", "c"} {
		commit(t, kv, put(key, "v"+key, store.Absent))
	}
	commit(t, kv, del("b/10", store.Any))
	all := []string{"a", "b", "b/", "b/1", "b/1\x00", "b/2", "b/\xff\xff", "b0", "c"}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 100, all},
		{"", "", 3, all[:3]},
		{"", "b/1", 100, all[4:]},
		{"b/", "", 100, all[2:7]},
		{"b/", "", 2, all[2:4]},
		{"b/", "b/", 2, all[3:5]},
		{"b/", "b/10", 100, all[5:7]}, // after need not be there
		{"b/", "b/\xff\xff", 100, nil},
		{"b/", "a", 1, all[2:3]}, // after sorts before the prefix
		{"b/", "c", 100, nil},    // and behind it
		{"x", "", 100, nil},
		{"", "", 0, nil},
		{"", "", -1, nil},
	} {
		entries, err := kv.Scan(t.Context(), c.prefix, c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, e := range entries {
			keys = append(keys, e.Key)
			if same := get(t, kv, e.Key); !bytes.Equal(same.Value, e.Value) || same.Rev != e.Rev || string(e.Value) != "v"+e.Key {
				t.Errorf("scan and get differ at %q", e.Key)
			}
		}
		if !slices.Equal(keys, c.want) {
			t.Errorf("scan %q after %q limit %d: %q, want %q", c.prefix, c.after, c.limit, keys, c.want)
		}
	}
}

func testConditions(t *testing.T, kv store.KV) {
	commit(t, kv, put("old", "x", store.Absent))
	stale := get(t, kv, "old").Rev
	commit(t, kv, put("old", "y", stale))
	rev := get(t, kv, "old").Rev
	for _, c := range []struct {
		op store.Op
		ok bool
	}{
		{check("old", rev), true},
		{check("old", stale), false},
		{check("old", store.Absent), false},
		{check("old", store.Any), true},
		{check("new", store.Absent), true},
		{check("new", store.Any), true},
		{check("new", rev), false},
		{put("old", "z", stale), false},
		{put("old", "z", store.Absent), false},
		{put("new", "z", rev), false},
		{del("old", stale), false},
		{del("old", store.Absent), false},
		{del("new", rev), false},
		{del("new", store.Absent), true},
		{put("old", "y", rev), true}, // the last ones change what the others rely on
		{put("old", "y", store.Any), true},
		{put("new", "n", store.Absent), true},
		{del("new", store.Any), true},
	} {
		err := kv.Commit(t.Context(), c.op)
		if c.ok && err != nil || !c.ok && !errors.Is(err, store.ErrConflict) {
			t.Errorf("%+v: %v", c.op, err)
		}
	}
	if e := get(t, kv, "old"); string(e.Value) != "y" {
		t.Errorf("value is %q", e.Value)
	}
}

// testRevisions: a revision never comes back, not even when the key is made
// anew, and only a change of the key changes it.
func testRevisions(t *testing.T, kv store.KV) {
	seen := map[uint64]bool{}
	for range 20 {
		commit(t, kv, put("k", "same", store.Absent), put("other", "same", store.Any))
		e := get(t, kv, "k")
		commit(t, kv, check("k", e.Rev), put("other", "same", store.Any))
		if again := get(t, kv, "k"); again.Rev != e.Rev {
			t.Fatalf("revision went from %d to %d without a change", e.Rev, again.Rev)
		}
		commit(t, kv, put("k", "same", e.Rev))
		after := get(t, kv, "k")
		if seen[e.Rev] || seen[after.Rev] || e.Rev == after.Rev {
			t.Fatalf("revision %d or %d was there before", e.Rev, after.Rev)
		}
		seen[e.Rev], seen[after.Rev] = true, true
		commit(t, kv, del("k", after.Rev))
		wantErr(t, "put over a deleted key", kv.Commit(t.Context(), put("k", "x", after.Rev)), store.ErrConflict)
	}
}

func testAllOrNothing(t *testing.T, kv store.KV) {
	commit(t, kv, put("a", "1", store.Absent), put("b", "1", store.Absent))
	b := get(t, kv, "b")
	for i, bad := range []store.Op{check("c", b.Rev), put("c", "x", b.Rev), del("c", b.Rev)} {
		for at := range 3 { // the op that fails stands first, in the middle, last
			ops := []store.Op{put("a", "2", store.Any), del("b", b.Rev)}
			ops = slices.Insert(ops, at, bad)
			wantErr(t, fmt.Sprintf("commit %d/%d", i, at), kv.Commit(t.Context(), ops...), store.ErrConflict)
		}
	}
	if e := get(t, kv, "a"); string(e.Value) != "1" {
		t.Errorf("a changed to %q in a commit that failed", e.Value)
	}
	if e := get(t, kv, "b"); e.Rev != b.Rev {
		t.Errorf("b changed in a commit that failed")
	}
	var most []store.Op
	for i := range store.MaxOps {
		most = append(most, put(fmt.Sprintf("m/%03d", i), "x", store.Absent))
	}
	commit(t, kv, most...)
	if entries, err := kv.Scan(t.Context(), "m/", "", 1000); err != nil || len(entries) != store.MaxOps {
		t.Errorf("%d of %d keys are there: %v", len(entries), store.MaxOps, err)
	}
}

func testRefused(t *testing.T, kv store.KV) {
	var tooMany []store.Op
	for i := range store.MaxOps + 1 {
		tooMany = append(tooMany, put(fmt.Sprint(i), "x", store.Any))
	}
	for name, ops := range map[string][]store.Op{
		"too many operations": tooMany,
		"empty key":           {put("a", "x", store.Any), put("", "x", store.Any)},
		"long key":            {put("a", "x", store.Any), put(strings.Repeat("k", 1025), "x", store.Any)},
		"key twice":           {put("a", "x", store.Any), check("a", store.Absent)},
		"unknown kind":        {put("a", "x", store.Any), {Kind: 3, Key: "b", Rev: store.Any}},
	} {
		if err := kv.Commit(t.Context(), ops...); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	commit(t, kv, put(strings.Repeat("k", 1024), "x", store.Absent))
	if entries, err := kv.Scan(t.Context(), "", "", 10); err != nil || len(entries) != 1 {
		t.Errorf("%d entries, want only the one that was allowed: %v", len(entries), err)
	}
}

// testOwnership: what goes in and what comes out is the caller's to change.
func testOwnership(t *testing.T, kv store.KV) {
	value := []byte("value")
	commit(t, kv, store.Op{Kind: store.Put, Key: "k", Value: value})
	copy(value, "spoil")
	copy(get(t, kv, "k").Value, "waste")
	entries, err := kv.Scan(t.Context(), "k", "", 1)
	if err != nil || len(entries) != 1 || string(entries[0].Value) != "value" {
		t.Fatalf("scan: %+v, %v", entries, err)
	}
	copy(entries[0].Value, "ZZZZZ")
	_ = append(entries[0].Value, "tail"...)
	if e := get(t, kv, "k"); string(e.Value) != "value" {
		t.Errorf("value is %q", e.Value)
	}
}

func testContext(t *testing.T, kv store.KV) {
	commit(t, kv, put("k", "v", store.Absent))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := kv.Get(ctx, "k")
	wantErr(t, "get", err, context.Canceled)
	_, err = kv.Scan(ctx, "", "", 1)
	wantErr(t, "scan", err, context.Canceled)
	wantErr(t, "commit", kv.Commit(ctx, put("k", "w", store.Any)), context.Canceled)
	if e := get(t, kv, "k"); string(e.Value) != "v" {
		t.Errorf("a commit whose context had ended before was done")
	}
}

func testClosed(t *testing.T, kv store.KV) {
	commit(t, kv, put("k", "v", store.Absent))
	for range 2 {
		if err := kv.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	_, err := kv.Get(t.Context(), "k")
	wantErr(t, "get", err, store.ErrClosed)
	_, err = kv.Scan(t.Context(), "", "", 1)
	wantErr(t, "scan", err, store.ErrClosed)
	wantErr(t, "commit", kv.Commit(t.Context(), put("k", "w", store.Any)), store.ErrClosed)
}
