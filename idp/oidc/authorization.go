package oidc

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/contract"
)

// Authorization is an authorization request of a known client to a registered
// redirect URI (OpenID Connect core 3.1.2.1).
type Authorization struct {
	Client        *Client
	RedirectURI   string
	State         string // empty: none
	FormPost      bool   // response_mode form_post, else query
	Nonce         string
	Scopes        []string // all that were asked for, openid among them
	LoginHint     string
	IDTokenHint   string
	CodeChallenge string // S256; empty: none
	PromptNone    bool
	MaxAge        *time.Duration // how long ago the device may have proved itself; prompt=login is 0; nil: does not matter
	Claims        ClaimsRequest
	App           []Parameter // the application context under the names it came with, verbatim

	RequestID  string    // what makes a signed request unique; empty: the request was not signed
	ClaimUntil time.Time // how long RequestID must stay claimed
}

// appParameters carry the application context. Okta's documents disagree on its
// names: its guide for external providers has the first two, its API reference
// the others.
var appParameters = [...]string{contract.ClaimAppInstanceID, contract.ClaimAppName, contract.AppInstanceID, contract.AppName}

// Message is a decoded authorization request whose sender is not yet known.
type Message struct {
	outer    parameters // as opposed to those in the request object
	clientID string
}

// DecodeAuthorization decodes an authorization request from the query string of a
// GET or the application/x-www-form-urlencoded body of a POST (OpenID Connect core
// 3.1.2.1). Errors are *BadRequest.
func DecodeAuthorization(parameters string) (*Message, error) {
	values, fault := parseParameters(parameters)
	if fault != nil {
		return nil, fault
	}
	m := &Message{outer: values, clientID: values["client_id"]}
	if m.clientID == "" && values["request"] != "" {
		m.clientID = claimedClient(values["request"], "client_id", "iss")
	}
	return m, nil
}

// ClientID is the client that the request claims to come from, to look it up by;
// empty when it names none.
func (m *Message) ClientID() string { return m.clientID }

// Check checks the request against the client that it names. Until the client and
// the redirect URI are sure, its error is a *BadRequest; from then on it is an
// *Error beside an Authorization that says where the error goes: client, redirect
// URI, state and response mode are right, the rest may be missing.
func (m *Message) Check(c *Client, p *Provider, now time.Time) (*Authorization, error) {
	if m.clientID == "" || m.clientID != c.ID {
		return nil, bad("client_mismatch", "request of client %.200q checked against %q", m.clientID, c.ID)
	}
	values, object, refused := m.effective(c, now)
	if object != nil {
		if fault := object.checkClient(c); fault != nil {
			return nil, fault
		}
	}
	uri := values["redirect_uri"]
	if !slices.Contains(c.RedirectURIs, uri) {
		if told, ok := errors.AsType[*Error](refused); ok && uri == "" {
			return nil, &BadRequest{Reason: told.Reason, Err: told} // it could have named the redirect URI
		}
		return nil, bad("redirect_uri", "redirect URI %.200q is not registered", uri)
	}
	a := &Authorization{Client: c, RedirectURI: uri, State: values["state"], FormPost: values["response_mode"] == "form_post"}
	if refused != nil {
		return a, refused
	}
	if object != nil {
		var fault *BadRequest
		if a.RequestID, a.ClaimUntil, fault = object.check(c, p, now); fault != nil {
			return a, invalidObject(fault)
		}
		if outer := m.outer["response_type"]; outer != "" && outer != values["response_type"] {
			return a, refuse(InvalidRequest, "response_type_mismatch", "response_type differs from the request object's") // OpenID Connect core 6.1
		}
	}
	return a, a.read(values)
}

// effective gives the parameters that count: those of the request object before
// the others (OpenID Connect core 6.1), or alone when the client always signs (RFC
// 9101 section 6.3). If there is an error, they are those outside.
func (m *Message) effective(c *Client, now time.Time) (parameters, *requestObject, error) {
	encoded := m.outer["request"]
	switch {
	case m.outer["request_uri"] != "":
		return m.outer, nil, refuse(RequestURINotSupported, "request_uri", "request_uri is not supported")
	case encoded == "" && c.RequireRequestObject:
		return m.outer, nil, refuse(InvalidRequest, "request_object_missing", "a signed request object is required")
	case encoded == "":
		return m.outer, nil, nil
	}
	object, fault := openRequestObject(encoded, c, now)
	switch {
	case fault != nil:
		return m.outer, nil, invalidObject(fault)
	case c.RequireRequestObject:
		return object.values, object, nil
	}
	values := maps.Clone(m.outer)
	maps.Copy(values, object.values)
	return values, object, nil
}

