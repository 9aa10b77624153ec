package idp_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestOIDCAuthTimeIsTheProof: auth_time is when the browser connected and proved
// its key, and a request that wants that to be newer is sent to connect again.
func TestOIDCAuthTimeIsTheProof(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	authTime := func(r reply) int64 {
		t.Helper()
		if r.status != http.StatusSeeOther || !r.fields.Has("code") {
			t.Fatalf("no code: %d %v", r.status, r.fields)
		}
		return int64(w.tokens(w.redeem(r.fields.Get("code"))).claims["auth_time"].(float64))
	}
	first := authTime(w.authorize(client, ask("prompt", "login")))
	for name, wait := range map[string]time.Duration{"max_age": 5 * time.Second, "nothing": time.Second} {
		w.offset.Add(int64(wait))
		q := ask()
		if name == "max_age" {
			q.Set("max_age", "10000")
		}
		if again := authTime(w.authorize(client, q)); again != first {
			t.Errorf("%s: auth_time %d, after %d on the same connection", name, again, first)
		}
	}
	for name, q := range map[string]url.Values{"prompt": ask("prompt", "login"), "max_age": ask("max_age", "1"), "max_age 0": ask("max_age", "0")} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			authTime(w.authorize(client, ask())) // so that the next request is not the first
			w.offset.Add(int64(2 * time.Second))
			got := w.do(client, method, w.op.AuthorizeURL, q)
			want := "/oidc/authorize"
			if method == http.MethodGet {
				want += "?" + q.Encode()
			}
			// net/http takes "Connection: close" out of the headers.
			if got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != want || !got.closed {
				t.Fatalf("%s %s: %d %v, closed %v", name, method, got.status, got.header, got.closed)
			}
			now := w.now().Unix()
			if again := authTime(w.do(client, method, w.op.AuthorizeURL, q)); again < now-1 {
				t.Errorf("%s %s: auth_time %d, now it is %d", name, method, again, now)
			}
		}
	}
	// Nobody can prove anew what he never proved.
	if got := w.authorize(browser(nil), ask("prompt", "login")); got.fields.Get("error") != "access_denied" {
		t.Errorf("no certificate: %d %v", got.status, got.fields)
	}
	none := browser(nil)
	w.authorize(none, ask())
	w.offset.Add(int64(time.Second))
	if got := w.authorize(none, ask("prompt", "login")); got.fields.Get("error") != "access_denied" {
		t.Errorf("no certificate, on an older connection: %d %v", got.status, got.fields)
	}
}

// TestOIDCConnectedAhead: a connection that lay idle is not what the browser
// connected for, and it is made anew once.
func TestOIDCConnectedAhead(t *testing.T) {
	t.Parallel()
	w, client := newOIDCWorld(t)
	w.do(client, http.MethodGet, w.op.JWKSURL, nil)
	w.offset.Add(int64(time.Minute))
	if got := w.authorize(client, ask("prompt", "login")); got.status != http.StatusTemporaryRedirect {
		t.Errorf("on an older connection: %d", got.status)
	}
	if got := w.authorize(client, ask("prompt", "login")); !got.fields.Has("code") {
		t.Errorf("on a new one: %d %v", got.status, got.fields)
	}
}
