package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// rpClient is a client of testdata/interop/openid-client/rp.mjs, as its
// configuration has it.
type rpClient struct {
	ID         string            `json:"client_id"`
	Auth       string            `json:"auth"`
	AuthAlg    string            `json:"auth_alg,omitempty"`
	Secret     string            `json:"secret,omitempty"`
	Key        *jose.JSONWebKey  `json:"key,omitempty"` // private
	PKCE       bool              `json:"pkce"`
	ObjectAlg  string            `json:"request_object_alg,omitempty"`
	IDTokenAlg string            `json:"id_token_alg"`
	Forgets    bool              `json:"forgets_verifier,omitempty"` // of PKCE
	Parameters map[string]string `json:"parameters,omitempty"`
}

// rpAnswer is what rp.mjs says at the end of a sign-in: what it learned, what
// it was told instead, or why it believes nothing.
type rpAnswer struct {
	Method   string                     // of the request that brought the authorization response
	Header   struct{ Alg, Kid string }  // of the ID token
	Claims   map[string]json.RawMessage // of the ID token, whose signature it verified
	UserInfo map[string]json.RawMessage `json:"userinfo"`
	KeySets  int                        `json:"key_sets"` // fetched so far
	Error    string                     // OAuth's
	Said     string                     `json:"error_description"`
	Of       string                     // kind of message that it was in
	Failure  string
}

// claim is a claim's text, or "" when it is none.
func (a *rpAnswer) claim(name string) string {
	var text string
	if json.Unmarshal(a.Claims[name], &text) != nil {
		return ""
	}
	return text
}

// relyingParty is rp.mjs beside a provider.
type relyingParty struct {
	in     *installation
	origin string
	keys   map[string]crypto.Signer // "RSA" and "EC"
	other  crypto.Signer            // RSA, and nobody knows it
	config struct {
		Port    string               `json:"port"`
		Issuer  string               `json:"issuer"`
		Clients map[string]*rpClient `json:"clients"`
	}
}

func newRelyingParty(t *testing.T, in *installation) *relyingParty {
	t.Helper()
	rp := &relyingParty{in: in, keys: map[string]crypto.Signer{}}
	port, err1 := claimPort()
	rsaKey, err2 := rsa.GenerateKey(rand.Reader, 2048)
	other, err3 := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, err4 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	rp.keys["RSA"], rp.keys["EC"], rp.other = rsaKey, ecKey, other
	rp.origin = "http://127.0.0.1:" + port
	rp.config.Port, rp.config.Issuer, rp.config.Clients = port, in.issuer, map[string]*rpClient{}
	return rp
}

// add makes the client known at both ends. A client that signs gets a key, and
// one that signs with its secret has the provider keep that.
func (rp *relyingParty) add(t *testing.T, name string, c rpClient, flags ...string) {
	t.Helper()
	for _, alg := range []string{c.AuthAlg, c.ObjectAlg} {
		kind := map[string]string{"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}[alg]
		if kind == "" {
			continue
		}
		c.Key = &jose.JSONWebKey{Key: rp.keys[kind], KeyID: name, Use: "sig"}
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{c.Key.Public()}})
		file := filepath.Join(rp.in.dir, name+".jwks")
		if err := errors.Join(err, os.WriteFile(file, set, 0o600)); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--jwks", file)
	}
	if c.ObjectAlg == "HS256" {
		flags = append(flags, "--secret-file", filepath.Join(rp.in.dir, name+".secret"))
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = "RS256"
	} else {
		flags = append(flags, "--id-token-alg", c.IDTokenAlg)
	}
	if c.Auth == "private_key_jwt" {
		flags = append(flags, "--no-secret")
	}
	c.ID, c.Secret = rp.in.addClient(t, name, rp.origin+"/"+name+"/callback", flags...)
	rp.config.Clients[name] = &c
}

