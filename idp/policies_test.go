package idp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/contract"
	"gatepost.dev/idp"
	"gatepost.dev/posture"
)

// needs is a rule that a fact has a value, with a grace period.
type needs struct {
	fact, value string
	grace       time.Duration
}

func (r needs) Name() string { return "needs-" + r.fact }

func (r needs) Check(in *posture.Input) (posture.Failure, bool) {
	f := in.Device.Fact(r.fact, time.Hour, in.Now)
	return posture.Failure{Rule: r.Name(), Why: r.fact + " is not " + r.value, Grace: r.grace}, f != nil && f.Value == r.value
}

func (r needs) Explain(*posture.Input) posture.Finding { return posture.Finding{Rule: r.Name()} }

// say is one fact from the device's agent.
func (w *world) say(id, name, value string) {
	w.t.Helper()
	must(w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{DeviceID: id, Facts: map[string]string{name: value}}, posture.AgentSource(), w.now())
		return nil
	}))(w.t)
}

// TestPolicyOfApplication: two applications get different verdicts for one device,
// by the context that Okta sends, by both protocols.
func TestPolicyOfApplication(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t, func(w *world) {
		strict := &posture.Policy{Name: "strict", Rules: []posture.Rule{needs{fact: "DiskEncrypted", value: "true"}}}
		shadowed := &posture.Policy{Name: "shadowed", Shadow: strict}
		w.party.Applications = []idp.Application{
			{Names: posture.AppPolicy{ID: "0oapayroll"}, Policy: strict},
			{Names: posture.AppPolicy{ID: "0oawiki", Name: "Wiki"}, Policy: shadowed},
			{Names: posture.AppPolicy{Name: "Wiki"}, Policy: strict},
		}
	})
	for _, tt := range []struct {
		app       posture.AppContext
		policy    string
		compliant bool
		shadow    string
	}{
		{posture.AppContext{}, "default", true, ""},
		{posture.AppContext{InstanceID: "0oaother", Name: "Other"}, "default", true, ""},
		{posture.AppContext{InstanceID: "0oapayroll", Name: "Payroll"}, "strict", false, ""},
		{posture.AppContext{InstanceID: "0oawiki", Name: "Wiki"}, "shadowed", true, "strict"},
		{posture.AppContext{InstanceID: "0oawiki2", Name: "Wiki"}, "strict", false, ""},
	} {
		in := w.signIn(client, conform.RequestOptions{Subject: "owner@example.com", AppContext: &conform.AppContext{InstanceID: tt.app.InstanceID, Name: tt.app.Name}})
		d := w.lastDecision()
		if !in.OK() || in.Compliant != tt.compliant || d.Policy != tt.policy || d.Compliant != tt.compliant || d.App != tt.app {
			t.Errorf("SAML, %+v: %+v, decision %+v", tt.app, in, d)
		}
		if got := d.Shadow; (got != nil) != (tt.shadow != "") || got != nil && (got.Policy != tt.shadow || got.Compliant || len(got.Failures) != 1 || !got.Managed) {
			t.Errorf("SAML, %+v: shadow %+v", tt.app, got)
		}
		w.authorize(client, ask(contract.AppInstanceID, tt.app.InstanceID, contract.AppName, tt.app.Name))
		if d := w.lastDecision(); d.Protocol != "oidc" || d.Policy != tt.policy || d.Compliant != tt.compliant {
			t.Errorf("OIDC, %+v: decision %+v", tt.app, d)
		}
	}
}

// TestEmittedFacts: what the policy emits stands in the assertion as it was said,
// if it is fresh and can stand in XML, and for a managed device only.
func TestEmittedFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.party.Policy = &posture.Policy{Name: "default", Emit: []string{"DiskEncrypted", "Note", "Missing", "Old"}}
		w.party.AssertUnmanaged = true
	})
	facts := map[string]string{posture.FactManaged: "true", posture.FactCompliant: "true", "Note": "<a> & \x01 \"ü\" 日本"}
	w.device("dev-1", facts)
	w.say("dev-1", "DiskEncrypted", "true")
	must(w.records.UpdateDevice(t.Context(), "dev-1", func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{DeviceID: "dev-1", Facts: map[string]string{"Old": "1"}}, posture.Source{Name: "late", Kind: posture.Import}, w.now().Add(-30*24*time.Hour))
		return nil
	}))(t)
	client := browser(w.certificate("dev-1", time.Hour))
	in := w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"})
	want := []contract.Fact{
		{Name: posture.FactManaged, Value: "true"}, {Name: posture.FactCompliant, Value: "true"},
		{Name: "DiskEncrypted", Value: "true"}, {Name: "Note", Value: "<a> & \ufffd \"ü\" 日本"},
	}
	if !slices.Equal(in.Facts, want) {
		t.Errorf("facts %q, want %q", in.Facts, want)
	}
	facts[posture.FactManaged] = "false"
	w.device("dev-1", facts)
	if in := w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"}); len(in.Facts) != 2 {
		t.Errorf("of a device that is not managed: %q", in.Facts)
	}
}

