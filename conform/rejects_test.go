package conform

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/contract"
)

func TestReceiveRejects(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{"second-opinion": true} // see TestSecondOpinionRefuses
	for name, c := range mutations() {
		tested[c.rule] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTestOkta(t, nil)
			req := request(t, o, nil)
			if !strings.Contains("well-formed response", c.rule) && c.answer.edit != nil {
				edit := c.answer.edit
				c.answer.edit = func(r *etree.Element) { r.SelectAttr("ID").Value = "_r"; edit(r) }
			}
			_, err := o.Receive(c.answer.answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome")
			wantRejection(t, err, c.rule, strings.ReplaceAll(c.text, "{request}", req.ID))
			// A refusal costs nothing: the genuine answer is still welcome.
			if _, err := o.Receive(signedBoth().answerTo(t, o, req.ID), "https://acme.okta.example/app/UserHome"); err != nil {
				t.Errorf("the good answer afterwards: %v", err)
			}
		})
	}
	for _, r := range [...]string{"relay-state", "app-context", "replay", "context"} { // the tests of these names
		tested[r] = true
	}
	for _, rules := range [][]*rule{messageRules, assertionRules, failureRules} {
		for _, r := range rules {
			if !tested[r.id] {
				t.Errorf("rule %s has no failing vector", r.id)
			}
			if r.citation == "" || r.text == "" {
				t.Errorf("rule with a hole: %+v", r)
			}
		}
	}
}

func wantRejection(t *testing.T, err error, rule, text string) {
	t.Helper()
	if text == "" {
		text = "Unable to validate incoming SAML Assertion."
	}
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		t.Fatalf("got %v, want a rejection by %s", err, rule)
	}
	if r.Rule != rule || r.Text != text {
		t.Errorf("got %s: %q (%v)\nwant %s: %q", r.Rule, r.Text, r.Cause, rule, text)
	}
}

func TestReceiveRejectsBytes(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	good := string(signedBoth().xmlTo(t, o, request(t, o, nil).ID))
	for name, posted := range map[string]string{
		"nothing":     "",
		"no base64":   "<Response/>",
		"no XML":      encode("hello"),
		"doctype":     encode("<!DOCTYPE x>" + good[strings.Index(good, "<samlp:"):]),
		"two roots":   encode(good + "<x/>"),
		"instruction": encode(strings.Replace(good, "<samlp:Status>", "<?x y?><samlp:Status>", 1)),
		"cut off":     encode(good[:len(good)-20]),
		"too large":   encode(strings.Repeat(" ", maxResponse) + good),
		"deep":        encode(strings.Repeat("<a>", 5000) + strings.Repeat("</a>", 5000)),
	} {
		_, err := o.Receive(posted, "https://acme.okta.example/app/UserHome")
		t.Run(name, func(t *testing.T) { wantRejection(t, err, "well-formed", "") })
	}
}

func TestReceiveRelayState(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	for _, p := range []response{signedBoth(), {signResponse: true, key: idpKeys(), edit: fail}} {
		_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/Other")
		wantRejection(t, err, "relay-state", "")
	}
}

func TestReceiveAppContext(t *testing.T) {
	t.Parallel()
	const text = "The AppContext response from the Identity Provider is invalid"
	app := &AppContext{InstanceID: "0oa1", Name: "Wiki "}
	for name, got := range map[string]*AppContext{
		"missing": nil, "trimmed": {"0oa1", "Wiki"}, "other case": {"0OA1", "Wiki "}, "empty": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTestOkta(t, func(c *OktaConfig) { c.SendAppContext = app })
			p := signedBoth()
			p.app = got
			_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
			wantRejection(t, err, "app-context", text)
		})
	}
}

// TestReceiveAppContextTwice: the right value first does not excuse another one
// after it, wherever it stands.
func TestReceiveAppContextTwice(t *testing.T) {
	t.Parallel()
	app := &AppContext{InstanceID: "0oa1", Name: "Wiki"}
	for _, name := range []string{contract.AppInstanceID, contract.AppName} {
		for _, tag := range []string{"AttributeValue", "Attribute", "AttributeStatement"} {
			t.Run(name+" in another "+tag, func(t *testing.T) {
				t.Parallel()
				o := newTestOkta(t, func(c *OktaConfig) { c.SendAppContext = app })
				p := signedBoth()
				p.app = app
				p.edit = func(r *etree.Element) {
					value := r.FindElement("//Attribute[@Name='" + name + "']/AttributeValue")
					el := value
					for el.Tag != tag {
						el = el.Parent()
					}
					el.Parent().InsertChildAt(el.Index(), el.Copy())
					value.SetText("another")
				}
				_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
				wantRejection(t, err, "app-context", "The AppContext response from the Identity Provider is invalid")
			})
		}
	}
}

func TestReceiveScope(t *testing.T) {
	t.Parallel()
	for scope, p := range map[Scope]response{
		ScopeResponse: {signAssertion: true, key: idpKeys()},
		ScopeToken:    {signResponse: true, key: idpKeys()},
	} {
		o := newTestOkta(t, func(c *OktaConfig) { c.Signature = scope })
		_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
		wantRejection(t, err, "signature-scope", "")
	}
}

// The leeway is Okta's clock skew: none by default, and no more than configured.
func TestReceiveClockSkew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		skew, clock time.Duration
		rule        string
	}{
		{0, -2 * time.Second, "response-instant"},
		{time.Minute, -2 * time.Second, ""},
		{time.Minute, -2 * time.Minute, "response-instant"},
		{0, 5 * time.Minute, "confirmation"},
		{time.Minute, 5 * time.Minute, ""},
		{time.Minute, 7 * time.Minute, "confirmation"},
	} {
		okta := newTestOkta(t, func(cfg *OktaConfig) { cfg.ClockSkew = c.skew })
		posted := signedBoth().answerTo(t, okta, request(t, okta, nil).ID)
		late := time.Now().Add(c.clock)
		okta.cfg.Now = func() time.Time { return late }
		_, err := okta.Receive(posted, "https://acme.okta.example/app/UserHome")
		if c.rule == "" && err != nil {
			t.Errorf("skew %v, clock %v: %v", c.skew, c.clock, err)
		}
		if c.rule != "" {
			wantRejection(t, err, c.rule, "")
		}
	}
}

// TestSecondOpinionRefuses: what crewjam/saml alone refuses is refused. It
// reads the certificate of KeyInfo, which nothing else here does.
func TestSecondOpinionRefuses(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	p := response{signAssertion: true, key: idpKeys(), after: func(r *etree.Element) {
		at(r, "Assertion", "Signature", "KeyInfo", "X509Data", "X509Certificate").SetText(base64.StdEncoding.EncodeToString(otherKeys().cert.Raw))
	}}
	_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
	wantRejection(t, err, "second-opinion", "")
}
