package idp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"gatepost.dev/certs"
	"gatepost.dev/idp"
	own "gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

const (
	clientID    = "okta"
	secret      = "0123456789abcdef0123456789abcdef-secret"
	redirectURI = "https://acme.okta.com/oauth2/v1/authorize/callback"
)

// serveOIDC adds the OpenID Connect endpoints of a world to mux. A world is one
// host that does both, and its one relying party is a client too.
func (w *world) serveOIDC(mux *http.ServeMux, verifier *certs.Verifier, host string) {
	issuer := "https://" + host
	w.op = &own.Provider{
		Issuer: issuer, AuthorizeURL: issuer + "/oidc/authorize", TokenURL: issuer + "/oidc/token", UserInfoURL: issuer + "/oidc/userinfo",
		JWKSURL: issuer + "/oidc/jwks", IDTokenAlgs: []string{own.RS256},
	}
	keys := func() (published []own.PublicKey) {
		for _, k := range w.keyring.Published() {
			published = append(published, own.PublicKey{ID: k.ID, Alg: k.Algorithm(), Key: k.Certificate.PublicKey})
		}
		return published
	}
	signer := func(alg string) *own.Signer {
		if key := w.keyring.Signing(); key.Algorithm() == alg {
			return &own.Signer{ID: key.ID, Alg: alg, Key: key}
		}
		return nil
	}
	authorize := &idp.OIDC{Provider: w.op, Clients: w, Inventory: w.records, Noter: w.records, Recorder: w.records, Verifier: verifier, Keys: keys, Explainer: w.provider.Explainer, Challenger: w.provider.Challenger, Now: w.now}
	token := &idp.Token{Provider: w.op, Clients: w, Grants: w.records, Claimer: w.records, Signer: signer, Now: w.now}
	userInfo := &idp.UserInfo{Clients: w, Grants: w.records, Now: w.now}
	configuration := &idp.Configuration{Provider: w.op, MaxAge: 5 * time.Minute}
	keySet := &idp.KeySet{Keys: keys, MaxAge: 5 * time.Minute}
	if w.breakOIDC != nil {
		w.breakOIDC(authorize, token, userInfo)
	}
	for route, e := range map[string]struct {
		serve      web.HandlerFunc
		writeError func(http.ResponseWriter, *http.Request, *web.Error, string)
	}{
		"GET /oidc/authorize":                   {authorize.ServeAuthorize, nil},
		"POST /oidc/authorize":                  {authorize.ServeAuthorize, nil},
		"POST /oidc/authorize/continue":         {authorize.ServeContinue, nil},
		"POST /oidc/authorize/challenge":        {authorize.Challenger.ServeAsk("oidc"), nil},
		"POST /oidc/token":                      {token.ServeToken, idp.WriteTokenError},
		"GET /oidc/userinfo":                    {userInfo.ServeUserInfo, idp.WriteBearerError},
		"POST /oidc/userinfo":                   {userInfo.ServeUserInfo, idp.WriteBearerError},
		"GET /.well-known/openid-configuration": {configuration.ServeConfiguration, nil},
		"GET /oidc/jwks":                        {keySet.ServeKeySet, nil},
	} {
		options := &web.Options{Log: slog.New(slog.NewJSONHandler(w.logged, nil)), Now: w.now, MaxBody: idp.MaxRequestBody, WriteError: e.writeError, NewReference: w.reference}
		mux.Handle(route, web.Handle(route, e.serve, options))
	}
	w.party.OIDC = &own.Client{
		ID: clientID, RedirectURIs: []string{redirectURI, redirectURI + "?tenant=2"}, Secrets: []own.Secret{{Hash: own.HashSecret(secret)}}, IDTokenAlg: own.RS256,
	}
}

// ByClientID implements idp.Clients.
func (w *world) ByClientID(_ context.Context, id string) (*idp.RelyingParty, error) {
	if w.party.OIDC == nil || id != w.party.OIDC.ID {
		return nil, fmt.Errorf("%q: %w", id, posture.ErrNoRelyingParty)
	}
	return w.party, nil
}

