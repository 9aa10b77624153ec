package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// testImportResume: what another process left behind is deleted or finished.
func testImportResume(t *testing.T, kv store.KV) {
	ctx := t.Context()
	if err := store.New(kv).ResumeImports(ctx); err != nil {
		t.Errorf("nothing to resume: %v", err)
	}
	dead := beginImport(t, store.New(kv), day, false)
	stage(t, dead, rows(0, 1000))
	r := store.New(kv)
	if err := r.ResumeImports(ctx); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, r, "not committed", 0, 0)
	wantNothingLeft(t, kv)
	if _, err := dead.Commit(ctx, nil); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the import that was deleted: %v", err)
	}
	wantManaged(t, r, "import that was deleted", 0, 0)

	// A KV that fails after the point of no return stands for the process that
	// dies there.
	for _, by := range []string{"start", "next import"} {
		failing := &failingKV{KV: kv}
		r := store.New(failing)
		im := beginImport(t, r, day.Add(time.Hour), true)
		stage(t, im, rows(0, 6_000))
		failing.failAfter(20)
		if _, err := im.Commit(ctx, nil); !errors.Is(err, errInjected) {
			t.Fatalf("%s: commit on a failing store: %v", by, err)
		}
		if n, _ := managed(t, r); by == "start" && (n == 0 || n == 6_000) {
			t.Fatalf("%d devices are there: the import was not interrupted", n)
		}
		failing.failAfter(-1)
		if by == "start" {
			if err := r.ResumeImports(ctx); err != nil {
				t.Fatal(err)
			}
		} else if err := beginImport(t, r, day, false).Abort(ctx); err != nil {
			t.Fatal(err)
		}
		wantManaged(t, r, by, 6_000, 6_000)
		wantNothingLeft(t, kv)
	}
}

// testImportAbandoned: an import that could not even be deleted, because the
// disk is full, is not in the way of the next.
func testImportAbandoned(t *testing.T, kv store.KV) {
	ctx := t.Context()
	failing := &failingKV{KV: kv}
	r := store.New(failing)
	for commits := range 5 {
		failing.failAfter(-1)
		im := beginImport(t, r, day, false)
		stage(t, im, rows(0, 100))
		stage(t, im, rows(100, 200))
		// Two deletions and the marks before and behind them fail in turn.
		failing.failAfter(commits)
		if _, err := im.Commit(ctx, nil); commits == 0 && !errors.Is(err, errInjected) {
			t.Errorf("commit on a store that fails: %v", err)
		}
		failing.failAfter(-1)
		if err := beginImport(t, r, day, false).Abort(ctx); err != nil {
			t.Errorf("import after one that failed: %v", err)
		}
		wantNothingLeft(t, kv)
		devices, _ := managed(t, r)
		if devices != 0 && devices != 200 {
			t.Errorf("%d devices after a failure at commit %d", devices, commits)
		}
	}
	for commits := range 4 {
		im := beginImport(t, r, day, false)
		stage(t, im, rows(1000, 1100))
		failing.failAfter(commits)
		if err := im.Abort(ctx); commits < 3 && !errors.Is(err, errInjected) {
			t.Errorf("abort that fails at commit %d: %v", commits, err)
		}
		failing.failAfter(-1)
		if err := beginImport(t, r, day, false).Abort(ctx); err != nil {
			t.Errorf("import after one that could not be aborted: %v", err)
		}
		wantNothingLeft(t, kv)
	}
	_, err := r.Device(ctx, "device-001000")
	wantErr(t, "device of an aborted import", err, posture.ErrNoDevice)
}

