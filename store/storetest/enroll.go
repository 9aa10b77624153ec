package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// newToken has a hash that begins with n.
func newToken(n int) posture.Token {
	return posture.Token{Hash: fmt.Sprintf("%016x%048x", n, n), CreatedAt: day, ExpiresAt: day.Add(time.Hour)}
}

func testTokens(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	_, err := r.Token(ctx, newToken(1).Hash)
	wantErr(t, "token that is not there", err, posture.ErrNoToken)
	for n := range 3 {
		if err := r.AddToken(ctx, newToken(n)); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "token twice", r.AddToken(ctx, newToken(1)), posture.ErrExists)
	for _, hash := range []string{"", "abc", strings.Repeat("Z", 64), strings.Repeat("a", 63) + "/"} {
		if err := r.AddToken(ctx, posture.Token{Hash: hash}); err == nil {
			t.Errorf("token with the hash %q was added", hash)
		}
	}
	list, err := r.Tokens(ctx, newToken(0).Hash, 10)
	if err != nil || len(list) != 2 || list[0] != newToken(1) {
		t.Errorf("tokens behind the first: %+v, %v", list, err)
	}

	revoked, err := r.RevokeToken(ctx, revokedID(1), day)
	if err != nil || !revoked.RevokedAt.Equal(day) {
		t.Errorf("revoked: %+v, %v", revoked, err)
	}
	if again, err := r.RevokeToken(ctx, revokedID(1), day.Add(time.Hour)); err != nil || !again.RevokedAt.Equal(day) {
		t.Errorf("revoked again: %+v, %v", again, err)
	}
	for _, id := range []string{"", "0", revokedID(9), revokedID(1) + "0"} {
		_, err = r.RevokeToken(ctx, id, day)
		wantErr(t, "revoke token "+id, err, posture.ErrNoToken)
	}

	long := newToken(3)
	long.ExpiresAt = day.Add(48 * time.Hour)
	if err := r.AddToken(ctx, long); err != nil {
		t.Fatal(err)
	}
	if err := r.SweepTokens(ctx, day.Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if list, err = r.Tokens(ctx, "", 10); err != nil || len(list) != 1 || list[0] != long {
		t.Errorf("swept: %+v, %v", list, err)
	}
}

func revokedID(n int) string { t := newToken(n); return t.ID() }

// enrollAs makes the enrolment of a device, new or known, with certificate n.
func enrollAs(id string, n int) func(e *posture.Enrolling) error {
	return func(e *posture.Enrolling) error {
		if !e.Token.UsedAt.IsZero() {
			return posture.ErrNoToken
		}
		e.Token.UsedAt, e.Token.UsedBy = day, id
		e.Device = newDevice(id)
		for _, k := range e.Known {
			if k.Device.ID == id {
				e.Device = k.Device
			}
		}
		e.Certificate = newCertificate(id, n)
		return nil
	}
}

func testEnroll(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	for n := range 8 {
		if err := r.AddToken(ctx, newToken(n)); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "enrol without a token", r.Enroll(ctx, newToken(99).Hash, posture.Clues{}, enrollAs("a", 1)), posture.ErrNoToken)

	// Refused: nothing of it stays.
	no := errors.New("no")
	err := r.Enroll(ctx, newToken(1).Hash, posture.Clues{}, func(e *posture.Enrolling) error { _ = enrollAs("a", 1)(e); return no })
	wantErr(t, "refused enrolment", err, no)
	if token, err := r.Token(ctx, newToken(1).Hash); err != nil || token != newToken(1) {
		t.Errorf("token after a refusal: %+v, %v", token, err)
	}
	_, err = r.Device(ctx, "a")
	wantErr(t, "device after a refusal", err, posture.ErrNoDevice)

	// Taken: token, device, certificate.
	if err := r.Enroll(ctx, newToken(1).Hash, posture.Clues{}, enrollAs("a", 1)); err != nil {
		t.Fatal(err)
	}
	if token, err := r.Token(ctx, newToken(1).Hash); err != nil || token.UsedBy != "a" {
		t.Errorf("token: %+v, %v", token, err)
	}
	if list, err := r.Certificates(ctx, "a"); err != nil || len(list) != 1 || list[0] != newCertificate("a", 1) {
		t.Errorf("certificates: %+v, %v", list, err)
	}
	wantErr(t, "token twice", r.Enroll(ctx, newToken(1).Hash, posture.Clues{}, enrollAs("b", 2)), posture.ErrNoToken)
	wantErr(t, "key in use", r.Enroll(ctx, newToken(2).Hash, posture.Clues{}, enrollAs("b", 1)), posture.ErrKeyInUse)
	if token, err := r.Token(ctx, newToken(2).Hash); err != nil || !token.UsedAt.IsZero() {
		t.Errorf("token with a key that is in use: %+v, %v", token, err)
	}

	// By its serial number the device is found, with its certificates, and these
	// change with it.
	err = r.Enroll(ctx, newToken(2).Hash, posture.Clues{Serial: " c02A "}, func(e *posture.Enrolling) error {
		if len(e.Known) != 1 || e.Known[0].Device.ID != "a" || len(e.Known[0].Certificates) != 1 {
			t.Errorf("known by its serial number: %+v", e.Known)
			return no
		}
		old := e.Known[0].Certificates[0]
		old.RevokedAt = day
		e.Revoked = []posture.Certificate{old}
		return enrollAs("a", 3)(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := r.Certificates(ctx, "a"); err != nil || len(list) != 2 || list[0].Revoked() == list[1].Revoked() {
		t.Errorf("certificates after enrolling anew: %+v, %v", list, err)
	}

	// A token that names a device finds that one first, and what has its serial
	// number, which is changed with it.
	bound := newToken(50)
	bound.DeviceID = "z"
	if err := r.AddToken(ctx, bound); err != nil {
		t.Fatal(err)
	}
	err = r.Enroll(ctx, bound.Hash, posture.Clues{Serial: "C02a"}, func(e *posture.Enrolling) error {
		if len(e.Known) != 1 || e.Known[0].Device.ID != "a" || len(e.Known[0].Certificates) != 2 {
			t.Errorf("known to a token for another device: %+v", e.Known)
			return no
		}
		twin := e.Known[0].Device
		twin.Suspected = &posture.Suspicion{At: day, Why: "two"}
		e.Suspected = []posture.Device{twin}
		return enrollAs("z", 5)(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := r.Device(ctx, "a"); err != nil || d.Suspected == nil || d.Serial == "" {
		t.Errorf("the other one: %+v, %v", d, err)
	}
	again := newToken(51)
	again.DeviceID = "z"
	if err := r.AddToken(ctx, again); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "refused", r.Enroll(ctx, again.Hash, posture.Clues{Serial: "C02a"}, func(e *posture.Enrolling) error {
		if len(e.Known) != 2 || e.Known[0].Device.ID != "z" || e.Known[1].Device.ID != "a" {
			t.Errorf("known to a token for a device: %+v", e.Known)
		}
		return no
	}), no)
}

// testEnrollOnce: of 100 uses of one token at once one succeeds, and of it alone
// anything is there.
func testEnrollOnce(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	if err := r.AddToken(ctx, newToken(1)); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	race(100, func(i int) {
		switch err := r.Enroll(ctx, newToken(1).Hash, posture.Clues{}, enrollAs(fmt.Sprintf("d%d", i), i)); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, posture.ErrNoToken):
			t.Error(err)
		}
	})
	devices, err := r.Devices(ctx, "", 10)
	if err != nil || won.Load() != 1 || len(devices) != 1 {
		t.Errorf("%d uses of one token succeeded, %d devices: %v", won.Load(), len(devices), err)
	}
}

func testSerials(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	wantSerial := func(serial string, want ...string) {
		t.Helper()
		found, err := r.DevicesBySerial(ctx, serial)
		var ids []string
		for _, d := range found {
			ids = append(ids, d.ID)
		}
		if err != nil || strings.Join(ids, " ") != strings.Join(want, " ") {
			t.Errorf("serial number %q is that of %q, want %q: %v", serial, ids, want, err)
		}
	}
	change := func(id, serial string) {
		t.Helper()
		_, err := r.UpdateDevice(ctx, id, func(d *posture.Device, _ bool) error { d.ID, d.Serial = id, serial; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	change("a", "PF3ABC")
	change("b", "pf3abc ")
	change("c", "Default string")
	change("d", "000000")
	wantSerial("Pf3Abc", "a", "b")
	wantSerial("Default string")
	wantSerial("000000")
	wantSerial("")
	wantSerial("PF3")
	change("b", "OTHER-1")
	wantSerial("pf3abc", "a")
	wantSerial("other-1", "b")
	change("a", "")
	wantSerial("pf3abc")

	// Imports keep the index too; rows about hardware that enrolled by itself find
	// it, once an import.
	if _, err := r.UpdateHardware(ctx, "b", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		k.Device.Enrolled = &posture.Enrolled{At: day}
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // and again it is the same
		im := beginImport(t, r, day.Add(time.Duration(n)*time.Hour), false)
		stage(t, im, []posture.Report{
			{DeviceID: "asset-7", Serial: "OTHER-1", Facts: map[string]string{posture.FactManaged: "true"}},
			{DeviceID: "asset-8", Serial: "OTHER-1"},
			{DeviceID: "asset-9", Serial: "NEW-9"},
		})
		apply(t, im)
	}
	if d, err := r.Device(ctx, "b"); err != nil || len(d.Facts) != 1 || d.Facts[0].Value != "true" {
		t.Errorf("device that enrolled by itself: %+v, %v", d, err)
	}
	_, err := r.Device(ctx, "asset-7")
	wantErr(t, "row about hardware that enrolled", err, posture.ErrNoDevice)
	wantSerial("other-1", "asset-8", "b")
	wantSerial("new-9", "asset-9")
}

func testUpdateHardware(t *testing.T, kv store.KV) {
	ctx, r := t.Context(), store.New(kv)
	_, err := r.UpdateHardware(ctx, "a", func(*posture.KnownHardware) ([]posture.Certificate, error) { return nil, nil })
	wantErr(t, "device that is not there", err, posture.ErrNoDevice)
	addDevice(t, r, "a")
	if err := r.AddCertificate(ctx, newCertificate("a", 1)); err != nil {
		t.Fatal(err)
	}
	// Whatever else changes the device meanwhile, nothing is lost.
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := r.UpdateHardware(ctx, "a", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
				c := k.Certificates[0]
				c.RevokeReason += "x"
				k.Device.Model += "x"
				return []posture.Certificate{c}, nil
			})
			if err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	d, err1 := r.Device(ctx, "a")
	list, err2 := r.Certificates(ctx, "a")
	if err := errors.Join(err1, err2); err != nil || d.Model != "Mac15,3"+strings.Repeat("x", 16) || list[0].RevokeReason != strings.Repeat("x", 16) {
		t.Errorf("%q, %+v: %v", d.Model, list, err)
	}
}