// start runs rp.mjs with the clients that it has.
func (rp *relyingParty) start(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(here, "..", "..", ".cache", "openid-client", "node_modules")
	if _, err := os.Stat(modules); err != nil {
		t.Fatalf("openid-client is not installed, \"make needs\" does it: %v", err)
	}
	config, err := json.Marshal(rp.config)
	if err := errors.Join(err,
		os.Symlink(modules, filepath.Join(dir, "node_modules")),
		os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600),
		os.WriteFile(filepath.Join(dir, "rp.mjs"), readAll(t, "testdata/interop/openid-client/rp.mjs"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	// The provider's issuer is localhost, and it listens at 127.0.0.1.
	cmd := exec.Command("node", "--dns-result-order=ipv4first", "rp.mjs", "config.json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+filepath.Join(rp.in.dir, "gp", "trial-ca.crt"))
	b, err := startBackground(cmd, filepath.Join(dir, "rp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	if err := b.says(b.stdout, "^listening at ", 1); err != nil {
		t.Fatalf("%v\n%s", err, readAll(t, b.stderr))
	}
}

// signIn signs in at a client and demands the status of its last page.
func (rp *relyingParty) signIn(t *testing.T, b *browser, name string, status int) *rpAnswer {
	t.Helper()
	p, _ := b.follow(t, rp.origin+"/"+name+"/login")
	var a rpAnswer
	if err := json.Unmarshal(p.body, &a); err != nil {
		t.Fatalf("%s: the sign-in ends with status %d: %v\n%s", name, p.status, err, p.body)
	}
	if p.status != status {
		t.Fatalf("%s: status %d, want %d: %s%s %q\n%s", name, p.status, status, a.Failure, a.Error, a.Said, p.body)
	}
	return &a
}

// told checks an error that a client was told, and in what kind of message.
func (a *rpAnswer) told(t *testing.T, of, code, description string) {
	t.Helper()
	if a.Of != of || a.Error != code || description != "" && a.Said != description {
		t.Errorf("told %s %q in %s, want %s %q in %s", a.Error, a.Said, a.Of, code, description, of)
	}
}

const (
	inAuthorization = "OAUTH_AUTHORIZATION_RESPONSE_ERROR"
	inToken         = "OAUTH_RESPONSE_BODY_ERROR"
	inChallenge     = "OAUTH_WWW_AUTHENTICATE_CHALLENGE"
)

// TestOpenIDClient has npm's openid-client as the relying party, which checks
// state, nonce, iss, the code challenge and the ID token with its signature.
func TestOpenIDClient(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.serve(t)
	rp := newRelyingParty(t, in)
	secret := rpClient{Auth: "client_secret_basic", PKCE: true}
	with := func(c rpClient, change func(c *rpClient)) rpClient { change(&c); return c }

	// Clients that a managed device signs in at, and what is special about each.
	good := map[string]rpClient{
		"basic":        secret,
		"post":         with(secret, func(c *rpClient) { c.Auth = "client_secret_post" }),
		"without-pkce": with(secret, func(c *rpClient) { c.PKCE = false }),
		"jwt-rs256":    {Auth: "private_key_jwt", AuthAlg: "RS256", PKCE: true},
		"jwt-ps256":    {Auth: "private_key_jwt", AuthAlg: "PS256", PKCE: true},
		"jwt-es256":    {Auth: "private_key_jwt", AuthAlg: "ES256", PKCE: true},
		"object-rs256": with(secret, func(c *rpClient) { c.ObjectAlg = "RS256" }),
		"object-hs256": with(secret, func(c *rpClient) { c.ObjectAlg = "HS256" }),
		"form-post":    with(secret, func(c *rpClient) { c.Parameters = map[string]string{"response_mode": "form_post"} }),
		"object-and-form": with(secret, func(c *rpClient) {
			c.ObjectAlg, c.Parameters = "RS256", map[string]string{"response_mode": "form_post"}
		}),
		"token-es256": with(secret, func(c *rpClient) { c.IDTokenAlg = "ES256" }),
	}
	for name, c := range good {
		rp.add(t, name, c)
	}
	good["object-required"] = good["object-rs256"]
	rp.add(t, "object-required", good["object-required"], "--require-request-object", "--redirect-uri", rp.origin+"/object-missing/callback")
	named := map[string]string{"login_hint": "Carol@Example.com", "app_instance_id": "0oa1", "app_name": "Portal"}
	rp.add(t, "named", with(secret, func(c *rpClient) { c.Parameters = named }))
	rp.add(t, "assert", secret, "--on-unmanaged", "assert")
	rp.add(t, "rotation-rs256", secret)
	rp.add(t, "rotation-es256", with(secret, func(c *rpClient) { c.IDTokenAlg = "ES256" }))

	// Clients that do something wrong.
	rp.add(t, "wrong-secret", secret)
	rp.config.Clients["wrong-secret"].Secret += "x"
	rp.add(t, "forgetful", with(secret, func(c *rpClient) { c.Forgets = true }))
	rp.add(t, "wrong-key", rpClient{Auth: "private_key_jwt", AuthAlg: "RS256", PKCE: true})
	rp.config.Clients["wrong-key"].Key = &jose.JSONWebKey{Key: rp.other, KeyID: "wrong-key", Use: "sig"}
	rp.add(t, "wrong-object", with(secret, func(c *rpClient) { c.ObjectAlg = "RS256" }))
	rp.config.Clients["wrong-object"].Key = &jose.JSONWebKey{Key: rp.other, KeyID: "wrong-object", Use: "sig"}
	rp.add(t, "pkce-required", with(secret, func(c *rpClient) { c.PKCE = false }), "--require-pkce")
	unsigned := *rp.config.Clients["object-required"]
	unsigned.ObjectAlg = ""
	rp.config.Clients["object-missing"] = &unsigned
	rp.start(t)

	mac, win, old, nobody := in.openBrowser(t, "mac-1"), in.openBrowser(t, "win-2"), in.openBrowser(t, "old-3"), in.openBrowser(t, "")

	t.Run("signed in", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(good)) {
			a := rp.signIn(t, mac, name, 200)
			c := rp.config.Clients[name]
			a.check(t, in, c, mac1Context)
			want := "GET"
			if c.Parameters["response_mode"] == "form_post" {
				want = "POST"
			}
			if a.Method != want {
				t.Errorf("%s: the answer came by %s, want %s", name, a.Method, want)
			}
		}
	})
	t.Run("user and application of the request", func(t *testing.T) {
		a := rp.signIn(t, mac, "named", 200)
		for name, want := range map[string]string{"sub": "carol@example.com", "app_instance_id": "0oa1", "app_name": "Portal"} {
			if a.claim(name) != want {
				t.Errorf("%s is %s, want %q", name, a.Claims[name], want)
			}
			if !sameJSON(t, a.Claims[name], a.UserInfo[name]) {
				t.Errorf("%s is %s in the ID token, %s in UserInfo", name, a.Claims[name], a.UserInfo[name])
			}
		}
	})
	t.Run("not compliant", func(t *testing.T) {
		rp.signIn(t, win, "basic", 200).checkContext(t, win2Context)
	})
	t.Run("not managed", func(t *testing.T) {
		for _, name := range []string{"basic", "form-post", "jwt-es256", "object-rs256"} {
			for _, b := range []*browser{old, nobody} {
				rp.signIn(t, b, name, 403).told(t, inAuthorization, "access_denied", "DEVICE_NOT_MANAGED")
			}
		}
		rp.signIn(t, old, "assert", 200).checkContext(t, old3Context)
	})
	t.Run("wrong", func(t *testing.T) {
		rp.signIn(t, mac, "wrong-secret", 403).told(t, inChallenge, "invalid_client", "")
		rp.signIn(t, mac, "wrong-key", 403).told(t, inChallenge, "invalid_client", "")
		// Where to send an answer was in the object that cannot be believed.
		if p, at := mac.follow(t, rp.origin+"/wrong-object/login"); p.status != 400 || strings.HasPrefix(at.url, rp.origin) {
			t.Errorf("with an object signed by somebody else it ends at %s with status %d", at.url, p.status)
		}
		rp.signIn(t, mac, "forgetful", 403).told(t, inToken, "invalid_grant", "")
		rp.signIn(t, mac, "pkce-required", 403).told(t, inAuthorization, "invalid_request", "")
		rp.signIn(t, mac, "object-missing", 403).told(t, inAuthorization, "invalid_request", "")
	})
	t.Run("key rotation", func(t *testing.T) {
		rp.rotate(t, mac, "rotation-rs256")
		rp.rotate(t, mac, "rotation-es256")
	})
}

// rotate signs in before and after a key was exchanged. The relying party must
// have seen the new key beforehand: openid-client asks for keys at most once a
// minute, and refuses a token of a key that it does not know meanwhile.
func (rp *relyingParty) rotate(t *testing.T, b *browser, name string) {
	t.Helper()
	next := rp.in.publishKey(t, rp.config.Clients[name].IDTokenAlg)
	before := rp.signIn(t, b, name, 200)
	rp.in.gatepost(t, "key", "rotate", "--activate", next, "--force")
	after := rp.signIn(t, b, name, 200)
	if before.Header.Kid == next || after.Header.Kid != next {
		t.Errorf("%s: signed by %s, then by %s: want %s, and only then", name, before.Header.Kid, after.Header.Kid, next)
	}
	if after.KeySets != 1 {
		t.Errorf("%s: the keys were fetched %d times: want once, with the next key among them", name, after.KeySets)
	}
}

// check wants what any sign-in of Ann with her device tells the client.
func (a *rpAnswer) check(t *testing.T, in *installation, c *rpClient, deviceContext string) {
	t.Helper()
	for name, want := range map[string]string{
		"iss": in.issuer, "aud": c.ID, "acr": "urn:okta:saml:2.0:DevicePosture",
		"sub": "ann@example.com", "email": "ann@example.com", "preferred_username": "ann@example.com",
	} {
		if a.claim(name) != want {
			t.Errorf("%s: %s is %s, want %q", c.ID, name, a.Claims[name], want)
		}
	}
	if a.Header.Alg != c.IDTokenAlg {
		t.Errorf("%s: signed with %s, want %s", c.ID, a.Header.Alg, c.IDTokenAlg)
	}
	if amr := a.Claims["amr"]; !sameJSON(t, amr, []byte(`["pop"]`)) {
		t.Errorf("%s: amr is %s", c.ID, amr)
	}
	a.checkContext(t, deviceContext)
}

func (a *rpAnswer) checkContext(t *testing.T, want string) {
	t.Helper()
	checkDeviceContext(t, want, map[string]json.RawMessage{"the ID token": a.Claims["device_context"], "UserInfo": a.UserInfo["device_context"]})
}
