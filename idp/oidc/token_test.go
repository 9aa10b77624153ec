package oidc_test

import (
	"encoding/base64"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/idp/oidc"
)

const bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func baseToken() fields {
	return fields{"grant_type": "authorization_code", "code": "c0de", "redirect_uri": rpCallback}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(user)+":"+url.QueryEscape(password)))
}

func plainBasic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestDecodeToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header, query string
		change        fields
		want          string
	}{
		"base":           {"", "", nil, "accepted"},
		"with all":       {basic(rpID, rpSecret), "", fields{"code_verifier": verifier, "client_id": rpID, "unheard_of": "x"}, "accepted"},
		"no grant_type":  {"", "", fields{"grant_type": without}, "invalid_request: grant_type_missing"},
		"empty":          {"", "", fields{"grant_type": ""}, "invalid_request: grant_type_missing"},
		"refresh_token":  {"", "", fields{"grant_type": "refresh_token"}, "unsupported_grant_type: grant_type"},
		"credentials":    {"", "", fields{"grant_type": "client_credentials"}, "unsupported_grant_type: grant_type"},
		"password":       {"", "", fields{"grant_type": "password"}, "unsupported_grant_type: grant_type"},
		"no code":        {"", "", fields{"code": without}, "invalid_request: code_missing"},
		"no redirect":    {"", "", fields{"redirect_uri": without}, "invalid_request: redirect_uri_missing"},
		"control byte":   {"", "", fields{"code": "a\nb"}, "invalid_request: malformed"},
		"large verifier": {"", "", fields{"code_verifier": strings.Repeat("v", 4097)}, "invalid_request: too_large"},

		"secret in the query": {"", "client_secret=" + rpSecret, nil, "invalid_request: query"},
		"code in the query":   {"", "code=c0de", fields{"code": without}, "invalid_request: query"},
		"anything there":      {"", "x", nil, "invalid_request: query"},

		"basic and post":      {basic(rpID, rpSecret), "", fields{"client_secret": rpSecret}, "invalid_request: two_methods"},
		"basic and assertion": {basic(rpID, rpSecret), "", fields{"client_assertion": "a.b.c", "client_assertion_type": bearer}, "invalid_request: two_methods"},
		"post and assertion":  {"", "", fields{"client_secret": "s", "client_assertion": "a.b.c", "client_assertion_type": bearer}, "invalid_request: two_methods"},
		"bearer and post":     {"Bearer x", "", fields{"client_secret": rpSecret}, "invalid_request: two_methods"},
		"assertion alone":     {"", "", fields{"client_assertion": "a.b.c"}, "invalid_request: assertion_incomplete"},
		"its type alone":      {"", "", fields{"client_assertion_type": bearer}, "invalid_request: assertion_incomplete"},
		"empty secret":        {basic(rpID, rpSecret), "", fields{"client_secret": ""}, "accepted"},
		"two clients":         {basic(rpID, rpSecret), "", fields{"client_id": "okta2"}, "invalid_request: client_mismatch"},

		"basic in capitals":   {strings.Replace(basic(rpID, rpSecret), "Basic", "BASIC", 1), "", nil, "accepted"},
		"basic, two spaces":   {strings.Replace(basic(rpID, rpSecret), " ", "  ", 1), "", nil, "accepted"},
		"basic alone":         {"Basic", "", nil, "invalid_request: authorization_header"},
		"basic, no base64":    {"Basic !", "", nil, "invalid_request: authorization_header"},
		"basic, no colon":     {plainBasic("okta"), "", nil, "invalid_request: authorization_header"},
		"basic, bad escape":   {plainBasic("okta:%zz"), "", nil, "invalid_request: authorization_header"},
		"basic, bad escape 2": {plainBasic("%zz:s"), "", nil, "invalid_request: authorization_header"},
		"basic, control byte": {plainBasic("okta:%00"), "", nil, "invalid_request: authorization_header"},
		"basic, not UTF-8":    {plainBasic("okta:\xff"), "", nil, "invalid_request: authorization_header"},
		"basic, too large":    {plainBasic("okta:" + strings.Repeat("s", 9000)), "", nil, "invalid_request: authorization_header"},
	} {
		r, err := oidc.DecodeToken(c.header, c.query, form(changed(baseToken(), c.change)))
		if got := outcome(err); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		if err == nil && (r.Code != "c0de" || r.RedirectURI != rpCallback || r.CodeVerifier != c.change["code_verifier"]) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, twice := range []string{"&code=c0de", "&x=1&x=2", "&grant%5ftype=authorization_code"} {
		if _, err := oidc.DecodeToken("", "", form(baseToken())+twice); outcome(err) != "invalid_request: duplicate_parameter" {
			t.Errorf("%q: %v", twice, err)
		}
	}
}

