package conform

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"gatepost.dev/contract"
)

// OIDCRequestOptions says which authorization request to make. The zero value is
// Okta's own, for nobody in particular.
type OIDCRequestOptions struct {
	LoginHint   string
	IDTokenHint string
	Prompt      string
	ACRValues   string         // separated by spaces
	Claims      string         // JSON (OpenID Connect core 5.5)
	MaxAge      *time.Duration // in whole seconds; nil: not sent
	AppContext  *AppContext    // nil: that of the configuration

	// What tests set to something else than Okta would; "" and nil: Okta's.
	State      string
	Nonce      string
	Edit       func(parameters url.Values) // before they are sent, or put into a signed request
	EditObject func(object map[string]any) // the claims of a signed request, before it is signed
}

// OIDCRequest is an authorization request on its way.
type OIDCRequest struct {
	State string
	Nonce string
	URL   string // where the browser goes

	// The same as a form that is posted (OpenID Connect core 3.1.2.1).
	Action string
	Form   url.Values
}

// sentOIDC is what an answer is compared with.
type sentOIDC struct {
	nonce    string
	verifier string
	maxAge   *time.Duration
	app      map[string]string
}

// objectLifetime is how long a signed request is good for.
const objectLifetime = 5 * time.Minute

// Request makes an authorization request and remembers that its answer is
// awaited.
func (o *OktaOIDC) Request(opts OIDCRequestOptions) (*OIDCRequest, error) {
	if opts.AppContext == nil {
		opts.AppContext = o.cfg.SendAppContext
	}
	s := sentOIDC{nonce: opts.Nonce, maxAge: opts.MaxAge, app: o.appParameters(opts.AppContext)}
	for _, secret := range []*string{&opts.State, &s.nonce, &s.verifier} {
		if *secret != "" {
			continue
		}
		var err error
		if *secret, err = o.random(); err != nil {
			return nil, err
		}
	}
	if !o.cfg.PKCE {
		s.verifier = ""
	}
	parameters := o.parameters(&opts, &s)
	if opts.Edit != nil {
		opts.Edit(parameters)
	}
	if o.cfg.RequestObject != "" {
		var err error
		if parameters, err = o.signedRequest(parameters, &opts); err != nil {
			return nil, err
		}
	}
	o.mu.Lock()
	o.open.put(opts.State, s)
	o.mu.Unlock()
	to, separator := o.cfg.Endpoints.Authorization, "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	return &OIDCRequest{
		State: opts.State, Nonce: s.nonce, URL: to + separator + parameters.Encode(), Action: to, Form: parameters,
	}, nil
}

// appParameters is the application context under the names by which it is sent.
func (o *OktaOIDC) appParameters(app *AppContext) map[string]string {
	switch {
	case app == nil:
		return nil
	case o.cfg.OktaAppNames:
		return map[string]string{contract.AppInstanceID: app.InstanceID, contract.AppName: app.Name}
	}
	return map[string]string{contract.ClaimAppInstanceID: app.InstanceID, contract.ClaimAppName: app.Name}
}

// parameters are those of the request (OpenID Connect core 3.1.2.1).
func (o *OktaOIDC) parameters(opts *OIDCRequestOptions, s *sentOIDC) url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("client_id", o.cfg.ClientID)
	set("response_type", "code")
	set("response_mode", o.cfg.ResponseMode)
	set("scope", strings.Join(o.cfg.Scopes, " "))
	set("redirect_uri", o.cfg.RedirectURI)
	set("state", opts.State)
	set("nonce", s.nonce)
	set("login_hint", opts.LoginHint)
	set("id_token_hint", opts.IDTokenHint)
	set("prompt", opts.Prompt)
	set("acr_values", opts.ACRValues)
	set("claims", opts.Claims)
	if opts.MaxAge != nil {
		set("max_age", strconv.FormatInt(int64(opts.MaxAge.Seconds()), 10))
	}
	if s.verifier != "" {
		set("code_challenge", oauth2.S256ChallengeFromVerifier(s.verifier))
		set("code_challenge_method", "S256")
	}
	for name, value := range s.app {
		values.Set(name, value)
	}
	return values
}

// signedRequest puts the parameters into a request object. What OpenID Connect
// core 6.1 wants beside it as well stays there.
func (o *OktaOIDC) signedRequest(parameters url.Values, opts *OIDCRequestOptions) (url.Values, error) {
	id, err := o.random()
	if err != nil {
		return nil, err
	}
	now := o.cfg.Now()
	object := map[string]any{
		"iss": o.cfg.ClientID, "aud": o.cfg.Issuer, "jti": id,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(objectLifetime).Unix(),
	}
	for name := range parameters {
		object[name] = parameters.Get(name)
	}
	// What is no string in JSON (RFC 9101 section 4).
	for _, name := range []string{"max_age", "claims"} {
		if value := []byte(parameters.Get(name)); json.Valid(value) {
			object[name] = json.RawMessage(value)
		}
	}
	if opts.EditObject != nil {
		opts.EditObject(object)
	}
	signed, err := o.sign(jose.SignatureAlgorithm(o.cfg.RequestObject), object)
	if err != nil {
		return nil, fmt.Errorf("make a signed request: %w", err)
	}
	sent := maps.Clone(parameters)
	maps.DeleteFunc(sent, func(name string, _ []string) bool {
		return name != "client_id" && name != "response_type" && name != "scope"
	})
	sent.Set("request", signed)
	return sent, nil
}
