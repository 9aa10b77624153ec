package conform

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatepost.dev/contract"
)

// OIDCSignIn is a genuine answer by OpenID Connect: claims about a device, or
// the provider's refusal.
type OIDCSignIn struct {
	State string

	// Of a refusal; the rest is empty then.
	Error            string // for example access_denied
	ErrorDescription string // for example DEVICE_NOT_MANAGED

	Code        string
	AccessToken string
	Subject     string
	Managed     bool
	Compliant   bool // false as well when the token does not say
	ExternalID  string
	ACR         string
	AMR         []string
	AppContext  AppContext
	Findings    []contract.Finding // what a provider should do and this one does not

	IDToken  string // as it came
	Header   []byte // of it, JSON
	Claims   []byte // what it says, JSON
	UserInfo []byte // JSON; nil: not asked for
}

// OK tells whether the provider vouches for what it says, and so did not refuse.
func (s *OIDCSignIn) OK() bool { return s.Error == "" }

// callback is one answer on its way through the rules.
type callback struct {
	o      *OktaOIDC
	ctx    context.Context
	method string
	values url.Values

	request sentOIDC
	token   *oauth2.Token
	header  http.Header // of the token endpoint's answer
	idToken *oidc.IDToken
	claims  *contract.Claims

	signIn OIDCSignIn
}

// Receive judges what the browser brought to the redirect URI: by GET in the
// query or by POST in a form. It redeems the code, verifies the ID token and
// asks UserInfo. A refused answer is a *Rejection; any other error says that ctx
// ended. A state that is known is spent in any case: an answer is judged once.
func (o *OktaOIDC) Receive(ctx context.Context, method string, values url.Values) (*OIDCSignIn, error) {
	c := &callback{o: o, ctx: ctx, method: method, values: values}
	if err := c.judge(arrivalRules); err != nil {
		return nil, err
	}
	rules := tokenRules
	if values.Has("error") {
		rules = refusalRules
	}
	if err := c.judge(rules); err != nil {
		return nil, err
	}
	return &c.signIn, nil
}

// judge applies rules in order until one refuses.
func (c *callback) judge(rules []*oidcRule) error {
	for _, r := range rules {
		err := r.check(c)
		switch {
		case err == nil:
		case c.ctx.Err() != nil:
			return context.Cause(c.ctx)
		case r.severity == contract.Should:
			c.signIn.Findings = append(c.signIn.Findings, contract.Finding{
				ID: r.id, Severity: r.severity, Citation: r.citation, Message: err.Error(),
			})
		default:
			return c.reject(r, err)
		}
	}
	return nil
}

// reject names the requirement where the contract has one.
func (c *callback) reject(r *oidcRule, cause error) *Rejection {
	rejection := &Rejection{Rule: r.id, Text: textOIDC, Cause: cause}
	if broken, ok := errors.AsType[*brokenRequirement](cause); ok {
		rejection.Rule = broken.finding.ID
		if rejection.Rule == "token-app-context" {
			rejection.Text = textAppContext
		}
	}
	return rejection
}

// brokenRequirement is a requirement of the contract that is broken.
type brokenRequirement struct{ finding contract.Finding }

func (b *brokenRequirement) Error() string {
	return b.finding.Message + " (" + b.finding.Citation + ")"
}

// weigh keeps the findings, and returns the first that refuses.
func (c *callback) weigh(found []contract.Finding) error {
	for _, f := range found {
		if f.Severity == contract.Must {
			return &brokenRequirement{f}
		}
	}
	c.signIn.Findings = append(c.signIn.Findings, found...)
	return nil
}
