package storetest

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// putACME makes the record, or changes what it says.
func putACME(t testing.TB, r *store.Records, id, value string, until time.Time) {
	t.Helper()
	err := r.UpdateACMERecord(t.Context(), id, func(a *posture.ACMERecord, _ bool) error {
		a.Value, a.Until = []byte(value), until
		return nil
	})
	if err != nil {
		t.Fatalf("update ACME record %q: %v", id, err)
	}
}

func testACMERecords(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for _, id := range []string{"order/a", "", "../device/x", strings.Repeat("a", 100_000)} {
		_, err := r.ACMERecord(ctx, id)
		wantErr(t, "none", err, posture.ErrNoACMERecord)
		_, err = r.TakeACMERecord(ctx, id)
		wantErr(t, "take none", err, posture.ErrNoACMERecord)
	}
	putACME(t, r, "order/a", "one", day)
	putACME(t, r, "order/a", "two", day.Add(time.Minute))
	got, err := r.ACMERecord(ctx, "order/a")
	if err != nil || string(got.Value) != "two" || !got.Until.Equal(day.Add(time.Minute)) || got.ID != "order/a" {
		t.Errorf("record %+v: %v", got, err)
	}
	mine := errors.New("mine")
	for what, change := range map[string]func(*posture.ACMERecord) error{
		"its own error": func(*posture.ACMERecord) error { return mine },
		"no end":        func(a *posture.ACMERecord) error { a.Until = time.Time{}; return nil },
		"another ID":    func(a *posture.ACMERecord) error { a.ID = "order/b"; return nil },
	} {
		err := r.UpdateACMERecord(ctx, "order/a", func(a *posture.ACMERecord, exists bool) error {
			if !exists {
				t.Errorf("%s: it is not there", what)
			}
			a.Value = []byte("three")
			return change(a)
		})
		if err == nil {
			t.Errorf("%s: updated", what)
		}
	}
	if got, err := r.ACMERecord(ctx, "order/a"); err != nil || string(got.Value) != "two" {
		t.Errorf("after refused updates: %+v: %v", got, err)
	}

	var taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch _, err := r.TakeACMERecord(ctx, "order/a"); {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, posture.ErrNoACMERecord):
				t.Error(err)
			}
		})
	}
	if all.Wait(); taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
}

func testSweepACMERecords(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for i := range 2*store.MaxOps + 7 {
		until := day
		if i%3 == 0 {
			until = day.Add(time.Hour)
		}
		putACME(t, r, "order/"+strings.Repeat("x", i), "x", until)
	}
	if err := r.SweepACMERecords(ctx, day.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i := range 2*store.MaxOps + 7 {
		_, err := r.ACMERecord(ctx, "order/"+strings.Repeat("x", i))
		if left := err == nil; left != (i%3 == 0) {
			t.Errorf("record %d left: %v, %v", i, left, err)
		}
	}
}

// testEnrollDevice: one of two who use the same claim enrols, and nobody does for
// a device that is not there.
func testEnrollDevice(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	c := posture.Claim{RelyingParty: "acme", RequestID: "order", Until: day.Add(time.Hour)}
	enrol := func(id string, number int) error {
		return r.EnrollDevice(ctx, id, c, func(e *posture.Enrolling) error {
			e.Device, e.Certificate = e.Known[0].Device, newCertificate(id, number)
			e.Device.UpdatedAt = day
			return nil
		})
	}
	wantErr(t, "no device", enrol("dev-1", 1), posture.ErrNoDevice)
	addDevice(t, r, "dev-1")
	if err := enrol("dev-1", 1); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "the claim again", enrol("dev-1", 2), posture.ErrReplayed)
	if found, err := r.Certificates(ctx, "dev-1"); err != nil || len(found) != 1 {
		t.Errorf("%d certificates: %v", len(found), err)
	}
	c.RequestID = "another order"
	wantErr(t, "the key again", enrol("dev-1", 1), posture.ErrKeyInUse)
	if d, err := r.Device(ctx, "dev-1"); err != nil || !d.UpdatedAt.Equal(day) {
		t.Errorf("device %+v: %v", d, err)
	}
}
