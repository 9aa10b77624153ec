package oidc_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/idp/oidc"
)

func baseObject() claims {
	now := rpNow().Unix()
	return claims{
		"iss": rpID, "aud": provider().Issuer, "iat": now, "nbf": now, "exp": now + 300, "jti": "j1",
		"client_id": rpID, "redirect_uri": rpCallback, "response_type": "code", "scope": "openid", "state": "inner", "nonce": "n",
	}
}

// minimal is what stands outside of a request object (OpenID Connect core 6.1).
func minimal(request string) string {
	return form(fields{"client_id": rpID, "response_type": "code", "scope": "openid", "request": request})
}

func TestRequestObjectValues(t *testing.T) {
	t.Parallel()
	object := changed(baseObject(), claims{"max_age": 3600, "claims": claims{"id_token": claims{"email": nil}}, "prompt": "none",
		"login_hint": nil, "code_challenge": challenge, "code_challenge_method": "S256", "OktaAppName": "Acme ", "unheard_of": []int{1}})
	outside := changed(baseRequest(), fields{"redirect_uri": "https://evil.example", "state": "outer", "login_hint": "outer", "max_age": "1"})
	for _, key := range []struct {
		alg  jose.SignatureAlgorithm
		name string
	}{
		{"RS256", "rsa"}, {"RS384", "rsa"}, {"RS512", "rsa"}, {"HS256", rpSecret}, {"HS384", rpSecret}, {"HS512", rpSecret}, {"HS256", rpPrevious},
	} {
		a, err := authorize(t, form(changed(outside, fields{"request": jwt(t, key.alg, key.name, object)})), rpClient())
		if err != nil {
			t.Errorf("%s: %v", key.alg, err)
			continue
		}
		if a.RedirectURI != rpCallback || a.State != "inner" || a.Nonce != "n" || *a.MaxAge != time.Hour || !a.PromptNone || a.LoginHint != "outer" ||
			a.CodeChallenge != challenge || len(a.App) != 1 || a.App[0].Value != "Acme " || len(a.Claims.IDToken) != 1 ||
			a.RequestID != "j1" || !a.ClaimUntil.Equal(rpNow().Add(6*time.Minute)) {
			t.Errorf("%s: %+v", key.alg, a)
		}
	}
	alone := "request=" + jwt(t, "RS256", "rsa", changed(baseObject(), claims{"max_age": "7", "claims": `{"userinfo":{"sub":null}}`}))
	a, err := authorize(t, alone, rpClient())
	if err != nil || a.Nonce != "n" || *a.MaxAge != 7*time.Second || len(a.Claims.UserInfo) != 1 {
		t.Errorf("all inside: %+v, %v", a, err)
	}
}

