package devices_test

import (
	"net/http"
	"testing"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// TestTwoLiveKeysForOneSerial: whoever an administrator named, two machines with
// one serial number are one too many, and both are refused until he decides.
func TestTwoLiveKeysForOneSerial(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.machine("PF3TWIN").mustEnrol(w.token(devices.NewToken{DeviceID: "first", Managed: true}))
	first.want("report", first.said(1), http.StatusAccepted, "")
	second := w.machine("pf3twin").mustEnrol(w.token(devices.NewToken{DeviceID: "second", Managed: true}))
	if second.answer.DeviceID != "second" || second.answer.State != agentapi.Held {
		t.Fatalf("%+v", second.answer)
	}
	for _, id := range []string{"first", "second"} {
		if d := w.device(id); d.Suspected == nil || w.judge(&d).Reason != posture.CloneSuspected {
			t.Errorf("%s: %+v", id, d)
		}
	}
	first.want("report of a suspect", first.said(2), http.StatusForbidden, agentapi.CodeSuspected)
	second.want("report of a suspect", second.said(1), http.StatusForbidden, agentapi.CodeSuspected)
	if _, err := w.decider.Release(t.Context(), "second", ""); err != nil {
		t.Fatal(err)
	}
	second.want("report of the one that was released", second.said(1), http.StatusAccepted, "")
	first.want("report of the other", first.said(2), http.StatusForbidden, agentapi.CodeSuspected)

	// A serial number that many have, or of another maker, makes no twins.
	for i, m := range []*machine{w.machine("Default string"), w.machine("Default string"), w.machine("PF3TWIN")} {
		if i == 2 {
			m.hardware.Vendor = "Apple"
		}
		if m.mustEnrol(w.token(devices.NewToken{})); m.answer.State != agentapi.Pending {
			t.Errorf("%d: %+v", i, m.answer)
		}
	}
}
