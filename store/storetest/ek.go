package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// testEK: a TPM finds one device, and is never two devices'.
func testEK(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	set := func(id, ek string) error {
		_, err := r.UpdateDevice(ctx, id, func(d *posture.Device, _ bool) error { d.ID, d.EK = id, ek; return nil })
		return err
	}
	finds := func(ek, want string) {
		t.Helper()
		switch d, err := r.DeviceByEK(ctx, ek); {
		case want == "":
			wantErr(t, "device by the key "+ek, err, posture.ErrNoDevice)
		case err != nil || d.ID != want:
			t.Errorf("%q finds %q, %v, want %q", ek, d.ID, err, want)
		}
	}
	finds("", "")
	finds("e1", "")
	for _, d := range [][2]string{{"a", "e1"}, {"b", "e2"}, {"c", ""}, {"d", ""}} {
		if err := set(d[0], d[1]); err != nil {
			t.Fatal(err)
		}
	}
	finds("e1", "a")
	wantErr(t, "TPM of another", set("b", "e1"), posture.ErrEKInUse)
	finds("e2", "b")
	_, err := r.UpdateHardware(ctx, "c", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		k.Device.EK = "e1"
		return nil, nil
	})
	wantErr(t, "TPM of another, with certificates", err, posture.ErrEKInUse)

	// By its TPM an enrolment finds the device, and takes nobody's.
	if err := r.AddToken(ctx, newToken(1)); err != nil {
		t.Fatal(err)
	}
	err = r.Enroll(ctx, newToken(1).Hash, posture.Clues{EK: "e1"}, func(e *posture.Enrolling) error {
		if e.ByEK == nil || e.ByEK.Device.ID != "a" {
			t.Errorf("by the TPM: %+v", e.ByEK)
		}
		err := enrollAs("n", 1)(e)
		e.Device.EK = "e1"
		return err
	})
	wantErr(t, "enrolment with the TPM of another", err, posture.ErrEKInUse)
	if token, err := r.Token(ctx, newToken(1).Hash); err != nil || !token.UsedAt.IsZero() {
		t.Errorf("token with a TPM of another: %+v, %v", token, err)
	}

	// It moves, and what was is forgotten.
	if err := set("a", "e3"); err != nil {
		t.Fatal(err)
	}
	finds("e1", "")
	finds("e3", "a")
	if err := set("a", ""); err != nil {
		t.Fatal(err)
	}
	finds("e3", "")

	// Of two at once one gets it.
	var got atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if set(fmt.Sprintf("at-once-%d", i), "e9") == nil {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 {
		t.Errorf("%d devices have one TPM", got.Load())
	}
}