func TestTokenClientID(t *testing.T) {
	t.Parallel()
	assertion := func(c claims) fields {
		return fields{"client_assertion": jwt(t, "HS256", "whose secret this is, nobody knows", c), "client_assertion_type": bearer}
	}
	for name, c := range map[string]struct {
		header string
		change fields
		want   string
	}{
		"none":          {"", nil, ""},
		"other scheme":  {"Bearer x", nil, ""},
		"basic":         {basic("a b:%+ü", "s"), nil, "a b:%+ü"},
		"parameter":     {"", fields{"client_id": "p"}, "p"},
		"sub":           {"", assertion(claims{"sub": "s", "iss": "i"}), "s"},
		"iss":           {"", assertion(claims{"iss": "i"}), "i"},
		"parameter too": {"", changed(assertion(claims{"sub": "s"}), fields{"client_id": "p"}), "p"},
		"no assertion":  {"", fields{"client_assertion": "x", "client_assertion_type": bearer}, ""},
	} {
		r, err := oidc.DecodeToken(c.header, "", form(changed(baseToken(), c.change)))
		if err != nil || r.ClientID() != c.want {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// authenticate decodes a token request and authenticates its client.
func authenticate(t testing.TB, header string, change fields, c *oidc.Client) (*oidc.AssertionClaim, error) {
	t.Helper()
	r, err := oidc.DecodeToken(header, "", form(changed(baseToken(), change)))
	if err != nil {
		t.Fatal(err)
	}
	return r.Authenticate(c, provider(), rpNow())
}

func TestAuthenticateSecret(t *testing.T) {
	t.Parallel()
	post := func(id, secret string) fields { return fields{"client_id": id, "client_secret": secret} }
	for name, c := range map[string]struct {
		header string
		change fields
		want   string
	}{
		"basic":              {basic(rpID, rpSecret), nil, "accepted"},
		"basic, previous":    {basic(rpID, rpPrevious), nil, "accepted"},
		"basic, expired":     {basic(rpID, rpExpired), nil, "invalid_client: client_secret"},
		"basic, wrong":       {basic(rpID, rpSecret+"x"), nil, "invalid_client: client_secret"},
		"basic, cut":         {basic(rpID, rpSecret[1:]), nil, "invalid_client: client_secret"},
		"basic, hash":        {basic(rpID, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), nil, "invalid_client: client_secret"},
		"basic, none":        {basic(rpID, ""), nil, "invalid_client: client_unauthenticated"},
		"basic, other":       {basic("okta2", rpSecret), nil, "invalid_client: client_mismatch"},
		"basic, client_id":   {basic(rpID, rpSecret), fields{"client_id": rpID}, "accepted"},
		"post":               {"", post(rpID, rpSecret), "accepted"},
		"post, previous":     {"", post(rpID, rpPrevious), "accepted"},
		"post, expired":      {"", post(rpID, rpExpired), "invalid_client: client_secret"},
		"post, wrong":        {"", post(rpID, "x"), "invalid_client: client_secret"},
		"post, other":        {"", post("okta2", rpSecret), "invalid_client: client_mismatch"},
		"post, nobody":       {"", fields{"client_secret": rpSecret}, "invalid_client: client_mismatch"},
		"client_id alone":    {"", fields{"client_id": rpID}, "invalid_client: client_unauthenticated"},
		"nothing":            {"", nil, "invalid_client: client_mismatch"},
		"other scheme":       {"Bearer " + rpSecret, fields{"client_id": rpID}, "invalid_client: client_unauthenticated"},
		"basic as SPNEGO is": {"Negotiate " + basic(rpID, rpSecret)[6:], fields{"client_id": rpID}, "invalid_client: client_unauthenticated"},
	} {
		claim, err := authenticate(t, c.header, c.change, rpClient())
		if got := outcome(err); got != c.want || claim != nil {
			t.Errorf("%s: got %s and %v, want %s", name, got, claim, c.want)
		}
	}
	keysOnly := rpClient()
	keysOnly.Secrets = nil
	if _, err := authenticate(t, basic(rpID, rpSecret), nil, keysOnly); outcome(err) != "invalid_client: client_secret" {
		t.Errorf("client without secrets: %v", err)
	}
	unfinished := rpClient()
	unfinished.Secrets = []oidc.Secret{{}, {Hash: oidc.HashSecret("")}}
	if _, err := authenticate(t, basic(rpID, ""), nil, unfinished); outcome(err) != "invalid_client: client_unauthenticated" {
		t.Errorf("empty secret: %v", err)
	}
}

func baseAssertion() claims {
	now := rpNow().Unix()
	return claims{"iss": rpID, "sub": rpID, "aud": provider().TokenURL, "iat": now, "nbf": now, "exp": now + 60, "jti": "a1"}
}

func TestAuthenticateAssertion(t *testing.T) {
	t.Parallel()
	for _, key := range []struct {
		alg  jose.SignatureAlgorithm
		name string
	}{
		{"RS256", "rsa"}, {"RS384", "rsa"}, {"RS512", "rsa"}, {"PS256", "rsa"}, {"PS384", "rsa"}, {"PS512", "rsa"},
		{"ES256", "p256"}, {"ES384", "p384"}, {"ES512", "p521"},
	} {
		for _, audience := range []any{provider().Issuer, provider().TokenURL, []string{"x", provider().Issuer}} {
			assertion := jwt(t, key.alg, key.name, changed(baseAssertion(), claims{"aud": audience}))
			claim, err := authenticate(t, "", fields{"client_assertion": assertion, "client_assertion_type": bearer}, rpClient())
			if err != nil || claim.JTI != "a1" || !claim.Until.Equal(rpNow().Add(2*time.Minute)) {
				t.Errorf("%s, aud %v: %v, %v", key.alg, audience, claim, err)
			}
		}
	}
}

// TestAssertionRules has a vector for each rule of private_key_jwt.
func TestAssertionRules(t *testing.T) {
	t.Parallel()
	now := rpNow().Unix()
	payload := encode(t, baseAssertion())
	says := func(change claims) string { return jwt(t, "RS256", "rsa", changed(baseAssertion(), change)) }
	const refused = "invalid_client: assertion_"
	for name, c := range map[string]struct{ assertion, want string }{
		"base":             {says(nil), "accepted"},
		"no kid":           {jws(`{"alg":"RS256"}`, payload, withRSA("rsa")), "accepted"},
		"its own type":     {jws(`{"alg":"RS256","typ":"client-authentication+jwt"}`, payload, withRSA("rsa")), "accepted"},
		"a request object": {jws(`{"alg":"RS256","typ":"oauth-authz-req+jwt"}`, payload, withRSA("rsa")), refused + "type"},
		"none":             {jws(`{"alg":"none"}`, payload, withNothing), refused + "algorithm"},
		"secret":           {jwt(t, "HS256", rpSecret, baseAssertion()), refused + "algorithm"},
		"foreign key":      {jws(`{"alg":"RS256"}`, payload, withRSA("foreign")), refused + "signature"},
		"foreign kid":      {jwt(t, "RS256", "foreign", baseAssertion()), refused + "key_unknown"},
		"own key":          {jws(`{"alg":"RS256","jku":"https://evil.example/k"}`, payload, withRSA("rsa")), refused + "header"},
		"claim twice":      {jws(`{"alg":"RS256"}`, []byte(`{"iss":"okta","sub":"okta","sub":"okta"}`), withRSA("rsa")), refused + "malformed"},
		"not a JWS":        {"x", refused + "malformed"},
		"no issuer":        {says(claims{"iss": without}), refused + "client_mismatch"},
		"another issuer":   {says(claims{"iss": "okta2"}), refused + "client_mismatch"},
		"no subject":       {says(claims{"sub": without}), refused + "client_mismatch"},
		"another subject":  {says(claims{"sub": "okta2"}), refused + "client_mismatch"},
		"no audience":      {says(claims{"aud": without}), refused + "audience"},
		"another audience": {says(claims{"aud": "https://other.example"}), refused + "audience"},
		"other endpoint":   {says(claims{"aud": provider().AuthorizeURL}), refused + "audience"},
		"audience numbers": {says(claims{"aud": []any{provider().Issuer, 1}}), refused + "audience"},
		"no exp":           {says(claims{"exp": without}), refused + "exp_missing"},
		"just not expired": {says(claims{"exp": now - 59}), "accepted"},
		"expired":          {says(claims{"exp": now - 60}), refused + "expired"},
		"exp too far":      {says(claims{"exp": now + 3661}), refused + "exp_far"},
		"nbf ahead":        {says(claims{"nbf": now + 61}), refused + "future"},
		"iat ahead":        {says(claims{"iat": now + 61}), refused + "future"},
		"no iat, no nbf":   {says(claims{"iat": without, "nbf": without}), "accepted"},
		"iat a string":     {says(claims{"iat": "1"}), refused + "malformed"},
		"no jti":           {says(claims{"jti": without}), refused + "jti_missing"},
		"empty jti":        {says(claims{"jti": ""}), refused + "jti_missing"},
		"jti too large":    {says(claims{"jti": strings.Repeat("j", 257)}), refused + "malformed"},
	} {
		change := fields{"client_id": rpID, "client_assertion": c.assertion, "client_assertion_type": bearer}
		claim, err := authenticate(t, "", change, rpClient())
		if got := outcome(err); got != c.want || (claim == nil) != (err != nil) {
			t.Errorf("%s: got %s and %v, want %s (%v)", name, got, claim, c.want, err)
		}
	}
	saml := fields{"client_assertion": says(nil), "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}
	if _, err := authenticate(t, "", saml, rpClient()); outcome(err) != refused+"kind" {
		t.Errorf("another type: %v", err)
	}
	keyless := rpClient()
	keyless.Keys = nil
	if _, err := authenticate(t, "", fields{"client_assertion": says(nil), "client_assertion_type": bearer}, keyless); outcome(err) != refused+"key_unknown" {
		t.Errorf("client without keys: %v", err)
	}
	other := fields{"client_id": "okta2", "client_assertion": says(nil), "client_assertion_type": bearer}
	if _, err := authenticate(t, "", other, rpClient()); outcome(err) != "invalid_client: client_mismatch" {
		t.Errorf("client_id of another: %v", err)
	}
}

// TestCrossUse holds that what a client signed for one endpoint is nothing at the
// other: a request object has passed through the browser.
func TestCrossUse(t *testing.T) {
	t.Parallel()
	aud := []string{provider().Issuer, provider().TokenURL, provider().AuthorizeURL}
	object := baseObject()
	maps.Copy(object, claims{"aud": aud})
	change := fields{"client_id": rpID, "client_assertion": jwt(t, "RS256", "rsa", object), "client_assertion_type": bearer}
	if _, err := authenticate(t, "", change, rpClient()); outcome(err) != "invalid_client: assertion_client_mismatch" {
		t.Errorf("request object as an assertion: %v", err)
	}
	assertion := jwt(t, "RS256", "rsa", changed(baseAssertion(), claims{"aud": aud}))
	if _, err := authorize(t, form(changed(baseRequest(), fields{"request": assertion})), rpClient()); outcome(err) != "invalid_request_object: request_object_subject" {
		t.Errorf("assertion as a request object: %v", err)
	}
}
