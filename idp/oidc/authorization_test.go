package oidc_test

import (
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/idp/oidc"
)

func baseRequest() fields {
	return fields{"client_id": rpID, "redirect_uri": rpCallback, "response_type": "code", "scope": "openid email profile", "state": "s"}
}

// authorize decodes and checks a request as the authorization endpoint does.
func authorize(t testing.TB, parameters string, c *oidc.Client) (*oidc.Authorization, error) {
	t.Helper()
	m, err := oidc.DecodeAuthorization(parameters)
	if err != nil {
		return nil, err
	}
	a, err := m.Check(c, provider(), rpNow())
	if o := outcome(err); (a != nil) != (o == "accepted" || !strings.HasPrefix(o, "bad: ")) {
		t.Errorf("%s beside the authorization %+v", o, a)
	}
	return a, err
}

func TestDecodeAuthorization(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ parameters, want string }{
		"nothing":              {"", "accepted"},
		"empty pairs":          {"&&client_id=a&", "accepted"},
		"duplicate":            {"client_id=a&client_id=a", "bad: duplicate_parameter"},
		"duplicate, encoded":   {"client_id=a&client%5fid=b", "bad: duplicate_parameter"},
		"duplicate, empty":     {"state=&state=x", "bad: duplicate_parameter"},
		"duplicate, unknown":   {"x=1&x=2", "bad: duplicate_parameter"},
		"bad escape":           {"state=%zz", "bad: malformed"},
		"bad escape of a name": {"%zz=1", "bad: malformed"},
		"truncated escape":     {"state=%4", "bad: malformed"},
		"not UTF-8":            {"state=%ff", "bad: malformed"},
		"name not UTF-8":       {"%ff=1", "bad: malformed"},
		"NUL":                  {"state=a%00b", "bad: malformed"},
		"newline":              {"state=a%0d%0ab", "bad: malformed"},
		"DEL":                  {"state=%7f", "bad: malformed"},
		"largest state":        {"state=" + strings.Repeat("s", 4096), "accepted"},
		"state too large":      {"state=" + strings.Repeat("s", 4097), "bad: too_large"},
		"nonce too large":      {"nonce=" + strings.Repeat("%C3%A9", 2049), "bad: too_large"},
		"largest request":      {"request=" + strings.Repeat("r", 16<<10), "accepted"},
		"request too large":    {"request=" + strings.Repeat("r", 16<<10+1), "bad: too_large"},
		"all too large":        {"request=" + strings.Repeat("r", 16<<10) + strings.Repeat("&x", 24<<10), "bad: too_large"},
		"only ampersands":      {strings.Repeat("&", 65), "bad: too_large"},
		"64 parameters":        {many(64), "accepted"},
		"65 parameters":        {many(65), "bad: too_large"},
	} {
		_, err := oidc.DecodeAuthorization(c.parameters)
		if got := outcome(err); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func many(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, "p"+strconv.Itoa(i)+"=v")
	}
	return strings.Join(pairs, "&")
}

func TestClientID(t *testing.T) {
	t.Parallel()
	object := func(c claims) string { return jwt(t, "HS256", "any secret, whoever it may be of", c) }
	for want, parameters := range map[string]string{
		"":       "state=x&client_id=",
		"a b+c":  "client_id=a+b%2Bc",
		"outer":  "client_id=outer&request=" + object(claims{"client_id": "inner"}),
		"inner":  "request=" + object(claims{"client_id": "inner", "iss": "issuer"}),
		"issuer": "request=" + object(claims{"iss": "issuer"}),
	} {
		m, err := oidc.DecodeAuthorization(parameters)
		if err != nil {
			t.Errorf("%q: %v", parameters, err)
		} else if m.ClientID() != want {
			t.Errorf("%q: client %q, want %q", parameters, m.ClientID(), want)
		}
	}
	for _, request := range []string{"x", "a.b.c", "..", object(claims{"client_id": 1}), object(claims{"iss": "a\nb"}), object(nil)} {
		m, err := oidc.DecodeAuthorization("request=" + request)
		if err != nil || m.ClientID() != "" {
			t.Errorf("request %q: %v, %v", request, m, err)
		}
	}
}

