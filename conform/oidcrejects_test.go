package conform

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/contract"
)

var esKey = sync.OnceValue(func() jose.SigningKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "es"}}
})

func publicES() jose.JSONWebKey {
	private := esKey().Key.(jose.JSONWebKey)
	return private.Public()
}

// unsigned is a token of algorithm none (RFC 7519 section 6.1).
func unsigned(_ *provider, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","kid":"idp"}`)) + "." + encode([]byte(payload)) + "."
}

// confused signs by HMAC with the public key, which a verifier that believes
// the token's own alg takes for good.
func confused(p *provider, payload string) string {
	der, err := x509.MarshalPKIXPublicKey(idpKeys().key.Public())
	if err != nil {
		panic(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return signWith(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: key, KeyID: "idp"}})(p, payload)
}

func claim(name string, value any) lies {
	return lies{claims: func(c map[string]any) { c[name] = value }}
}

func device(name string, value any) lies {
	return lies{claims: func(c map[string]any) { c["device_context"].(map[string]any)[name] = value }}
}

func answered(name, value string) lies {
	return lies{callback: func(v url.Values) { v.Set(name, value) }}
}

func tokens(name string, value any) lies {
	return lies{token: func(a map[string]any) { a[name] = value }}
}

func serves(status int, kind, body string) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}
}

