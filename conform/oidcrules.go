package conform

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gatepost.dev/contract"
)

// textOIDC stands for everything of which Okta's own text is not published.
const textOIDC = "Unable to validate the answer of the OpenID Connect identity provider."

// oidcRule is one thing that OpenID Connect, or Okta, demands of an answer.
type oidcRule struct {
	id       string
	severity contract.Severity
	citation string
	check    func(*callback) error
}

// arrivalRules hold for every answer. The issuer comes before the state is
// spent: an answer of somebody else costs nothing.
var arrivalRules = []*oidcRule{
	{"parameters", contract.Must, "RFC 6749 section 3.1", checkParameters},
	{"response-mode", contract.Must, "OAuth 2.0 form post response mode 2; OAuth 2.0 multiple response types 2.1", checkResponseMode},
	{"issuer", contract.Must, "RFC 9207 section 2.4", checkIss},
	{"state", contract.Must, "RFC 6749 section 4.1.2 and 10.12", takeState},
}

// tokenRules hold for an answer that has a code.
var tokenRules = []*oidcRule{
	{"code", contract.Must, "RFC 6749 section 4.1.2", checkCode},
	{"token", contract.Must, "OpenID Connect core 3.1.3", redeemCode},
	{"token-type", contract.Must, "OpenID Connect core 3.1.3.3", checkTokenType},
	{"token-no-store", contract.Should, "RFC 6749 section 5.1", checkNoStore},
	{"id-token", contract.Must, "OpenID Connect core 3.1.3.7", verifyIDToken},
	{"nonce", contract.Must, "Okta: fails without the nonce that was sent; OpenID Connect core 3.1.3.7", checkNonce},
	{"at-hash", contract.Must, "OpenID Connect core 3.1.3.8", checkAccessToken},
	{"contract", contract.Must, "Okta device posture data contract, OIDC", checkContract},
	{"userinfo", contract.Must, "OpenID Connect core 5.3", checkUserInfo},
}

// refusalRules hold for an answer that has an error.
var refusalRules = []*oidcRule{
	{"error", contract.Must, "RFC 6749 section 4.1.2.1", readError},
}

func checkParameters(c *callback) error {
	size := 0
	for name, values := range c.values {
		if len(values) != 1 {
			return fmt.Errorf("the parameter %.100q is there %d times", name, len(values))
		}
		if size += len(name) + len(values[0]); size > maxPosted {
			return errors.New("the answer is too large")
		}
	}
	return nil
}

// checkIss compares exactly. Without iss, an answer of another provider looks
// like one of this.
func checkIss(c *callback) error {
	if iss := c.values.Get("iss"); (c.values.Has("iss") || c.o.cfg.Endpoints.IssParameter) && iss != c.o.cfg.Issuer {
		return fmt.Errorf("iss is %.200q, not %q", iss, c.o.cfg.Issuer)
	}
	return nil
}

// takeState finds what was asked, and sees to it that nobody finds it again.
func takeState(c *callback) error {
	state := c.values.Get("state")
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	request, found := c.o.open.get(state)
	if !found {
		return fmt.Errorf("no request of the state %.100q waits for an answer", state)
	}
	c.o.open.take(state)
	c.request, c.signIn.State = request, state
	return nil
}

func checkResponseMode(c *callback) error {
	want := http.MethodGet
	if c.o.cfg.ResponseMode == modeFormPost {
		want = http.MethodPost
	}
	if c.method != want {
		return fmt.Errorf("the answer came by %.20q, not by %s", c.method, want)
	}
	return nil
}

func checkCode(c *callback) error {
	if c.signIn.Code = c.values.Get("code"); c.signIn.Code == "" {
		return errors.New("there is neither a code nor an error")
	}
	return nil
}

