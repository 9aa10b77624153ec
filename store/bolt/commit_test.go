package bolt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"gatepost.dev/store"
)

func newDB(t *testing.T) *DB {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "store.db"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func put(key, value string, rev uint64) store.Op {
	return store.Op{Kind: store.Put, Key: key, Value: []byte(value), Rev: rev}
}

// block keeps the committer from writing, with one commit in its hands, until
// release is called.
func block(t *testing.T, d *DB) (release func()) {
	t.Helper()
	tx, err := d.bolt.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	plug, err := prepareCommit(t.Context(), []store.Op{put("plug", "", store.Any)})
	if err != nil || !d.queue.add(plug) {
		t.Fatalf("queue: %v", err)
	}
	waitFor(d, func() bool { return len(d.queue.waiting) == 0 })
	return func() { tx.Rollback() }
}

// waitFor waits until the queue is as told.
func waitFor(d *DB, is func() bool) {
	for {
		d.queue.mu.Lock()
		done := is()
		d.queue.mu.Unlock()
		if done {
			return
		}
		runtime.Gosched()
	}
}

func lastTransaction(t *testing.T, d *DB) int {
	t.Helper()
	tx, err := d.bolt.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	return tx.ID()
}

// TestShared: what queues while one transaction is on its way is the next one,
// and a commit in it that conflicts fails alone.
func TestShared(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	before := lastTransaction(t, d)
	release := block(t, d)
	const commits = 50
	errs := make([]error, commits)
	var wg sync.WaitGroup
	for i := range commits {
		wg.Go(func() {
			ops := []store.Op{put(fmt.Sprintf("own/%02d", i), "x", store.Absent)}
			if i%10 == 3 {
				ops = append(ops, put("contended", fmt.Sprint(i), store.Absent)) // one of five gets it
			}
			errs[i] = d.Commit(t.Context(), ops...)
		})
	}
	waitFor(d, func() bool { return len(d.queue.waiting) == commits })
	release()
	wg.Wait()

	if n := lastTransaction(t, d) - before; n != 2 {
		t.Errorf("%d transactions for one commit and then %d at once, want 2", n, commits)
	}
	conflicts := 0
	for i, err := range errs {
		_, getErr := d.Get(t.Context(), fmt.Sprintf("own/%02d", i))
		switch {
		case errors.Is(err, store.ErrConflict):
			conflicts++
			if !errors.Is(getErr, store.ErrNoKey) {
				t.Errorf("commit %d conflicted and left its other key: %v", i, getErr)
			}
		case err != nil || getErr != nil:
			t.Errorf("commit %d: %v, %v", i, err, getErr)
		}
	}
	if conflicts != 4 {
		t.Errorf("%d commits conflicted, want 4 of 5", conflicts)
	}
}

// TestNothingToWrite: commits that only check, or all fail, sync nothing.
func TestNothingToWrite(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	before := lastTransaction(t, d)
	if err := d.Commit(t.Context(), store.Op{Kind: store.Check, Key: "k", Rev: store.Absent}); err != nil {
		t.Error(err)
	}
	if err := d.Commit(t.Context(), put("k", "v", 7)); !errors.Is(err, store.ErrConflict) {
		t.Error(err)
	}
	if after := lastTransaction(t, d); after != before {
		t.Errorf("%d transactions were written", after-before)
	}
}

func TestAbandoned(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	release := block(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- d.Commit(ctx, put("given up", "x", store.Absent)) }()
	waitFor(d, func() bool { return len(d.queue.waiting) == 1 })
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("commit whose context ended in the queue: %v", err)
	}
	release()
	if err := d.Commit(t.Context(), put("next", "x", store.Absent)); err != nil {
		t.Error(err)
	}
	if _, err := d.Get(t.Context(), "given up"); !errors.Is(err, store.ErrNoKey) {
		t.Errorf("a commit that was given up before it began was done: %v", err)
	}
}

// TestCloseDrains: what was queued before Close is done, what comes after is
// refused.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	path := d.file.Name()
	release := block(t, d)
	const commits = 20
	errs := make([]error, commits)
	var wg sync.WaitGroup
	for i := range commits {
		wg.Go(func() { errs[i] = d.Commit(t.Context(), put(fmt.Sprint(i), "x", store.Absent)) })
	}
	waitFor(d, func() bool { return len(d.queue.waiting) == commits })
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	waitFor(d, func() bool { return d.queue.closed })
	if err := d.Commit(t.Context(), put("late", "x", store.Absent)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("commit after close: %v", err)
	}
	release()
	wg.Wait()
	if err := errors.Join(append(errs, <-closed)...); err != nil {
		t.Error(err)
	}
	d, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if entries, err := d.Scan(t.Context(), "", "", 100); err != nil || len(entries) != commits+1 {
		t.Errorf("%d keys are there, want %d: %v", len(entries), commits+1, err)
	}
}

// TestBigBatch: more than one transaction should hold is split.
func TestBigBatch(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	before := lastTransaction(t, d)
	release := block(t, d)
	value := make([]byte, maxValue)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if err := d.Commit(t.Context(), store.Op{Key: fmt.Sprint(i), Value: value}); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(d, func() bool { return len(d.queue.waiting) == 12 })
	release()
	wg.Wait()
	if n := lastTransaction(t, d) - before; n != 3 {
		t.Errorf("%d transactions, want the one in hand and two of at most %d bytes", n, maxBatch)
	}
	if err := d.Commit(t.Context(), store.Op{Key: "k", Value: append(value, 0)}); err == nil {
		t.Error("a value that is too long was accepted")
	}
}
