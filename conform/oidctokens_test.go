package conform

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"gatepost.dev/contract"
)

// redeem checks what a client must send (OpenID Connect core 3.1.3.2).
func (p *provider) redeem(w http.ResponseWriter, r *http.Request) {
	if p.serve != nil && p.serve(w) {
		return
	}
	p.mu.Lock()
	request, found := p.grants[r.FormValue("code")]
	p.mu.Unlock()
	wrong := ""
	verifier := r.FormValue("code_verifier")
	switch {
	case !p.authenticated(r):
		wrong = "invalid_client"
	case !found || r.FormValue("grant_type") != "authorization_code" || r.FormValue("redirect_uri") != request.Get("redirect_uri") ||
		verifier != "" && oauth2.S256ChallengeFromVerifier(verifier) != request.Get("code_challenge") || verifier == "" && request.Has("code_challenge"):
		wrong = "invalid_grant"
	}
	if wrong != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": %q, "error_description": "no"}`, wrong)
		return
	}
	answer := map[string]any{
		"access_token": "at-" + r.FormValue("code"), "token_type": "Bearer", "expires_in": 300,
		"id_token": p.idTokenFor(request, "at-"+r.FormValue("code")),
	}
	if p.token != nil {
		p.token(answer)
	}
	w.Header().Set("Cache-Control", "no-store")
	if answer["cacheable"] != nil {
		w.Header().Del("Cache-Control")
	}
	writeJSON(w, answer)
}

func (p *provider) authenticated(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	assertion := r.FormValue("client_assertion")
	switch p.client.cfg.AuthMethod {
	case secretBasic:
		return basic && id == testClient && secret == testSecret && !r.PostForm.Has("client_secret") && assertion == ""
	case secretPost:
		return !basic && r.FormValue("client_id") == testClient && r.FormValue("client_secret") == testSecret && assertion == ""
	}
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{"RS256"})
	if err != nil || basic || r.PostForm.Has("client_secret") {
		return false
	}
	payload, err := jws.Verify(p.clientKey(jws))
	var claims struct {
		Iss, Sub, Aud, Jti string
		Exp                int64
	}
	return err == nil && json.Unmarshal(payload, &claims) == nil && claims.Iss == testClient && claims.Sub == testClient &&
		claims.Aud == p.URL+"/token" && claims.Jti != "" && claims.Exp > p.client.cfg.Now().Unix()
}

// about is what ID token and UserInfo both say.
func about(request url.Values) map[string]any {
	said := map[string]any{
		"sub": cmp.Or(request.Get("login_hint"), "somebody"), "email": request.Get("login_hint"),
		"device_context": map[string]any{"managed": true, "compliant": false, "externalId": "dev-1"},
	}
	for _, pair := range [][2]string{{contract.AppInstanceID, contract.ClaimAppInstanceID}, {contract.AppName, contract.ClaimAppName}} {
		for _, name := range pair {
			if request.Has(name) {
				said[name], said[pair[1]] = request.Get(name), request.Get(name)
			}
		}
	}
	return said
}

func (p *provider) idTokenFor(request url.Values, accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	now := p.client.cfg.Now().Unix()
	claims := map[string]any{
		"iss": p.URL, "aud": request.Get("client_id"), "exp": now + 300, "iat": now, "auth_time": now,
		"acr": contract.DevicePosture, "amr": []string{"pop"}, "nonce": request.Get("nonce"),
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	maps.Copy(claims, about(request))
	if p.claims != nil {
		p.claims(claims)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	payload := string(raw)
	if p.payload != nil {
		payload = p.payload(payload)
	}
	sign := signWith(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: idpKeys().key, KeyID: "idp"}})
	if p.sign != nil {
		sign = p.sign
	}
	token := sign(p, payload)
	if p.idToken != nil {
		token = p.idToken(token)
	}
	return token
}

func signWith(key jose.SigningKey) func(*provider, string) string {
	return func(_ *provider, payload string) string {
		signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			panic(err)
		}
		jws, err := signer.Sign([]byte(payload))
		if err != nil {
			panic(err)
		}
		token, err := jws.CompactSerialize()
		if err != nil {
			panic(err)
		}
		return token
	}
}

func (p *provider) tell(w http.ResponseWriter, r *http.Request) {
	if p.info != nil && p.info(w) {
		return
	}
	code, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer at-")
	p.mu.Lock()
	request := p.grants[code]
	p.mu.Unlock()
	if !found || request == nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	said := about(request)
	if p.userInfo != nil {
		p.userInfo(said)
	}
	writeJSON(w, said)
}