func redeemCode(c *callback) (err error) {
	c.token, c.header, err = c.o.redeem(c.ctx, c.signIn.Code, c.request.verifier)
	if err != nil {
		return err
	}
	c.signIn.AccessToken = c.token.AccessToken
	var ok bool
	if c.signIn.IDToken, ok = c.token.Extra("id_token").(string); !ok {
		return errors.New("the token endpoint gives no ID token")
	}
	return nil
}

func checkTokenType(c *callback) error {
	if !strings.EqualFold(c.token.TokenType, "Bearer") {
		return fmt.Errorf("token_type is %.100q", c.token.TokenType)
	}
	return nil
}

func checkNoStore(c *callback) error {
	if cc := c.header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
		return fmt.Errorf("tokens came with Cache-Control %.100q", cc)
	}
	return nil
}

// verifyIDToken asks go-oidc for signature, issuer, audience and expiry.
func verifyIDToken(c *callback) (err error) {
	if c.idToken, err = c.o.verifier.Verify(c.ctx, c.signIn.IDToken); err != nil {
		return shortened(err)
	}
	first, _, _ := strings.Cut(c.signIn.IDToken, ".")
	if c.signIn.Header, err = base64.RawURLEncoding.DecodeString(first); err != nil {
		return err
	}
	return c.idToken.Claims((*json.RawMessage)(&c.signIn.Claims))
}

func checkNonce(c *callback) error {
	if subtle.ConstantTimeCompare([]byte(c.idToken.Nonce), []byte(c.request.nonce)) != 1 {
		return fmt.Errorf("nonce is %.100q, not the one that was sent", c.idToken.Nonce)
	}
	return nil
}

// checkAccessToken asks go-oidc, for which at_hash must be there; it need not.
func checkAccessToken(c *callback) error {
	if c.idToken.AccessTokenHash == "" {
		return nil
	}
	return c.idToken.VerifyAccessToken(c.signIn.AccessToken)
}

func checkContract(c *callback) error {
	var header struct {
		Alg string `json:"alg"`
	}
	if err := json.Unmarshal(c.signIn.Header, &header); err != nil {
		return err
	}
	claims, found := contract.ParseIDToken(c.signIn.Claims, &contract.Expected{
		Issuer: c.o.cfg.Issuer, ClientID: c.o.cfg.ClientID, Nonce: c.request.nonce, MaxAge: c.request.maxAge, App: c.request.app,
		AccessToken: c.signIn.AccessToken, Alg: header.Alg, Now: c.o.cfg.Now(), Leeway: c.o.cfg.ClockSkew,
	})
	if err := c.weigh(found); err != nil {
		return err
	}
	c.claims = claims
	s := &c.signIn
	s.Subject, s.ACR, s.AMR = claims.Subject, claims.ACR, claims.AMR
	s.Managed, s.Compliant, s.ExternalID = claims.Managed, claims.Compliant, claims.ExternalID
	s.AppContext = AppContext{
		InstanceID: c.request.app[contract.AppInstanceID] + c.request.app[contract.ClaimAppInstanceID],
		Name:       c.request.app[contract.AppName] + c.request.app[contract.ClaimAppName],
	}
	return nil
}

func checkUserInfo(c *callback) (err error) {
	if c.o.cfg.Endpoints.UserInfo == "" {
		return nil
	}
	if c.signIn.UserInfo, err = c.o.userInfo(c.ctx, c.token); err != nil {
		return err
	}
	return c.weigh(c.claims.CheckUserInfo(c.signIn.UserInfo))
}

// readError takes the refusal, if it is made of the characters that it may be
// made of.
func readError(c *callback) error {
	s := &c.signIn
	s.Error, s.ErrorDescription = c.values.Get("error"), c.values.Get("error_description")
	notAllowed := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
	switch {
	case s.Error == "" || strings.ContainsFunc(s.Error, notAllowed) || strings.ContainsFunc(s.ErrorDescription, notAllowed):
		return fmt.Errorf("error is %.100q, error_description %.200q", s.Error, s.ErrorDescription)
	case c.values.Has("code"):
		return errors.New("there are both an error and a code")
	}
	return nil
}