// TestRequestObjectRules has a vector for each rule about what an object says. Of
// one that is not read to its end, nothing counts.
func TestRequestObjectRules(t *testing.T) {
	t.Parallel()
	now := rpNow().Unix()
	for name, c := range map[string]struct {
		change claims
		want   string
	}{
		"base": {nil, "accepted"},

		"another client":          {claims{"client_id": "okta2"}, "bad: client_mismatch"},
		"client a number, unread": {claims{"client_id": 1}, "invalid_request_object: request_object_malformed"},
		"another issuer":          {claims{"iss": "okta2"}, "bad: client_mismatch"},
		"no issuer":               {claims{"iss": without}, "accepted"},
		"no client":               {claims{"client_id": without}, "accepted"},
		"nobody":                  {claims{"iss": without, "client_id": without}, "bad: client_mismatch"},
		"no redirect URI, unread": {claims{"redirect_uri": without}, "accepted"},
		"foreign redirect":        {claims{"redirect_uri": "https://evil.example"}, "bad: redirect_uri"},

		"nested object, unread":     {claims{"request": "x"}, "invalid_request_object: request_object_nested"},
		"nested null, unread":       {claims{"request": nil}, "invalid_request_object: request_object_nested"},
		"nested reference, unread":  {claims{"request_uri": "https://acme.example/r"}, "invalid_request_object: request_object_nested"},
		"state a number, unread":    {claims{"state": 1}, "invalid_request_object: request_object_malformed"},
		"scope a list, unread":      {claims{"scope": []string{"openid"}}, "invalid_request_object: request_object_malformed"},
		"prompt an object, unread":  {claims{"prompt": claims{}}, "invalid_request_object: request_object_malformed"},
		"max_age a boolean, unread": {claims{"max_age": true}, "invalid_request_object: request_object_malformed"},
		"control byte, unread":      {claims{"nonce": "a\nb"}, "invalid_request_object: request_object_malformed"},
		"state too large, unread":   {claims{"state": strings.Repeat("s", 4097)}, "invalid_request_object: request_object_too_large"},

		"another type":            {claims{"response_type": "token"}, "invalid_request: response_type_mismatch"},
		"max_age negative":        {claims{"max_age": -1}, "invalid_request: max_age"},
		"max_age fraction":        {claims{"max_age": 1.5}, "invalid_request: max_age"},
		"claims a number, unread": {claims{"claims": 1}, "invalid_request_object: request_object_malformed"},
		"claims, malformed":       {claims{"claims": claims{"id_token": 1}}, "invalid_request: claims"},
		"registration":            {claims{"registration": claims{"x": 1}}, "registration_not_supported: registration"},

		"no audience":          {claims{"aud": without}, "accepted"},
		"authorization URL":    {claims{"aud": provider().AuthorizeURL}, "accepted"},
		"one of two audiences": {claims{"aud": []string{"x", provider().Issuer}}, "accepted"},
		"another audience":     {claims{"aud": "https://other.example"}, "invalid_request_object: request_object_audience"},
		"the token URL":        {claims{"aud": provider().TokenURL}, "invalid_request_object: request_object_audience"},
		"issuer with a slash":  {claims{"aud": provider().Issuer + "/"}, "invalid_request_object: request_object_audience"},
		"empty audience":       {claims{"aud": ""}, "invalid_request_object: request_object_audience"},
		"null audience":        {claims{"aud": nil}, "invalid_request_object: request_object_audience"},
		"no audiences":         {claims{"aud": []string{}}, "invalid_request_object: request_object_audience"},
		"audience a number":    {claims{"aud": 1}, "invalid_request_object: request_object_malformed"},
		"audiences of numbers": {claims{"aud": []any{provider().Issuer, 1}}, "invalid_request_object: request_object_malformed"},

		"subject a client":    {claims{"sub": rpID}, "invalid_request_object: request_object_subject"},
		"subject a user":      {claims{"sub": "ada"}, "accepted"},
		"just not expired":    {claims{"exp": now - 59}, "accepted"},
		"expired":             {claims{"exp": now - 60}, "invalid_request_object: request_object_expired"},
		"an hour":             {claims{"exp": now + 3660}, "accepted"},
		"more than an hour":   {claims{"exp": now + 3661}, "invalid_request_object: request_object_exp_far"},
		"exp huge":            {claims{"exp": 1e18}, "invalid_request_object: request_object_malformed"},
		"exp a string":        {claims{"exp": "1"}, "invalid_request_object: request_object_malformed"},
		"exp null":            {claims{"exp": nil}, "invalid_request_object: request_object_malformed"},
		"exp negative":        {claims{"exp": -1}, "invalid_request_object: request_object_malformed"},
		"exp a fraction":      {claims{"exp": float64(now) + 0.5}, "accepted"},
		"nbf ahead":           {claims{"nbf": now + 61}, "invalid_request_object: request_object_future"},
		"nbf a little ahead":  {claims{"nbf": now + 60}, "accepted"},
		"iat ahead":           {claims{"iat": now + 61}, "invalid_request_object: request_object_future"},
		"no exp, iat":         {claims{"exp": without, "iat": now - 300}, "accepted"},
		"no exp, iat stale":   {claims{"exp": without, "iat": now - 360}, "invalid_request_object: request_object_expired"},
		"no exp, no iat":      {claims{"exp": without, "iat": without}, "invalid_request_object: request_object_exp_missing"},
		"exp beats iat":       {claims{"iat": now - 4000}, "accepted"},
		"jti a number":        {claims{"jti": 1}, "invalid_request_object: request_object_malformed"},
		"jti too large":       {claims{"jti": strings.Repeat("j", 257)}, "invalid_request_object: request_object_malformed"},
		"jti with a NUL":      {claims{"jti": "a\x00b"}, "invalid_request_object: request_object_malformed"},
		"PKCE plain, inside":  {claims{"code_challenge": challenge, "code_challenge_method": "plain"}, "invalid_request: pkce_method"},
		"acr of others, in":   {claims{"acr_values": "1"}, "unmet_authentication_requirements: acr"},
		"empty scope, inside": {claims{"scope": ""}, "invalid_scope: scope"},
	} {
		a, err := authorize(t, minimal(jwt(t, "RS256", "rsa", changed(baseObject(), c.change)))+"&redirect_uri="+url.QueryEscape(rpOther), rpClient())
		if got := outcome(err); got != c.want {
			t.Errorf("%s: got %s, want %s (%v)", name, got, c.want, err)
		}
		if unread := strings.HasSuffix(name, "unread"); a != nil && (a.RedirectURI == rpOther) != unread {
			t.Errorf("%s: the answer goes to %q", name, a.RedirectURI)
		}
	}
	for want, object := range map[string]claims{
		"accepted":          baseObject(),
		"bad: redirect_uri": changed(baseObject(), claims{"redirect_uri": without}),
	} {
		if _, err := authorize(t, minimal(jwt(t, "RS256", "rsa", object)), rpClient()); outcome(err) != want {
			t.Errorf("without a redirect URI outside: got %s, want %s", outcome(err), want)
		}
	}
}

