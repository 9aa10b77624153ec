package idp_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestOIDCUserInfoBody: a body that is too large is told apart from one that is
// no form, also when it does not say its length.
func TestOIDCUserInfoBody(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	token := w.tokens(w.redeem(w.code(client))).AccessToken
	for _, tt := range []struct {
		name, kind, body string
		status           int
		challenge        string
	}{
		{"a form", "application/x-www-form-urlencoded", "access_token=" + token, 200, ""},
		{"too large", "application/x-www-form-urlencoded", "access_token=" + strings.Repeat("a", 1<<20), 413, ""},
		{"no form", "application/json", "{}", 400, `Bearer realm="userinfo", error="invalid_request", error_description="the body is no form"`},
	} {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, w.op.UserInfoURL, struct{ io.Reader }{strings.NewReader(tt.body)}))(t)
		r.Header.Set("Content-Type", tt.kind)
		resp := must(browser(nil).Do(r))(t)
		resp.Body.Close()
		if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != tt.status || challenge != tt.challenge {
			t.Errorf("%s: %d %q", tt.name, resp.StatusCode, challenge)
		}
	}
}