// falsehoods has, for each rule and each requirement of the contract that can
// refuse, at least one provider that breaks it.
func falsehoods() map[string]struct {
	rule string
	lies lies
} {
	hour := time.Now().Add(-time.Hour).Unix()
	type falsehood = struct {
		rule string
		lies lies
	}
	return map[string]falsehood{
		"a parameter twice":        {"parameters", lies{callback: func(v url.Values) { v.Add("code", "x") }}},
		"too large":                {"parameters", answered("x", strings.Repeat("x", maxPosted))},
		"another issuer":           {"issuer", answered("iss", "https://other.example")},
		"no issuer":                {"issuer", lies{callback: func(v url.Values) { v.Del("iss") }}},
		"another state":            {"state", answered("state", "x")},
		"no state":                 {"state", lies{callback: func(v url.Values) { v.Del("state") }}},
		"no code":                  {"code", answered("code", "")},
		"error and code":           {"error", answered("error", "access_denied")},
		"error with a line":        {"error", lies{callback: func(v url.Values) { v.Del("code"); v.Set("error", "a\nb") }}},
		"error with markup":        {"error", lies{callback: func(v url.Values) { v.Del("code"); v.Set("error", "a"); v.Set("error_description", `"x`) }}},
		"error without a name":     {"error", lies{callback: func(v url.Values) { v.Del("code"); v.Set("error", "") }}},
		"another code":             {"token", answered("code", "x")},
		"token error":              {"token", lies{serve: serves(400, "application/json", `{"error":"invalid_grant","error_description":"`+strings.Repeat("x", 5000)+`"}`)}},
		"token page":               {"token", lies{serve: serves(500, "text/html", strings.Repeat("<p>", 5000))}},
		"token redirect":           {"token", lies{serve: serves(307, "text/html", "")}},
		"token without end":        {"token", lies{serve: serves(200, "application/json", `{"x":"`+strings.Repeat("x", 2*maxAnswer))}},
		"no access token":          {"token", tokens("access_token", "")},
		"no ID token":              {"token", lies{token: func(a map[string]any) { delete(a, "id_token") }}},
		"ID token a number":        {"token", tokens("id_token", 7)},
		"MAC token":                {"token-type", tokens("token_type", "MAC")},
		"no token type":            {"token-type", tokens("token_type", "")},
		"no JWT":                   {"id-token", tokens("id_token", "x")},
		"tampered":                 {"id-token", lies{idToken: tampered}},
		"signature cut":            {"id-token", lies{idToken: func(t string) string { return t[:strings.LastIndex(t, ".")+1] }}},
		"alg none":                 {"id-token", lies{sign: unsigned}},
		"HMAC by the public key":   {"id-token", lies{sign: confused}},
		"key not published":        {"id-token", lies{sign: signWith(esKey())}},
		"key of another kid":       {"id-token", lies{sign: signWith(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: oktaKeys().key, KeyID: "idp"}})}},
		"RS512":                    {"id-token", lies{sign: signWith(jose.SigningKey{Algorithm: jose.RS512, Key: jose.JSONWebKey{Key: idpKeys().key, KeyID: "idp"}})}},
		"issuer of the token":      {"id-token", claim("iss", "https://other.example")},
		"token of another client":  {"id-token", claim("aud", "other")},
		"token expired":            {"id-token", claim("exp", hour)},
		"token without an expiry":  {"id-token", lies{claims: func(c map[string]any) { delete(c, "exp") }}},
		"another nonce":            {"nonce", claim("nonce", "x")},
		"no nonce":                 {"nonce", lies{claims: func(c map[string]any) { delete(c, "nonce") }}},
		"another access token":     {"at-hash", tokens("access_token", "at-other")},
		"another hash":             {"at-hash", claim("at_hash", "x")},
		"a claim twice":            {"token-json", lies{payload: func(s string) string { return s[:len(s)-1] + `,"sub":"admin@example.com"}` }}},
		"two audiences":            {"token-audience", claim("aud", []string{testClient, "other"})},
		"another party":            {"token-audience", claim("azp", "other")},
		"issued in the future":     {"token-issued", claim("iat", time.Now().Add(2*time.Minute).Unix())},
		"not authenticated lately": {"token-auth-time", claim("auth_time", hour)},
		"no subject":               {"token-subject", claim("sub", "")},
		"amr a string":             {"token-amr", claim("amr", "pop")},
		"no device":                {"device-context", lies{claims: func(c map[string]any) { delete(c, "device_context") }}},
		"device a string":          {"device-context", claim("device_context", `{"managed":true}`)},
		"managed a string":         {"device-context-managed", device("managed", "true")},
		"managed a number":         {"device-context-managed", device("managed", 1)},
		"managed null":             {"device-context-managed", device("managed", nil)},
		"compliant a string":       {"device-context-compliant", device("compliant", "false")},
		"ID a number":              {"device-context-id", device("externalId", 1)},
		"no echo":                  {"token-app-context", lies{claims: func(c map[string]any) { delete(c, contract.ClaimAppName) }}},
		"echo trimmed":             {"token-app-context", claim(contract.ClaimAppName, "Wiki")},
		"UserInfo refused":         {"userinfo", lies{info: serves(401, "text/plain", strings.Repeat("x", 5000))}},
		"UserInfo no JSON":         {"userinfo", lies{info: serves(200, "application/json", `"x"`)}},
		"UserInfo without end":     {"userinfo", lies{info: serves(200, "application/json", `{"sub":"`+strings.Repeat("x", 2*maxAnswer))}},
		"UserInfo redirect":        {"userinfo", lies{info: serves(302, "text/html", "")}},
		"UserInfo twice":           {"userinfo-json", lies{info: serves(200, "application/json", `{"sub":"a","sub":"`+testUser+`"}`)}},
		"UserInfo of another":      {"userinfo-subject", lies{userInfo: func(c map[string]any) { c["sub"] = "other" }}},
		"UserInfo differs": {"userinfo-device-context", lies{userInfo: func(c map[string]any) {
			c["device_context"] = map[string]any{"managed": true, "compliant": true, "externalId": "dev-1"}
		}}},
		"UserInfo a string": {"userinfo-device-context", lies{userInfo: func(c map[string]any) {
			c["device_context"] = map[string]any{"managed": "true", "compliant": false, "externalId": "dev-1"}
		}}},
	}
}

// tampered turns a bit of the claims.
func tampered(token string) string {
	parts := strings.Split(token, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic(err)
	}
	claims = []byte(strings.Replace(string(claims), `"compliant":false`, `"compliant":true`, 1))
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(claims) + "." + parts[2]
}

