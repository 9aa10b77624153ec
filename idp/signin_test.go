package idp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/certs"
	"gatepost.dev/conform"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

const user = "user@example.com"

func TestManagedDeviceSignsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	for name, o := range map[string]conform.RequestOptions{
		"redirect":        {Binding: conform.Redirect, Subject: user, RelayState: "https://acme.okta.com/app/x?y=1&z=ä"},
		"post":            {Binding: conform.Post, Subject: user, RelayState: "r"},
		"published shape": {Binding: conform.Post, Subject: user, Sample: true},
		"redirect sample": {Binding: conform.Redirect, Subject: user, Sample: true},
		"application":     {Subject: user, AppContext: &conform.AppContext{InstanceID: "0oa1", Name: " Payroll & <Co> "}},
	} {
		in := w.signIn(client, o)
		if !in.OK() || !in.Managed || !in.Compliant || in.Subject != user || in.Device.ID != "mac-1" || in.Device.Model != "Mac15,3" {
			t.Errorf("%s: %+v", name, in)
		}
		if !in.Seconded {
			t.Errorf("%s: crewjam's service provider did not second it", name)
		}
		d := w.lastDecision()
		if d.Outcome != posture.Asserted || d.DeviceID != "mac-1" || d.Subject != user || d.RequestID != in.RequestID || d.AnswerID != in.ResponseID || !d.Managed || d.Certificate == "" {
			t.Errorf("%s: decision %+v", name, d)
		}
	}
	if strings.Contains(w.logged.String(), "SAMLRe") {
		t.Error("the log holds messages")
	}
}

func TestSubjectIsOwnerWhenNobodyIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	if in := w.signIn(browser(w.certificate("mac-1", time.Hour)), conform.RequestOptions{}); in.Subject != "owner@example.com" {
		t.Errorf("subject %q", in.Subject)
	}
	must(w.records.UpdateDevice(t.Context(), "mac-2", func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{DeviceID: "mac-2", Facts: managed}, posture.Source{Name: "import", Kind: posture.Import}, w.now())
		return nil
	}))(t)
	in := w.signIn(browser(w.certificate("mac-2", time.Hour)), conform.RequestOptions{})
	if in.OK() || in.SubStatus != saml.StatusUnknownPrincipal {
		t.Errorf("a device without an owner, nobody named: %+v", in)
	}
}

// TestRefusals is every device that must not be asserted as managed, with the
// reason that Okta and the decision are told.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id, facts := range map[string]map[string]string{
		"managed": managed, "own": {posture.FactManaged: "false"}, "silent": nil, "retired": managed, "revoked": managed, "expiring": managed, "other": managed, "stale": managed,
	} {
		w.device(id, facts)
	}
	dir := t.TempDir()
	foreign := must(certs.CreateAuthority(filepath.Join(dir, "f.crt"), filepath.Join(dir, "f.key"), "Test device authority", w.now()))(t)
	fromForeign, _ := w.unrecorded(foreign, "managed", time.Hour)
	unrecorded, _ := w.unrecorded(w.authority, "managed", time.Hour)
	unknown, _ := w.unrecorded(w.authority, "nobody", time.Hour)
	retired := w.certificate("retired", time.Hour)
	must(w.records.RetireDevice(t.Context(), "retired", "lost", w.now()))(t)
	own, silent := w.certificate("own", time.Hour), w.certificate("silent", time.Hour)

	check := func(name string, client *http.Client, want posture.Reason) {
		t.Helper()
		in := w.signIn(client, conform.RequestOptions{Subject: user})
		d := w.lastDecision()
		if in.OK() || in.Status != saml.StatusResponder || in.SubStatus != saml.StatusAuthnFailed || in.StatusMessage != "DEVICE_NOT_MANAGED" || in.StatusDetail != string(want) {
			t.Errorf("%s: %+v, want AuthnFailed for %s", name, in, want)
		}
		if d.Outcome != posture.Refused || d.Managed || d.Compliant || d.Reason != want {
			t.Errorf("%s: decision %+v", name, d)
		}
		if !w.logged.wait(`"reference":"` + d.ID + `","reason":"` + string(want) + `"`) {
			t.Errorf("%s: the log does not give the reason", name)
		}
	}
	check("no certificate", browser(nil), posture.NoCertificate)
	check("foreign authority of the same name", browser(fromForeign), posture.UnknownDevice)
	check("certificate that was never recorded", browser(unrecorded), posture.UnknownDevice)
	check("device that is not there", browser(unknown), posture.UnknownDevice)
	check("retired", browser(retired), posture.RevokedCertificate)
	check("not managed", browser(own), posture.NotManaged)
	check("nobody says managed", browser(silent), posture.NotManaged)

	expiring := browser(w.certificate("expiring", 10*time.Minute))
	if in := w.signIn(expiring, conform.RequestOptions{Subject: user}); !in.OK() {
		t.Fatalf("before it expires: %+v", in)
	}
	w.offset.Store(int64(11 * time.Minute))
	check("expired on an open connection", expiring, posture.ExpiredCertificate)
	lasting := browser(w.certificate("stale", 30*24*time.Hour))
	w.offset.Store(int64(posture.DefaultMaxAge + time.Hour))
	check("stale", lasting, posture.Stale)
}

