package oidc

import (
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"strings"
	"time"
)

// TokenRequest is a token request whose client is not yet known to be itself
// (OpenID Connect core 3.1.3.1).
type TokenRequest struct {
	Code         string
	RedirectURI  string
	CodeVerifier string // empty: none

	clientID      string
	secret        string // empty: none
	assertion     string // empty: none
	assertionType string
}

// DecodeToken decodes a token request: its Authorization header, its query string,
// in which nothing may stand, and its application/x-www-form-urlencoded body.
// Errors are *Error.
func DecodeToken(authorizationHeader, rawQuery, body string) (*TokenRequest, error) {
	if rawQuery != "" {
		// RFC 6749 section 2.3.1: what stands in a URL stands in logs.
		return nil, refuse(InvalidRequest, "query", "parameters belong in the body")
	}
	values, fault := parseParameters(body)
	if fault != nil {
		return nil, &Error{Code: InvalidRequest, Description: "the request is malformed", Reason: fault.Reason, Err: fault.Err}
	}
	t := &TokenRequest{
		Code: values["code"], RedirectURI: values["redirect_uri"], CodeVerifier: values["code_verifier"],
		clientID: values["client_id"], secret: values["client_secret"],
		assertion: values["client_assertion"], assertionType: values["client_assertion_type"],
	}
	if err := t.readHeader(authorizationHeader); err != nil {
		return nil, err
	}
	switch grant := values["grant_type"]; {
	case t.secret != "" && t.assertion != "":
		return nil, twoMethods()
	case (t.assertion == "") != (t.assertionType == ""):
		return nil, refuse(InvalidRequest, "assertion_incomplete", "client_assertion and client_assertion_type go together")
	case grant == "":
		return nil, refuse(InvalidRequest, "grant_type_missing", "grant_type is missing")
	case grant != "authorization_code":
		return nil, refuse(UnsupportedGrantType, "grant_type", "only grant_type authorization_code is supported")
	case t.Code == "":
		return nil, refuse(InvalidRequest, "code_missing", "code is missing")
	case t.RedirectURI == "":
		return nil, refuse(InvalidRequest, "redirect_uri_missing", "redirect_uri is missing")
	}
	if t.clientID == "" && t.assertion != "" {
		t.clientID = claimedClient(t.assertion, "sub", "iss")
	}
	return t, nil
}

// twoMethods is RFC 6749 section 2.3: a client must not use more than one.
func twoMethods() *Error {
	return refuse(InvalidRequest, "two_methods", "more than one client authentication method")
}

// readHeader reads HTTP Basic authentication, whose parts are form-encoded before
// they are put together (RFC 6749 section 2.3.1). Of another scheme it is only
// noted that there was one: no client authenticates by it.
func (t *TokenRequest) readHeader(header string) error {
	if header == "" {
		return nil
	}
	if t.secret != "" || t.assertion != "" {
		return twoMethods()
	}
	scheme, credentials, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil
	}
	malformed := refuse(InvalidRequest, "authorization_header", "the Authorization header is malformed")
	if len(credentials) > 2*maxValue {
		return malformed
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimLeft(credentials, " "))
	if err != nil {
		return malformed
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	if !ok || errID != nil || errSecret != nil || checkValue("client_id", id) != nil || checkValue("client_secret", secret) != nil {
		return malformed
	}
	if t.clientID != "" && t.clientID != id {
		return refuse(InvalidRequest, "client_mismatch", "client_id differs from the Authorization header's")
	}
	t.clientID, t.secret = id, secret
	return nil
}

// ClientID is the client that the request claims to come from, to look it up by;
// empty when it names none.
func (t *TokenRequest) ClientID() string { return t.clientID }

// Authenticate makes sure that the request comes from the client. When it
// authenticates with an assertion, the assertion's ID is to be claimed for the
// client; otherwise the claim is nil. Errors are *Error, invalid_client.
func (t *TokenRequest) Authenticate(c *Client, p *Provider, now time.Time) (*AssertionClaim, error) {
	switch {
	case t.clientID == "" || t.clientID != c.ID:
		return nil, Unauthenticated("client_mismatch", nil)
	case t.assertion != "":
		return t.verifyAssertion(c, p, now)
	case t.secret == "":
		return nil, Unauthenticated("client_unauthenticated", nil)
	}
	hash, match := HashSecret(t.secret), 0
	for _, s := range c.Secrets {
		if !s.expired(now) {
			match |= subtle.ConstantTimeCompare(s.Hash[:], hash[:])
		}
	}
	if match != 1 {
		return nil, Unauthenticated("client_secret", nil)
	}
	return nil, nil
}

func (s *Secret) expired(now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
}

// Unauthenticated is told in the same words whatever failed, so that nobody
// learns which clients there are.
func Unauthenticated(reason string, err error) *Error {
	return &Error{Code: InvalidClient, Description: "client authentication failed", Reason: reason, Err: err}
}
