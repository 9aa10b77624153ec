package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/contract"
	"gatepost.dev/posture"
)

// account is what happened in one sign-in, seen from outside: what the browser
// carried, what was recorded, and what Okta said.
type account struct {
	Scenario string            `json:"scenario"`
	Title    string            `json:"title"`
	Protocol string            `json:"protocol"` // saml or oidc
	User     string            `json:"user"`
	Device   *accountDevice    `json:"device"`            // null: the browser has no certificate
	Request  *requestMessage   `json:"request,omitempty"` // by SAML
	Decision *posture.Decision `json:"decision,omitempty"`
	Response *responseMessage  `json:"response,omitempty"`

	Authorization *authorizationMessage `json:"authorization_request,omitempty"` // by OpenID Connect
	Callback      *callbackMessage      `json:"callback,omitempty"`
	Tokens        *tokensMessage        `json:"tokens,omitempty"`

	Okta  map[string]string `json:"okta,omitempty"`
	Want  outcome           `json:"expected"`
	Right bool              `json:"right"`
	Wrong []string          `json:"wrong,omitempty"` // what is not as expected
}

type accountDevice struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Owner    string    `json:"owner"`
	Serial   string    `json:"certificate"`
	NotAfter time.Time `json:"certificate_not_after"`
}

// signIn runs the scenario and gives an account of it. What goes wrong on the
// way is in the account.
func (d *demo) signIn(ctx context.Context, s *scenario) *account {
	a := &account{Scenario: s.ID, Title: s.Title, Protocol: s.protocol(), User: s.User, Want: s.Want}
	if err := d.fill(ctx, s, a); err != nil {
		a.Wrong = append(a.Wrong, err.Error())
	} else {
		a.judge()
	}
	a.Right = len(a.Wrong) == 0
	return a
}

func (d *demo) fill(ctx context.Context, s *scenario, a *account) error {
	b, err := d.browserFor(s, a)
	if err != nil {
		return err
	}
	defer b.close()
	x, err := b.signIn(ctx, d.oktaURL()+s.start())
	a.Request, a.Response, a.Okta = x.request, x.response, x.result
	a.Authorization, a.Callback, a.Tokens = x.asked, x.answered, x.tokens
	if err != nil {
		return err
	}
	id := ""
	switch {
	case s.OIDC && x.asked != nil && x.answered != nil:
		id = x.asked.ID
	case !s.OIDC && x.request != nil && x.response != nil:
		id = x.request.ID
	default:
		return errors.New("the browser saw no request or no answer")
	}
	a.Decision, err = d.decision(ctx, id)
	return err
}

func (s *scenario) protocol() string {
	if s.OIDC {
		return "oidc"
	}
	return "saml"
}

// start is where at Okta the sign-in starts.
func (s *scenario) start() string {
	path, query := "/login?", url.Values{"user": {s.User}}
	if s.OIDC {
		path = "/oidc/login?"
	} else {
		query.Set("binding", string(s.Binding))
	}
	if s.App != "" {
		query.Set("app", s.App)
	}
	return path + query.Encode()
}

// browserFor makes a browser that holds the certificate of the scenario's
// device.
func (d *demo) browserFor(s *scenario, a *account) (*browser, error) {
	if s.Device == "" {
		return newBrowser(d.roots, nil)
	}
	device := d.device(s.Device)
	if device == nil {
		return nil, fmt.Errorf("no device %q in the demo", s.Device)
	}
	leaf := device.certificate.Leaf
	a.Device = &accountDevice{
		ID: device.ID, Name: device.name(), Owner: device.Owner, Serial: leaf.SerialNumber.Text(16), NotAfter: leaf.NotAfter,
	}
	return newBrowser(d.roots, device.certificate)
}

// recentDecisions is where the decision on a sign-in of just now is.
const recentDecisions = 100

// decision finds the record of what was decided on a request.
func (d *demo) decision(ctx context.Context, requestID string) (*posture.Decision, error) {
	list, err := d.admin.Decisions(ctx, admin.DecisionQuery{Last: recentDecisions})
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	for i := range list.Decisions {
		if list.Decisions[i].RequestID == requestID {
			return &list.Decisions[i], nil
		}
	}
	return nil, fmt.Errorf("no decision on request %q is recorded", requestID)
}

// judge compares what came of the sign-in with what is right.
func (a *account) judge() {
	a.expect("protocol", a.Decision.Protocol, a.Protocol)
	a.expect("decision", string(a.Decision.Outcome), string(a.Want.Decision))
	a.expect("managed", yesNo(a.Decision.Managed), yesNo(a.Want.Managed))
	a.expect("compliant", yesNo(a.Decision.Compliant), yesNo(a.Want.Compliant))
	a.expect("reason", string(a.Decision.Reason), string(a.Want.Reason))
	device := ""
	if a.Device != nil {
		device = a.Device.ID
	}
	a.expect("device", a.Decision.DeviceID, device)
	a.expect("Okta's outcome", a.Okta["outcome"], a.Want.Okta)
	if a.Want.Decision == posture.Refused {
		a.expect("Okta's error", a.Okta["error"], contract.DeviceNotManaged)
		if a.Response != nil {
			a.expect("detail of the answer", a.Response.Detail, string(a.Want.Reason))
		} else {
			a.expect("error", a.Callback.Error, "access_denied")
		}
		return
	}
	if a.Tokens != nil {
		a.expect("device in the ID token", a.Tokens.Device.ExternalID, device)
		a.expect("what Okta would like better", a.Tokens.Findings, "")
	}
	a.expect("user of Okta", a.Okta["user"], a.User)
	a.expect("managed at Okta", a.Okta["managed"], fmt.Sprint(a.Want.Managed))
	a.expect("compliant at Okta", a.Okta["compliant"], fmt.Sprint(a.Want.Compliant))
}

func (a *account) expect(what, got, want string) {
	if got != want {
		a.Wrong = append(a.Wrong, fmt.Sprintf("%s: %q instead of %q", what, got, want))
	}
}
