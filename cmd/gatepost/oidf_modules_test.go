package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The modules, in the order of the plan. What each does and checks is what the
// suite's module of the name does and checks; a comment says what is different.

func opServer(t *testing.T, s *opSuite) {
	request := s.request()
	code := codeOf(t, s.authorize(t, request))
	if len(code)*8 < 128 || shannonBits(code) <= 96 {
		t.Errorf("the code %q could be guessed", code)
	}
	in := s.finish(t, request, s.token(t, tokenForm(code)))
	in.wantClaims(t, "sub", suiteOwner, "name", "")
	if in.claims["c_hash"] != nil {
		t.Errorf("c_hash is %v, and no code went with this ID token", in.claims["c_hash"])
	}
}

// shannonBits is the suite's estimate of how much chance there is in s.
func shannonBits(s string) (bits float64) {
	for _, r := range s {
		bits -= math.Log2(float64(strings.Count(s, string(r))) / float64(len(s)))
	}
	return bits
}

func opResponseTypeMissing(t *testing.T, s *opSuite) {
	wantError(t, s.authorize(t, s.request("response_type", "")), "invalid_request", "unsupported_response_type")
}

func opIDTokenSignature(t *testing.T, s *opSuite) {
	in := s.signIn(t, s.request())
	if in.header.Algorithm != "RS256" || in.header.KeyID == "" {
		t.Errorf("signed by %s with the kid %q, want RS256 and any", in.header.Algorithm, in.header.KeyID)
	}
}

