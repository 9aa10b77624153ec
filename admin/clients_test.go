package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/posture"
)

const callback = "https://acme.okta.com/oauth2/v1/authorize/callback"

// minimal is the least that a client can be registered with.
func minimal(name string) NewOIDCClient {
	return NewOIDCClient{Name: name, RedirectURIs: []string{callback}}
}

// newJWKS makes a JWK set of one key; the private one if so wanted.
func newJWKS(t *testing.T, private bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: "k1", Use: "sig"}
	if !private {
		jwk = jwk.Public()
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hexHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func TestAddClient(t *testing.T) {
	t.Parallel()
	p := newParties(t)
	issued := p.addClient(t, minimal("okta"))
	want := minimal("okta")
	want.ClientID, want.Secret, want.IDTokenAlg = issued.Client.ClientID, SecretHashed, "RS256"
	want.Policy, want.OnUnmanaged, want.OnNoncompliant, want.BindOwner = "default", "refuse", "assert", posture.BindOff
	if got := issued.Client; !reflect.DeepEqual(got.NewOIDCClient, want) || got.Origin != FromStore || !got.AddedAt.Equal(now) ||
		len(got.Secrets) != 1 || !got.Secrets[0].AddedAt.Equal(now) || !got.Secrets[0].ExpiresAt.IsZero() {
		t.Errorf("added %+v, want %+v", got, want)
	}
	if len(issued.ClientSecret) < 43 || len(issued.Client.ClientID) < 20 {
		t.Errorf("client ID %q, secret of %d characters", issued.Client.ClientID, len(issued.ClientSecret))
	}
	if got := p.hashes(t, "okta"); len(got) != 1 || got[0] != hexHash(issued.ClientSecret) {
		t.Errorf("kept %q of %q", got, issued.ClientSecret)
	}
	other := p.addClient(t, minimal("other"))
	if other.ClientSecret == issued.ClientSecret || other.Client.ClientID == issued.Client.ClientID {
		t.Error("two clients share what was made for them")
	}

	full := NewOIDCClient{
		Name: "full", ClientID: "0oa1/x:y", RedirectURIs: []string{callback, "http://127.0.0.1:8080/cb?a=b"}, Secret: SecretInFile,
		SecretFile: "/etc/gatepost/full.secret", JWKS: newJWKS(t, false), RequirePKCE: true, RequireRequestObject: true, OmitIss: true,
		IDTokenAlg: "RS256", Policy: "strict", OnUnmanaged: "assert", OnNoncompliant: "refuse", BindOwner: posture.BindWarn,
	}
	if issued := p.addClient(t, full); !reflect.DeepEqual(issued.Client.NewOIDCClient, full) || issued.ClientSecret != "" || issued.Client.Secrets != nil {
		t.Errorf("added %+v, want %+v", issued, full)
	}
	keyed := minimal("keyed")
	keyed.Secret, keyed.JWKS, keyed.RequireRequestObject = SecretNone, newJWKS(t, false), true
	if issued := p.addClient(t, keyed); issued.ClientSecret != "" || issued.Client.Secrets != nil || len(p.hashes(t, "keyed")) != 0 {
		t.Errorf("a client without a secret got %+v", issued)
	}

	list, err := p.Clients(t.Context())
	if err != nil || len(list) != 5 {
		t.Fatalf("%d clients: %v", len(list), err)
	}
	for i, want := range []struct {
		name   string
		origin Origin
		kind   SecretKind
	}{{"filed-client", FromFile, ""}, {"full", FromStore, SecretInFile}, {"keyed", FromStore, SecretNone}, {"okta", FromStore, SecretHashed}, {"other", FromStore, SecretHashed}} {
		if got := list[i]; got.Name != want.name || got.Origin != want.origin || got.Secret != want.kind {
			t.Errorf("client %d: %+v, want %+v", i, got, want)
		}
	}
	if !reflect.DeepEqual(list[1].NewOIDCClient, full) {
		t.Errorf("listed %+v, want %+v", list[1], full)
	}
	if all, err := p.RelyingParties(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d SAML relying parties: %v", len(all), err)
	}
	p.wantUnseen(t, issued.ClientSecret)
}

// wantUnseen checks that a secret is nowhere but in the one answer: not in a
// list, not in the log, not in the store.
func (p *parties) wantUnseen(t *testing.T, secret string) {
	t.Helper()
	_, list := p.ask(t, "GET", "clients", "", "")
	if strings.Contains(list, secret) || strings.Contains(list, hexHash(secret)) || !strings.Contains(list, `"secrets":[{"added_at":`) {
		t.Errorf("the list shows %s", list)
	}
	if strings.Contains(p.log.String(), secret) {
		t.Error("the secret is in the log")
	}
	stored, err := os.ReadFile(p.db)
	if err != nil || strings.Contains(string(stored), secret) || !strings.Contains(string(stored), hexHash(secret)) {
		t.Errorf("the store has the secret, or not its hash: %v", err)
	}
}

func TestAddClientRefused(t *testing.T) {
	t.Parallel()
	p := newParties(t)
	keys, private := newJWKS(t, false), newJWKS(t, true)
	for name, test := range map[string]struct {
		spoil func(n *NewOIDCClient)
		text  string
	}{
		"no name":             {func(n *NewOIDCClient) { n.Name = "" }, "name: "},
		"name of a path":      {func(n *NewOIDCClient) { n.Name = "../x" }, "name: "},
		"client ID":           {func(n *NewOIDCClient) { n.ClientID = "a b" }, "client_id: "},
		"long client ID":      {func(n *NewOIDCClient) { n.ClientID = strings.Repeat("x", 256) }, "client_id: "},
		"no redirect URI":     {func(n *NewOIDCClient) { n.RedirectURIs = nil }, "redirect_uris: there are 0"},
		"many redirect URIs":  {func(n *NewOIDCClient) { n.RedirectURIs = make([]string, 33) }, "redirect_uris: there are 33"},
		"plain redirect URI":  {func(n *NewOIDCClient) { n.RedirectURIs = []string{callback, "http://acme.okta.com/"} }, "redirect_uris[1]: "},
		"wildcard":            {func(n *NewOIDCClient) { n.RedirectURIs = []string{"https://*.okta.com/"} }, "redirect_uris[0]: "},
		"fragment":            {func(n *NewOIDCClient) { n.RedirectURIs = []string{callback + "#x"} }, "redirect_uris[0]: "},
		"redirect URI twice":  {func(n *NewOIDCClient) { n.RedirectURIs = []string{callback, callback} }, "is there already"},
		"kind of secret":      {func(n *NewOIDCClient) { n.Secret = "sealed" }, `secret: "sealed"`},
		"nothing to prove":    {func(n *NewOIDCClient) { n.Secret = SecretNone }, "jwks: a client without a secret"},
		"no file":             {func(n *NewOIDCClient) { n.Secret = SecretInFile }, "secret_file: it must be"},
		"relative file":       {func(n *NewOIDCClient) { n.Secret, n.SecretFile = SecretInFile, "x/secret" }, "secret_file: it must be"},
		"dots in the path":    {func(n *NewOIDCClient) { n.Secret, n.SecretFile = SecretInFile, "/x/../secret" }, "secret_file: it must be"},
		"file of no use":      {func(n *NewOIDCClient) { n.SecretFile = "/x" }, "secret_file: it goes with"},
		"requests unsignable": {func(n *NewOIDCClient) { n.RequireRequestObject = true }, "require_request_object: "},
		"no keys":             {func(n *NewOIDCClient) { n.JWKS = `{"keys":[]}` }, "jwks: "},
		"nonsense for keys":   {func(n *NewOIDCClient) { n.JWKS = "x" }, "jwks: "},
		"private key":         {func(n *NewOIDCClient) { n.JWKS = private }, "jwks: "},
		"keys twice":          {func(n *NewOIDCClient) { n.JWKS = keys + keys }, "jwks: "},
		"algorithm":           {func(n *NewOIDCClient) { n.IDTokenAlg = "none" }, `id_token_alg: "none"`},
		"no keys for ES256":   {func(n *NewOIDCClient) { n.IDTokenAlg = "ES256" }, "id_token_alg: there are no keys for ES256"},
		"policy":              {func(n *NewOIDCClient) { n.Policy = "lax" }, `no policy "lax"`},
		"answer if unmanaged": {func(n *NewOIDCClient) { n.OnUnmanaged = "ignore" }, `on_unmanaged: "ignore"`},
		"owners":              {func(n *NewOIDCClient) { n.BindOwner = "sometimes" }, `bind_owner: "sometimes"`},
		"answer if not so":    {func(n *NewOIDCClient) { n.OnNoncompliant = "ignore" }, `on_noncompliant: "ignore"`},
	} {
		n := minimal("new")
		test.spoil(&n)
		_, err := p.AddClient(t.Context(), n)
		wantProblem(t, err, http.StatusUnprocessableEntity, test.text)
		if err == nil {
			t.Errorf("%s was added", name)
		}
	}
	_, err := p.AddClient(t.Context(), NewOIDCClient{Name: "!", ClientID: "ü", RedirectURIs: []string{"x", "y"}, Secret: SecretInFile, SecretFile: "hunter2", JWKS: "{}",
		IDTokenAlg: "HS256", Policy: "x", OnUnmanaged: "x", OnNoncompliant: "x", BindOwner: "x"})
	for _, fault := range []string{"name: ", "client_id: ", "redirect_uris[0]: ", "redirect_uris[1]: ", "secret_file: ", "jwks: ", "id_token_alg: ", "policy: ", "on_unmanaged: ", "on_noncompliant: ", "bind_owner: "} {
		wantProblem(t, err, http.StatusUnprocessableEntity, fault) // all of them at once
	}
	if strings.Contains(err.Error()+p.log.String(), "hunter2") {
		t.Errorf("what may be a secret is shown: %v", err)
	}
	if all, err := p.records.RelyingParties(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d were added: %v", len(all), err)
	}
}

// TestNamesAreShared: a name is one relying party's, whichever its protocol and
// wherever it is registered.
func TestNamesAreShared(t *testing.T) {
	t.Parallel()
	p, ctx := newParties(t), t.Context()
	organisation := func(name, entityID string) NewRelyingParty {
		return NewRelyingParty{Name: name, Metadata: metadata(entityID, "", nil), BindOwner: posture.BindEnforce}
	}
	client := func(name, clientID string) NewOIDCClient {
		n := minimal(name)
		n.ClientID = clientID
		return n
	}
	if _, err := p.AddRelyingParty(ctx, organisation("org", "https://org")); err != nil {
		t.Fatal(err)
	}
	p.addClient(t, client("client", "client-id"))
	for _, n := range []NewOIDCClient{
		client("org", "x"), client("client", "x"), client("filed", "x"), client("filed-client", "x"), client("x", "client-id"), client("x", "filed-id"),
	} {
		_, err := p.AddClient(ctx, n)
		wantProblem(t, err, http.StatusConflict, "already exists")
	}
	for _, n := range []NewRelyingParty{organisation("client", "https://x"), organisation("filed", "https://x"), organisation("filed-client", "https://x"), organisation("org", "https://x")} {
		_, err := p.AddRelyingParty(ctx, n)
		wantProblem(t, err, http.StatusConflict, "already exists")
	}
	all, err := p.RelyingParties(ctx)
	if err != nil || len(all) != 2 || all[1].Name != "org" || all[1].BindOwner != posture.BindEnforce {
		t.Errorf("SAML relying parties %+v: %v", all, err)
	}

	wantProblem(t, p.RemoveClient(ctx, "org"), http.StatusNotFound, "no such relying party")
	wantProblem(t, p.RemoveRelyingParty(ctx, "client"), http.StatusNotFound, "no such relying party")
	wantProblem(t, p.RemoveClient(ctx, "nobody"), http.StatusNotFound, "no such relying party")
	wantProblem(t, p.RemoveClient(ctx, "a/b"), http.StatusNotFound, "no such relying party")
	wantProblem(t, p.RemoveClient(ctx, "filed-client"), http.StatusConflict, "configuration file")
	wantProblem(t, p.RemoveRelyingParty(ctx, "filed"), http.StatusConflict, "configuration file")
	if stored, err := p.records.RelyingParties(ctx); err != nil || len(stored) != 2 {
		t.Fatalf("%d are left: %v", len(stored), err)
	}
	if err := p.RemoveClient(ctx, "client"); err != nil {
		t.Error(err)
	}
	if err := p.RemoveRelyingParty(ctx, "org"); err != nil {
		t.Error(err)
	}
	p.addClient(t, client("org", "client-id"))
	if _, err := p.AddRelyingParty(ctx, organisation("client", "https://org")); err != nil {
		t.Error(err)
	}
}

func TestBadClientRequests(t *testing.T) {
	t.Parallel()
	p := newParties(t)
	p.addClient(t, minimal("okta"))
	const json_ = "application/json"
	for _, test := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"POST", "clients", "text/plain", `{}`, 415},
		{"POST", "clients", json_, ``, 400},
		{"POST", "clients", json_, `null`, 400},
		{"POST", "clients", json_, `{"name":"a","origin":"file"}`, 400},
		{"POST", "clients", json_, `{"name":"a","secrets":[]}`, 400},
		{"POST", "clients", json_, `{"name":"a","client_secret":"x"}`, 400},
		{"POST", "clients", json_, `{"name":"a","Name":"b"}`, 400},
		{"POST", "clients", json_, `{"name":"a","name":"b"}`, 400},
		{"POST", "clients", json_, `{"redirect_uris":"https://x"}`, 400},
		{"POST", "clients", json_, `{"require_pkce":"yes"}`, 400},
		{"POST", "clients", json_, `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413},
		{"POST", "clients/okta/rotate-secret", "", ``, 415},
		{"POST", "clients/okta/rotate-secret", json_, ``, 400},
		{"POST", "clients/okta/rotate-secret", json_, `{"overlap":3600}`, 400},
		{"POST", "clients/okta/rotate-secret", json_, `{"secret":"mine"}`, 400},
		{"POST", "clients/okta/rotate-secret", json_, `{"overlap":"1d"}`, 422},
		{"GET", "clients/okta/rotate-secret", "", ``, 405},
		{"GET", "clients/okta", "", ``, 405},
		{"PUT", "clients/okta", json_, `{}`, 405},
	} {
		response, body := p.ask(t, test.method, test.path, test.contentType, test.body)
		if response.StatusCode != test.status || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %.60s: %d %s, want %d", test.method, test.path, test.body, response.StatusCode, body, test.status)
		}
	}
	if all, err := p.records.RelyingParties(t.Context()); err != nil || len(all) != 1 || len(p.hashes(t, "okta")) != 1 {
		t.Errorf("something was kept: %d, %v", len(all), err)
	}
}

func TestClientStorageFailure(t *testing.T) {
	t.Parallel()
	p, ctx := newParties(t), t.Context()
	p.addClient(t, minimal("okta"))
	if err := p.kv.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"list":   func() error { _, err := p.Clients(ctx); return err },
		"add":    func() error { _, err := p.AddClient(ctx, minimal("other")); return err },
		"rotate": func() error { _, err := p.RotateClientSecret(ctx, "okta", 0); return err },
		"remove": func() error { return p.RemoveClient(ctx, "okta") },
	} {
		err := call()
		wantProblem(t, err, http.StatusServiceUnavailable, "cannot be read or written now")
		if err != nil && strings.Contains(err.Error(), "closed") {
			t.Errorf("%s shows %v", name, err)
		}
	}
}

func TestRelyingPartiesInStore(t *testing.T) {
	t.Parallel()
	p := newParties(t)
	acme := NewRelyingParty{Name: "acme", Metadata: metadata("https://acme", "", nil)}
	if _, err := p.AddRelyingParty(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	_, err := p.AddRelyingParty(t.Context(), acme)
	wantProblem(t, err, http.StatusConflict, "already exists")
	if err := p.RemoveRelyingParty(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
	wantProblem(t, p.RemoveRelyingParty(t.Context(), "acme"), http.StatusNotFound, "no such relying party")
	if _, err := p.AddRelyingParty(t.Context(), acme); err != nil {
		t.Errorf("again: %v", err)
	}
}