// TestRetiredOnOpenConnection checks that a device is refused at the next
// request, without a new handshake.
func TestRetiredOnOpenConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	if in := w.signIn(client, conform.RequestOptions{Subject: user}); !in.OK() {
		t.Fatalf("%+v", in)
	}
	must(w.records.RetireDevice(t.Context(), "mac-1", "lost", w.now()))(t)
	if in := w.signIn(client, conform.RequestOptions{Subject: user}); in.OK() || in.StatusDetail != string(posture.RevokedCertificate) {
		t.Errorf("after retiring, on the open connection: %+v", in)
	}
}

func TestRelyingPartyChooses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.party.AssertUnmanaged, w.party.RefuseNoncompliant = true, true })
	w.device("own", map[string]string{posture.FactManaged: "false", posture.FactCompliant: "true"})
	w.device("old", map[string]string{posture.FactManaged: "true", posture.FactCompliant: "false"})
	in := w.signIn(browser(w.certificate("own", time.Hour)), conform.RequestOptions{Subject: user})
	if !in.OK() || in.Managed || in.Compliant || in.Device.ID != "own" {
		t.Errorf("on_unmanaged assert: %+v", in)
	}
	if in = w.signIn(browser(nil), conform.RequestOptions{Subject: user}); !in.OK() || in.Managed || in.Device.ID != "" {
		t.Errorf("on_unmanaged assert without a certificate: %+v", in)
	}
	in = w.signIn(browser(w.certificate("old", time.Hour)), conform.RequestOptions{Subject: user})
	if in.OK() || in.StatusMessage != "DEVICE_NOT_COMPLIANT" || in.StatusDetail != string(posture.NotCompliant) {
		t.Errorf("on_noncompliant refuse: %+v", in)
	}
}

// TestDeviceCountsForItsOwner: with bind_owner a device proves nothing about
// anybody else.
func TestDeviceCountsForItsOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.party.BindOwner = posture.BindEnforce })
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	in := w.signIn(client, conform.RequestOptions{Subject: user})
	if in.OK() || in.StatusMessage != "DEVICE_NOT_MANAGED" || in.StatusDetail != string(posture.OwnerMismatch) || w.lastDecision().Reason != posture.OwnerMismatch {
		t.Errorf("somebody else: %+v", in)
	}
	for _, subject := range []string{"OWNER@example.com", ""} {
		if in := w.signIn(client, conform.RequestOptions{Subject: subject}); !in.OK() || !in.Managed {
			t.Errorf("the owner, named as %q: %+v", subject, in)
		}
	}
}

func TestNoncompliantIsAsserted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("old", map[string]string{posture.FactManaged: "true", posture.FactCompliant: "false"})
	if in := w.signIn(browser(w.certificate("old", time.Hour)), conform.RequestOptions{Subject: user}); !in.OK() || !in.Managed || in.Compliant {
		t.Errorf("%+v", in)
	}
}