func opIDTokenUnsigned(t *testing.T, s *opSuite) {
	wantNone(t, s.metadata.IDTokenAlgs)
	var stdout, stderr bytes.Buffer
	args := []string{"client", "add", "unsigned", "--redirect-uri", suiteRedirectURI, "--id-token-alg", "none", "-c", s.config}
	if status := run(t.Context(), args, &stdout, &stderr); status != exitUsage || !strings.Contains(stderr.String(), "--id-token-alg") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

// wantNone demands that a list of algorithms does not have "none", by which the
// suite knows that it need not try.
func wantNone(t *testing.T, algs []string) {
	t.Helper()
	if len(algs) == 0 || slices.Contains(algs, "none") {
		t.Errorf("algorithms are %q", algs)
	}
}

func opUserInfoGet(t *testing.T, s *opSuite) {
	in := s.signIn(t, s.request())
	again := s.userInfo(t, http.MethodGet, nil, http.Header{"Authorization": {"Bearer " + in.accessToken}})
	wantSameUser(t, in, again)
}

func opUserInfoPostHeader(t *testing.T, s *opSuite) {
	in := s.signIn(t, s.request())
	wantSameUser(t, in, s.userInfo(t, http.MethodPost, nil, http.Header{"Authorization": {"Bearer " + in.accessToken}}))
}

func opUserInfoPostBody(t *testing.T, s *opSuite) {
	in := s.signIn(t, s.request())
	wantSameUser(t, in, s.userInfo(t, http.MethodPost, url.Values{"access_token": {in.accessToken}}, nil))
}

func wantSameUser(t *testing.T, in *opSignIn, userInfo map[string]any) {
	t.Helper()
	if userInfo["sub"] != in.claims["sub"] {
		t.Errorf("sub is %v in the ID token, %v at the UserInfo endpoint", in.claims["sub"], userInfo["sub"])
	}
}

// The suite ends with the code; here the ID token is looked at too: no nonce in it.
func opWithoutNonce(t *testing.T, s *opSuite) {
	s.signIn(t, s.request("nonce", ""))
}

func opScopeProfile(t *testing.T, s *opSuite) {
	wantWords(t, "scopes_supported", s.metadata.Scopes, "openid", "profile")
	s.signIn(t, s.request("scope", "openid profile")).wantClaims(t,
		"preferred_username", suiteOwner, "email", "", "name", "", "updated_at", "")
}

func opScopeEmail(t *testing.T, s *opSuite) {
	wantWords(t, "scopes_supported", s.metadata.Scopes, "openid", "email")
	s.signIn(t, s.request("scope", "openid email")).wantClaims(t, "email", suiteOwner, "email_verified", "", "preferred_username", "")
}

func opScopeAddress(t *testing.T, s *opSuite) {
	s.wantIgnored(t, "openid address", "openid", "address")
}

func opScopePhone(t *testing.T, s *opSuite) {
	s.wantIgnored(t, "openid phone", "openid", "phone")
}

func opScopeAll(t *testing.T, s *opSuite) {
	s.wantIgnored(t, "openid address email phone profile", "openid email profile", "address", "phone").wantClaims(t,
		"email", suiteOwner, "preferred_username", suiteOwner)
}

// wantIgnored demands that scopes which the discovery document does not have are
// passed over, and that the token endpoint says so (RFC 6749 section 3.3).
func (s *opSuite) wantIgnored(t *testing.T, asked, granted string, ignored ...string) *opSignIn {
	t.Helper()
	if missing := missingWords(s.metadata.Scopes, ignored); !slices.Equal(missing, ignored) {
		t.Errorf("scopes_supported is %q", s.metadata.Scopes)
	}
	in := s.signIn(t, s.request("scope", asked))
	if in.answer["scope"] != granted {
		t.Errorf("scope is %v, want %q", in.answer["scope"], granted)
	}
	in.wantClaims(t, "address", "", "phone_number", "", "phone_number_verified", "")
	return in
}

// The scopes and the parameters of oidcc-scope-email, the other way round.
func opAlternateHappyFlow(t *testing.T, s *opSuite) {
	request := s.request("scope", "email openid")
	pairs := strings.Split(request.Encode(), "&") // sorted
	slices.Reverse(pairs)
	answer := s.callback(t, s.get(t, s.device, strings.Join(pairs, "&")), request.Get("state"))
	in := s.finish(t, request, s.token(t, tokenForm(codeOf(t, answer))))
	in.wantClaims(t, "email", suiteOwner)
}

// withParameter is a module that demands no more of a parameter than that it does
// no harm.
func withParameter(name, value string) func(*testing.T, *opSuite) {
	return func(t *testing.T, s *opSuite) {
		s.signIn(t, s.request(name, value)).wantClaims(t, "sub", suiteOwner)
	}
}

// twice signs in, waits, and signs in again: the second sign-in is of the same
// user, and an authentication of its own or not.
func (s *opSuite) twice(t *testing.T, wait time.Duration, first, second url.Values, anew bool) {
	t.Helper()
	before := s.signIn(t, first)
	s.clock.advance(wait)
	s.wantAgain(t, before, s.signIn(t, second), anew)
}

func (s *opSuite) wantAgain(t *testing.T, before, after *opSignIn, anew bool) {
	t.Helper()
	if before.claims["sub"] != after.claims["sub"] {
		t.Errorf("sub is %v, then %v", before.claims["sub"], after.claims["sub"])
	}
	if s.reconnected != anew {
		t.Errorf("the device proved its key anew: %v, want %v", s.reconnected, anew)
	}
	switch now := s.clock.now().Unix(); {
	case anew && (after.authTime(t) != now || before.authTime(t) >= now):
		t.Errorf("auth_time is %d, then %d, and now it is %d", before.authTime(t), after.authTime(t), now)
	case !anew && after.authTime(t) != before.authTime(t):
		t.Errorf("auth_time is %d, then %d", before.authTime(t), after.authTime(t))
	}
}

func opPromptLogin(t *testing.T, s *opSuite) {
	s.twice(t, time.Second, s.request(), s.request("prompt", "login"), true)
}

// Nobody is signed in whose browser shows no certificate.
func opPromptNoneNotLoggedIn(t *testing.T, s *opSuite) {
	request := s.request("prompt", "none", "state", strings.Repeat("0123456789abcdef", 8))
	answer := s.callback(t, s.get(t, s.nobody, request.Encode()), request.Get("state"))
	wantError(t, answer, "interaction_required", "login_required", "account_selection_required", "consent_required")
	// The same browser is refused without prompt=none too, so that it was not
	// this parameter that made the difference between signed in and not.
	request = s.request()
	answer = s.callback(t, s.get(t, s.nobody, request.Encode()), request.Get("state"))
	wantError(t, answer, "access_denied")
}

func opPromptNoneLoggedIn(t *testing.T, s *opSuite) {
	s.twice(t, time.Second, s.request(), s.request("prompt", "none"), false)
}

func opMaxAge1(t *testing.T, s *opSuite) {
	s.twice(t, 2*time.Second, s.request(), s.request("max_age", "1"), true)
}

func opMaxAge10000(t *testing.T, s *opSuite) {
	s.twice(t, time.Second, s.request("max_age", "15000"), s.request("max_age", "10000"), false)
}

// That the user is another one than the device's owner shows that the hint was
// read.
func opIDTokenHint(t *testing.T, s *opSuite) {
	before := s.signIn(t, s.request("login_hint", suiteUser))
	s.clock.advance(time.Second)
	s.wantAgain(t, before, s.signIn(t, s.request("prompt", "none", "id_token_hint", before.idToken)), false)
}

// The user is the one that the hint names.
func opLoginHint(t *testing.T, s *opSuite) {
	s.signIn(t, s.request("login_hint", suiteUser)).wantClaims(t, "sub", suiteUser)
}

func opACRValues(t *testing.T, s *opSuite) {
	wantWords(t, "acr_values_supported", s.metadata.ACRValues, "urn:okta:saml:2.0:DevicePosture")
	in := s.signIn(t, s.request("acr_values", strings.Join(s.metadata.ACRValues, " ")))
	if acr, _ := in.claims["acr"].(string); !slices.Contains(s.metadata.ACRValues, acr) {
		t.Errorf("acr is %v, want one of %q", in.claims["acr"], s.metadata.ACRValues)
	}
}

func opCodeReuse(t *testing.T, s *opSuite) {
	s.reuse(t, 0)
}

func opCodeReuse30Seconds(t *testing.T, s *opSuite) {
	in := s.reuse(t, 30*time.Second)
	// RFC 6749 section 4.1.2; the suite warns if the access token still works.
	a := s.fetch(t, s.backChannel, http.MethodGet, s.metadata.UserInfo, nil, http.Header{"Authorization": {"Bearer " + in.accessToken}})
	if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("status %d %q with the token of a code that was used twice", a.status, a.header.Get("WWW-Authenticate"))
	}
}

