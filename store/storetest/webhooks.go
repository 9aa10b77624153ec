package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// testWebhooks: what happens is queued for those who want to know, in order, in
// the commit that writes it into the log.
func testWebhooks(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for _, w := range []posture.Webhook{
		{Name: "all", VerifiedAt: day}, {Name: "some", Events: []posture.EventKind{posture.DeviceRetired}, VerifiedAt: day}, {Name: "unverified"},
	} {
		if err := r.AddWebhook(ctx, w); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "again", r.AddWebhook(ctx, w), posture.ErrExists)
	}
	refused := newDecision(1)
	refused.Outcome, refused.Reason = posture.Refused, posture.NotManaged
	decide(t, r, newDecision(0))
	decide(t, r, refused)
	for _, step := range []func(d *posture.Device){
		func(d *posture.Device) { d.Quarantine = &posture.Quarantine{At: day, By: "soc", Why: "alert"} },
		func(d *posture.Device) { d.Quarantine = nil },
		func(d *posture.Device) { d.Owner = "not told" },
	} {
		_, err := r.UpdateDevice(ctx, "mac-1", func(d *posture.Device, _ bool) error {
			d.ID, d.UpdatedAt = "mac-1", day
			step(d)
			return nil
		})
		wantErr(t, "update", err, nil)
	}
	_, err := r.RetireDevice(ctx, "mac-1", "lost", day)
	wantErr(t, "retire", err, nil)
	seal(t, r)
	queued := func(name string) (bodies []string) {
		for {
			d, ok, err := r.First(ctx, name+" ")
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return bodies
			}
			bodies = append(bodies, string(d.Body))
			wantErr(t, "delivered", r.Delivered(ctx, name+" ", d.ID), nil)
		}
	}
	for name, want := range map[string]string{
		"all":        "[sign_in.refused a not_managed device.quarantined mac-1 alert device.released mac-1  device.retired mac-1 lost]",
		"some":       "[device.retired mac-1 lost]",
		"unverified": "[]",
	} {
		if got := fmt.Sprint(queued(name)); got != want {
			t.Errorf("for %s waits %s, want %s", name, got, want)
		}
	}
	testDeadLetters(t, r)
}

func testDeadLetters(t *testing.T, r *store.Records) {
	ctx := t.Context()
	for range 2 {
		if err := r.Note(ctx, posture.Event{Time: day, Kind: posture.ImportHeld, Why: "held"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, first := range []bool{true, false} {
		told, err := r.NoteOnce(ctx, "key 1", posture.Event{Time: day, Kind: posture.KeyExpiring, Why: "key 1"})
		if err != nil || told != first {
			t.Errorf("told %t, %v", told, err)
		}
	}
	seal(t, r)
	var ids []string
	for range 3 {
		d, ok, err := r.First(ctx, "all ")
		if err != nil || !ok {
			t.Fatalf("%t, %v", ok, err)
		}
		ids = append(ids, d.ID)
		d.Tries, d.Error = 7, "down"
		wantErr(t, "failed", r.Failed(ctx, "all ", d), nil)
		if again, _, err := r.First(ctx, "all "); err != nil || again.ID != d.ID || again.Tries != 7 {
			t.Errorf("%+v, %v", again, err)
		}
		wantErr(t, "give up", r.GiveUp(ctx, "all ", d), nil)
	}
	if _, ok, err := r.First(ctx, "all "); ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	dead, err := r.Dead(ctx, "all ", ids[0], 1)
	if err != nil || len(dead) != 1 || dead[0].ID != ids[1] || dead[0].Error != "down" {
		t.Errorf("%+v, %v", dead, err)
	}
	later := day.Add(48 * time.Hour)
	wantErr(t, "retry", r.RetryDead(ctx, "all ", ids[2], later), nil)
	wantErr(t, "retry again", r.RetryDead(ctx, "all ", ids[2], later), posture.ErrNoDelivery)
	if d, ok, err := r.First(ctx, "all "); err != nil || !ok || d.ID != ids[2] || d.Tries != 0 || !d.Since.Equal(later) {
		t.Errorf("%+v, %t, %v", d, ok, err)
	}
	// Nothing is left of what is removed, and another of its name begins anew.
	wantErr(t, "remove", r.RemoveWebhook(ctx, "all"), nil)
	wantErr(t, "remove again", r.RemoveWebhook(ctx, "all"), posture.ErrNoWebhook)
	_, ok, err := r.First(ctx, "all ")
	if dead, deadErr := r.Dead(ctx, "all ", "", 10); ok || len(dead) != 0 || errors.Join(err, deadErr) != nil {
		t.Errorf("left are %t, %+v, %v, %v", ok, dead, err, deadErr)
	}
	_, err = r.VerifyWebhook(ctx, "all", later)
	wantErr(t, "verify", err, posture.ErrNoWebhook)
	for n := range 18 {
		wantErr(t, "add", r.AddWebhook(ctx, posture.Webhook{Name: fmt.Sprint("n", n), VerifiedAt: day}), nil)
	}
	wantErr(t, "add one too many", r.AddWebhook(ctx, posture.Webhook{Name: "more"}), store.ErrTooMany)
	// With as many as there may be an event still fits into one commit.
	for n := range 20 {
		decide(t, r, newDecision(100+n))
		wantErr(t, "note", r.Note(ctx, posture.Event{Time: day, Kind: posture.ImportHeld}), nil)
	}
	seal(t, r)
	if _, err := verifyLog(t, r); err != nil {
		t.Error(err)
	}
}
