package conform

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatepost.dev/contract"
)

const callbackPath = "/oauth2/v1/authorize/callback"

// surf asks a handler and returns the answer with its body.
func surf(t *testing.T, h http.Handler, method, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, target, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

// login starts a sign-in at the handler and returns what the provider answers.
func login(t *testing.T, p *provider, o *OktaOIDC, query string) url.Values {
	t.Helper()
	resp, _ := surf(t, o.Handler(), "GET", "/oidc/login?"+query, nil)
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusFound || !strings.HasPrefix(to.String(), p.URL+"/authorize?") {
		t.Fatalf("%d, sent to %v, %v", resp.StatusCode, to, err)
	}
	values, err := p.answer(to.Query())
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestOIDCHandlerSignIn(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", modeFormPost} {
		var log bytes.Buffer
		p, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) {
			c.ResponseMode, c.Log = mode, slog.New(slog.NewJSONHandler(&log, nil))
		})
		values := login(t, p, o, "app=Wiki&user="+url.QueryEscape(testUser))
		resp, page := surf(t, o.Handler(), "GET", callbackPath+"?"+values.Encode(), nil)
		if mode != "" {
			if resp.StatusCode != 400 || result(t, page)["why"] == "" {
				t.Errorf("by GET: %d, %s", resp.StatusCode, page)
			}
			resp, page = surf(t, o.Handler(), "POST", callbackPath, values)
		}
		got := result(t, page)
		if resp.StatusCode != 200 || got["outcome"] != "signed-in" || got["user"] != testUser || got["managed"] != "true" || got["compliant"] != "false" || got["error"] != "" {
			t.Errorf("%d: %v", resp.StatusCode, got)
		}
		for _, want := range []string{"dev-1", "Wiki", instanceID("Wiki"), contract.DevicePosture, "RS256", "at_hash", `id="userinfo"`} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is not shown: %s", want, page)
			}
		}
		if strings.Contains(log.String(), values.Get("code")) || strings.Contains(log.String(), values.Get("state")) || !strings.Contains(log.String(), `"outcome":"signed-in"`) {
			t.Errorf("log %s", log.String())
		}
	}
}

func TestOIDCHandlerRefusal(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	p.refuse = "access_denied"
	resp, page := surf(t, o.Handler(), "GET", callbackPath+"?"+login(t, p, o, "").Encode(), nil)
	got := result(t, page)
	if resp.StatusCode != 200 || got["outcome"] != "failed" || got["error"] != "DEVICE_NOT_MANAGED" || got["why"] != "access_denied" || got["managed"] != "" {
		t.Errorf("%d: %v", resp.StatusCode, got)
	}
}

func TestOIDCHandlerRejection(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, answered("iss", "https://<script>alert(1)</script>"), nil)
	resp, page := surf(t, o.Handler(), "GET", callbackPath+"?"+login(t, p, o, "").Encode(), nil)
	got := result(t, page)
	if resp.StatusCode != 400 || got["outcome"] != "rejected" || got["error"] != textOIDC || !strings.HasPrefix(got["why"], "issuer: ") {
		t.Errorf("%d: %v", resp.StatusCode, got)
	}
	if strings.Contains(page, "<script>alert") {
		t.Errorf("not escaped: %s", page)
	}
}

func TestOIDCHandlerFindings(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{claims: func(c map[string]any) { delete(c, "amr") }}, nil)
	_, page := surf(t, o.Handler(), "GET", callbackPath+"?"+login(t, p, o, "").Encode(), nil)
	if !strings.Contains(page, `<ul id="findings"><li>token-amr-present: `) {
		t.Errorf("got %s", page)
	}
}

func TestOIDCHandlerRest(t *testing.T) {
	t.Parallel()
	_, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.Key = oktaKeys().key })
	both := Handler(newTestOkta(t, nil), o)
	for name, c := range map[string]struct {
		h              http.Handler
		method, target string
		form           url.Values
		status         int
		contains       string
		lacks          string
	}{
		"start":          {o.Handler(), "GET", "/", nil, 200, testCallback, testEntityID},
		"start of both":  {both, "GET", "/", nil, 200, testCallback, ""},
		"SAML in both":   {both, "GET", "/", nil, 200, testEntityID, ""},
		"metadata":       {both, "GET", "/api/v1/idps/0oa6nxbvzJ7pgD2sk2o4/metadata.xml", nil, 200, testEntityID, ""},
		"SAML alone":     {newTestOkta(t, nil).Handler(), "GET", "/", nil, 200, testEntityID, "OpenID"},
		"keys":           {both, "GET", "/oauth2/v1/keys", nil, 200, `"keys"`, `"d"`},
		"empty answer":   {o.Handler(), "GET", callbackPath, nil, 400, textOIDC, ""},
		"empty post":     {o.Handler(), "POST", callbackPath, url.Values{}, 400, textOIDC, ""},
		"bad form":       {o.Handler(), "POST", callbackPath + "?a=%zz", url.Values{}, 400, "cannot be read", ""},
		"huge answer":    {o.Handler(), "POST", callbackPath, url.Values{"code": {strings.Repeat("A", maxPosted)}}, 413, "too large", ""},
		"other method":   {o.Handler(), "PUT", callbackPath, nil, 405, "", ""},
		"somewhere else": {o.Handler(), "GET", "/login", nil, 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, page := surf(t, c.h, c.method, c.target, c.form)
			if resp.StatusCode != c.status || !strings.Contains(page, c.contains) || c.lacks != "" && strings.Contains(page, c.lacks) {
				t.Errorf("%d: %s", resp.StatusCode, page)
			}
		})
	}
}

// A provider that cannot be reached is its fault, and the page comes all the same.
func TestOIDCHandlerUnreachable(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.HTTPClient = &http.Client{Timeout: time.Minute} })
	values := login(t, p, o, "")
	p.Close()
	resp, page := surf(t, o.Handler(), "GET", callbackPath+"?"+values.Encode(), nil)
	if got := result(t, page); resp.StatusCode != 400 || !strings.HasPrefix(got["why"], "token: ") {
		t.Errorf("%d: %v", resp.StatusCode, got)
	}
}

func TestIndented(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`{"a":1}`: "{\n  \"a\": 1\n}", "x": "x", "": ""} {
		if got := indented([]byte(in)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
