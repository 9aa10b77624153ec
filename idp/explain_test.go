package idp_test

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/conform"
	"gatepost.dev/idp"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

// demand is a rule that wants a fact to be "true".
type demand struct {
	fact     string
	severity posture.Severity
	grace    time.Duration
}

func (d demand) Name() string { return d.fact }

func (d demand) Check(in *posture.Input) (posture.Failure, bool) {
	for _, f := range in.Device.Facts {
		if f.Name == d.fact && f.Value == "true" {
			return posture.Failure{}, true
		}
	}
	return posture.Failure{Rule: d.fact, Why: d.fact + " is off", Help: "Turn " + d.fact + " on.", Link: "https://help.example.com/" + d.fact, Severity: d.severity, Grace: d.grace}, false
}

func (d demand) Explain(*posture.Input) posture.Finding { return posture.Finding{Rule: d.fact} }

// explaining is a world whose relying party has explained what is wrong, and a
// browser on a managed device whose disk is not encrypted.
func explaining(t *testing.T, change ...func(*world)) (*world, *http.Client) {
	t.Helper()
	return newOIDCWorld(t, append([]func(*world){func(w *world) {
		w.party.ExplainNoncompliant = true
		w.party.Policy = &posture.Policy{Name: "strict", Rules: []posture.Rule{demand{fact: "DiskEncrypted"}, demand{fact: "Updated", grace: 72 * time.Hour}, demand{fact: "Locks", severity: posture.Warn}}}
	}}, change...)...)
}

// mend has the device's agent report that the disk is encrypted.
func (w *world) mend(id string) {
	w.t.Helper()
	must(w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{DeviceID: id, Facts: map[string]string{"DiskEncrypted": "true"}}, posture.Source{Name: "agent", Kind: posture.Agent}, w.now())
		d.Agent = &posture.AgentState{Sequence: 2, ReceivedAt: w.now()}
		return nil
	}))(w.t)
}

// explanation takes the form out of the page, which must be one.
func (w *world) explanation(p page) (action, ticket string) {
	w.t.Helper()
	for _, m := range valuePattern.FindAllStringSubmatch(p.body, -1) {
		if m[1] == "ticket" {
			ticket = html.UnescapeString(m[2])
		}
	}
	if p.status != http.StatusOK || p.response != "" || ticket == "" {
		w.t.Fatalf("no explanation: %d %s\n%s", p.status, p.body, w.logged)
	}
	return p.action, ticket
}

// choose posts the form of the page.
func (w *world) choose(client *http.Client, action, ticket, choice string) page {
	w.t.Helper()
	resp := must(client.PostForm(action, url.Values{"ticket": {ticket}, "choice": {choice}}))(w.t)
	defer resp.Body.Close()
	return readPage(w.t, resp)
}

// undecided makes sure that nothing was recorded.
func (w *world) undecided() {
	w.t.Helper()
	if last := must(w.records.LastDecisions(w.t.Context(), 1))(w.t); len(last) != 0 {
		w.t.Errorf("recorded: %+v", last)
	}
}

