package main

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// request is an authorization request as the suite makes it, with parameters
// changed: names and values by turns. An empty value takes a parameter out.
func (s *opSuite) request(changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {s.clientID}, "redirect_uri": {suiteRedirectURI},
		"scope": {"openid"}, "state": {rand.Text()}, "nonce": {rand.Text()},
	}
	for i := 0; i < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q
}

// get brings a request to the authorization endpoint by a redirect.
func (s *opSuite) get(t *testing.T, browser *http.Client, query string) *opAnswer {
	t.Helper()
	return s.fetch(t, browser, http.MethodGet, s.metadata.Authorize+"?"+query, nil, nil)
}

// authorize makes the request in the device's browser and gives what comes to
// the redirect URI. A browser that is sent to connect again does so.
func (s *opSuite) authorize(t *testing.T, request url.Values) url.Values {
	t.Helper()
	a := s.get(t, s.device, request.Encode())
	if s.reconnected = a.status == http.StatusTemporaryRedirect; s.reconnected {
		if to := a.header.Get("Location"); !strings.HasSuffix(s.metadata.Authorize+"?"+request.Encode(), to) {
			t.Errorf("sent to %q to connect again", to)
		}
		a = s.get(t, s.device, request.Encode())
	}
	return s.callback(t, a, request.Get("state"))
}

// callback gives the parameters that an answer of the authorization endpoint
// takes to the redirect URI: each once, state as it was sent, and iss, which the
// discovery document promises.
func (s *opSuite) callback(t *testing.T, a *opAnswer, state string) url.Values {
	t.Helper()
	address, query, _ := strings.Cut(a.header.Get("Location"), "?")
	values, err := url.ParseQuery(query)
	if a.status != http.StatusSeeOther || address != suiteRedirectURI || err != nil || strings.Contains(query, "#") {
		t.Fatalf("status %d, Location %q: want 303 to the redirect URI\n%s", a.status, a.header.Get("Location"), a.body)
	}
	for name, all := range values {
		if len(all) != 1 {
			t.Errorf("%s is in the answer %d times", name, len(all))
		}
	}
	if values.Has("state") != (state != "") || values.Get("state") != state {
		t.Errorf("state is %q, want %q", values["state"], state)
	}
	if iss := values.Get("iss"); iss != s.metadata.Issuer {
		t.Errorf("iss is %q, want %q", iss, s.metadata.Issuer)
	}
	return values
}

// wantOnly demands that an answer has no other parameters.
func wantOnly(t *testing.T, answer url.Values, names ...string) {
	t.Helper()
	for name := range answer {
		if !slices.Contains(names, name) {
			t.Errorf("the answer has %q: %q", name, answer)
		}
	}
}

// codeOf gives the code of a successful answer.
func codeOf(t *testing.T, answer url.Values) string {
	t.Helper()
	if answer.Has("error") || answer.Get("code") == "" {
		t.Fatalf("no code: %q", answer)
	}
	wantOnly(t, answer, "code", "state", "iss")
	return answer.Get("code")
}

// wantError holds an error of the authorization endpoint to RFC 6749 section
// 4.1.2.1, and to one of the codes.
func wantError(t *testing.T, answer url.Values, codes ...string) {
	t.Helper()
	if !slices.Contains(codes, answer.Get("error")) {
		t.Errorf("error is %q, want one of %q", answer["error"], codes)
	}
	wantOnly(t, answer, "error", "error_description", "state", "iss")
	wantDescription(t, answer.Get("error_description"))
}

// wantDescription holds a description to the characters of RFC 6749 section 5.2.
func wantDescription(t *testing.T, description string) {
	t.Helper()
	if strings.ContainsFunc(description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		t.Errorf("error_description is %q", description)
	}
}

// wantPage demands an error page, which leads nowhere and repeats nothing.
func wantPage(t *testing.T, a *opAnswer, unsaid string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("status %d, Location %q, %s: want a page with 400", a.status, a.header.Get("Location"), a.header.Get("Content-Type"))
	}
	if body := string(a.body); !strings.Contains(body, "<h1") || strings.Contains(body, "<form") || strings.Contains(body, unsaid) {
		t.Errorf("the page is\n%s", body)
	}
}

// tokenForm is what the client sends for its code.
func tokenForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {suiteRedirectURI}}
}

// token makes a token request by client_secret_basic.
func (s *opSuite) token(t *testing.T, form url.Values) *opAnswer {
	t.Helper()
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(s.clientID), url.QueryEscape(s.clientSecret))
	return s.fetch(t, s.backChannel, http.MethodPost, s.metadata.Token, form, r.Header)
}

// wantInvalidGrant holds an error of the token endpoint to RFC 6749 section 5.2.
func wantInvalidGrant(t *testing.T, a *opAnswer) {
	t.Helper()
	told := a.object(t, http.StatusBadRequest)
	if told["error"] != "invalid_grant" {
		t.Errorf("error is %v, want invalid_grant", told["error"])
	}
	description, _ := told["error_description"].(string)
	wantDescription(t, description)
}

// opSignIn is what the client learned in a sign-in.
type opSignIn struct {
	answer      map[string]any // of the token endpoint
	accessToken string
	idToken     string
	header      jose.Header // of the ID token
	claims      map[string]any
	userInfo    map[string]any
}