func TestReceiveOIDCRejects(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{"response-mode": true, "contract": true} // the test of that name; its requirements by theirs
	for name, c := range falsehoods() {
		tested[c.rule] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			minute := time.Minute
			p, o := newProvider(t, c.lies, nil)
			opts := OIDCRequestOptions{LoginHint: testUser, MaxAge: &minute, AppContext: &AppContext{InstanceID: "0oa1", Name: "Wiki "}}
			got, err := signInAt(t, p, o, opts)
			if got != nil {
				t.Errorf("got %+v", got)
			}
			text := textOIDC
			if c.rule == "token-app-context" {
				text = textAppContext
			}
			wantOIDCRejection(t, err, c.rule, text)
			p.lies = lies{}
			if _, err := signInAt(t, p, o, opts); err != nil {
				t.Errorf("the honest answer afterwards: %v", err)
			}
		})
	}
	for _, rules := range [][]*oidcRule{arrivalRules, tokenRules, refusalRules} {
		for _, r := range rules {
			if !tested[r.id] && r.severity == contract.Must {
				t.Errorf("rule %s has no failing vector", r.id)
			}
			if r.citation == "" || r.severity == "" {
				t.Errorf("rule with a hole: %+v", r)
			}
		}
	}
	for _, r := range contract.Requirements() {
		// What go-oidc refuses first never comes to the contract's check.
		first := map[string]bool{"token-issuer": true, "token-nonce": true, "token-expiry": true, "token-hash": true}
		ours := strings.HasPrefix(r.ID, "token-") || strings.HasPrefix(r.ID, "device-context") || strings.HasPrefix(r.ID, "userinfo-")
		if ours && r.Severity == contract.Must && !tested[r.ID] && !first[r.ID] {
			t.Errorf("requirement %s has no failing vector", r.ID)
		}
	}
}

// An answer by the wrong way, or of somebody else, costs the right one nothing.
func TestReceiveOIDCResponseMode(t *testing.T) {
	t.Parallel()
	for mode, other := range map[string]string{"": http.MethodPost, modeQuery: http.MethodPost, modeFormPost: http.MethodGet} {
		p, o := newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.ResponseMode = mode })
		values := answerOf(t, p, o, OIDCRequestOptions{})
		for _, method := range []string{other, http.MethodHead} {
			_, err := o.Receive(t.Context(), method, values)
			wantOIDCRejection(t, err, "response-mode", textOIDC)
		}
		stranger := url.Values{"state": values["state"], "code": {"x"}, "iss": {"https://other.example"}}
		_, err := o.Receive(t.Context(), methodOf(o), stranger)
		wantOIDCRejection(t, err, "issuer", textOIDC)
		if _, err := o.Receive(t.Context(), methodOf(o), values); err != nil {
			t.Error(err)
		}
	}
}

// A code of one client is nothing to another; a verifier of one request is
// nothing to another.
func TestReceiveOIDCMixedUp(t *testing.T) {
	t.Parallel()
	p, o := newProvider(t, lies{}, nil)
	mine, theirs := answerOf(t, p, o, OIDCRequestOptions{}), answerOf(t, p, o, OIDCRequestOptions{})
	mine.Set("code", theirs.Get("code"))
	_, err := o.Receive(t.Context(), "GET", mine)
	wantOIDCRejection(t, err, "token", textOIDC)

	// Without PKCE the nonce notices.
	p, o = newProvider(t, lies{}, func(c *OktaOIDCConfig) { c.PKCE = false })
	mine, theirs = answerOf(t, p, o, OIDCRequestOptions{}), answerOf(t, p, o, OIDCRequestOptions{})
	mine.Set("code", theirs.Get("code"))
	_, err = o.Receive(t.Context(), "GET", mine)
	wantOIDCRejection(t, err, "nonce", textOIDC)
}

// The leeway is Okta's clock skew: none by default, and no more than configured.
func TestReceiveOIDCClockSkew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		skew, clock time.Duration
		rule        string
	}{
		{0, -2 * time.Second, "token-issued"},
		{time.Minute, -30 * time.Second, ""},
		{time.Minute, -2 * time.Minute, "token-issued"},
		{0, 6 * time.Minute, "id-token"},
		{time.Minute, 5*time.Minute + 30*time.Second, ""},
		{time.Minute, 7 * time.Minute, "id-token"},
	} {
		p, o := newProvider(t, lies{}, func(cfg *OktaOIDCConfig) { cfg.ClockSkew = c.skew })
		okta := *p.client.cfg.HTTPClient
		_, other := newProvider(t, lies{}, func(cfg *OktaOIDCConfig) {
			cfg.ClockSkew, cfg.Issuer, cfg.HTTPClient = c.skew, p.URL, &okta
			cfg.Endpoints = o.cfg.Endpoints
			late := time.Now().Add(c.clock)
			cfg.Now = func() time.Time { return late }
		})
		_, err := signInAt(t, p, other, OIDCRequestOptions{})
		if c.rule == "" && err != nil {
			t.Errorf("skew %v, clock %v: %v", c.skew, c.clock, err)
		}
		if c.rule != "" {
			wantOIDCRejection(t, err, c.rule, textOIDC)
		}
	}
}
