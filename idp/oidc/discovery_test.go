package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/contract"
	"gatepost.dev/idp/oidc"
)

// TestConfiguration has every field, with the paragraph that asks for it.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	document, err := oidc.Configuration(provider())
	if err != nil {
		t.Fatal(err)
	}
	list := func(values ...any) any { return values }
	want := map[string]any{
		// OpenID Connect Discovery 3, required.
		"issuer":                                provider().Issuer,
		"authorization_endpoint":                provider().AuthorizeURL,
		"token_endpoint":                        provider().TokenURL,
		"jwks_uri":                              provider().JWKSURL,
		"response_types_supported":              list("code"),
		"subject_types_supported":               list("public"),
		"id_token_signing_alg_values_supported": list("RS256", "ES256"),
		// Recommended there.
		"userinfo_endpoint": provider().UserInfoURL,
		"scopes_supported":  list("openid", "email", "profile"),
		"claims_supported": list("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "device_context",
			"email", "preferred_username", "app_instance_id", "app_name", "OktaAppInstanceId", "OktaAppName"),
		// Optional there; the defaults of the first two are query and fragment,
		// and authorization_code and implicit, and of the last one true.
		"response_modes_supported":                    list("query", "form_post"),
		"grant_types_supported":                       list("authorization_code"),
		"request_uri_parameter_supported":             false,
		"acr_values_supported":                        list(contract.DevicePosture),
		"request_object_signing_alg_values_supported": list("RS256", "RS384", "RS512", "HS256", "HS384", "HS512"),
		"token_endpoint_auth_methods_supported":       list("client_secret_basic", "client_secret_post", "private_key_jwt"),
		"claim_types_supported":                       list("normal"),
		"claims_parameter_supported":                  true,
		"request_parameter_supported":                 true,
		// Required with private_key_jwt (RFC 8414 section 2).
		"token_endpoint_auth_signing_alg_values_supported": list("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
		// Must be published where PKCE is supported (RFC 9700 section 2.1.1).
		"code_challenge_methods_supported": list("S256"),
		// RFC 9207 section 3.
		"authorization_response_iss_parameter_supported": true,
	}
	got := objectOf(t, document)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s = %v, want %v", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is not expected: which paragraph has it?", name)
		}
	}
}

// TestConfigurationIsTrue compares the claims that the document promises with
// those of a token.
func TestConfigurationIsTrue(t *testing.T) {
	t.Parallel()
	document, err := oidc.Configuration(provider())
	if err != nil {
		t.Fatal(err)
	}
	promised := objectOf(t, document)["claims_supported"].([]any)
	a := askedFor()
	g, _ := granted(a)
	given := claimsOf(t, signed(t, g, signers()[oidc.ES256], "token", issuedAt))
	for name := range given {
		if !slices.Contains(promised, any(name)) {
			t.Errorf("claim %s is given and not promised", name)
		}
	}
	for _, name := range promised {
		if _, ok := given[name.(string)]; !ok {
			t.Errorf("claim %v is promised and not given", name)
		}
	}
}

func TestConfigurationRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*oidc.Provider){
		"no issuer":         func(p *oidc.Provider) { p.Issuer = "" },
		"no authorization":  func(p *oidc.Provider) { p.AuthorizeURL = "" },
		"no token endpoint": func(p *oidc.Provider) { p.TokenURL = "" },
		"no user info":      func(p *oidc.Provider) { p.UserInfoURL = "" },
		"no keys":           func(p *oidc.Provider) { p.JWKSURL = "" },
		"no RS256":          func(p *oidc.Provider) { p.IDTokenAlgs = []string{oidc.ES256} },
	} {
		p := provider()
		change(p)
		if document, err := oidc.Configuration(p); err == nil {
			t.Errorf("%s: %s", name, document)
		}
	}
	p := provider()
	p.IDTokenAlgs = []string{oidc.RS256}
	document, err := oidc.Configuration(p)
	if err != nil || strings.Contains(string(document), `"id_token_signing_alg_values_supported":["RS256","ES256"]`) {
		t.Errorf("ES256 without a key: %s, %v", document, err)
	}
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	document, err := oidc.KeySet(publicKeys())
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 {
		t.Fatalf("%d keys", len(set.Keys))
	}
	for i, k := range publicKeys() {
		got := set.Keys[i]
		if got.KeyID != k.ID || got.Algorithm != k.Alg || got.Use != "sig" || !got.IsPublic() || !reflect.DeepEqual(got.Key, k.Key) {
			t.Errorf("key = %+v, want %+v", got, k)
		}
	}
	want := [][]string{{"alg", "e", "kid", "kty", "n", "use"}, {"alg", "crv", "kid", "kty", "use", "x", "y"}}
	for i, key := range objectOf(t, document)["keys"].([]any) {
		if members := slices.Sorted(maps.Keys(key.(map[string]any))); !slices.Equal(members, want[i]) {
			t.Errorf("key %d has the members %q, want %q", i, members, want[i])
		}
	}
}

func TestKeySetRefuses(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := publicKeys()
	rsaPublic, ecPublic := public[0].Key, public[1].Key
	for name, keys := range map[string][]oidc.PublicKey{
		"none":                    nil,
		"no ID":                   {{Alg: oidc.RS256, Key: rsaPublic}},
		"one ID twice":            {public[0], {ID: "rsa-1", Alg: oidc.ES256, Key: ecPublic}},
		"a private RSA key":       {{ID: "k", Alg: oidc.RS256, Key: newRSA().PrivateKey}},
		"a private EC key":        {{ID: "k", Alg: oidc.ES256, Key: newEC().PrivateKey}},
		"a secret":                {{ID: "k", Alg: oidc.RS256, Key: []byte("secret")}},
		"no key":                  {{ID: "k", Alg: oidc.RS256}},
		"a short key":             {{ID: "k", Alg: oidc.RS256, Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}},
		"RSA for ES256":           {{ID: "k", Alg: oidc.ES256, Key: rsaPublic}},
		"EC for RS256":            {{ID: "k", Alg: oidc.RS256, Key: ecPublic}},
		"another curve":           {{ID: "k", Alg: oidc.ES256, Key: &p384.PublicKey}},
		"an algorithm of no name": {{ID: "k", Key: rsaPublic}},
	} {
		if document, err := oidc.KeySet(keys); err == nil {
			t.Errorf("%s: %s", name, document)
		}
	}
}
