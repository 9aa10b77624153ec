package acme

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// failing is a store of which some calls fail.
type failing struct {
	*store.Records
	read, update, claim, devices bool
}

var errDisk = errors.New("the disk is gone")

func (f *failing) ACMERecord(ctx context.Context, id string) (posture.ACMERecord, error) {
	if f.read {
		return posture.ACMERecord{}, errDisk
	}
	return f.Records.ACMERecord(ctx, id)
}

func (f *failing) UpdateACMERecord(ctx context.Context, id string, change func(a *posture.ACMERecord, exists bool) error) error {
	if f.update {
		return errDisk
	}
	return f.Records.UpdateACMERecord(ctx, id, change)
}

func (f *failing) Claim(ctx context.Context, c posture.Claim) error {
	if f.claim {
		return errDisk
	}
	return f.Records.Claim(ctx, c)
}

func (f *failing) Device(ctx context.Context, id string) (posture.Device, error) {
	if f.devices {
		return posture.Device{}, errDisk
	}
	return f.Records.Device(ctx, id)
}

func (f *failing) EnrollDevice(ctx context.Context, id string, c posture.Claim, decide func(e *posture.Enrolling) error) error {
	if f.devices {
		return errDisk
	}
	return f.Records.EnrollDevice(ctx, id, c, decide)
}

// TestStoreFails: what cannot be read or written is 503, issues nothing and ends no
// order.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", "ek-1", "")
	f := &failing{Records: w.records}
	w.server.Records, w.server.Inventory = f, f
	enroller, ok := w.server.Enroller.(*devices.Enroller)
	if !ok {
		t.Fatalf("%T enrols", w.server.Enroller)
	}
	enroller.Records = f
	c, key := w.client(), newKey(t)
	id, token := c.order("mac-1")
	evidence := c.evidence(token, key.Public(), nil)
	down := func(what string, a answer) {
		t.Helper()
		if a.status != http.StatusServiceUnavailable || a.kind != "serverInternal" || w.issued("mac-1") != 0 {
			t.Errorf("%s: %+v", what, a)
		}
	}
	for what, fails := range map[string]*bool{"reading": &f.read, "writing": &f.update, "claiming": &f.claim, "the inventory": &f.devices} {
		*fails = true
		down(what+" fails at the challenge", c.post(pathChallenge+id, evidence))
		*fails = false
	}
	if a := c.post(pathChallenge+id, evidence); a.body["status"] != "valid" {
		t.Fatalf("the store is back: %+v", a)
	}
	for what, fails := range map[string]*bool{"reading": &f.read, "claiming": &f.claim, "enrolling": &f.devices} {
		*fails = true
		down(what+" fails at the end", c.finalize(id, key))
		*fails = false
	}
	if a := c.finalize(id, key); a.body["status"] != "valid" || w.issued("mac-1") != 1 {
		t.Errorf("the store is back: %+v", a)
	}
}
