package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// day is the time of every test.
var day = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newDevice(id string) posture.Device {
	return posture.Device{
		ID: id, Serial: "C02" + id, Vendor: "Apple", Model: "Mac15,3", OS: "macOS", OSVersion: "15.5", Owner: "ann@example.com",
		Facts: []posture.Fact{{
			Name: posture.FactManaged, Value: "true", ObservedAt: day, MaxAge: time.Hour,
			Source: posture.Source{Name: "mdm", Kind: posture.Connector},
		}},
		Attestations: []posture.Attestation{{Type: "tpm", Value: "AAAA"}},
		CreatedAt:    day, UpdatedAt: day.Add(time.Nanosecond),
	}
}

// addDevice stores a device and returns it.
func addDevice(t testing.TB, r *store.Records, id string) posture.Device {
	t.Helper()
	d, err := r.UpdateDevice(t.Context(), id, func(d *posture.Device, exists bool) error {
		if exists {
			return errors.New("it is there already")
		}
		*d = newDevice(id)
		return nil
	})
	if err != nil {
		t.Fatalf("add device %q: %v", id, err)
	}
	return d
}

func testDevices(t *testing.T, kv store.KV) {
	r := store.New(kv)
	_, err := r.Device(t.Context(), "a")
	wantErr(t, "device that is not there", err, posture.ErrNoDevice)
	if devices, err := r.Devices(t.Context(), "", 10); err != nil || len(devices) != 0 {
		t.Errorf("empty inventory: %v, %v", devices, err)
	}
	ids := []string{"a", "a/b", "a\x00", "b", "cert/00/11", "Ω", strings.Repeat("z", 512)} // shapes that keys could trip over
	for _, id := range ids {
		addDevice(t, r, id)
	}
	for _, id := range ids {
		d, err := r.Device(t.Context(), id)
		if want := newDevice(id); err != nil || !reflect.DeepEqual(d, want) {
			t.Errorf("device %q: %+v, want %+v: %v", id, d, want, err)
		}
	}
	var listed []string
	for after := ""; ; after = listed[len(listed)-1] {
		page, err := r.Devices(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			listed = append(listed, d.ID)
		}
		if len(page) < 3 {
			break
		}
	}
	if want := "a,a\x00,a/b,b,cert/00/11," + strings.Repeat("z", 512) + ",Ω"; strings.Join(listed, ",") != want {
		t.Errorf("listed %q, want %q", listed, want)
	}
	testDeviceChanges(t, r)
}