// TestRequestObjectSignature has a vector for each way to be nobody's object. The
// redirect URI outside is good, so that the client is told.
func TestRequestObjectSignature(t *testing.T) {
	t.Parallel()
	payload := encode(t, baseObject())
	good := jws(`{"alg":"RS256","kid":"rsa"}`, payload, withRSA("rsa"))
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	der, err := x509.MarshalPKIXPublicKey(rpKeys()["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	publicJWK, err := (&jose.JSONWebKey{Key: rpKeys()["foreign"].Public()}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	header := func(more string) string {
		return jws(`{"alg":"RS256","kid":"rsa",`+more+`}`, payload, withRSA("rsa"))
	}
	hs := func(secret string) string { return jws(`{"alg":"HS256"}`, payload, withHMAC(secret)) }
	const refused = "invalid_request_object: request_object_"
	for name, c := range map[string]struct{ request, want string }{
		"good":              {good, "accepted"},
		"no kid":            {jws(`{"alg":"RS256"}`, payload, withRSA("rsa")), "accepted"},
		"typ":               {header(`"typ":"oauth-authz-req+jwt"`), "accepted"},
		"typ in full":       {header(`"typ":"application/OAuth-authz-req+JWT"`), "accepted"},
		"typ of an ID":      {header(`"typ":"dpop+jwt"`), refused + "type"},
		"typ a number":      {header(`"typ":1`), refused + "malformed"},
		"x5t":               {header(`"x5t":"AAAA"`), "accepted"},
		"none":              {jws(`{"alg":"none"}`, payload, withNothing), refused + "algorithm"},
		"None":              {jws(`{"alg":"None"}`, payload, withNothing), refused + "algorithm"},
		"no alg":            {jws(`{}`, payload, withNothing), refused + "algorithm"},
		"stripped":          {head + "." + body + ".", refused + "signature"},
		"tampered body":     {head + "." + b64(encode(t, changed(baseObject(), claims{"login_hint": "eve"}))) + "." + signature, refused + "signature"},
		"tampered header":   {b64([]byte(`{"alg":"RS256","kid":"rsa" }`)) + "." + rest, refused + "signature"},
		"other algorithm":   {b64([]byte(`{"alg":"RS512","kid":"rsa"}`)) + "." + rest, refused + "signature"},
		"foreign key":       {jws(`{"alg":"RS256"}`, payload, withRSA("foreign")), refused + "signature"},
		"foreign kid":       {jws(`{"alg":"RS256","kid":"foreign"}`, payload, withRSA("rsa")), refused + "key_unknown"},
		"kid of another":    {jws(`{"alg":"RS256","kid":"p256"}`, payload, withRSA("rsa")), refused + "key_unknown"},
		"kid a number":      {jws(`{"alg":"RS256","kid":1}`, payload, withRSA("rsa")), refused + "malformed"},
		"ES256":             {jwt(t, "ES256", "p256", baseObject()), refused + "algorithm"},
		"PS256":             {jwt(t, "PS256", "rsa", baseObject()), refused + "algorithm"},
		"HS, public key":    {hs(publicPEM), refused + "signature"},
		"HS, DER":           {hs(string(der)), refused + "signature"},
		"HS, modulus":       {hs(string(rpKeys()["rsa"].Public().(*rsa.PublicKey).N.Bytes())), refused + "signature"},
		"HS, expired":       {hs(rpExpired), refused + "signature"},
		"HS, empty secret":  {hs(""), refused + "signature"},
		"HS, hash":          {hs(string(rpClient().Secrets[2].Hash[:])), refused + "signature"},
		"HS":                {hs(rpSecret), "accepted"},
		"HS and a kid":      {jws(`{"alg":"HS256","kid":"x"}`, payload, withHMAC(rpSecret)), "accepted"},
		"own key":           {jws(`{"alg":"RS256","jwk":`+string(publicJWK)+`}`, payload, withRSA("foreign")), refused + "header"},
		"own key's URL":     {header(`"jku":"https://evil.example/jwks"`), refused + "header"},
		"own certificate":   {header(`"x5c":[]`), refused + "header"},
		"certificate's URL": {header(`"x5u":"https://evil.example/c"`), refused + "header"},
		"crit":              {header(`"crit":["exp"],"exp":1`), refused + "header"},
		"b64":               {header(`"b64":false`), refused + "header"},
		"zip":               {header(`"zip":"DEF"`), refused + "header"},
		"alg twice":         {jws(`{"alg":"RS256","alg":"none"}`, payload, withRSA("rsa")), refused + "malformed"},
		"header a list":     {jws(`[]`, payload, withRSA("rsa")), refused + "malformed"},
		"header null":       {jws(`null`, payload, withRSA("rsa")), refused + "malformed"},
		"header too large":  {header(`"x":"` + strings.Repeat("x", 4096) + `"`), refused + "too_large"},
		"claim twice":       {jws(`{"alg":"RS256"}`, []byte(`{"exp":1,"exp":2}`), withRSA("rsa")), refused + "malformed"},
		"member twice":      {jws(`{"alg":"RS256"}`, []byte(`{"claims":{"id_token":{},"id_token":{}}}`), withRSA("rsa")), refused + "malformed"},
		"payload a list":    {jws(`{"alg":"RS256"}`, []byte(`[]`), withRSA("rsa")), refused + "malformed"},
		"payload and rest":  {jws(`{"alg":"RS256"}`, append(payload, "{}"...), withRSA("rsa")), refused + "malformed"},
		"payload not UTF-8": {jws(`{"alg":"RS256"}`, []byte("{\"state\":\"\xff\"}"), withRSA("rsa")), refused + "malformed"},
		"nested object":     {jwt(t, "RS256", "rsa", changed(baseObject(), claims{"request": good})), refused + "nested"},
		"nested reference":  {jwt(t, "RS256", "rsa", changed(baseObject(), claims{"request_uri": "x"})), refused + "nested"},
		"two parts":         {head + "." + body, refused + "malformed"},
		"five parts":        {good + ".x.y", refused + "malformed"},
		"JSON serialised":   {`{"payload":"` + body + `","protected":"` + head + `","signature":"` + signature + `"}`, refused + "malformed"},
		"no base64":         {"!" + good, refused + "malformed"},
	} {
		a, err := authorize(t, form(changed(baseRequest(), fields{"request": c.request})), rpClient())
		if got := outcome(err); got != c.want {
			t.Errorf("%s: got %s, want %s (%v)", name, got, c.want, err)
		}
		if a != nil && err != nil && (a.RedirectURI != rpCallback || a.State != "s") {
			t.Errorf("%s: an error could not be told with %+v", name, a)
		}
	}
}

// TestRequestObjectID holds that what makes an object unique does not follow from
// what anybody can change without its signer's key.
func TestRequestObjectID(t *testing.T) {
	t.Parallel()
	id := func(request string) string {
		a, err := authorize(t, form(changed(baseRequest(), fields{"request": request})), rpClient())
		if err != nil {
			t.Fatal(err)
		}
		return a.RequestID
	}
	object := changed(baseObject(), claims{"jti": without})
	plain := jwt(t, "RS256", "rsa", object)
	first := id(plain)
	if len(first) != len("sha256:")+64 {
		t.Errorf("ID %q", first)
	}
	head, rest, _ := strings.Cut(plain, ".")
	body, signature, _ := strings.Cut(rest, ".")
	for _, same := range []string{plain, jwt(t, "HS256", rpSecret, object)} {
		if again := id(same); again != first {
			t.Errorf("the same claims are %q and %q", first, again)
		}
	}
	// A reader of base64 that skips newlines would take these for other objects.
	for _, varied := range []string{head + "." + body + "." + signature + "\n", head + ".\r\n" + body + "." + signature} {
		if _, err := authorize(t, form(changed(baseRequest(), fields{"request": varied})), rpClient()); outcome(err) != "bad: malformed" {
			t.Errorf("%q: %v", varied[len(varied)-4:], err)
		}
	}
	if other := id(jwt(t, "RS256", "rsa", changed(object, claims{"nonce": "other"}))); other == first {
		t.Errorf("other claims have the ID %q too", other)
	}
	if a, err := authorize(t, form(baseRequest()), rpClient()); err != nil || a.RequestID != "" || !a.ClaimUntil.IsZero() {
		t.Errorf("without an object: %+v, %v", a, err)
	}
}

func TestRequireRequestObject(t *testing.T) {
	t.Parallel()
	c := rpClient()
	c.RequireRequestObject = true
	object := jwt(t, "RS256", "rsa", baseObject())
	bare := jwt(t, "RS256", "rsa", changed(baseObject(), claims{"scope": without}))
	noURI := jwt(t, "RS256", "rsa", changed(baseObject(), claims{"redirect_uri": without}))
	for name, v := range map[string]struct {
		parameters fields
		want       string
	}{
		"unsigned":             {baseRequest(), "invalid_request: request_object_missing"},
		"unsigned, no address": {fields{"client_id": rpID}, "bad: request_object_missing"},
		"signed":               {fields{"client_id": rpID, "request": object}, "accepted"},
		"scope outside":        {changed(baseRequest(), fields{"request": bare}), "invalid_scope: scope"},
		"address outside":      {changed(baseRequest(), fields{"request": noURI}), "bad: redirect_uri"},
		"by reference":         {changed(baseRequest(), fields{"request_uri": "x"}), "request_uri_not_supported: request_uri"},
		"both":                 {changed(baseRequest(), fields{"request_uri": "x", "request": object}), "request_uri_not_supported: request_uri"},
	} {
		if _, err := authorize(t, form(v.parameters), c); outcome(err) != v.want {
			t.Errorf("%s: got %s, want %s", name, outcome(err), v.want)
		}
	}
	a, err := authorize(t, form(changed(baseRequest(), fields{"request": object, "login_hint": "eve", "prompt": "none"})), c)
	if err != nil || a.LoginHint != "" || a.PromptNone {
		t.Errorf("what stands outside counts: %+v, %v", a, err)
	}
}

// TestSecretNamesTheClient: an object under a secret needs no name beside it.
func TestSecretNamesTheClient(t *testing.T) {
	t.Parallel()
	c := rpClient()
	c.Keys = nil
	object := baseObject()
	delete(object, "iss")
	delete(object, "client_id")
	if _, err := authorize(t, minimal(jwt(t, "HS256", rpSecret, object)), c); err != nil {
		t.Error(err)
	}
}

// TestWithoutKeys holds that a client without keys or secrets in the clear signs
// nothing.
func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	c := rpClient()
	c.Keys = nil
	for i := range c.Secrets {
		c.Secrets[i].Clear = ""
	}
	for request, want := range map[string]string{
		jwt(t, "RS256", "rsa", baseObject()):                          "request_object_key_unknown",
		jwt(t, "HS256", rpSecret, baseObject()):                       "request_object_secret_hashed",
		jws(`{"alg":"HS256"}`, encode(t, baseObject()), withHMAC("")): "request_object_secret_hashed",
	} {
		_, err := authorize(t, "client_id="+rpID+"&redirect_uri="+url.QueryEscape(rpCallback)+"&request="+request, c)
		if got := outcome(err); got != "invalid_request_object: "+want {
			t.Errorf("got %s, want %s", got, want)
		}
		// With everything in the object there is nowhere to send the error, but its
		// reason is still told.
		if _, err = authorize(t, "client_id="+rpID+"&request="+request, c); outcome(err) != "bad: "+want {
			t.Errorf("got %s, want %s", outcome(err), want)
		}
	}
}