func TestExplainedMendedSignedIn(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]conform.RequestOptions{
		"redirect": {Binding: conform.Redirect, Subject: user, RelayState: "https://acme.okta.com/app/x?y=1&z=ä%20+"},
		"post":     {Binding: conform.Post, Subject: user, RelayState: "r&=\r\n'\"<"},
	} {
		w, client := explaining(t)
		p := w.send(client, must(w.okta.Request(o))(t))
		action, ticket := w.explanation(p)
		for _, want := range []string{"DiskEncrypted is off", "Turn DiskEncrypted on.", "https://help.example.com/DiskEncrypted", "Updated is off", "Accepted until ", "Locks is off", "Apple Mac15,3"} {
			if !strings.Contains(p.body, want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		w.offset.Add(int64(8 * time.Minute)) // longer than a request may be old
		again := w.choose(client, action, ticket, "check")
		action, ticket = w.explanation(again)
		if !strings.Contains(again.body, "Checked again at") {
			t.Errorf("%s: %s", name, again.body)
		}
		w.undecided()
		w.mend("mac-1")
		w.offset.Add(int64(6 * time.Minute))
		p = w.choose(client, action, ticket, "check")
		in, err := w.okta.Receive(p.response, p.relay)
		if err != nil || !in.OK() || !in.Managed || !in.Compliant || in.Subject != user || p.relay != o.RelayState {
			t.Fatalf("%s: %+v, %v, relay state %q", name, in, err, p.relay)
		}
		if d := w.lastDecision(); d.Outcome != posture.Asserted || !d.Compliant || d.RequestID != in.RequestID || d.DeviceID != "mac-1" {
			t.Errorf("%s: decision %+v", name, d)
		}
	}
}

func TestExplainedAndContinued(t *testing.T) {
	t.Parallel()
	w, client := explaining(t)
	r := must(w.okta.Request(conform.RequestOptions{Subject: user, RelayState: "r"}))(t)
	action, ticket := w.explanation(w.send(client, r))
	_, other := w.explanation(w.send(client, r)) // the page was loaded again
	p := w.choose(client, action, ticket, "continue")
	in, err := w.okta.Receive(p.response, p.relay)
	if err != nil || !in.OK() || !in.Managed || in.Compliant {
		t.Fatalf("%+v, %v", in, err)
	}
	if d := w.lastDecision(); d.Outcome != posture.Asserted || d.Compliant || d.Reason != posture.NotCompliant || len(d.Failures) != 3 {
		t.Errorf("decision %+v", d)
	}

	// It was answered: by this ticket, by another of it, and as it came.
	again := func(name string, p page) {
		t.Helper()
		if p.status != http.StatusBadRequest || p.response != "" || !w.logged.wait(`"reason":"replayed"`) {
			t.Errorf("%s: %d %s", name, p.status, p.body)
		}
	}
	again("the ticket", w.choose(client, action, ticket, "continue"))
	w.mend("mac-1")
	again("the request", w.send(client, r))
	w.offset.Add(int64(14 * time.Minute))
	if err := w.records.SweepClaims(t.Context(), w.now()); err != nil {
		t.Fatal(err)
	}
	again("another ticket, late", w.choose(client, action, other, "check"))
}

func TestExplainedByOIDC(t *testing.T) {
	t.Parallel()
	w, client := explaining(t)
	endpoint := w.op.AuthorizeURL + "/continue"
	get := func(method string) (ticket string) {
		t.Helper()
		got := w.do(client, method, w.op.AuthorizeURL, ask("state", "s &=+ä", "login_hint", user))
		action, ticket := w.explanation(page{status: got.status, body: got.body, action: endpoint})
		if !strings.Contains(got.body, `action="`+action+`"`) {
			t.Errorf("action in %s", got.body)
		}
		return ticket
	}
	choose := func(ticket, choice string) reply {
		t.Helper()
		return w.do(client, http.MethodPost, endpoint, url.Values{"ticket": {ticket}, "choice": {choice}})
	}
	verdict := func(got reply, compliant bool) {
		t.Helper()
		if got.status != http.StatusSeeOther || got.fields.Get("state") != "s &=+ä" {
			t.Fatalf("%d %v %s", got.status, got.fields, got.body)
		}
		device, _ := w.tokens(w.redeem(got.fields.Get("code"))).claims["device_context"].(map[string]any)
		if device["managed"] != true || device["compliant"] != compliant {
			t.Errorf("device_context %v", device)
		}
	}
	ticket := get(http.MethodGet)
	w.undecided()
	verdict(choose(ticket, "continue"), false)
	if got := choose(ticket, "continue"); got.status != http.StatusBadRequest || !w.logged.wait(`"reason":"replayed"`) {
		t.Errorf("answered twice: %d %s", got.status, got.body)
	}
	ticket = get(http.MethodPost)
	if got := choose(ticket, "check"); got.status != http.StatusOK || !strings.Contains(got.body, ticket) {
		t.Errorf("not mended: %d %s", got.status, got.body)
	}
	w.mend("mac-1")
	w.offset.Add(int64(14 * time.Minute))
	verdict(choose(ticket, "check"), true)

	if got := w.authorize(client, ask("prompt", "none")); got.status != http.StatusSeeOther {
		t.Errorf("prompt=none: %d %s", got.status, got.body)
	}
}

// TestTicketsAreRefused: whatever is not the ticket of this device and this time
// gets nothing, and does not use the request up.
func TestTicketsAreRefused(t *testing.T) {
	t.Parallel()
	w, client := explaining(t)
	w.device("mac-2", managed)
	other, nobody := browser(w.certificate("mac-2", time.Hour)), browser(nil)
	expiring := browser(w.certificate("mac-1", 10*time.Minute))
	r := must(w.okta.Request(conform.RequestOptions{Subject: user, RelayState: "r"}))(t)
	action, ticket := w.explanation(w.send(client, r))
	tampered := []byte(ticket)
	tampered[len(tampered)/2] ^= 1
	refused := func(name string, client *http.Client, action, ticket, choice, reason string) {
		t.Helper()
		before := len(w.logged.String())
		p := w.choose(client, action, ticket, choice)
		if p.status != http.StatusBadRequest || p.response != "" || strings.Contains(p.body, "DiskEncrypted") || strings.Contains(p.body, "mac-1") {
			t.Errorf("%s: %d %s", name, p.status, p.body)
		}
		if want := `"reason":"` + reason + `"`; !strings.Contains(w.logged.after(before, want), want) {
			t.Errorf("%s: not logged as %s", name, reason)
		}
	}
	for _, choice := range []string{"check", "continue"} {
		refused("other device", other, action, ticket, choice, "ticket_device")
		refused("no certificate", nobody, action, ticket, choice, "ticket_device")
	}
	refused("tampered", client, action, string(tampered), "continue", "ticket")
	refused("not base64", client, action, "!", "continue", "ticket")
	refused("empty", client, action, "", "continue", "ticket")
	refused("other choice", client, action, ticket, "approve", "malformed")
	refused("other protocol", client, w.op.AuthorizeURL+"/continue", ticket, "continue", "ticket")
	foreign := must(idp.NewTickets(make([]byte, 32)))(t)
	w.provider.Explainer, foreign = &idp.Explainer{Tickets: foreign, Inventory: w.records}, w.provider.Explainer.Tickets
	refused("of another key", client, action, ticket, "continue", "ticket")
	w.provider.Explainer = &idp.Explainer{Tickets: foreign, Inventory: w.records}
	w.party.ExplainNoncompliant = false
	refused("nothing explained any more", client, action, ticket, "continue", "ticket_party")
	w.party.ExplainNoncompliant = true

	w.offset.Add(int64(11 * time.Minute))
	refused("expired certificate", expiring, action, ticket, "continue", "ticket_device")
	w.undecided()
	if p := w.choose(client, action, ticket, "continue"); p.response == "" {
		t.Errorf("after all that: %d %s", p.status, p.body)
	}
	w.offset.Add(int64(5 * time.Minute))
	refused("expired", client, action, ticket, "continue", "ticket_expired")
}

func TestRetiredWhileItWaited(t *testing.T) {
	t.Parallel()
	for _, choice := range []string{"check", "continue"} {
		w, client := explaining(t)
		action, ticket := w.explanation(w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: user}))(t)))
		must(w.records.RetireDevice(t.Context(), "mac-1", "lost", w.now()))(t)
		p := w.choose(client, action, ticket, choice)
		in, err := w.okta.Receive(p.response, p.relay)
		if err != nil || in.OK() || in.SubStatus != saml.StatusAuthnFailed || in.StatusDetail != string(posture.RevokedCertificate) {
			t.Errorf("%s: %+v, %v, %s", choice, in, err, p.body)
		}
	}
}

