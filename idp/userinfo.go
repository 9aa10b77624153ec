package idp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// GrantReader reads a grant, or returns posture.ErrNoGrant.
type GrantReader interface {
	Grant(ctx context.Context, id string) (posture.Grant, error)
}

// UserInfo tells the bearer of an access token what the ID token said (OpenID
// Connect core 5.3).
type UserInfo struct {
	Clients Clients
	Grants  GrantReader
	Now     func() time.Time
}

// ServeUserInfo is the UserInfo endpoint, for GET and POST. Its errors are for
// WriteBearerError.
func (u *UserInfo) ServeUserInfo(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	token, err := bearer(r)
	if err != nil {
		return err
	}
	g, err := u.granted(ctx, token)
	if err != nil {
		return tokenError(err)
	}
	claims, err := oidc.UserInfo(g)
	if err != nil {
		return fmt.Errorf("user info of grant %q: %w", g.ID, err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(claims)
	return err
}

func (u *UserInfo) granted(ctx context.Context, token string) (*oidc.Grant, error) {
	id, ok := oidc.GrantID(token)
	if !ok {
		return nil, &oidc.Error{Code: oidc.InvalidToken, Reason: "malformed_token"}
	}
	web.Annotate(ctx, slog.String("grant", id))
	kept, err := u.Grants.Grant(ctx, id)
	switch {
	case errors.Is(err, posture.ErrNoGrant):
		return nil, &oidc.Error{Code: oidc.InvalidToken, Reason: "unknown_token", Err: err}
	case err != nil:
		return nil, unavailable(fmt.Errorf("look up grant: %w", err))
	}
	g, err := oidc.DecodeGrant(kept.Value)
	if err != nil {
		return nil, fmt.Errorf("grant %q: %w", id, err)
	}
	if err := g.CheckToken(token, u.Now()); err != nil {
		return nil, err
	}
	rp, err := u.Clients.ByClientID(ctx, g.ClientID)
	switch {
	case errors.Is(err, posture.ErrNoRelyingParty):
		return nil, &oidc.Error{Code: oidc.InvalidToken, Reason: "removed_client", Err: err}
	case err != nil:
		return nil, unavailable(fmt.Errorf("look up client: %w", err))
	}
	web.Annotate(ctx, slog.String("relying_party", rp.Name))
	return g, nil
}

// bearer takes the access token from the header or from a posted form, never
// from the URL, which ends up in logs (RFC 6750 section 2).
func bearer(r *http.Request) (string, error) {
	malformed := func(description string, err error) error {
		return tokenError(&oidc.Error{Code: oidc.InvalidRequest, Description: description, Err: err})
	}
	headers := r.Header.Values("Authorization")
	if r.URL.Query().Has("access_token") || len(headers) > 1 {
		return "", malformed("the access token belongs in one Authorization header", nil)
	}
	var posted []string
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		body, err := readTokenForm(r)
		if err != nil {
			return "", err
		}
		values, err := url.ParseQuery(body)
		if err != nil {
			return "", malformed("the body is no form", err)
		}
		posted = values["access_token"]
	}
	switch {
	case len(headers)+len(posted) > 1:
		return "", malformed("the access token was sent twice", nil)
	case len(posted) == 1:
		return posted[0], nil
	case len(headers) == 0:
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	return strings.TrimSpace(token), nil
}

// errNoToken is a request without a token, which is told nothing but that one is
// needed (RFC 6750 section 3.1).
var errNoToken = &web.Error{Status: http.StatusUnauthorized, Reason: "no_token"}

// WriteBearerError answers an error of the UserInfo endpoint (RFC 6750 section
// 3).
func WriteBearerError(w http.ResponseWriter, r *http.Request, e *web.Error, reference string) {
	told, ok := errors.AsType[*oidc.Error](e.Err)
	switch {
	case ok:
		challenge := `Bearer realm="userinfo", error="` + told.Code + `"`
		if told.Description != "" {
			challenge += `, error_description="` + told.Description + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		writeOAuthError(w, e.Status, oauthError{told.Code, told.Description})
	case e.Status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="userinfo"`)
		w.WriteHeader(e.Status)
	default:
		WriteTokenError(w, r, e, reference)
	}
}