// ask is an authorization request that is right but for what changes say, as
// name, value, name, value; an empty value leaves the parameter out.
func ask(changes ...string) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"openid email profile"}, "state": {"state-1"}, "nonce": {"nonce-1"}}
	for i := 0; i < len(changes); i += 2 {
		q.Del(changes[i])
		if changes[i+1] != "" {
			q.Set(changes[i], changes[i+1])
		}
	}
	return q
}

// reply is what came back from an endpoint.
type reply struct {
	status int
	header http.Header
	body   string
	fields url.Values // of the Location
	closed bool       // the connection
}

func (w *world) do(client *http.Client, method, endpoint string, form url.Values, header ...string) reply {
	w.t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else if len(form) > 0 {
		endpoint += "?" + form.Encode()
	}
	r := must(http.NewRequestWithContext(w.t.Context(), method, endpoint, body))(w.t)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp := must(client.Do(r))(w.t)
	defer resp.Body.Close()
	out := reply{status: resp.StatusCode, header: resp.Header, closed: resp.Close, body: string(must(io.ReadAll(resp.Body))(w.t))}
	if location := resp.Header.Get("Location"); location != "" {
		out.fields = must(url.Parse(location))(w.t).Query()
	}
	return out
}

func (w *world) authorize(client *http.Client, q url.Values) reply {
	w.t.Helper()
	return w.do(client, http.MethodGet, w.op.AuthorizeURL, q)
}

// code gets one.
func (w *world) code(client *http.Client, changes ...string) string {
	w.t.Helper()
	got := w.authorize(client, ask(changes...))
	if got.status != http.StatusSeeOther || got.fields.Get("code") == "" {
		w.t.Fatalf("no code: %d %v %s", got.status, got.header, got.body)
	}
	return got.fields.Get("code")
}

// redeem takes the code to the token endpoint, with changes as in ask. The back
// channel has no client certificate.
func (w *world) redeem(code string, changes ...string) reply {
	w.t.Helper()
	form := ask(append([]string{"response_type", "", "scope", "", "state", "", "nonce", "", "grant_type", "authorization_code", "code", code,
		"client_secret", secret}, changes...)...)
	return w.do(browser(nil), http.MethodPost, w.op.TokenURL, form)
}

// tokens is a successful answer of the token endpoint, its ID token judged by
// go-oidc.
type tokens struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
	IDToken     string `json:"id_token"`
	claims      map[string]any
}

func (w *world) tokens(r reply) tokens {
	w.t.Helper()
	var got tokens
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != http.StatusOK {
		w.t.Fatalf("token endpoint: %d %s %v\n%s", r.status, r.body, err, w.logged)
	}
	ctx := oidc.ClientContext(w.t.Context(), browser(nil))
	provider := must(oidc.NewProvider(ctx, w.op.Issuer))(w.t)
	verifier := provider.Verifier(&oidc.Config{ClientID: clientID, Now: w.now, SupportedSigningAlgs: []string{own.RS256, own.ES256}})
	token := must(verifier.Verify(ctx, got.IDToken))(w.t)
	if err := token.VerifyAccessToken(got.AccessToken); err != nil {
		w.t.Fatal(err)
	}
	if err := token.Claims(&got.claims); err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) userInfo(accessToken string) reply {
	w.t.Helper()
	return w.do(browser(nil), http.MethodGet, w.op.UserInfoURL, nil, "Authorization", "Bearer "+accessToken)
}

// newOIDCWorld has a managed device, and the browser on it.
func newOIDCWorld(t testing.TB, change ...func(*world)) (*world, *http.Client) {
	t.Helper()
	w := newWorld(t, change...)
	w.device("mac-1", managed)
	return w, browser(w.certificate("mac-1", time.Hour))
}