func TestAuthorizationValues(t *testing.T) {
	t.Parallel()
	a, err := authorize(t, form(fields{
		"client_id": rpID, "redirect_uri": rpOther, "response_type": "code", "response_mode": "form_post",
		"scope": "email  openid offline_access", "state": " a&b=ü/+%", "nonce": "\u00a0n'\"<>", "login_hint": "ada@acme.example",
		"id_token_hint": "a.b.c", "code_challenge": challenge, "code_challenge_method": "S256", "prompt": "login consent", "max_age": "0",
		"acr_values":  "urn:x " + contract.DevicePosture,
		"claims":      `{"id_token":{"acr":{"essential":true,"value":"` + contract.DevicePosture + `"},"email":null},"userinfo":{"email":{"values":["a",1,"b"]}},"x":1}`,
		"OktaAppName": "Acme & Co ", "app_name": " x", "app_instance_id": "0oa", "OktaAppInstanceId": "0ob",
		"display": "popup", "ui_locales": "de", "claims_locales": "de", "unheard_of": "",
	}), rpClient())
	if err != nil {
		t.Fatal(err)
	}
	zero := time.Duration(0)
	want := &oidc.Authorization{
		Client: a.Client, RedirectURI: rpOther, State: " a&b=ü/+%", FormPost: true, Nonce: "\u00a0n'\"<>",
		Scopes: []string{"email", "openid", "offline_access"}, LoginHint: "ada@acme.example", IDTokenHint: "a.b.c", CodeChallenge: challenge,
		MaxAge: &zero,
		Claims: oidc.ClaimsRequest{
			IDToken:  map[string]oidc.ClaimRequest{"acr": {Essential: true, Values: []string{contract.DevicePosture}}, "email": {}},
			UserInfo: map[string]oidc.ClaimRequest{"email": {Values: []string{"a", "b"}}},
		},
		App: []oidc.Parameter{{Name: "app_instance_id", Value: "0oa"}, {Name: "app_name", Value: " x"},
			{Name: "OktaAppInstanceId", Value: "0ob"}, {Name: "OktaAppName", Value: "Acme & Co "}},
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("got  %+v\nwant %+v", a, want)
	}
	if a, err = authorize(t, form(changed(baseRequest(), fields{"state": ""})), rpClient()); err != nil || a.State != "" || a.FormPost || a.MaxAge != nil {
		t.Errorf("plain request: %+v, %v", a, err)
	}
}