// TestNotExplained is who gets an answer at once.
func TestNotExplained(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*world)
		o      conform.RequestOptions
		ok     bool
	}{
		"compliant": {func(w *world) { w.mend("mac-1") }, conform.RequestOptions{Subject: user}, true},
		"passive":   {nil, conform.RequestOptions{Subject: user, Edit: func(root *etree.Element) { root.CreateAttr("IsPassive", "true") }}, true},
		"asserted":  {func(w *world) { w.party.ExplainNoncompliant = false }, conform.RequestOptions{Subject: user}, true},
		"no rules": {func(w *world) {
			w.party.Policy = &posture.Policy{Name: "x"}
			w.device("mac-1", map[string]string{posture.FactCompliant: "false"})
		}, conform.RequestOptions{Subject: user}, true},
		"nothing to explain by": {func(w *world) { w.provider.Explainer = nil }, conform.RequestOptions{Subject: user}, true},
		"not managed":           {func(w *world) { w.device("mac-1", map[string]string{posture.FactManaged: "false"}) }, conform.RequestOptions{Subject: user}, false},
		"quarantined": {func(w *world) {
			must(w.records.UpdateDevice(w.t.Context(), "mac-1", func(d *posture.Device, _ bool) error {
				d.Quarantine = &posture.Quarantine{At: w.now(), By: "admin", Why: "malware"}
				return nil
			}))(w.t)
		}, conform.RequestOptions{Subject: user}, false},
	} {
		w, client := explaining(t)
		if tt.change != nil {
			tt.change(w)
		}
		if in := w.signIn(client, tt.o); in.OK() != tt.ok {
			t.Errorf("%s: %+v", name, in)
		}
	}
}

