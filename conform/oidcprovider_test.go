package conform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/contract"
)

// The OpenID Connect provider of these tests: honest, but for its lies. What
// Gatepost itself answers is tested where it is wired.

const (
	testClient   = "0oaclient"
	testSecret   = "uVw5JqfM0lYHnq1JsCJvW1-z6aX0oU0ZpN_4Q6f8q2s-and-64-bytes-are-for-HS512"
	testCallback = "https://acme.okta.example/oauth2/v1/authorize/callback"
)

// lies are the ways in which a provider can be wrong; nil is honest.
type lies struct {
	callback func(url.Values)     // the answer through the browser
	claims   func(map[string]any) // of the ID token
	payload  func(string) string  // the claims as JSON
	sign     func(p *provider, payload string) string
	idToken  func(string) string            // when it is signed
	token    func(map[string]any)           // the token endpoint's answer
	serve    func(http.ResponseWriter) bool // instead of the token endpoint's answer
	userInfo func(map[string]any)
	info     func(http.ResponseWriter) bool // instead of UserInfo's answer
}

type provider struct {
	*httptest.Server
	lies
	refuse string // error with which every request is refused; "": none
	client *OktaOIDC
	keys   []jose.JSONWebKey // published

	mu     sync.Mutex
	grants map[string]url.Values // requests by code
}

// newProvider starts a provider and the Okta that trusts it.
func newProvider(t testing.TB, l lies, change func(*OktaOIDCConfig)) (*provider, *OktaOIDC) {
	t.Helper()
	p := &provider{lies: l, grants: map[string]url.Values{}, keys: []jose.JSONWebKey{
		{Key: otherKeys().key.Public(), KeyID: "other", Algorithm: "RS256", Use: "sig"},
		{Key: idpKeys().key.Public(), KeyID: "idp", Algorithm: "RS256", Use: "sig"},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.redeem)
	mux.HandleFunc("GET /userinfo", p.tell)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: p.keys})
	})
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "userinfo_endpoint": p.URL + "/userinfo",
			"authorization_response_iss_parameter_supported": true,
		})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	cfg := OktaOIDCConfig{
		ClientID: testClient, ClientSecret: testSecret, RedirectURI: testCallback, Issuer: p.URL,
		Endpoints: OIDCEndpoints{
			Authorization: p.URL + "/authorize", Token: p.URL + "/token", JWKS: p.URL + "/keys",
			UserInfo: p.URL + "/userinfo", IssParameter: true,
		},
		PKCE: true, HTTPClient: p.Client(), Now: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	o, err := NewOktaOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.client = o
	return p, o
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		panic(err)
	}
}

// read takes a request apart, signed or not.
func (p *provider) read(query url.Values) (url.Values, error) {
	object := query.Get("request")
	if object == "" {
		return query, nil
	}
	jws, err := jose.ParseSignedCompact(object, []jose.SignatureAlgorithm{"RS256", "RS384", "RS512", "HS256", "HS384", "HS512"})
	if err != nil {
		return nil, err
	}
	var key any = []byte(testSecret)
	if strings.HasPrefix(jws.Signatures[0].Header.Algorithm, "RS") {
		key = p.clientKey(jws)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, err
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, err
	}
	values := url.Values{}
	for name, raw := range claims {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		values.Set(name, text)
	}
	if values.Get("aud") != p.URL || values.Get("iss") != testClient || values.Get("jti") == "" || values.Get("client_id") != query.Get("client_id") ||
		query.Get("scope") != values.Get("scope") || query.Get("response_type") != "code" || query.Has("state") || query.Has("nonce") {
		return nil, fmt.Errorf("the request object says %s beside %s", payload, query.Encode())
	}
	return values, nil
}

func (p *provider) clientKey(jws *jose.JSONWebSignature) any {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(p.client.KeySet(), &set); err != nil {
		panic(err)
	}
	for _, key := range set.Key(jws.Signatures[0].Header.KeyID) {
		return key
	}
	return nil
}

// answer is what the browser carries back.
func (p *provider) answer(query url.Values) (url.Values, error) {
	request, err := p.read(query)
	if err != nil {
		return nil, err
	}
	values := url.Values{"state": {request.Get("state")}, "iss": {p.URL}}
	if p.refuse != "" {
		values.Set("error", p.refuse)
		values.Set("error_description", contract.DeviceNotManaged)
	} else {
		p.mu.Lock()
		code := fmt.Sprintf("code%d", len(p.grants))
		p.grants[code] = request
		p.mu.Unlock()
		values.Set("code", code)
	}
	if p.callback != nil {
		p.callback(values)
	}
	return values, nil
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	values, err := p.answer(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, testCallback+"?"+values.Encode(), http.StatusSeeOther)
}
