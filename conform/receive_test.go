package conform

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/contract"
)

// request makes a request for testUser.
func request(t testing.TB, o *Okta, change func(*RequestOptions)) *AuthnRequest {
	t.Helper()
	opts := RequestOptions{Subject: testUser, RelayState: "https://acme.okta.example/app/UserHome"}
	if change != nil {
		change(&opts)
	}
	req, err := o.Request(opts)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestReceiveAccepts(t *testing.T) {
	t.Parallel()
	app := &AppContext{InstanceID: "0oa1", Name: "Wiki with a trailing space "}
	for name, c := range map[string]struct {
		answer  response
		okta    func(*OktaConfig)
		request func(*RequestOptions)
		unasked bool // crewjam/saml cannot judge it
	}{
		"both signed":      {answer: signedBoth()},
		"assertion signed": {answer: response{signAssertion: true, key: idpKeys()}},
		"response signed":  {answer: response{signResponse: true, key: idpKeys()}},
		"scope response":   {answer: signedBoth(), okta: func(c *OktaConfig) { c.Signature = ScopeResponse }},
		"scope token":      {answer: signedBoth(), okta: func(c *OktaConfig) { c.Signature = ScopeToken }},
		"second key":       {answer: signedBoth(), okta: func(c *OktaConfig) { c.Certificates = append(c.Certificates, otherKeys().cert) }},
		"older key": {answer: response{signResponse: true, signAssertion: true, key: otherKeys()},
			okta: func(c *OktaConfig) { c.Certificates = append(c.Certificates, otherKeys().cert) }},
		"aes128-gcm":                     {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes128-gcm"}},
		"aes256-gcm":                     {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes256-gcm"}},
		"aes128-cbc":                     {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), encrypt: nsEncrypt + "aes128-cbc"}},
		"aes256-cbc":                     {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), encrypt: nsEncrypt + "aes256-cbc"}},
		"aes128-gcm, only outer signed":  {answer: response{signResponse: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes128-gcm"}},
		"aes256-gcm, only outer signed":  {answer: response{signResponse: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes256-gcm"}, unasked: true},
		"aes256-gcm, only inner signed":  {answer: response{signAssertion: true, key: idpKeys(), encrypt: nsEncrypt11 + "aes256-gcm"}},
		"application context":            {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), app: app}, request: func(o *RequestOptions) { o.AppContext = app }},
		"application context, unasked":   {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), app: app}},
		"application context, each time": {answer: response{signResponse: true, signAssertion: true, key: idpKeys(), app: app}, okta: func(c *OktaConfig) { c.SendAppContext = app }},
		"sample request":                 {answer: signedBoth(), request: func(o *RequestOptions) { o.Sample = true }},
		"no subject":                     {answer: signedBoth(), request: func(o *RequestOptions) { o.Subject = "" }},
		"another clock":                  {answer: signedBoth(), okta: func(c *OktaConfig) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } }, unasked: true},
		"comments": {answer: response{signResponse: true, signAssertion: true, key: idpKeys(),
			after: func(r *etree.Element) { r.InsertChildAt(0, etree.NewComment("c")) }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTestOkta(t, c.okta)
			req := request(t, o, c.request)
			got, err := o.Receive(c.answer.answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
			if err != nil {
				t.Fatal(err)
			}
			if !got.OK() || got.Subject != testUser || !got.Managed || got.Compliant || got.RequestID != req.ID || got.AssertionID == "" {
				t.Errorf("got %+v", got)
			}
			if got.Device != (contract.Device{ID: "98bcb804", Vendor: "Apple", Model: "iPhoneX", OS: "iOS", OSVersion: "10.2"}) ||
				!slices.Equal(got.Facts, []contract.Fact{{Name: "IsManaged", Value: "true"}, {Name: "IsCompliant", Value: "false"}}) || len(got.Attestations) != 1 {
				t.Errorf("got %+v", got)
			}
			if got.Seconded == c.unasked || got.Encrypted != (c.answer.encrypt != "") {
				t.Errorf("seconded %v, encrypted %v", got.Seconded, got.Encrypted)
			}
			if sent := o.cfg.SendAppContext; sent != nil && got.AppContext != *app {
				t.Errorf("application context %q", got.AppContext)
			}
		})
	}
}

// TestReceiveSubjectSpace: white space is XML's four characters (XML 1.0 2.3).
// Another one at an end is the user's, which the simulator took for a
// difference once.
func TestReceiveSubjectSpace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ asked, answered, rule string }{
		{" \t\r\nuser@example.com \t\r\n", "user@example.com", ""},
		{"\u00a0user@example.com\u00a0", "\u00a0user@example.com\u00a0", ""},
		{"\nuser@example.com\u2003\n", "user@example.com\u2003", ""},
		{"user@example.com\u00a0", "user@example.com", "name-id"},
		{"user@example.com", "user@example.com\u00a0", "name-id"},
		{"user@example.com ", "user@example.com ", "name-id"},
	} {
		o := newTestOkta(t, nil)
		req := request(t, o, func(r *RequestOptions) { r.Subject = c.asked })
		_, err := o.Receive(spoil(say(c.answered, "Assertion", "Subject", "NameID")).answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
		if c.rule == "" && err != nil {
			t.Errorf("%q, %q: %v", c.asked, c.answered, err)
		}
		if c.rule != "" {
			wantRejection(t, err, c.rule, "")
		}
	}
}

