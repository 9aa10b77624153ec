package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// GrantUpdater changes a grant by compare-and-swap; change may be called again.
// What it gives is written, unless it is nil, and its error returned after that.
// The error is posture.ErrNoGrant when there is no such grant.
type GrantUpdater interface {
	UpdateGrant(ctx context.Context, id string, change func(value []byte) (next []byte, err error)) error
}

// Claimer lets a relying party use a name once: posture.ErrReplayed.
type Claimer interface {
	Claim(ctx context.Context, c posture.Claim) error
}

// Token exchanges a code for an ID token and an access token (OpenID Connect
// core 3.1.3).
type Token struct {
	Provider *oidc.Provider
	Clients  Clients
	Grants   GrantUpdater
	Claimer  Claimer                       // of client assertions
	Signer   func(alg string) *oidc.Signer // what signs now; nil: there is no such key
	Now      func() time.Time
}

// tokenResponse is a successful answer (OpenID Connect core 3.1.3.3).
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
	IDToken     string `json:"id_token"`
}

// ServeToken is the token endpoint. Its errors are for WriteTokenError.
func (t *Token) ServeToken(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	body, err := readTokenForm(r)
	if err != nil {
		return err
	}
	credentials := r.Header.Values("Authorization")
	if len(credentials) > 1 {
		return tokenError(&oidc.Error{Code: oidc.InvalidRequest, Description: "the Authorization header was sent twice"})
	}
	request, err := oidc.DecodeToken(strings.Join(credentials, ""), r.URL.RawQuery, body)
	if err != nil {
		return tokenError(err)
	}
	rp, err := t.authenticate(ctx, request)
	if err != nil {
		return tokenError(err)
	}
	answer, err := t.redeem(ctx, rp, request)
	if err != nil {
		return tokenError(err)
	}
	encoded, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache") // OpenID Connect core 3.1.3.3
	_, err = w.Write(encoded)
	return err
}

// readTokenForm is readForm, with the answer for what is no form.
func readTokenForm(r *http.Request) (string, error) {
	body, err := readForm(r)
	if bad, ok := errors.AsType[*oidc.BadRequest](err); ok {
		return "", tokenError(&oidc.Error{Code: oidc.InvalidRequest, Description: "the body is no form", Reason: bad.Reason, Err: err})
	}
	return body, err
}

// authenticate finds the client and checks that it is he. What he proved it by is
// spent then, if it can be used once: who saw the request may not use it for
// another, whatever came of this one.
func (t *Token) authenticate(ctx context.Context, request *oidc.TokenRequest) (*RelyingParty, error) {
	rp, err := t.Clients.ByClientID(ctx, request.ClientID())
	switch {
	case errors.Is(err, posture.ErrNoRelyingParty):
		return nil, oidc.Unauthenticated("unknown_client", err)
	case err != nil:
		return nil, unavailable(fmt.Errorf("look up client: %w", err))
	}
	web.Annotate(ctx, slog.String("relying_party", rp.Name))
	assertion, err := request.Authenticate(rp.OIDC, t.Provider, t.Now())
	if err != nil || assertion == nil {
		return rp, err
	}
	err = t.Claimer.Claim(ctx, posture.Claim{RelyingParty: rp.Name, RequestID: "client_assertion " + assertion.JTI, Until: assertion.Until})
	switch {
	case errors.Is(err, posture.ErrReplayed):
		return nil, oidc.Unauthenticated("replayed_assertion", err)
	case err != nil:
		return nil, unavailable(fmt.Errorf("claim client assertion: %w", err))
	}
	return rp, nil
}

// redeem uses the code up and signs what was granted. The signature is all that
// comes after the code is spent.
func (t *Token) redeem(ctx context.Context, rp *RelyingParty, request *oidc.TokenRequest) (*tokenResponse, error) {
	now := t.Now()
	signer := t.Signer(rp.OIDC.IDTokenAlg)
	if signer == nil {
		return nil, unavailable(fmt.Errorf("client %q: there is no key for %s", rp.OIDC.ID, rp.OIDC.IDTokenAlg))
	}
	id, ok := oidc.GrantID(request.Code)
	if !ok {
		return nil, &oidc.Error{Code: oidc.InvalidGrant, Reason: "malformed_code"}
	}
	web.Annotate(ctx, slog.String("grant", id))
	answer := tokenResponse{TokenType: "Bearer", ExpiresIn: int(oidc.TokenLifetime / time.Second)}
	var prepared *oidc.Prepared
	err := t.Grants.UpdateGrant(ctx, id, func(value []byte) (next []byte, err error) {
		g, err := oidc.DecodeGrant(value)
		if err != nil {
			return nil, err
		}
		token, changed, err := g.Redeem(request.Code, rp.OIDC.ID, request.RedirectURI, request.CodeVerifier, now)
		if changed {
			next = g.Encode()
		}
		if err != nil {
			return next, err
		}
		answer.AccessToken, answer.Scope = token, strings.Join(g.Scopes, " ")
		prepared, err = oidc.PrepareIDToken(g, t.Provider, signer.Alg, token, now)
		if err != nil {
			return nil, fmt.Errorf("redeem grant %q: %w", id, err)
		}
		return next, nil
	})
	switch {
	case errors.Is(err, posture.ErrNoGrant):
		return nil, &oidc.Error{Code: oidc.InvalidGrant, Reason: "unknown_code", Err: err}
	case err != nil:
		return nil, err
	}
	end := web.Step(ctx, "sign ID token")
	answer.IDToken, err = prepared.Sign(ctx, signer)
	end(err)
	if err != nil {
		return nil, unavailable(fmt.Errorf("sign ID token: %w", err))
	}
	return &answer, nil
}

// tokenError gives an error its status: an *oidc.Error is the client's, a
// *web.Error has one, and all else is the store's.
func tokenError(err error) error {
	if _, ok := errors.AsType[*web.Error](err); ok {
		return err
	}
	e, ok := errors.AsType[*oidc.Error](err)
	if !ok {
		return unavailable(err)
	}
	status := http.StatusBadRequest
	if e.Code == oidc.InvalidClient || e.Code == oidc.InvalidToken {
		status = http.StatusUnauthorized
	}
	reason := e.Reason
	if reason == "" {
		reason = e.Code
	}
	return &web.Error{Status: status, Reason: reason, Err: e}
}

// oauthError is an error as clients read it (RFC 6749 section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// WriteTokenError answers an error of the token endpoint.
func WriteTokenError(w http.ResponseWriter, r *http.Request, e *web.Error, _ string) {
	answer := oauthError{Code: "invalid_request", Description: e.Public}
	if told, ok := errors.AsType[*oidc.Error](e.Err); ok {
		answer = oauthError{told.Code, told.Description}
	} else if e.Status >= http.StatusInternalServerError {
		answer.Code = "temporarily_unavailable"
	}
	// RFC 6749 section 5.2: a 401 names the scheme that can be used, which it
	// must when the client used it.
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	writeOAuthError(w, e.Status, answer)
}

func writeOAuthError(w http.ResponseWriter, status int, answer oauthError) {
	encoded, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(encoded)
}
