package conform

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

func TestNewOktaOIDCRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*OktaOIDCConfig)
		want   string
	}{
		"no client ID":      {func(c *OktaOIDCConfig) { c.ClientID = "" }, "client ID"},
		"no issuer":         {func(c *OktaOIDCConfig) { c.Issuer = "" }, "issuer"},
		"no clock":          {func(c *OktaOIDCConfig) { c.Now = nil }, "clock"},
		"relative callback": {func(c *OktaOIDCConfig) { c.RedirectURI = "/callback" }, `"/callback"`},
		"no path":           {func(c *OktaOIDCConfig) { c.RedirectURI = "https://acme.okta.example" }, "path"},
		"no authorization":  {func(c *OktaOIDCConfig) { c.Endpoints.Authorization = "" }, "required"},
		"no token":          {func(c *OktaOIDCConfig) { c.Endpoints.Token = "" }, "required"},
		"no keys":           {func(c *OktaOIDCConfig) { c.Endpoints.JWKS = "/keys" }, `"/keys"`},
		"no secret":         {func(c *OktaOIDCConfig) { c.ClientSecret = "" }, "secret"},
		"no secret, posted": {func(c *OktaOIDCConfig) { c.ClientSecret, c.AuthMethod = "", secretPost }, "secret"},
		"no key":            {func(c *OktaOIDCConfig) { c.AuthMethod = privateKeyJWT }, "private_key_jwt needs a key"},
		"method":            {func(c *OktaOIDCConfig) { c.AuthMethod = "client_secret_jwt" }, `"client_secret_jwt"`},
		"response mode":     {func(c *OktaOIDCConfig) { c.ResponseMode = "fragment" }, `"fragment"`},
		"short secret":      {func(c *OktaOIDCConfig) { c.RequestObject, c.ClientSecret = "HS512", strings.Repeat("x", 63) }, "64 bytes"},
		"no key to sign":    {func(c *OktaOIDCConfig) { c.RequestObject = "RS256" }, "RS256 need a key"},
		"signed by none":    {func(c *OktaOIDCConfig) { c.RequestObject = "none" }, `"none"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := OktaOIDCConfig{
				ClientID: testClient, ClientSecret: testSecret, RedirectURI: testCallback, Issuer: "https://idp.example.com", Now: time.Now,
				Endpoints: OIDCEndpoints{Authorization: "https://idp.example.com/a", Token: "https://idp.example.com/t", JWKS: "https://idp.example.com/k"},
			}
			if _, err := NewOktaOIDC(cfg); err != nil {
				t.Fatal(err)
			}
			c.change(&cfg)
			if _, err := NewOktaOIDC(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %s", err, c.want)
			}
		})
	}
}

func TestDiscoverOIDC(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	got, err := DiscoverOIDC(t.Context(), p.Client(), p.URL)
	if err != nil || got != o.cfg.Endpoints {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := DiscoverOIDC(t.Context(), nil, p.URL+"/"); err == nil || !strings.Contains(err.Error(), "did not match") {
		t.Errorf("of another issuer: %v", err)
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serves(404, "text/html", strings.Repeat("x", 2*maxAnswer))(w)
	}))
	t.Cleanup(endless.Close)
	if _, err := DiscoverOIDC(t.Context(), endless.Client(), endless.URL); err == nil || len(err.Error()) > 500 {
		t.Errorf("no document: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DiscoverOIDC(ctx, p.Client(), p.URL); err == nil {
		t.Error("the context has ended")
	}
}

func TestOIDCKeySet(t *testing.T) {
	t.Parallel()
	_, bare := newProvider(t, lies{}, nil)
	if got := string(bare.KeySet()); got != `{"keys":[]}` {
		t.Errorf("without a key: %s", got)
	}
	_, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.Key = oktaKeys().key })
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(o.KeySet(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("got %s, %v", o.KeySet(), err)
	}
	if k := set.Keys[0]; !k.IsPublic() || k.KeyID == "" || k.Use != "sig" || !oktaKeys().key.PublicKey.Equal(k.Key) {
		t.Errorf("got %s", o.KeySet())
	}
}

func TestOIDCRequest(t *testing.T) {
	t.Parallel()
	_, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) {
		c.ResponseMode = modeFormPost
		c.Endpoints.Authorization += "?tenant=acme"
	})
	age := 90 * time.Second
	req, err := o.Request(OIDCRequestOptions{
		LoginHint: testUser, IDTokenHint: "h", Prompt: "none", ACRValues: "a b", Claims: "{}", MaxAge: &age,
		AppContext: &AppContext{InstanceID: "0oa1", Name: "Wiki "},
		Edit:       func(v url.Values) { v.Set("display", "page") },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {testClient}, "response_type": {"code"}, "response_mode": {"form_post"}, "scope": {"openid email profile"},
		"redirect_uri": {testCallback}, "state": {req.State}, "nonce": {req.Nonce}, "login_hint": {testUser}, "id_token_hint": {"h"},
		"prompt": {"none"}, "acr_values": {"a b"}, "claims": {"{}"}, "max_age": {"90"}, "app_instance_id": {"0oa1"}, "app_name": {"Wiki "},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(o.open.m[req.State].verifier)}, "code_challenge_method": {"S256"},
		"display": {"page"},
	}
	if req.Form.Encode() != want.Encode() || req.Action != o.cfg.Endpoints.Authorization {
		t.Errorf("got  %s\nwant %s", req.Form.Encode(), want.Encode())
	}
	want.Set("tenant", "acme")
	if got := queryOf(t, req); got.Encode() != want.Encode() {
		t.Errorf("got  %s\nwant %s", got.Encode(), want.Encode())
	}
	other, err := o.Request(OIDCRequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(req.State) != 43 || len(req.Nonce) != 43 || req.State == req.Nonce || other.State == req.State || other.Nonce == req.Nonce {
		t.Errorf("state %q and %q, nonce %q and %q", req.State, other.State, req.Nonce, other.Nonce)
	}
	if own, err := o.Request(OIDCRequestOptions{State: "s", Nonce: "n"}); err != nil || own.Form.Get("state") != "s" || own.Form.Get("nonce") != "n" {
		t.Errorf("got %v, %v", own, err)
	}
}

func TestOIDCSignedRequest(t *testing.T) {
	t.Parallel()
	_, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.RequestObject = "HS256" })
	age := time.Minute
	req, err := o.Request(OIDCRequestOptions{
		MaxAge: &age, Claims: `{"userinfo":{}}`, LoginHint: testUser,
		Edit:       func(v url.Values) { v.Del("nonce") },
		EditObject: func(c map[string]any) { c["extra"] = 1 },
	})
	if err != nil {
		t.Fatal(err)
	}
	query := queryOf(t, req)
	jws, err := jose.ParseSignedCompact(query.Get("request"), []jose.SignatureAlgorithm{"HS256"})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if got["max_age"] != 60.0 || got["extra"] != 1.0 || got["login_hint"] != testUser || got["state"] != req.State || got["nonce"] != nil ||
		got["iss"] != testClient || got["aud"] != o.cfg.Issuer || got["jti"] == nil || got["exp"].(float64)-got["iat"].(float64) != 300 {
		t.Errorf("got %s", payload)
	}
	if _, isObject := got["claims"].(map[string]any); !isObject {
		t.Errorf("claims is %v", got["claims"])
	}
	query.Del("request")
	if query.Encode() != "client_id=0oaclient&response_type=code&scope=openid+email+profile" {
		t.Errorf("beside it: %s", query.Encode())
	}
}

// A random source that ends makes no request rather than a weak one.
func TestOIDCRequestRandom(t *testing.T) {
	t.Parallel()
	_, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.Rand = strings.NewReader("short") })
	if req, err := o.Request(OIDCRequestOptions{}); err == nil {
		t.Errorf("got %+v", req)
	}
}