// TestReceiveFailure: a signed failure is the provider's word, not a fault.
func TestReceiveFailure(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, func(c *OktaConfig) { c.Signature = ScopeToken })
	req := request(t, o, nil)
	failed := response{signResponse: true, key: idpKeys(), edit: fail}
	got, err := o.Receive(failed.answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
	if err != nil {
		t.Fatal(err)
	}
	if got.OK() || got.Status != statusPrefix+"Responder" || got.SubStatus != statusPrefix+"AuthnFailed" ||
		got.StatusMessage != "DEVICE_NOT_MANAGED" || got.StatusDetail != "no_certificate" || got.AssertionID != "" || got.Managed {
		t.Errorf("got %+v", got)
	}
	_, err = o.Receive(failed.answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
	if r, ok := errors.AsType[*Rejection](err); !ok || r.Rule != "in-response-to" {
		t.Errorf("the second answer: %v", err)
	}
}

// fail turns the sample into the contract's failure.
func fail(root *etree.Element) {
	root.RemoveChild(root.SelectElement("Assertion"))
	code := at(root, "Status", "StatusCode")
	code.SelectAttr("Value").Value = statusPrefix + "Responder"
	code.CreateElement("samlp:StatusCode").CreateAttr("Value", statusPrefix+"AuthnFailed")
	status := root.SelectElement("Status")
	status.CreateElement("samlp:StatusMessage").SetText(contract.DeviceNotManaged)
	reason := status.CreateElement("samlp:StatusDetail").CreateElement("g:Reason")
	reason.CreateAttr("xmlns:g", "urn:x")
	reason.SetText("no_certificate")
}

func TestReceiveReplay(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	const relay = "https://acme.okta.example/app/UserHome"
	var first string
	same := signedBoth()
	same.edit = func(r *etree.Element) { r.SelectElement("Assertion").SelectAttr("ID").Value = "_once" }
	req := request(t, o, nil)
	first = same.answerTo(t, o, req.ID)
	if _, err := o.Receive(first, relay); err != nil {
		t.Fatal(err)
	}
	const text = "A SAML Assertion with the same ID [_once] has already been processed"
	for name, posted := range map[string]string{
		"the same answer again":              first,
		"the assertion's ID, in another one": same.answerTo(t, o, request(t, o, nil).ID),
	} {
		_, err := o.Receive(posted, relay)
		if r, ok := errors.AsType[*Rejection](err); !ok || r.Text != text || r.Rule != "replay" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := o.Receive(signedBoth().answerTo(t, o, req.ID), relay)
	if r, ok := errors.AsType[*Rejection](err); !ok || r.Rule != "in-response-to" {
		t.Errorf("another answer to an answered request: %v", err)
	}
}

// One request is answered once, however many answers come at the same time.
func TestReceiveAtOnce(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	req := request(t, o, nil)
	var accepted, rejected sync.Map
	var wg sync.WaitGroup
	for i := range 16 {
		posted := signedBoth().answerTo(t, o, req.ID)
		wg.Go(func() {
			if _, err := o.Receive(posted, "https://acme.okta.example/app/UserHome"); err == nil {
				accepted.Store(i, true)
			} else if r, ok := errors.AsType[*Rejection](err); ok && r.Rule == "in-response-to" {
				rejected.Store(i, true)
			}
		})
	}
	wg.Wait()
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	if count(&accepted) != 1 || count(&rejected) != 15 {
		t.Errorf("%d accepted, %d rejected", count(&accepted), count(&rejected))
	}
}

func TestRecentForgets(t *testing.T) {
	t.Parallel()
	r := recent[int]{limit: 3}
	for i, key := range strings.Split("a b c d", " ") {
		r.put(key, i)
	}
	if _, found := r.get("a"); found || len(r.m) != 3 || len(r.order) != 3 {
		t.Errorf("kept %v in %v", r.m, r.order)
	}
	r.take("d")
	if _, found := r.get("d"); found {
		t.Error("d was taken and is there")
	}
	o := newTestOkta(t, nil)
	for range maxOpen + 10 {
		o.remember(newID(t, o), sent{})
	}
	if len(o.open.m) != maxOpen || len(o.open.order) != maxOpen {
		t.Errorf("%d open requests", len(o.open.m))
	}
}

func newID(t *testing.T, o *Okta) string {
	t.Helper()
	id, err := o.randomID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func FuzzReceive(f *testing.F) {
	o := newTestOkta(f, nil)
	req := request(f, o, nil)
	f.Add(string(signedBoth().xmlTo(f, newTestOkta(f, nil), "other")))
	unsigned := response{}
	f.Add(string(unsigned.xmlTo(f, o, req.ID)))
	tampered := signedBoth()
	tampered.after = func(r *etree.Element) { at(r, "Assertion", "Subject", "NameID").SetText("admin@example.com") }
	f.Add(string(tampered.xmlTo(f, o, req.ID)))
	short := response{signResponse: true, key: otherKeys(), encrypt: nsEncrypt11 + "aes128-gcm"}
	f.Add(string(short.xmlTo(f, o, req.ID)))
	f.Add("<Response/>")
	f.Fuzz(func(t *testing.T, doc string) {
		signIn, err := o.Receive(encode(doc), "https://acme.okta.example/app/UserHome")
		if err == nil {
			t.Fatalf("accepted: %+v", signIn)
		}
		if _, ok := errors.AsType[*Rejection](err); !ok {
			t.Fatalf("not a rejection: %v", err)
		}
		if len(doc) < 1000 {
			if _, err := o.Receive(doc, ""); err == nil {
				t.Fatal("accepted as it is")
			}
		}
	})
}