// signIn does what every module begins with: authorize, token, the checks of the
// ID token, and the UserInfo endpoint.
func (s *opSuite) signIn(t *testing.T, request url.Values) *opSignIn {
	t.Helper()
	code := codeOf(t, s.authorize(t, request))
	return s.finish(t, request, s.token(t, tokenForm(code)))
}

// finish goes on from the answer of the token endpoint.
func (s *opSuite) finish(t *testing.T, request url.Values, a *opAnswer) *opSignIn {
	t.Helper()
	in := &opSignIn{answer: a.object(t, http.StatusOK)}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		t.Errorf("tokens came with %q", a.header)
	}
	in.accessToken, _ = in.answer["access_token"].(string)
	in.idToken, _ = in.answer["id_token"].(string)
	if kind, _ := in.answer["token_type"].(string); in.accessToken == "" || !strings.EqualFold(kind, "Bearer") {
		t.Fatalf("the token endpoint answers %v", in.answer)
	}
	if seconds, ok := in.answer["expires_in"].(float64); !ok || seconds <= 0 {
		t.Errorf("expires_in is %v", in.answer["expires_in"])
	}
	s.checkIDToken(t, in, request)

	in.userInfo = s.userInfo(t, http.MethodGet, nil, http.Header{"Authorization": {"Bearer " + in.accessToken}})
	if in.userInfo["sub"] != in.claims["sub"] {
		t.Errorf("sub is %v in the ID token, %v at the UserInfo endpoint", in.claims["sub"], in.userInfo["sub"])
	}
	return in
}

// checkIDToken has go-oidc verify the ID token (OpenID Connect core 3.1.3.7), and
// go-jose once more by the key that its kid names.
func (s *opSuite) checkIDToken(t *testing.T, in *opSignIn, request url.Values) {
	t.Helper()
	verifier := s.provider.Verifier(&oidc.Config{ClientID: s.clientID, Now: s.clock.now, SupportedSigningAlgs: []string{oidc.RS256}})
	token, err := verifier.Verify(t.Context(), in.idToken)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Claims(&in.claims); err != nil {
		t.Fatal(err)
	}
	if err := token.VerifyAccessToken(in.accessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	if !slices.Equal(token.Audience, []string{s.clientID}) || token.Subject == "" || len(token.Subject) > 255 {
		t.Errorf("aud is %q, sub %q", token.Audience, token.Subject)
	}
	if now := s.clock.now(); token.IssuedAt.After(now) || !token.Expiry.After(now) {
		t.Errorf("issued %v, expires %v, now it is %v", token.IssuedAt, token.Expiry, now)
	}
	if _, ok := in.claims["nonce"]; ok != request.Has("nonce") || token.Nonce != request.Get("nonce") {
		t.Errorf("nonce is %q, want %q", token.Nonce, request["nonce"])
	}
	checkStandardClaims(t, in.claims)

	signed, err := jose.ParseSignedCompact(in.idToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	in.header = signed.Signatures[0].Protected
	keys := s.keys.Key(in.header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d published keys have the kid %q", len(keys), in.header.KeyID)
	}
	if _, err := signed.Verify(keys[0]); err != nil {
		t.Errorf("by the key %q: %v", in.header.KeyID, err)
	}
}

// userInfo asks the UserInfo endpoint and checks what the suite checks of any
// answer of it.
func (s *opSuite) userInfo(t *testing.T, method string, form url.Values, header http.Header) map[string]any {
	t.Helper()
	claims := s.fetch(t, s.backChannel, method, s.metadata.UserInfo, form, header).object(t, http.StatusOK)
	if sub, _ := claims["sub"].(string); sub == "" {
		t.Errorf("sub is %v", claims["sub"])
	}
	checkStandardClaims(t, claims)
	return claims
}

// checkStandardClaims holds the claims of OpenID Connect core 5.1 that are there
// to their types. None is there without a value.
func checkStandardClaims(t *testing.T, claims map[string]any) {
	t.Helper()
	for name, value := range claims {
		want := reflect.TypeFor[string]()
		switch name {
		case "email_verified", "phone_number_verified":
			want = reflect.TypeFor[bool]()
		case "updated_at":
			want = reflect.TypeFor[float64]()
		case "address":
			want = reflect.TypeFor[map[string]any]()
		case "sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile",
			"picture", "website", "email", "gender", "birthdate", "zoneinfo", "locale", "phone_number":
		default:
			continue
		}
		if reflect.TypeOf(value) != want || value == "" {
			t.Errorf("%s is %v", name, value)
		}
	}
}

// wantClaims demands claims with these values, names and values by turns, of the
// UserInfo endpoint; an empty value stands for a claim that nobody gives, the ID
// token neither.
func (in *opSignIn) wantClaims(t *testing.T, want ...string) {
	t.Helper()
	for i := 0; i < len(want); i += 2 {
		name := want[i]
		got, ok := in.userInfo[name]
		_, inToken := in.claims[name]
		if want[i+1] == "" && (ok || inToken) || want[i+1] != "" && got != want[i+1] {
			t.Errorf("%s is %v at the UserInfo endpoint, %v in the ID token, want %q", name, got, in.claims[name], want[i+1])
		}
	}
}

// authTime is when the user was authenticated, in Unix seconds; it must be told.
func (in *opSignIn) authTime(t *testing.T) int64 {
	t.Helper()
	at, ok := in.claims["auth_time"].(float64)
	if !ok || at != float64(int64(at)) {
		t.Fatalf("auth_time is %v", in.claims["auth_time"])
	}
	return int64(at)
}