func TestScopesAndEncryption(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	key := must(saml.NewEncryptionKey(w.party.SAML.Encryption))(t)
	for _, scope := range []saml.Scope{saml.SignBoth, saml.SignAssertion, saml.SignResponse} {
		for _, encrypt := range []*saml.EncryptionKey{nil, key} {
			w.party.Scope, w.party.Encrypt = scope, encrypt
			if in := w.signIn(client, conform.RequestOptions{Subject: user}); !in.OK() || !in.Managed || in.Encrypted != (encrypt != nil) {
				t.Errorf("scope %d, encrypted %t: %+v", scope, encrypt != nil, in)
			}
		}
	}
}

// TestStatuses is what a believed request may ask that cannot be given.
func TestStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	for name, tt := range map[string]struct {
		o   conform.RequestOptions
		sub string
	}{
		"other context":   {conform.RequestOptions{ClassRefs: []string{"urn:oasis:names:tc:SAML:2.0:ac:classes:Password"}}, saml.StatusNoAuthnContext},
		"better":          {conform.RequestOptions{Comparison: "better"}, saml.StatusNoAuthnContext},
		"name ID policy":  {conform.RequestOptions{NameIDFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos"}, saml.StatusInvalidNameIDPolicy},
		"another version": {conform.RequestOptions{Edit: func(e *etree.Element) { e.CreateAttr("Version", "2.1") }}, saml.StatusRequestVersionTooHigh},
	} {
		tt.o.Subject = user
		in := w.signIn(client, tt.o)
		if in.OK() || in.SubStatus != tt.sub {
			t.Errorf("%s: %+v, want %s", name, in, tt.sub)
		}
		if d := w.lastDecision(); d.Outcome != posture.Refused || d.Status == "" || d.Managed {
			t.Errorf("%s: decision %+v", name, d)
		}
	}
}

// TestBadRequests is everything that is answered with 400 and nothing else.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	request := func(o conform.RequestOptions) *conform.AuthnRequest {
		o.Subject = "secret-subject@example.com"
		return must(w.okta.Request(o))(t)
	}
	replayed := request(conform.RequestOptions{Binding: conform.Redirect})
	if p := w.send(client, replayed); p.status != http.StatusOK {
		t.Fatalf("%+v", p)
	}
	stranger := func(e *etree.Element) { e.FindElement("./Issuer").SetText("https://evil.example.com") }
	for name, tt := range map[string]struct {
		request *conform.AuthnRequest
		reason  string
	}{
		"replayed":            {replayed, "replayed"},
		"unknown party":       {request(conform.RequestOptions{Edit: stranger}), "unknown_relying_party"},
		"unsigned":            {request(conform.RequestOptions{Unsigned: true}), ""},
		"stale":               {request(conform.RequestOptions{IssueInstant: w.now().Add(-6 * time.Minute)}), ""},
		"future":              {request(conform.RequestOptions{IssueInstant: w.now().Add(2 * time.Minute)}), ""},
		"foreign consumer":    {request(conform.RequestOptions{ACS: "https://evil.example.com/acs"}), ""},
		"other destination":   {request(conform.RequestOptions{Destination: "https://evil.example.com/sso"}), ""},
		"relay no form bears": {request(conform.RequestOptions{Binding: conform.Redirect, RelayState: "a\nb"}), "relay_state"},
	} {
		before := len(w.logged.String())
		p := w.send(client, tt.request)
		if p.status != http.StatusBadRequest || p.response != "" || strings.Contains(p.body, "SAMLResponse") {
			t.Errorf("%s: status %d, body %s", name, p.status, p.body)
		}
		if strings.Contains(p.body, "secret-subject") || strings.Contains(p.body, "evil.example") {
			t.Errorf("%s: the page echoes the request: %s", name, p.body)
		}
		if record := w.logged.after(before, "\n"); !strings.Contains(record, `"reason":"`+tt.reason) || strings.Count(record, "\n") != 1 {
			t.Errorf("%s: log %s, want one record of reason %q", name, record, tt.reason)
		}
	}
	if n := len(must(w.records.LastDecisions(t.Context(), 100))(t)); n != 1 {
		t.Errorf("%d decisions recorded, want only that of the one good request", n)
	}
}