// reuse signs in, waits, and uses the code once more.
func (s *opSuite) reuse(t *testing.T, wait time.Duration) *opSignIn {
	t.Helper()
	request := s.request()
	form := tokenForm(codeOf(t, s.authorize(t, request)))
	in := s.finish(t, request, s.token(t, form))
	s.clock.advance(wait)
	wantInvalidGrant(t, s.token(t, form))
	return in
}

func opRegisteredRedirectURI(t *testing.T, s *opSuite) {
	const unregistered = suiteRedirectURI + "/elsewhere"
	wantPage(t, s.get(t, s.device, s.request("redirect_uri", unregistered).Encode()), "elsewhere")
}

func opPostRequest(t *testing.T, s *opSuite) {
	request := s.request()
	answer := s.callback(t, s.fetch(t, s.device, http.MethodPost, s.metadata.Authorize, request, nil), request.Get("state"))
	s.finish(t, request, s.token(t, tokenForm(codeOf(t, answer))))
}

func opClientSecretPost(t *testing.T, s *opSuite) {
	wantWords(t, "token_endpoint_auth_methods_supported", s.metadata.AuthMethods, "client_secret_post")
	request := s.request()
	form := tokenForm(codeOf(t, s.authorize(t, request)))
	form.Set("client_id", s.clientID)
	form.Set("client_secret", s.clientSecret)
	s.finish(t, request, s.fetch(t, s.backChannel, http.MethodPost, s.metadata.Token, form, nil))
}

func opRefreshToken(t *testing.T, s *opSuite) {
	if len(s.metadata.GrantTypes) == 0 || slices.Contains(s.metadata.GrantTypes, "refresh_token") {
		t.Errorf("grant_types_supported is %q", s.metadata.GrantTypes)
	}
	in := s.signIn(t, s.request("scope", "openid offline_access", "prompt", "consent"))
	if in.answer["refresh_token"] != nil || in.answer["scope"] != "openid" {
		t.Errorf("the token endpoint answers %v", in.answer)
	}
	a := s.token(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {in.accessToken}})
	if told := a.object(t, http.StatusBadRequest); told["error"] != "unsupported_grant_type" {
		t.Errorf("error is %v", told["error"])
	}
}

func opValidPKCE(t *testing.T, s *opSuite) {
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	sum := sha256.Sum256([]byte(verifier))
	request := s.request("code_challenge_method", "S256", "code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
	form := tokenForm(codeOf(t, s.authorize(t, request)))
	// The suite only sees that it succeeds; without the verifier it must not.
	wantInvalidGrant(t, s.token(t, form))
	form.Set("code_verifier", verifier)
	s.finish(t, request, s.token(t, form))
}