func testDeviceChanges(t *testing.T, r *store.Records) {
	ctx := t.Context()
	bad := errors.New("no")
	_, err := r.UpdateDevice(ctx, "a", func(d *posture.Device, exists bool) error {
		d.Owner = "eve"
		return bad
	})
	wantErr(t, "change that gives up", err, bad)
	_, err = r.UpdateDevice(ctx, "new", func(*posture.Device, bool) error { return bad })
	wantErr(t, "creation that gives up", err, bad)
	if _, err := r.UpdateDevice(ctx, "a", func(d *posture.Device, _ bool) error { d.ID = "b"; return nil }); err == nil {
		t.Error("a device got another ID")
	}
	for _, id := range []string{"", strings.Repeat("z", 513), "\xff"} {
		if _, err := r.UpdateDevice(ctx, id, func(d *posture.Device, _ bool) error { d.ID = id; return nil }); err == nil {
			t.Errorf("device ID %.20q was accepted", id)
		}
	}
	if d, err := r.Device(ctx, "a"); err != nil || d.Owner != "ann@example.com" {
		t.Errorf("after changes that failed: %+v, %v", d, err)
	}
	_, err = r.Device(ctx, "new")
	wantErr(t, "creation that gave up", err, posture.ErrNoDevice)

	const each = 8
	race(16, func(int) {
		for range each {
			_, err := r.UpdateDevice(ctx, "b", func(d *posture.Device, exists bool) error {
				n, _ := strconv.Atoi(strings.TrimPrefix(d.Model, "Mac15,3"))
				d.Model = "Mac15,3" + strconv.Itoa(n+1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	if d, err := r.Device(ctx, "b"); err != nil || d.Model != "Mac15,3"+strconv.Itoa(16*each) {
		t.Errorf("after %d updates at once: %q, %v", 16*each, d.Model, err)
	}
}

func newCertificate(deviceID string, n int) posture.Certificate {
	return posture.Certificate{
		Authority: strings.Repeat("ab", 32), Serial: fmt.Sprintf("%06x", n), DeviceID: deviceID,
		KeyHash: fmt.Sprintf("%064x", n), NotBefore: day, NotAfter: day.Add(24 * time.Hour),
	}
}

func addCertificate(t testing.TB, r *store.Records, c posture.Certificate) {
	t.Helper()
	if err := r.AddCertificate(t.Context(), c); err != nil {
		t.Fatalf("add certificate: %v", err)
	}
}

func testCertificates(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	one := newCertificate("a", 1)
	wantErr(t, "certificate of no device", r.AddCertificate(ctx, one), posture.ErrNoDevice)
	addDevice(t, r, "a")
	addDevice(t, r, "a/b")
	addCertificate(t, r, one)
	addCertificate(t, r, newCertificate("a", 2))
	addCertificate(t, r, newCertificate("a/b", 3))

	got, err := r.Certificate(ctx, one.Authority, one.Serial)
	if err != nil || got != one {
		t.Errorf("certificate: %+v, want %+v: %v", got, one, err)
	}
	for _, name := range [][2]string{{one.Authority, "ff"}, {"00", one.Serial}, {"", ""}, {"", one.Authority + "/" + one.Serial}, {one.Authority, strings.Repeat("0", 5000)}} {
		_, err := r.Certificate(ctx, name[0], name[1])
		wantErr(t, fmt.Sprintf("certificate %.80q", name), err, posture.ErrNoCertificate)
	}
	if list, err := r.Certificates(ctx, "a"); err != nil || len(list) != 2 || list[0] != one || list[1].Serial != "000002" {
		t.Errorf("certificates of a: %+v, %v", list, err)
	}
	if list, err := r.Certificates(ctx, "nobody"); err != nil || len(list) != 0 {
		t.Errorf("certificates of nobody: %+v, %v", list, err)
	}

	again := newCertificate("a/b", 4)
	again.KeyHash = one.KeyHash
	wantErr(t, "known key", r.AddCertificate(ctx, again), posture.ErrKeyInUse)
	again = newCertificate("a/b", 5)
	again.Serial = one.Serial
	wantErr(t, "known serial", r.AddCertificate(ctx, again), posture.ErrExists)
	for _, spoil := range []func(c *posture.Certificate){
		func(c *posture.Certificate) { c.Authority = "" },
		func(c *posture.Certificate) { c.Authority = "ab/cd" },
		func(c *posture.Certificate) { c.Serial = "AB" },
		func(c *posture.Certificate) { c.Serial = strings.Repeat("0", 1000) },
		func(c *posture.Certificate) { c.KeyHash = "" },
		func(c *posture.Certificate) { c.KeyHash = "\x00" },
	} {
		c := newCertificate("a", 6)
		spoil(&c)
		if err := r.AddCertificate(ctx, c); err == nil {
			t.Errorf("certificate %+v was accepted", c)
		}
	}

	var added atomic.Int32
	race(50, func(i int) { // one key, many serials
		c := newCertificate("a", 100+i)
		c.KeyHash = strings.Repeat("99", 32)
		switch err := r.AddCertificate(ctx, c); {
		case err == nil:
			added.Add(1)
		case !errors.Is(err, posture.ErrKeyInUse):
			t.Error(err)
		}
	})
	if list, err := r.Certificates(ctx, "a"); added.Load() != 1 || len(list) != 3 || err != nil {
		t.Errorf("%d certificates with one key were added, the device now has %d: %v", added.Load(), len(list), err)
	}
}

func testRetire(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	_, err := r.RetireDevice(ctx, "a", "lost", day)
	wantErr(t, "retire nobody", err, posture.ErrNoDevice)
	addDevice(t, r, "a")
	addDevice(t, r, "b")
	const many = 300 // more than fit one commit
	race(many, func(i int) { addCertificate(t, r, newCertificate("a", i)) })
	addCertificate(t, r, newCertificate("b", many))

	at := day.Add(time.Hour)
	d, err := r.RetireDevice(ctx, "a", "lost", at)
	if err != nil || !d.Retired() || !d.RetiredAt.Equal(at) || d.RetireReason != "lost" {
		t.Fatalf("retired: %+v, %v", d, err)
	}
	if stored, err := r.Device(ctx, "a"); err != nil || !reflect.DeepEqual(stored, d) {
		t.Errorf("stored %+v, returned %+v: %v", stored, d, err)
	}
	list, err := r.Certificates(ctx, "a")
	if err != nil || len(list) != many {
		t.Fatalf("%d certificates: %v", len(list), err)
	}
	for _, c := range list {
		if !c.RevokedAt.Equal(at) || c.RevokeReason != "lost" {
			t.Fatalf("certificate %s is not revoked: %+v", c.Serial, c)
		}
	}
	if list, _ := r.Certificates(ctx, "b"); len(list) != 1 || list[0].Revoked() {
		t.Errorf("certificates of another device: %+v", list)
	}
	wantErr(t, "certificate of a retired device", r.AddCertificate(ctx, newCertificate("a", 9999)), posture.ErrRetired)

	again, err := r.RetireDevice(ctx, "a", "stolen", at.Add(time.Hour))
	if err != nil || again.RetireReason != "lost" || !again.RetiredAt.Equal(at) {
		t.Errorf("retired again: %+v, %v", again, err)
	}
}

// testRetireRace: however issuing and retiring fall together, no certificate of
// the device is good afterwards.
func testRetireRace(t *testing.T, kv store.KV) {
	r := store.New(kv)
	for round := range 10 {
		id := fmt.Sprintf("device-%d", round)
		addDevice(t, r, id)
		race(10, func(i int) {
			if i == 0 {
				if _, err := r.RetireDevice(context.WithoutCancel(t.Context()), id, "lost", day); err != nil {
					t.Error(err)
				}
				return
			}
			err := r.AddCertificate(t.Context(), newCertificate(id, round*100+i))
			if err != nil && !errors.Is(err, posture.ErrRetired) {
				t.Error(err)
			}
		})
		list, err := r.Certificates(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if !c.Revoked() {
				t.Errorf("certificate %s outlived its device", c.Serial)
			}
		}
	}
}
