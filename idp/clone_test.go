package idp_test

import (
	"testing"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/posture"
)

// TestSuspectsAreRefused: a device that may be two, and a certificate that is
// held, are refused at the next click on the same connection, and let in again
// once an administrator has decided.
func TestSuspectsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	change := func(change func(k *posture.KnownHardware)) {
		t.Helper()
		must(w.records.UpdateHardware(t.Context(), "mac-1", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
			change(k)
			return k.Certificates, nil
		}))(t)
	}
	want := func(what string, managed bool, reason posture.Reason) {
		t.Helper()
		in := w.signIn(client, conform.RequestOptions{Subject: user})
		d := w.lastDecision()
		if in.Managed != managed || in.StatusDetail != string(reason) || d.Reason != reason || d.DeviceID != "mac-1" {
			t.Errorf("%s: managed %t, detail %q, decision %+v", what, in.Managed, in.StatusDetail, d)
		}
	}
	want("at first", true, "")
	change(func(k *posture.KnownHardware) { k.Device.Suspected = &posture.Suspicion{At: w.now(), Why: "two boots"} })
	want("suspected", false, posture.CloneSuspected)
	change(func(k *posture.KnownHardware) { k.Device.Release(w.now()) })
	want("released", true, "")
	change(func(k *posture.KnownHardware) { k.Certificates[0].Held = true })
	want("held", false, posture.CloneSuspected)
	change(func(k *posture.KnownHardware) { k.Certificates[0].Held = false })
	want("kept", true, "")
	change(func(k *posture.KnownHardware) {
		k.Certificates[0].RevokedAt, k.Certificates[0].RevokeReason = w.now(), "given up"
	})
	want("revoked", false, posture.RevokedCertificate)
}
