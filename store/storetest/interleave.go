package storetest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// meddlingKV is a KV in which something happens between what a change reads and
// its commit.
type meddlingKV struct {
	store.KV
	// meddle is called before each commit. An error is the commit's, which is
	// not done then.
	meddle func(ops []store.Op) error
}

func (m *meddlingKV) Commit(ctx context.Context, ops ...store.Op) error {
	if err := m.meddle(ops); err != nil {
		return err
	}
	return m.KV.Commit(ctx, ops...)
}

// once makes a meddler of do: it is called before the first commit whose
// operation number op has a key with the prefix.
func once(op int, prefix string, do func()) func([]store.Op) error {
	var did sync.Once
	return func(ops []store.Op) error {
		if len(ops) > op && strings.HasPrefix(ops[op].Key, prefix) {
			did.Do(do)
		}
		return nil
	}
}

func testMeddledDevices(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	retire := func(id string) func() {
		return func() { _, err := r.RetireDevice(ctx, id, "lost", day); must(err) }
	}
	own := func(id, owner string) error {
		_, err := r.UpdateDevice(ctx, id, func(d *posture.Device, _ bool) error { d.Owner = owner; return nil })
		return err
	}
	for _, id := range []string{"a", "b", "c"} {
		addDevice(t, r, id)
	}

	meddled := store.New(&meddlingKV{KV: kv, meddle: once(0, "cert/", retire("a"))})
	wantErr(t, "certificate of a device that was retired meanwhile", meddled.AddCertificate(ctx, newCertificate("a", 1)), posture.ErrRetired)

	meddled = store.New(&meddlingKV{KV: kv, meddle: once(0, "device/b", func() { must(r.AddCertificate(ctx, newCertificate("b", 2))) })})
	_, err := meddled.RetireDevice(ctx, "b", "lost", day)
	must(err)
	if list, err := r.Certificates(ctx, "b"); err != nil || len(list) != 1 || !list[0].Revoked() {
		t.Errorf("certificate that was added during the retirement: %+v, %v", list, err)
	}

	meddled = store.New(&meddlingKV{KV: kv, meddle: once(0, "device/c", func() { must(own("c", "bob@example.com")) })})
	calls := 0
	d, err := meddled.UpdateDevice(ctx, "c", func(d *posture.Device, exists bool) error {
		calls++
		d.Model = "changed"
		return nil
	})
	if err != nil || calls != 2 || d.Owner != "bob@example.com" || d.Model != "changed" {
		t.Errorf("two changes at once, %d calls: %+v, %v", calls, d, err)
	}

	// Of a change that comes first every time the last word is a conflict.
	n := 0
	meddled = store.New(&meddlingKV{KV: kv, meddle: func([]store.Op) error {
		n++
		return own("c", strings.Repeat("x", n%7))
	}})
	_, err = meddled.UpdateDevice(ctx, "c", func(d *posture.Device, exists bool) error { return nil })
	wantErr(t, "change that never gets through", err, store.ErrConflict)
}

// testMeddledSweep: a claim that was swept and made anew between the reading and
// the deleting of a sweep stays.
func testMeddledSweep(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	decide(t, r, newDecision(1))
	later := day.Add(time.Hour)
	fresh := newDecision(2)
	fresh.RequestID, fresh.Time = newDecision(1).RequestID, later
	meddled := store.New(&meddlingKV{KV: kv, meddle: once(0, "claim/", func() {
		if err := r.SweepClaims(ctx, later); err != nil {
			t.Error(err)
		}
		decide(t, r, fresh)
	})})
	if err := meddled.SweepClaims(ctx, later); err != nil {
		t.Error(err)
	}
	replay := newDecision(3)
	replay.RequestID = fresh.RequestID
	wantErr(t, "replay", r.Decide(ctx, replay, later), posture.ErrReplayed)
}

// testLateRows: rows whose commit arrives when their import is being deleted
// are not left for the next import to find.
func testLateRows(t *testing.T, kv store.KV) {
	for _, when := range []string{"before the record is deleted", "after the import", "during the next import"} {
		var late []store.Op
		arrive := func() {
			if err := kv.Commit(t.Context(), late...); !errors.Is(err, store.ErrConflict) {
				t.Errorf("rows that arrive %s: %v", when, err)
			}
		}
		im := beginImport(t, store.New(&meddlingKV{KV: kv, meddle: func(ops []store.Op) error {
			switch last := ops[len(ops)-1]; {
			case last.Kind == store.Put && strings.HasPrefix(last.Key, "staged/"):
				late = ops
				return context.Canceled
			case last.Kind == store.Delete && last.Key == "import" && when == "before the record is deleted":
				arrive()
			}
			return nil
		}}), day, false)
		if err := im.Stage(t.Context(), rows(0, 1)); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		_, err := im.Commit(t.Context(), nil)
		wantErr(t, "import whose rows were not staged", err, context.Canceled)
		switch when {
		case "after the import":
			arrive()
		case "during the next import":
			next := beginImport(t, store.New(kv), day, false)
			arrive()
			if err := next.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		}
		wantNothingLeft(t, kv)
	}
}

