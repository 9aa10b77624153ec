package conform

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/contract"
)

// signInAt takes the whole way: request, answer, judgement.
func signInAt(t testing.TB, p *provider, o *OktaOIDC, opts OIDCRequestOptions) (*OIDCSignIn, error) {
	t.Helper()
	return o.Receive(t.Context(), methodOf(o), answerOf(t, p, o, opts))
}

func methodOf(o *OktaOIDC) string {
	if o.cfg.ResponseMode == modeFormPost {
		return http.MethodPost
	}
	return http.MethodGet
}

func answerOf(t testing.TB, p *provider, o *OktaOIDC, opts OIDCRequestOptions) url.Values {
	t.Helper()
	req, err := o.Request(opts)
	if err != nil {
		t.Fatal(err)
	}
	values, err := p.answer(queryOf(t, req))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func queryOf(t testing.TB, req *OIDCRequest) url.Values {
	t.Helper()
	u, err := url.Parse(req.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestReceiveOIDCAccepts(t *testing.T) {
	t.Parallel()
	app := &AppContext{InstanceID: "0oa1", Name: "Wiki with a trailing space "}
	ago := time.Minute
	for name, c := range map[string]struct {
		okta func(*OktaOIDCConfig)
		opts OIDCRequestOptions
		lies lies
	}{
		"as Okta":               {},
		"client_secret_post":    {okta: func(c *OktaOIDCConfig) { c.AuthMethod = secretPost }},
		"private_key_jwt":       {okta: func(c *OktaOIDCConfig) { c.AuthMethod, c.Key, c.ClientSecret = privateKeyJWT, oktaKeys().key, "" }},
		"no PKCE":               {okta: func(c *OktaOIDCConfig) { c.PKCE = false }},
		"form_post":             {okta: func(c *OktaOIDCConfig) { c.ResponseMode = modeFormPost }},
		"query, said":           {okta: func(c *OktaOIDCConfig) { c.ResponseMode = modeQuery }},
		"no UserInfo":           {okta: func(c *OktaOIDCConfig) { c.Endpoints.UserInfo = "" }},
		"no iss":                {okta: func(c *OktaOIDCConfig) { c.Endpoints.IssParameter = false }, lies: lies{callback: func(v url.Values) { v.Del("iss") }}},
		"HS256":                 {okta: func(c *OktaOIDCConfig) { c.RequestObject = "HS256" }},
		"HS384":                 {okta: func(c *OktaOIDCConfig) { c.RequestObject = "HS384" }},
		"HS512":                 {okta: func(c *OktaOIDCConfig) { c.RequestObject = "HS512" }},
		"RS256":                 {okta: func(c *OktaOIDCConfig) { c.RequestObject, c.Key = "RS256", oktaKeys().key }},
		"RS512":                 {okta: func(c *OktaOIDCConfig) { c.RequestObject, c.Key = "RS512", oktaKeys().key }},
		"application context":   {opts: OIDCRequestOptions{AppContext: app}},
		"under the other names": {okta: func(c *OktaOIDCConfig) { c.OktaAppNames, c.SendAppContext = true, app }},
		"in a signed request":   {okta: func(c *OktaOIDCConfig) { c.RequestObject = "HS256" }, opts: OIDCRequestOptions{AppContext: app, MaxAge: &ago, Claims: `{"id_token":{}}`}},
		"ID token by ES256":     {lies: lies{sign: signWith(esKey())}},
		"another clock":         {okta: func(c *OktaOIDCConfig) { c.Now = func() time.Time { return time.Now().Add(-48 * time.Hour) } }},
		"more parameters":       {lies: lies{callback: func(v url.Values) { v.Set("session_state", "x") }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, o := newProvider(t, c.lies, c.okta)
			p.keys = append(p.keys, publicES())
			c.opts.LoginHint = testUser
			got, err := signInAt(t, p, o, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if !got.OK() || got.Subject != testUser || !got.Managed || got.Compliant || got.ExternalID != "dev-1" ||
				got.ACR != contract.DevicePosture || !slices.Equal(got.AMR, []string{"pop"}) || got.Findings != nil {
				t.Errorf("got %+v", got)
			}
			if (c.opts.AppContext != nil || o.cfg.SendAppContext != nil) != (got.AppContext == *app) {
				t.Errorf("application context %q", got.AppContext)
			}
			if !json.Valid(got.Claims) || !json.Valid(got.Header) || json.Valid(got.UserInfo) != (o.cfg.Endpoints.UserInfo != "") {
				t.Errorf("header %s, claims %s, UserInfo %s", got.Header, got.Claims, got.UserInfo)
			}
			if len(o.open.m) != 0 {
				t.Errorf("%d requests are still awaited", len(o.open.m))
			}
		})
	}
}

// TestReceiveOIDCRefusal: an error is the provider's word, not a fault.
func TestReceiveOIDCRefusal(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	p.refuse = "access_denied"
	got, err := signInAt(t, p, o, OIDCRequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.OK() || got.Error != "access_denied" || got.ErrorDescription != contract.DeviceNotManaged || got.Managed || got.State == "" || got.Code != "" {
		t.Errorf("got %+v", got)
	}
}

// What a provider should do is said of a sign-in that is accepted all the same.
func TestReceiveOIDCFindings(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]lies{
		"token-no-store":                  {token: func(a map[string]any) { a["cacheable"] = true }},
		"token-hash-present":              {claims: func(c map[string]any) { delete(c, "at_hash") }},
		"token-amr-present":               {claims: func(c map[string]any) { delete(c, "amr") }},
		"userinfo-device-context-present": {userInfo: func(c map[string]any) { delete(c, "device_context") }},
		"userinfo-claims":                 {userInfo: func(c map[string]any) { c["email"] = "other@example.com" }},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			p, o := newProvider(t, l, nil)
			got, err := signInAt(t, p, o, OIDCRequestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Findings) != 1 || got.Findings[0].ID != want || got.Findings[0].Severity != contract.Should ||
				got.Findings[0].Message == "" || got.Findings[0].Citation == "" {
				t.Errorf("findings %v", got.Findings)
			}
		})
	}
}

func TestReceiveOIDCReplay(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	values := answerOf(t, p, o, OIDCRequestOptions{})
	if _, err := o.Receive(t.Context(), "GET", values); err != nil {
		t.Fatal(err)
	}
	_, err := o.Receive(t.Context(), "GET", values)
	wantOIDCRejection(t, err, "state", textOIDC)
}

// One request is answered once, however many answers come at the same time.
func TestReceiveOIDCAtOnce(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	values := answerOf(t, p, o, OIDCRequestOptions{})
	var accepted, refused atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := o.Receive(t.Context(), "GET", values)
			if r, ok := errors.AsType[*Rejection](err); ok && r.Rule == "state" {
				refused.Add(1)
			} else if err == nil {
				accepted.Add(1)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d accepted, %d refused", accepted.Load(), refused.Load())
	}
}

// A key that was published after the first sign-in is fetched.
func TestReceiveOIDCRotation(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	if _, err := signInAt(t, p, o, OIDCRequestOptions{}); err != nil {
		t.Fatal(err)
	}
	p.sign = signWith(esKey())
	p.keys = []jose.JSONWebKey{publicES()}
	if _, err := signInAt(t, p, o, OIDCRequestOptions{}); err != nil {
		t.Error(err)
	}
}

func TestReceiveOIDCCancelled(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	values := answerOf(t, p, o, OIDCRequestOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := o.Receive(ctx, "GET", values)
	if _, ok := errors.AsType[*Rejection](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOIDCForgets(t *testing.T) {
	t.Parallel()
	_, o := newProvider(t, lies{}, nil)
	for range maxOpen + 10 {
		if _, err := o.Request(OIDCRequestOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.open.m) != maxOpen || len(o.open.order) != maxOpen {
		t.Errorf("%d requests are awaited", len(o.open.m))
	}
}

func wantOIDCRejection(t *testing.T, err error, rule, text string) {
	t.Helper()
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		t.Fatalf("got %v, want a rejection by %s", err, rule)
	}
	if r.Rule != rule || r.Text != text || r.Cause.Error() == "" || len(r.Cause.Error()) > 2000 {
		t.Errorf("got %s: %q (%v)\nwant %s: %q", r.Rule, r.Text, r.Cause, rule, text)
	}
	if strings.Contains(r.Error(), testSecret) {
		t.Errorf("the secret is in %q", r.Error())
	}
}

func FuzzReceiveOIDC(f *testing.F) {
	_, o := newProvider(f, lies{}, nil)
	f.Add("GET", "state=x&iss=x&code=x")
	f.Add("POST", "error=access_denied&error_description=DEVICE_NOT_MANAGED")
	f.Add("GET", "state=known&iss=known&error=access_denied%00")
	f.Add("GET", "state=known&iss=known&error=access_denied&code=x")
	f.Add("GET", "state=known&iss=known&code=x")
	f.Add("GET", "state=known&state=known")
	f.Fuzz(func(t *testing.T, method, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if values.Get("state") == "known" {
			req, err := o.Request(OIDCRequestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			values.Set("state", req.State)
		}
		if values.Get("iss") == "known" {
			values.Set("iss", o.cfg.Issuer)
		}
		got, err := o.Receive(t.Context(), method, values)
		switch {
		case err == nil && (got.OK() || values.Get("error") != got.Error):
			t.Fatalf("accepted %q: %+v", query, got) // its codes are invented
		case err != nil:
			if _, ok := errors.AsType[*Rejection](err); !ok {
				t.Fatalf("not a rejection: %v", err)
			}
		}
	})
}