// TestHeadUsesNothingUp checks that a HEAD, which link checkers send, leaves the
// request usable.
func TestHeadUsesNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	r := must(w.okta.Request(conform.RequestOptions{Binding: conform.Redirect, Subject: user}))(t)
	resp := must(client.Head(r.URL))(t)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HEAD = %d", resp.StatusCode)
	}
	if p := w.send(client, r); p.status != http.StatusOK {
		t.Errorf("GET after HEAD = %d", p.status)
	}
}

// failing is an inventory and recorder that cannot be reached.
type failing struct{ device, decide error }

func (f failing) DevicesBySerial(context.Context, string) ([]posture.Device, error) {
	return nil, f.device
}

func (f failing) Device(context.Context, string) (posture.Device, error) {
	return posture.Device{}, f.device
}
func (f failing) Certificate(context.Context, string, string) (posture.Certificate, error) {
	return posture.Certificate{}, f.device
}
func (f failing) Decide(context.Context, posture.Decision, time.Time) error { return f.decide }

// TestStorageFailureIsNoAnswer checks that nothing is asserted or refused when
// the inventory cannot be read or the decision cannot be recorded.
func TestStorageFailureIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"inventory": func(w *world) { w.provider.Inventory = failing{device: errors.New("disk on fire")} },
		"record":    func(w *world) { w.provider.Recorder = failing{decide: errors.New("disk full")} },
	} {
		w := newWorld(t, change)
		w.device("mac-1", managed)
		client := browser(w.certificate("mac-1", time.Hour))
		p := w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: user}))(t))
		if p.status != http.StatusServiceUnavailable || p.response != "" || strings.Contains(p.body, "disk") {
			t.Errorf("%s: %d %s", name, p.status, p.body)
		}
	}
}

// TestAnsweredOnce races one request: of 20 copies one is answered.
func TestAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	r := must(w.okta.Request(conform.RequestOptions{Binding: conform.Redirect, Subject: user}))(t)
	statuses := make(chan int, 20)
	var group sync.WaitGroup
	for range cap(statuses) {
		group.Go(func() {
			resp, err := client.Get(r.URL)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		})
	}
	group.Wait()
	close(statuses)
	answered := 0
	for s := range statuses {
		if s == http.StatusOK {
			answered++
		} else if s != http.StatusBadRequest {
			t.Errorf("status %d", s)
		}
	}
	if answered != 1 {
		t.Errorf("%d of 20 copies of a request were answered", answered)
	}
}

// TestRotationFailsNoSignIn signs in while the key is staged, activated and its
// predecessor dropped, with an Okta that holds what was published at each step.
func TestRotationFailsNoSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	seen := map[string]bool{}
	try := func(step string) {
		t.Helper()
		p := w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: user}))(t))
		if _, err := w.okta.Receive(p.response, p.relay); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		xml := must(base64.StdEncoding.DecodeString(p.response))(t)
		doc := etree.NewDocument()
		if err := doc.ReadFromBytes(xml); err != nil {
			t.Fatal(err)
		}
		seen[doc.FindElement("//X509Certificate").Text()] = true
	}
	try("before")
	next := must(w.keyring.Rotate(w.now(), true))(t)
	try("staged, Okta not told yet")
	w.makeOkta() // the administrator uploads the second certificate
	try("staged, Okta told")
	if err := w.keyring.Activate(next.ID, w.now(), true); err != nil {
		t.Fatal(err)
	}
	try("activated")
	if len(seen) != 2 {
		t.Errorf("answers were signed by %d keys, want 2", len(seen))
	}
}

func TestRepeatedParameterIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := must(w.okta.Request(conform.RequestOptions{Binding: conform.Redirect, Subject: user}))(t)
	u := must(url.Parse(r.URL))(t)
	u.RawQuery += "&RelayState=x&RelayState=y"
	resp := must(browser(nil).Get(u.String()))(t)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
}