// testImportRace: reports and retirements that come in during an import are not
// lost, and nor is a row of it.
func testImportRace(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	im := beginImport(t, r, day, false)
	stage(t, im, rows(0, 3000))
	agent := posture.Source{Name: "agent", Kind: posture.Agent}
	race(9, func(g int) {
		if g == 0 {
			apply(t, im)
			return
		}
		for i := g; i < 3000; i += 31 {
			id := fmt.Sprintf("device-%06d", i)
			_, err := r.UpdateDevice(ctx, id, func(d *posture.Device, _ bool) error {
				d.Apply(&posture.Report{DeviceID: id, Facts: map[string]string{"g" + fmt.Sprint(g): "x"}}, agent, day)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if g == 1 {
				if _, err := r.RetireDevice(ctx, id, "lost", day); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wantManaged(t, r, "imported", 3000, 3000)
	for g := 1; g < 9; g++ {
		for i := g; i < 3000; i += 31 {
			d, err := r.Device(ctx, fmt.Sprintf("device-%06d", i))
			if err != nil || len(d.Facts) != 2 || d.Retired() != (g == 1) {
				t.Fatalf("device %d lost something: %+v, %v", i, d, err)
			}
		}
	}

	var begun atomic.Int32
	race(20, func(int) {
		_, err := store.New(kv).BeginImport(ctx, fileSource, day, false)
		if err == nil {
			begun.Add(1)
		} else if !errors.Is(err, posture.ErrExists) {
			t.Error(err)
		}
	})
	if begun.Load() != 1 {
		t.Errorf("%d imports began at once", begun.Load())
	}
}

var errInjected = errors.New("injected failure")

// failingKV is a KV whose commits begin to fail at some time.
type failingKV struct {
	store.KV
	fails atomic.Bool
	left  atomic.Int64
}

// failAfter lets commits commits succeed and then all fail; -1: none fails.
func (f *failingKV) failAfter(commits int) {
	f.left.Store(int64(commits))
	f.fails.Store(commits >= 0)
}

func (f *failingKV) Commit(ctx context.Context, ops ...store.Op) error {
	if f.fails.Load() && f.left.Add(-1) < 0 {
		return errInjected
	}
	return f.KV.Commit(ctx, ops...)
}

// crashRows is how many devices the process that is killed imports.
const crashRows = 8_000

// importRows imports and tells how far it is.
func importRows(kv store.KV) error {
	ctx := context.Background()
	im, err := store.New(kv).BeginImport(ctx, fileSource, day, true)
	if err != nil {
		return err
	}
	for i := 0; i < crashRows; i += 500 {
		if err := im.Stage(ctx, rows(i, i+500)); err != nil {
			return err
		}
		acknowledge("staged %d", i+500)
	}
	acknowledge("committing")
	_, err = im.Commit(ctx, func(done, total int) { acknowledge("applied %d", done) })
	if err != nil {
		return err
	}
	acknowledge("done")
	select {}
}

// crashImport kills an import here and there: before it is committed nothing of
// it may show afterwards, once rows are applied all of it must.
func crashImport(t *testing.T, open func(dir string) (store.KV, error)) {
	for _, killAt := range []string{"staged 500", "staged 4000", "staged 8000", "committing", "applied 1", "applied 6", "done"} {
		dir := t.TempDir()
		committed, applied, killed := false, false, false
		runVictim(t, "import", dir, func(ack string) bool {
			committed = committed || ack == "committing"
			applied = applied || strings.HasPrefix(ack, "applied")
			killed = killed || ack == "done" || strings.HasPrefix(ack, killAt)
			return killed
		})
		kv, err := open(dir)
		if err != nil {
			t.Fatalf("killed at %q: %v", killAt, err)
		}
		r := store.New(kv)
		if n, _ := managed(t, r); !committed && n != 0 {
			t.Errorf("killed at %q: %d devices show before the import was committed", killAt, n)
		}
		if err := r.ResumeImports(t.Context()); err != nil {
			t.Errorf("killed at %q: resume: %v", killAt, err)
		}
		n, m := managed(t, r)
		if n != m || n != 0 && n != crashRows || !committed && n != 0 || applied && n == 0 {
			t.Errorf("killed at %q (committed: %t, applied: %t): %d devices, %d managed", killAt, committed, applied, n, m)
		}
		wantNothingLeft(t, kv)
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
