package idp_test

import (
	"testing"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/posture"
)

// TestRankIsJudgedAndRecorded: the policy's demand is held against what the
// inventory knows of the very certificate, and the decision says what it was.
func TestRankIsJudgedAndRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	want := func(what string, demanded, rank posture.Rank, reason posture.Reason) {
		t.Helper()
		w.party.Policy = &posture.Policy{Name: "default", Rank: demanded}
		in := w.signIn(client, conform.RequestOptions{Subject: user})
		d := w.lastDecision()
		if in.Managed != (reason == "") || in.StatusDetail != string(reason) || d.Reason != reason || d.DeviceID != "mac-1" ||
			d.Proof != (posture.Proof{Method: posture.ByCertificate, Rank: rank}) {
			t.Errorf("%s: managed %t, detail %q, decision %+v", what, in.Managed, in.StatusDetail, d)
		}
	}
	want("from before there were ranks", posture.RankSoftware, posture.RankSoftware, "")
	want("too weak", posture.RankHardware, posture.RankSoftware, posture.WeakProof)
	must(w.records.UpdateHardware(t.Context(), "mac-1", func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		k.Certificates[0].Rank = posture.RankAttested
		return k.Certificates, nil
	}))(t)
	want("attested", posture.RankHardware, posture.RankAttested, "")

	if w.signIn(browser(nil), conform.RequestOptions{Subject: user}); w.lastDecision().Proof != (posture.Proof{}) {
		t.Errorf("no certificate: %+v", w.lastDecision())
	}
}
