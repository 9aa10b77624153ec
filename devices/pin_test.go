package devices_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

var ekA, ekB = strings.Repeat("a1", 32), strings.Repeat("b2", 32)

// attested gives the device a certificate for a key that its TPM vouched for.
func (w *world) attested(id, ek string, pinned bool) {
	w.t.Helper()
	hash := hex.EncodeToString([]byte(id + strings.Repeat("k", 32-len(id))))
	_, err := w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.EK = ek
		d.NoteAttested(posture.AttestedKey{Format: "tpm", KeyHash: hash, HardwareID: ek, Pinned: pinned, At: begin})
		return nil
	})
	if err == nil {
		err = w.records.AddCertificate(w.t.Context(), posture.Certificate{
			Authority: "a", Serial: "01" + id, DeviceID: id, KeyHash: hash, Agent: true, Rank: posture.RankAttested, NotBefore: begin, NotAfter: begin.AddDate(0, 1, 0),
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rank(id string) posture.Rank {
	w.t.Helper()
	all, err := w.records.Certificates(w.t.Context(), id)
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%+v, %v", all, err)
	}
	return all[0].Rank
}

func TestPinEK(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"d1", "d2", "gone"} {
		w.add(imported(id, "SERIAL"+id, "Acme"))
	}
	w.attested("d1", ekA, false)
	ctx := t.Context()

	// A pin of the TPM that is known changes nothing but whose word it is.
	d, err := w.decider.PinEK(ctx, "d1", devices.Pin{EK: strings.ToUpper(ekA), By: "ann"})
	if err != nil || d.EK != ekA || d.EKPinnedBy != "ann" || w.rank("d1") != posture.RankAttested {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = w.decider.UnpinEK(ctx, "d1"); err != nil || d.EK != ekA || d.EKPinnedBy != "" || w.rank("d1") != posture.RankAttested {
		t.Errorf("taken back: %+v, %v", d, err)
	}
	// Of another, the keys of the former count no more.
	if d, err = w.decider.PinEK(ctx, "d1", devices.Pin{EK: ekB, By: "ann"}); err != nil || d.EK != ekB || len(d.AttestedKeys) != 0 || w.rank("d1") != posture.RankSoftware {
		t.Errorf("another: %+v, %v", d, err)
	}
	if _, err := w.decider.PinEK(ctx, "d2", devices.Pin{EK: ekB, By: "ann"}); !errors.Is(err, posture.ErrEKInUse) {
		t.Errorf("another device's: %v", err)
	}
	if d, err = w.decider.UnpinEK(ctx, "d1"); err != nil || d.EK != "" || d.EKClaimed != ekB {
		t.Errorf("taken back: %+v, %v", d, err)
	}
	if d, err = w.decider.PinEK(ctx, "d1", devices.Pin{Claimed: true, By: "ann"}); err != nil || d.EK != ekB || d.EKClaimed != "" {
		t.Errorf("the claimed one: %+v, %v", d, err)
	}

	// A key that counts by the pin alone goes with it.
	if _, err := w.decider.PinEK(ctx, "d2", devices.Pin{EK: ekA, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.attested("d2", ekA, true)
	if d, err = w.decider.UnpinEK(ctx, "d2"); err != nil || d.EK != "" || d.EKClaimed != ekA || w.rank("d2") != posture.RankSoftware {
		t.Errorf("a pinned key: %+v, %v", d, err)
	}

	if _, err := w.actor.Retire(ctx, devices.Target{Device: "gone"}, "lost"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		id   string
		pin  devices.Pin
		want error
	}{
		"nobody signs":    {"d2", devices.Pin{EK: ekA}, devices.ErrPin},
		"a signature":     {"d2", devices.Pin{EK: ekA, By: "ann\n"}, devices.ErrPin},
		"short":           {"d2", devices.Pin{EK: ekA[:62], By: "ann"}, devices.ErrPin},
		"no digits":       {"d2", devices.Pin{EK: strings.Repeat("z", 64), By: "ann"}, devices.ErrPin},
		"empty":           {"d2", devices.Pin{By: "ann"}, devices.ErrPin},
		"nothing claimed": {"d1", devices.Pin{Claimed: true, By: "ann"}, devices.ErrPin},
		"no device":       {"d3", devices.Pin{EK: ekA, By: "ann"}, posture.ErrNoDevice},
		"retired":         {"gone", devices.Pin{EK: ekA, By: "ann"}, posture.ErrRetired},
	} {
		if _, err := w.decider.PinEK(ctx, tt.id, tt.pin); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := w.decider.UnpinEK(ctx, "d2"); !errors.Is(err, devices.ErrPin) {
		t.Errorf("nothing to take back: %v", err)
	}
}