// TestUnnamedKeys holds that a signature which names no key is tried with two at
// most.
func TestUnnamedKeys(t *testing.T) {
	t.Parallel()
	token := jws(`{"alg":"RS256"}`, encode(t, baseObject()), withRSA("rsa"))
	for n, want := range map[int]string{0: "accepted", 1: "accepted", 2: "invalid_request_object: request_object_key_unnamed"} {
		c := rpClient()
		c.Keys = &jose.JSONWebKeySet{}
		for range n {
			c.Keys.Keys = append(c.Keys.Keys, rpKeySet("foreign").Keys[0])
		}
		c.Keys.Keys = append(c.Keys.Keys, rpKeySet("rsa").Keys[0])
		if _, err := authorize(t, minimal(token)+"&redirect_uri="+url.QueryEscape(rpCallback), c); outcome(err) != want {
			t.Errorf("%d other keys: %s, want %s", n, outcome(err), want)
		}
	}
	c := rpClient()
	c.Keys = rpKeySet("p521", "p521")
	unnamed := jws(`{"alg":"ES512"}`, encode(t, baseAssertion()), withNothing)
	change := fields{"client_id": rpID, "client_assertion": unnamed, "client_assertion_type": bearer}
	if _, err := authenticate(t, "", change, c); outcome(err) != "invalid_client: assertion_key_unnamed" {
		t.Errorf("two keys on P-521: %v", err)
	}
	c = rpClient()
	c.Keys.Keys[0].Algorithm = oidc.RS256
	if _, err := authorize(t, minimal(token), c); err != nil {
		t.Errorf("alg of the key is that of the signature: %v", err)
	}
	c.Keys.Keys[0].Algorithm = "RS512"
	if _, err := authorize(t, minimal(token)+"&redirect_uri="+url.QueryEscape(rpCallback), c); outcome(err) != "invalid_request_object: request_object_key_unknown" {
		t.Errorf("key of another algorithm: %v", err)
	}
}