func invalidObject(fault *BadRequest) *Error {
	return &Error{Code: InvalidRequestObject, Description: "the request object is not valid", Reason: "request_object_" + fault.Reason, Err: fault.Err}
}

// read reads what is no matter of who asks.
func (a *Authorization) read(values parameters) error {
	for _, step := range [...]func(parameters) error{checkFlow, a.readScope, a.readPKCE, a.readPrompt, a.readClasses} {
		if err := step(values); err != nil {
			return err
		}
	}
	a.Nonce, a.LoginHint, a.IDTokenHint = values["nonce"], values["login_hint"], values["id_token_hint"]
	for _, name := range appParameters {
		if value := values[name]; value != "" {
			a.App = append(a.App, Parameter{Name: name, Value: value})
		}
	}
	return nil
}

// checkFlow wants the code flow with an answer by query or form (OAuth 2.0
// Multiple Response Type Encoding Practices, OAuth 2.0 Form Post Response Mode).
func checkFlow(values parameters) error {
	switch values["response_type"] {
	case "code":
	case "":
		return refuse(InvalidRequest, "response_type_missing", "response_type is missing")
	default:
		return refuse(UnsupportedResponseType, "response_type", "only response_type code is supported")
	}
	switch values["response_mode"] {
	case "", "query", "form_post":
	default:
		return refuse(InvalidRequest, "response_mode", "only response_mode query and form_post are supported")
	}
	if values["registration"] != "" {
		return refuse(RegistrationNotSupported, "registration", "registration is not supported")
	}
	return nil
}

func (a *Authorization) readScope(values parameters) error {
	a.Scopes = list(values["scope"])
	if !slices.Contains(a.Scopes, "openid") {
		return refuse(InvalidScope, "scope", "scope must contain openid")
	}
	return nil
}

// readPKCE takes S256 alone: plain protects nobody (RFC 7636 section 4.3, RFC 9700
// section 2.1.1).
func (a *Authorization) readPKCE(values parameters) error {
	challenge, method := values["code_challenge"], values["code_challenge_method"]
	switch {
	case challenge == "" && method != "":
		return refuse(InvalidRequest, "pkce_malformed", "code_challenge_method without code_challenge")
	case challenge == "" && a.Client.RequirePKCE:
		return refuse(InvalidRequest, "pkce_missing", "code_challenge is required")
	case challenge == "":
		return nil
	case method != "S256":
		return refuse(InvalidRequest, "pkce_method", "code_challenge_method must be S256")
	case len(challenge) != challengeSize || strings.ContainsFunc(challenge, func(r rune) bool { return !isBase64URL(r) }):
		return refuse(InvalidRequest, "pkce_malformed", "code_challenge is no SHA-256 in base64url")
	}
	a.CodeChallenge = challenge
	return nil
}

func (a *Authorization) readPrompt(values parameters) error {
	prompts := list(values["prompt"])
	for _, prompt := range prompts {
		switch prompt {
		case "login", "consent", "select_account":
		case "none":
			if len(prompts) > 1 {
				return refuse(InvalidRequest, "prompt", "prompt none stands alone")
			}
			a.PromptNone = true
		default:
			return refuse(InvalidRequest, "prompt", "prompt is not known")
		}
	}
	if text := values["max_age"]; text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return &Error{Code: InvalidRequest, Description: "max_age is no number of seconds", Reason: "max_age", Err: err}
		}
		age := time.Duration(seconds) * time.Second
		a.MaxAge = &age
	}
	if slices.Contains(prompts, "login") {
		a.MaxAge = new(time.Duration) // OpenID Connect core 3.1.2.1: max_age 0 is prompt login
	}
	return nil
}

// readClasses refuses a request that leaves us no class to answer with (RFC 9470
// section 5, OpenID Connect core 5.5.1.1).
func (a *Authorization) readClasses(values parameters) error {
	var err error
	if a.Claims, err = parseClaimsRequest(values["claims"]); err != nil {
		return &Error{Code: InvalidRequest, Description: "claims is malformed", Reason: "claims", Err: err}
	}
	classes, wanted := list(values["acr_values"]), a.Claims.IDToken["acr"]
	if len(classes) > 0 && !slices.Contains(classes, contract.DevicePosture) ||
		wanted.Essential && len(wanted.Values) > 0 && !slices.Contains(wanted.Values, contract.DevicePosture) {
		return refuse(UnmetAuthenticationRequirements, "acr", "only "+contract.DevicePosture+" can be met")
	}
	return nil
}