// agent reports when it is asked to, a moment later.
type agent struct {
	w     *world
	err   error
	asked atomic.Int64
	done  chan struct{}
}

func (a *agent) Recheck(_ context.Context, id string) error {
	a.asked.Add(1)
	if a.err == nil {
		go func() {
			defer close(a.done)
			time.Sleep(300 * time.Millisecond)
			a.w.mend(id)
		}()
	}
	return a.err
}

// TestCheckAgainAsksTheAgent: the page waits for the report that it asked for, and
// is none the worse when there is none to be had.
func TestCheckAgainAsksTheAgent(t *testing.T) {
	t.Parallel()
	w, client := explaining(t)
	agent := &agent{w: w, done: make(chan struct{})}
	w.provider.Explainer.Rechecker = agent
	r := must(w.okta.Request(conform.RequestOptions{Subject: user}))(t)
	action, ticket := w.explanation(w.send(client, r))
	action, ticket = w.explanation(w.choose(client, action, ticket, "check"))
	if agent.asked.Load() != 0 {
		t.Error("a device without an agent was asked")
	}
	must(w.records.UpdateDevice(t.Context(), "mac-1", func(d *posture.Device, _ bool) error {
		d.Agent = &posture.AgentState{Sequence: 1, ReceivedAt: w.now().Add(-time.Hour)}
		return nil
	}))(t)
	agent.err = errors.New("away")
	action, ticket = w.explanation(w.choose(client, action, ticket, "check"))
	if !w.logged.wait(`"recheck":"away"`) {
		t.Error("not logged")
	}
	agent.err = nil
	p := w.choose(client, action, ticket, "check")
	<-agent.done
	if in, err := w.okta.Receive(p.response, p.relay); err != nil || !in.Compliant || agent.asked.Load() != 2 {
		t.Errorf("%+v, %v, asked %d times: %s", in, err, agent.asked.Load(), p.body)
	}
}

// TestForcedAnewWhileItWaits: ForceAuthn holds for the answer too: the key is
// proved on a new connection.
func TestForcedAnewWhileItWaits(t *testing.T) {
	t.Parallel()
	w, client := explaining(t)
	client.CheckRedirect = nil
	action, ticket := w.explanation(w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: user, ForceAuthn: true}))(t)))
	w.offset.Add(int64(time.Minute))
	p := w.choose(client, action, ticket, "continue")
	if in, err := w.okta.Receive(p.response, p.relay); err != nil || !in.OK() || in.Compliant {
		t.Errorf("%+v, %v: %s", in, err, p.body)
	}
	if !w.logged.wait(`"outcome":"reconnect"`) {
		t.Error("answered on the old connection")
	}
}
