package idp_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestOIDCPostedRequestIsItsBody: of a posted authorization request nothing in the
// URL counts.
func TestOIDCPostedRequestIsItsBody(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	elsewhere := ask("state", "other", "redirect_uri", redirectURI+"?tenant=2").Encode()
	got := w.do(client, http.MethodPost, w.op.AuthorizeURL+"?"+elsewhere, ask())
	if got.status != http.StatusSeeOther || !got.fields.Has("code") || got.fields.Get("state") != "state-1" || got.fields.Has("tenant") {
		t.Errorf("a URL with parameters of its own: %d %v", got.status, got.fields)
	}
	if got := w.do(client, http.MethodPost, w.op.AuthorizeURL+"?"+elsewhere, nil); got.status != http.StatusBadRequest || got.fields != nil {
		t.Errorf("all of the request in the URL: %d %v", got.status, got.fields)
	}
}

// TestOIDCNoOtherOrigins: no endpoint lets a script of another origin read its
// answer, good or bad (Fetch standard, "CORS protocol").
func TestOIDCNoOtherOrigins(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	token := w.tokens(w.redeem(w.code(client))).AccessToken
	origin := []string{"Origin", "https://evil.test"}
	for name, got := range map[string]reply{
		"authorize":       w.do(client, http.MethodGet, w.op.AuthorizeURL, ask(), origin...),
		"authorize, page": w.do(client, http.MethodGet, w.op.AuthorizeURL, ask("client_id", "nobody"), origin...),
		"token":           w.do(browser(nil), http.MethodPost, w.op.TokenURL, ask(), origin...),
		"userinfo":        w.do(browser(nil), http.MethodGet, w.op.UserInfoURL, nil, append(origin, "Authorization", "Bearer "+token)...),
		"keys":            w.do(browser(nil), http.MethodGet, w.op.JWKSURL, nil, origin...),
		"discovery":       w.do(browser(nil), http.MethodGet, w.op.Issuer+"/.well-known/openid-configuration", nil, origin...),
		"preflight":       w.do(browser(nil), http.MethodOptions, w.op.TokenURL, nil, append(origin, "Access-Control-Request-Method", "POST")...),
	} {
		for header := range got.header {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: %d with %s: %q", name, got.status, header, got.header[header])
			}
		}
	}
}
