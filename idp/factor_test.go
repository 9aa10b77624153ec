package idp_test

import (
	"net/http"
	"testing"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/contract"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

// TestFactor: a good device is a factor, whatever its system, and any other is
// refused, however the relying party has it answered as a posture.
func TestFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.party.SAML.Use, w.party.AssertUnmanaged = saml.UseFactor, true })
	w.device("linux-1", managed)
	w.device("linux-2", map[string]string{posture.FactManaged: "true", posture.FactCompliant: "false"})
	w.device("linux-3", map[string]string{posture.FactManaged: "false"})
	client := browser(w.certificate("linux-1", time.Hour))
	for name, tt := range map[string]struct {
		o    conform.RequestOptions
		want string
	}{
		"nothing asked": {conform.RequestOptions{}, saml.ClassX509},
		"redirect":      {conform.RequestOptions{Binding: conform.Redirect, RelayState: "r", AppContext: &conform.AppContext{InstanceID: "0oa1", Name: "Wiki "}}, saml.ClassX509},
		"exact":         {conform.RequestOptions{Comparison: "exact", ClassRefs: []string{saml.ClassTLSClient}}, saml.ClassTLSClient},
	} {
		tt.o.Subject, tt.o.Factor = user, true
		in := w.signIn(client, tt.o)
		if !in.OK() || in.ClassRef != tt.want || in.Subject != user || in.Device.ID != "" || !in.Seconded {
			t.Errorf("%s: %+v", name, in)
		}
		if d := w.lastDecision(); d.Outcome != posture.Asserted || d.DeviceID != "linux-1" || !d.Compliant {
			t.Errorf("%s: decision %+v", name, d)
		}
	}
	for id, want := range map[string]string{"linux-2": "DEVICE_NOT_COMPLIANT", "linux-3": contract.DeviceNotManaged, "": contract.DeviceNotManaged} {
		other := browser(nil)
		if id != "" {
			other = browser(w.certificate(id, time.Hour))
		}
		if in := w.signIn(other, conform.RequestOptions{Subject: user, Factor: true}); in.OK() || in.SubStatus != saml.StatusAuthnFailed || in.StatusMessage != want {
			t.Errorf("%q: %+v", id, in)
		}
	}
	if in := w.signIn(client, conform.RequestOptions{Subject: user}); in.OK() || in.SubStatus != saml.StatusNoAuthnContext {
		t.Errorf("a posture: %+v", in)
	}
}

// TestBothUses: the context that is asked for says which.
func TestBothUses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.party.SAML.Use = saml.UseBoth })
	w.device("mac-1", map[string]string{posture.FactManaged: "true", posture.FactCompliant: "false"})
	client := browser(w.certificate("mac-1", time.Hour))
	if in := w.signIn(client, conform.RequestOptions{Subject: user}); !in.OK() || in.ClassRef != contract.DevicePosture || !in.Managed || in.Compliant {
		t.Errorf("posture: %+v", in)
	}
	if in := w.signIn(client, conform.RequestOptions{Subject: user, Factor: true}); in.OK() || in.StatusMessage != "DEVICE_NOT_COMPLIANT" {
		t.Errorf("factor: %+v", in)
	}
}

// TestFactorIsExplained: mended, the device is a factor; as it is, it is refused.
func TestFactorIsExplained(t *testing.T) {
	t.Parallel()
	for choice, ok := range map[string]bool{"check": true, "continue": false} {
		w, client := explaining(t, func(w *world) { w.party.SAML.Use = saml.UseFactor })
		action, ticket := w.explanation(w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: user, Factor: true}))(t)))
		if ok {
			w.mend("mac-1")
		}
		p := w.choose(client, action, ticket, choice)
		in, err := w.okta.Receive(p.response, p.relay)
		if err != nil || in.OK() != ok || p.status != http.StatusOK {
			t.Errorf("%s: %+v, %v", choice, in, err)
		}
	}
}