// TestShortSecret holds that a secret is a key of an algorithm only as long as RFC
// 7518 section 3.2 wants it, and that those that we make are long enough for all.
func TestShortSecret(t *testing.T) {
	t.Parallel()
	try := func(alg jose.SignatureAlgorithm, secret string) string {
		c := rpClient()
		c.Secrets = []oidc.Secret{{Clear: secret}}
		// The signature's own key is padded: HMAC pads with zeros too.
		request := jwt(t, alg, secret+strings.Repeat("\x00", max(0, 64-len(secret))), baseObject())
		_, err := authorize(t, minimal(request)+"&redirect_uri="+url.QueryEscape(rpCallback), c)
		return outcome(err)
	}
	const short = "invalid_request_object: request_object_secret_short"
	for alg, size := range map[jose.SignatureAlgorithm]int{"HS256": 32, "HS384": 48, "HS512": 64} {
		if got := try(alg, strings.Repeat("s", size)); got != "accepted" {
			t.Errorf("%s with %d bytes: %s", alg, size, got)
		}
		if got := try(alg, strings.Repeat("s", size-1)); got != short {
			t.Errorf("%s with %d bytes: %s", alg, size-1, got)
		}
		if got := try(alg, oidc.NewSecret()); got != "accepted" {
			t.Errorf("%s with a secret of ours: %s", alg, got)
		}
	}
}