// TestGraceRunsFromTheFirstFailure: the first sign-in that meets a failure starts
// the grace period, later ones do not start it anew, and when it is over the device
// is not compliant.
func TestGraceRunsFromTheFirstFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.party.Policy = &posture.Policy{Name: "default", Rules: []posture.Rule{needs{"DiskEncrypted", "true", 30 * time.Minute}}}
	})
	w.device("dev-1", managed)
	client := browser(w.certificate("dev-1", 10*time.Hour))
	compliant := func() bool {
		t.Helper()
		return w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"}).Compliant
	}
	for range 2 {
		if !compliant() {
			t.Error("within the grace period it is not compliant")
		}
		w.offset.Add(int64(20 * time.Minute))
	}
	if d := w.lastDecision(); len(d.Failures) != 1 || d.Failures[0].Until.IsZero() {
		t.Errorf("decision %+v", d)
	}
	if compliant() {
		t.Error("after the grace period it is compliant")
	}
	w.party.Policy = &posture.Policy{Name: "live", Shadow: w.party.Policy} // as the shadow of another it has run out as well
	w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"})
	if d := w.lastDecision(); d.Shadow == nil || d.Shadow.Compliant {
		t.Errorf("in the shadow: %+v", d.Shadow)
	}
	w.party.Policy = w.party.Policy.Shadow
	w.say("dev-1", "DiskEncrypted", "true")
	if !compliant() {
		t.Error("mended, it is not compliant")
	}
	w.party.Policy = &posture.Policy{Name: "live", Shadow: &posture.Policy{Name: "next", Rules: []posture.Rule{needs{"Missing", "true", time.Hour}}}}
	for _, want := range []bool{true, false} {
		w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"})
		if d := w.lastDecision(); d.Shadow == nil || d.Shadow.Compliant != want {
			t.Errorf("in the shadow: %+v", d.Shadow)
		}
		w.offset.Add(int64(time.Hour))
	}
	w.say("dev-1", "DiskEncrypted", "true")
	w.party.Policy = &posture.Policy{Name: "default", Rules: []posture.Rule{needs{"DiskEncrypted", "true", 30 * time.Minute}}}
	w.say("dev-1", "DiskEncrypted", "false")
	if !compliant() {
		t.Error("failing anew, it has no grace period")
	}
}

// TestQuarantineIsRefused: a device in quarantine is refused whatever the relying
// party wants of devices that are not compliant, and the decision says who keeps it
// out, why and until when.
func TestQuarantineIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("dev-1", managed)
	client := browser(w.certificate("dev-1", 10*time.Hour))
	q := posture.Quarantine{At: w.now(), Until: w.now().Add(time.Hour), By: "soc", Why: "alert 7"}
	must(w.records.UpdateDevice(t.Context(), "dev-1", func(d *posture.Device, _ bool) error {
		d.Quarantine = &q
		return nil
	}))(t)
	in := w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"})
	if in.OK() || in.StatusMessage != "DEVICE_NOT_COMPLIANT" || !strings.Contains(in.StatusDetail, string(posture.Quarantined)) {
		t.Errorf("answer %+v", in)
	}
	d := w.lastDecision()
	if d.Outcome != posture.Refused || d.Reason != posture.Quarantined || d.Quarantine == nil || d.Quarantine.By != q.By || d.Quarantine.Why != q.Why || !d.Quarantine.Until.Equal(q.Until) {
		t.Errorf("decision %+v", d)
	}
	w.offset.Add(int64(time.Hour))
	if in := w.signIn(client, conform.RequestOptions{Subject: "owner@example.com"}); !in.OK() || !in.Compliant {
		t.Errorf("after its end: %+v", in)
	}
}

// TestQuarantineOfUnmanagedIsRefused: no reason for which a device in quarantine is
// not managed gets it asserted, and the decision tells of the quarantine.
func TestQuarantineOfUnmanagedIsRefused(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t, func(w *world) { w.party.AssertUnmanaged, w.party.BindOwner = true, posture.BindEnforce })
	refused := func(what, subject string, reason posture.Reason) {
		t.Helper()
		in := w.signIn(client, conform.RequestOptions{Subject: subject})
		if d := w.lastDecision(); in.OK() || d.Outcome != posture.Refused || d.Reason != reason || d.Quarantine == nil {
			t.Errorf("%s: %+v, decision %+v", what, in, d)
		}
		got := w.authorize(client, ask("login_hint", subject))
		if d := w.lastDecision(); got.fields.Has("code") || d.Outcome != posture.Refused || d.Quarantine == nil {
			t.Errorf("%s by OpenID Connect: %v, decision %+v", what, got.fields, d)
		}
	}
	if in := w.signIn(client, conform.RequestOptions{Subject: "al@example.com"}); !in.OK() || in.Managed {
		t.Fatalf("without quarantine: %+v", in)
	}
	must(w.records.UpdateDevice(t.Context(), "mac-1", func(d *posture.Device, _ bool) error {
		d.Quarantine = &posture.Quarantine{At: w.now(), By: "soc", Why: "alert 7"}
		return nil
	}))(t)
	refused("its owner", "owner@example.com", posture.Quarantined)
	refused("somebody else", "al@example.com", posture.OwnerMismatch)
	w.party.Policy = &posture.Policy{Name: "default", ManagedMaxAge: time.Nanosecond}
	refused("stale", "owner@example.com", posture.Stale)
}