// TestAuthorizationRules has a vector for each rule, and the request that is just
// within it.
func TestAuthorizationRules(t *testing.T) {
	t.Parallel()
	posture := contract.DevicePosture
	for name, c := range map[string]struct {
		change fields
		want   string
	}{
		"base": {fields{}, "accepted"},

		"no client":                 {fields{"client_id": without}, "bad: client_mismatch"},
		"another client":            {fields{"client_id": "okta2"}, "bad: client_mismatch"},
		"no redirect URI":           {fields{"redirect_uri": without}, "bad: redirect_uri"},
		"redirect URI with a slash": {fields{"redirect_uri": rpCallback + "/"}, "bad: redirect_uri"},
		"redirect URI in capitals":  {fields{"redirect_uri": strings.ToUpper(rpCallback)}, "bad: redirect_uri"},
		"redirect URI with a query": {fields{"redirect_uri": rpCallback + "?x=1"}, "bad: redirect_uri"},
		"redirect URI without its":  {fields{"redirect_uri": strings.TrimSuffix(rpOther, "?domain=custom")}, "bad: redirect_uri"},
		"redirect URI, bad rest":    {fields{"redirect_uri": "https://evil.example", "response_type": "token"}, "bad: redirect_uri"},

		"no response_type":         {fields{"response_type": without}, "invalid_request: response_type_missing"},
		"implicit":                 {fields{"response_type": "id_token"}, "unsupported_response_type: response_type"},
		"hybrid":                   {fields{"response_type": "code id_token"}, "unsupported_response_type: response_type"},
		"response_type in capital": {fields{"response_type": "Code"}, "unsupported_response_type: response_type"},
		"query":                    {fields{"response_mode": "query"}, "accepted"},
		"fragment":                 {fields{"response_mode": "fragment"}, "invalid_request: response_mode"},
		"jwt mode":                 {fields{"response_mode": "form_post.jwt"}, "invalid_request: response_mode"},

		"no scope":       {fields{"scope": without}, "invalid_scope: scope"},
		"OAuth only":     {fields{"scope": "email openid2"}, "invalid_scope: scope"},
		"openid by tabs": {fields{"scope": "email\u2003openid"}, "invalid_scope: scope"},

		"S256":                      {fields{"code_challenge": challenge, "code_challenge_method": "S256"}, "accepted"},
		"plain":                     {fields{"code_challenge": challenge, "code_challenge_method": "plain"}, "invalid_request: pkce_method"},
		"plain by default":          {fields{"code_challenge": challenge}, "invalid_request: pkce_method"},
		"s256":                      {fields{"code_challenge": challenge, "code_challenge_method": "s256"}, "invalid_request: pkce_method"},
		"short challenge":           {fields{"code_challenge": challenge[1:], "code_challenge_method": "S256"}, "invalid_request: pkce_malformed"},
		"long challenge":            {fields{"code_challenge": challenge + "A", "code_challenge_method": "S256"}, "invalid_request: pkce_malformed"},
		"padded challenge":          {fields{"code_challenge": challenge[1:] + "=", "code_challenge_method": "S256"}, "invalid_request: pkce_malformed"},
		"challenge in plain base64": {fields{"code_challenge": challenge[1:] + "/", "code_challenge_method": "S256"}, "invalid_request: pkce_malformed"},
		"method alone":              {fields{"code_challenge_method": "S256"}, "invalid_request: pkce_malformed"},

		"none":               {fields{"prompt": "none"}, "accepted"},
		"none and login":     {fields{"prompt": "none login"}, "invalid_request: prompt"},
		"login and none":     {fields{"prompt": "login none"}, "invalid_request: prompt"},
		"all prompts":        {fields{"prompt": "select_account consent login"}, "accepted"},
		"prompt create":      {fields{"prompt": "create"}, "invalid_request: prompt"},
		"max_age":            {fields{"max_age": "10000"}, "accepted"},
		"max_age negative":   {fields{"max_age": "-1"}, "invalid_request: max_age"},
		"max_age signed":     {fields{"max_age": "+1"}, "invalid_request: max_age"},
		"max_age a fraction": {fields{"max_age": "1.5"}, "invalid_request: max_age"},
		"max_age 2^31":       {fields{"max_age": "2147483648"}, "invalid_request: max_age"},
		"max_age huge":       {fields{"max_age": "99999999999999999999"}, "invalid_request: max_age"},

		"request_uri":           {fields{"request_uri": "https://acme.example/r"}, "request_uri_not_supported: request_uri"},
		"request_uri, pushed":   {fields{"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "request_uri_not_supported: request_uri"},
		"request_uri elsewhere": {fields{"request_uri": "https://acme.example/r", "redirect_uri": "https://evil.example"}, "bad: redirect_uri"},
		"registration":          {fields{"registration": "{}"}, "registration_not_supported: registration"},

		"acr":                  {fields{"acr_values": "1 2 " + posture}, "accepted"},
		"acr of others":        {fields{"acr_values": "1 2"}, "unmet_authentication_requirements: acr"},
		"acr in capitals":      {fields{"acr_values": strings.ToUpper(posture)}, "unmet_authentication_requirements: acr"},
		"essential acr":        {fields{"claims": `{"id_token":{"acr":{"essential":true,"values":["1"]}}}`}, "unmet_authentication_requirements: acr"},
		"essential acr, ours":  {fields{"claims": `{"id_token":{"acr":{"essential":true,"values":["1","` + posture + `"]}}}`}, "accepted"},
		"essential acr, any":   {fields{"claims": `{"id_token":{"acr":{"essential":true}}}`}, "accepted"},
		"voluntary acr":        {fields{"claims": `{"id_token":{"acr":{"value":"1"}}}`}, "accepted"},
		"essential acr, a 1":   {fields{"claims": `{"id_token":{"acr":{"essential":true,"value":1}}}`}, "invalid_request: claims"},
		"sub of a number":      {fields{"claims": `{"id_token":{"sub":{"values":[1]}}}`}, "invalid_request: claims"},
		"claims, spaced":       {fields{"claims": " {\"userinfo\": {}} "}, "accepted"},
		"claims of null":       {fields{"claims": "null"}, "invalid_request: claims"},
		"claims of a list":     {fields{"claims": "[]"}, "invalid_request: claims"},
		"claims cut short":     {fields{"claims": `{"id_token":{`}, "invalid_request: claims"},
		"claims with rest":     {fields{"claims": `{}{}`}, "invalid_request: claims"},
		"claims of a number":   {fields{"claims": `{"id_token":{"email":1}}`}, "invalid_request: claims"},
		"claims, key doubled":  {fields{"claims": `{"id_token":{"sub":{"value":"a"},"sub":{"value":"b"}}}`}, "invalid_request: claims"},
		"claims, essential 1":  {fields{"claims": `{"id_token":{"email":{"essential":1}}}`}, "invalid_request: claims"},
		"claims at the limit":  {fields{"claims": "{}" + strings.Repeat(" ", 8<<10-2)}, "accepted"},
		"claims over it":       {fields{"claims": "{}" + strings.Repeat(" ", 8<<10-1)}, "invalid_request: claims"},
		"claims deeply nested": {fields{"claims": `{"x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + "}"}, "accepted"},
	} {
		a, err := authorize(t, form(changed(baseRequest(), c.change)), rpClient())
		if got := outcome(err); got != c.want {
			t.Errorf("%s: got %s, want %s (%v)", name, got, c.want, err)
		}
		if a != nil && (a.Client == nil || a.RedirectURI != rpCallback || a.State != "s" || a.FormPost) {
			t.Errorf("%s: an error could not be told with %+v", name, a)
		}
	}
}

func TestRequirePKCE(t *testing.T) {
	t.Parallel()
	c := rpClient()
	c.RequirePKCE = true
	if _, err := authorize(t, form(baseRequest()), c); outcome(err) != "invalid_request: pkce_missing" {
		t.Errorf("without a challenge: %v", err)
	}
	a, err := authorize(t, form(changed(baseRequest(), fields{"code_challenge": challenge, "code_challenge_method": "S256"})), c)
	if err != nil || a.CodeChallenge != challenge {
		t.Errorf("with one: %+v, %v", a, err)
	}
}

// TestErrorGoesTheWayAsked holds that an error is answered as its request wished.
func TestErrorGoesTheWayAsked(t *testing.T) {
	t.Parallel()
	a, err := authorize(t, form(changed(baseRequest(), fields{"response_mode": "form_post", "response_type": "token"})), rpClient())
	if err == nil || !a.FormPost || a.State != "s" {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestErrorsEchoNothing holds that nothing of a request gets into what is told,
// and that what is told is made of what RFC 6749 section 4.1.2.1 allows.
func TestErrorsEchoNothing(t *testing.T) {
	t.Parallel()
	const mark = "xMARKx"
	for _, name := range []string{"response_type", "response_mode", "scope", "code_challenge", "prompt", "max_age", "claims", "acr_values", "registration", "request", "request_uri"} {
		_, err := authorize(t, form(changed(baseRequest(), fields{name: mark})), rpClient())
		var e *oidc.Error
		ok := errors.As(err, &e)
		if ok && (strings.ContainsFunc(e.Description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) ||
			!strings.Contains(e.Error(), e.Code+": "+e.Description) || e.Err != nil && !strings.Contains(e.Error(), e.Err.Error())) {
			t.Errorf("%s: described as %q, logged as %q", name, e.Description, e.Error())
		}
		if !ok || strings.Contains(e.Code+e.Description+e.Reason, mark) || url.QueryEscape(e.Reason) != e.Reason {
			t.Errorf("%s: %#v", name, err)
		}
	}
}