// testMeddledImport: what happens beside an import that is being applied is not
// lost, and another process that finishes it does not disturb.
func testMeddledImport(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	run := func(from, to int, replace bool, at time.Time, meddle func([]store.Op) error) (store.Result, error) {
		im := beginImport(t, store.New(&meddlingKV{KV: kv, meddle: meddle}), at, replace)
		stage(t, im, rows(from, to))
		return im.Commit(ctx, nil)
	}
	own := func(id string) func() {
		return func() {
			_, err := r.UpdateDevice(ctx, id, func(d *posture.Device, _ bool) error { d.ID, d.Owner = id, "bob@example.com"; return nil })
			if err != nil {
				t.Error(err)
			}
		}
	}
	owned := func(id, managed string) {
		t.Helper()
		d, err := r.Device(ctx, id)
		if err != nil || d.Owner != "bob@example.com" || len(d.Facts) != 1 || d.Facts[0].Value != managed {
			t.Errorf("device that changed meanwhile: %+v, %v", d, err)
		}
	}
	result, err := run(0, 300, false, day, once(2, "device/", own("device-000000")))
	if want := (store.Result{Created: 299, Updated: 1}); err != nil || result != want {
		t.Errorf("import: %+v, %v", result, err)
	}
	owned("device-000000", "true")

	result, err = run(0, 10, true, day.Add(time.Hour), once(0, "device/", own("device-000250")))
	if want := (store.Result{Unchanged: 10, Unmanaged: 290}); err != nil || result != want {
		t.Errorf("import that replaces: %+v, %v", result, err)
	}
	owned("device-000250", "false")
	wantManaged(t, r, "replaced", 300, 10)

	// Another process applies some of it, then dies.
	_, err = run(1000, 3000, false, day, once(2, "device/", func() {
		failing := &failingKV{KV: kv}
		failing.failAfter(3)
		wantErr(t, "the other process", store.New(failing).ResumeImports(ctx), errInjected)
	}))
	if err != nil {
		t.Errorf("import of which another process applied some: %v", err)
	}
	wantManaged(t, r, "helped", 2300, 2010)

	// Another process applies all of it and begins another import.
	var next *store.Import
	_, err = run(5000, 7000, false, day, once(2, "device/", func() {
		other := store.New(kv)
		if err := other.ResumeImports(ctx); err != nil {
			t.Error(err)
		}
		next = beginImport(t, other, day, false)
		stage(t, next, rows(8000, 8100))
		for staged := 0; staged == 0 && ctx.Err() == nil; runtime.Gosched() { // their commit goes on in the background
			entries, _ := kv.Scan(ctx, "staged/", "", 1)
			staged = len(entries)
		}
	}))
	if err != nil {
		t.Errorf("import that another process has finished: %v", err)
	}
	wantManaged(t, r, "finished by another", 4300, 4010)
	if got, want := apply(t, next), (store.Result{Created: 100}); got != want {
		t.Errorf("the next import: %+v, want %+v", got, want)
	}
	wantNothingLeft(t, kv)
}

// testFinishedMeanwhile: an import that another process has finished does not
// make unmanaged what the next one names.
func testFinishedMeanwhile(t *testing.T, kv store.KV) {
	r := store.New(kv)
	im := beginImport(t, r, day, true)
	stage(t, im, rows(0, 300))
	apply(t, im)
	im = beginImport(t, store.New(&meddlingKV{KV: kv, meddle: once(0, "device/", func() {
		if err := r.ResumeImports(t.Context()); err != nil {
			t.Error(err)
		}
		wantManaged(t, r, "finished by another", 300, 10)
		next := beginImport(t, r, day.Add(2*time.Hour), true)
		stage(t, next, rows(0, 300))
		apply(t, next)
	})}), day.Add(time.Hour), true)
	stage(t, im, rows(0, 10))
	apply(t, im)
	wantManaged(t, r, "imported anew", 300, 300)
	wantNothingLeft(t, kv)
}
