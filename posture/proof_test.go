package posture_test

import (
	"fmt"
	"testing"
	"time"

	"gatepost.dev/posture"
)

func TestRanksAreOrdered(t *testing.T) {
	t.Parallel()
	ranks := posture.Ranks()
	for i, r := range ranks {
		for j, demanded := range ranks {
			if r.AtLeast(demanded) != (i >= j) {
				t.Errorf("%s does where %s is demanded: %t", r, demanded, r.AtLeast(demanded))
			}
		}
		if !r.Valid() || !r.AtLeast("") {
			t.Errorf("%s is no rank, or does not do where none is demanded", r)
		}
	}
	for _, r := range []posture.Rank{"", "tpm"} {
		if r.Valid() || r.AtLeast(posture.RankProxy) || !r.AtLeast("") {
			t.Errorf("%q is a rank", r)
		}
	}
}

// TestJudgeTakesProofs: a proof that the policy does not take is none, and a
// verdict without a sign-in asks for none.
func TestJudgeTakesProofs(t *testing.T) {
	t.Parallel()
	d := posture.Device{Facts: []posture.Fact{said(posture.FactCompliant, "true", posture.Import, 0), said(posture.FactManaged, "true", posture.Import, 0)}}
	strict := &posture.Policy{Rank: posture.RankHardware, Methods: []posture.Method{posture.ByCertificate}}
	for _, tt := range []struct {
		policy *posture.Policy
		proof  *posture.Proof
		reason posture.Reason
	}{
		{&posture.Policy{}, &posture.Proof{Method: posture.ByChallenge, Rank: posture.RankProxy}, ""},
		{strict, nil, ""},
		{strict, &posture.Proof{Method: posture.ByCertificate, Rank: posture.RankHardware}, ""},
		{strict, &posture.Proof{Method: posture.ByCertificate, Rank: posture.RankAttested}, ""},
		{strict, &posture.Proof{Method: posture.ByCertificate, Rank: posture.RankSoftware}, posture.WeakProof},
		{strict, &posture.Proof{Method: posture.ByChallenge, Rank: posture.RankAttested}, posture.WeakProof},
		{strict, &posture.Proof{}, posture.WeakProof},
	} {
		v := posture.Judge(&posture.Input{Device: &d, Proof: tt.proof, Now: now}, tt.policy)
		if v.Reason != tt.reason || v.Managed != (tt.reason == "") || v.Compliant != v.Managed {
			t.Errorf("%+v of %+v: %+v", tt.policy, tt.proof, v)
		}
	}
	d.Quarantine = &posture.Quarantine{At: now, By: "ann", Why: "lost"}
	if v := posture.Judge(&posture.Input{Device: &d, Proof: &posture.Proof{}, Now: now}, strict); v.Quarantine == nil || v.Managed {
		t.Errorf("in quarantine: %+v", v)
	}
}

func TestAttestedKeysAreBounded(t *testing.T) {
	t.Parallel()
	var d posture.Device
	for i := range 20 {
		d.NoteAttested(posture.AttestedKey{Format: "tpm", KeyHash: fmt.Sprint(i), At: now.Add(time.Duration(i))})
	}
	if len(d.AttestedKeys) != 16 || d.AttestedKey("3") != nil || d.AttestedKey("19") == nil || d.AttestedKey("4") == nil {
		t.Errorf("%+v", d.AttestedKeys)
	}
	d.NoteAttested(posture.AttestedKey{Format: "apple", KeyHash: "4"})
	if k := d.AttestedKey("4"); len(d.AttestedKeys) != 16 || k.Format != "apple" {
		t.Errorf("%+v", d.AttestedKeys)
	}
}
