package oidc_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/idp/oidc"
)

// hintFor is an ID token for the user, with or without the scopes that name it.
func hintFor(t testing.TB, user, alg string, scopes ...string) string {
	t.Helper()
	a := askedFor()
	a.Scopes = append([]string{"openid"}, scopes...)
	g, _ := granted(a)
	g.User, g.Subject = user, oidc.SubjectOf(user)
	return signed(t, g, signers()[alg], "token", issuedAt)
}

func TestVerifyIDTokenHint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, user string
		scopes     []string
		want       string
	}{
		{"by its sub", "Ana@Example.com", nil, "ana@example.com"},
		{"by its email", "Ana Lima@Example.com", []string{"email"}, "Ana Lima@Example.com"},
		{"by its user name", "Añá", []string{"profile"}, "Añá"},
	} {
		for _, alg := range []string{oidc.RS256, oidc.ES256} {
			hint := hintFor(t, tt.user, alg, tt.scopes...)
			for _, age := range []time.Duration{-time.Minute, 0, time.Hour, 365 * 24 * time.Hour} {
				user, err := oidc.VerifyIDTokenHint(hint, provider(), "okta", publicKeys(), issuedAt.Add(age))
				if err != nil || user != tt.want {
					t.Errorf("%s, %s, %v old: %q, %v; want %q", tt.name, alg, age, user, err, tt.want)
				}
				if oidc.SubjectOf(user) != oidc.SubjectOf(tt.user) {
					t.Errorf("%s: the hinted user has another subject", tt.name)
				}
			}
		}
	}
}

// forge signs any payload with one of the provider's keys.
func forge(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, payload string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(name, value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	object, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerifyIDTokenHintRefuses(t *testing.T) {
	t.Parallel()
	const claims = `{"iss":"https://posture.example.com","aud":"okta","iat":1795348800,"sub":"ana"}`
	header := func(kid, typ string) map[jose.HeaderKey]any {
		return map[jose.HeaderKey]any{"kid": kid, jose.HeaderType: typ}
	}
	rs := func(payload string) string {
		return forge(t, jose.RS256, newRSA().PrivateKey, header("rsa-1", "JWT"), payload)
	}
	good := rs(claims)
	if user, err := oidc.VerifyIDTokenHint(good, provider(), "okta", publicKeys(), issuedAt); err != nil || user != "ana" {
		t.Fatalf("the forged vectors' original is refused: %q, %v", user, err)
	}
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	none := encode([]byte(`{"alg":"none","kid":"rsa-1","typ":"JWT"}`)) + "." + parts[1] + "."
	publicPEM := newRSA().PublicKey.N.Bytes()

	for _, tt := range []struct{ name, hint, code string }{
		{"nothing", "", oidc.InvalidRequest},
		{"no token", "ana@example.com", oidc.InvalidRequest},
		{"another payload", parts[0] + "." + encode([]byte(strings.Replace(claims, "ana", "bob", 1))) + "." + parts[2], oidc.InvalidRequest},
		{"no signature", parts[0] + "." + parts[1] + ".", oidc.InvalidRequest},
		{"alg none", none, oidc.InvalidRequest},
		{"a MAC with the public key", forge(t, jose.HS256, publicPEM, header("rsa-1", "JWT"), claims), oidc.InvalidRequest},
		{"RS512", forge(t, jose.RS512, newRSA().PrivateKey, header("rsa-1", "JWT"), claims), oidc.InvalidRequest},
		{"PS256", forge(t, jose.PS256, newRSA().PrivateKey, header("rsa-1", "JWT"), claims), oidc.InvalidRequest},
		{"key of another algorithm", forge(t, jose.RS256, newRSA().PrivateKey, header("ec-1", "JWT"), claims), oidc.InvalidRequest},
		{"signed by another key", forge(t, jose.ES256, newEC().PrivateKey, header("rsa-1", "JWT"), claims), oidc.InvalidRequest},
		{"unknown key", forge(t, jose.RS256, newRSA().PrivateKey, header("rsa-0", "JWT"), claims), oidc.LoginRequired},
		{"no key ID", forge(t, jose.RS256, newRSA().PrivateKey, map[jose.HeaderKey]any{jose.HeaderType: "JWT"}, claims), oidc.LoginRequired},
		{"another kind of token", forge(t, jose.RS256, newRSA().PrivateKey, header("rsa-1", "secevent+jwt"), claims), oidc.InvalidRequest},
		{"no kind of token", forge(t, jose.RS256, newRSA().PrivateKey, map[jose.HeaderKey]any{"kid": "rsa-1"}, claims), oidc.InvalidRequest},
		{"a critical extension", forge(t, jose.RS256, newRSA().PrivateKey,
			map[jose.HeaderKey]any{"kid": "rsa-1", jose.HeaderType: "JWT", "crit": []string{"x"}, "x": 1}, claims), oidc.InvalidRequest},
		{"another issuer", rs(strings.Replace(claims, "posture.", "other.", 1)), oidc.InvalidRequest},
		{"another client", rs(strings.Replace(claims, "okta", "shop", 1)), oidc.InvalidRequest},
		{"several clients", rs(strings.Replace(claims, `"okta"`, `["okta","shop"]`, 1)), oidc.InvalidRequest},
		{"no client", rs(strings.Replace(claims, `"aud":"okta",`, ``, 1)), oidc.InvalidRequest},
		{"claims in a string", rs(`"ana"`), oidc.InvalidRequest},
		{"no time", rs(strings.Replace(claims, `"iat":1795348800,`, ``, 1)), oidc.LoginRequired},
		{"no subject", rs(strings.Replace(claims, `,"sub":"ana"`, ``, 1)), oidc.LoginRequired},
		{"a user of another subject", rs(strings.Replace(claims, `"sub":"ana"`, `"sub":"u-ana lima","preferred_username":"bob"`, 1)), oidc.LoginRequired},
		{"a hashed subject alone", hintFor(t, "Ana Lima", oidc.RS256), oidc.LoginRequired},
	} {
		user, err := oidc.VerifyIDTokenHint(tt.hint, provider(), "okta", publicKeys(), issuedAt)
		if user != "" {
			t.Errorf("%s: user is %q", tt.name, user)
		}
		t.Run(tt.name, func(t *testing.T) { wantError(t, err, tt.code, "id_token_hint") })
	}
	_, err := oidc.VerifyIDTokenHint(good, provider(), "okta", publicKeys(), issuedAt.Add(365*24*time.Hour+time.Second))
	wantError(t, err, oidc.LoginRequired, "id_token_hint")
	_, err = oidc.VerifyIDTokenHint(good, provider(), "okta", nil, issuedAt)
	wantError(t, err, oidc.LoginRequired, "id_token_hint")
	_, err = oidc.VerifyIDTokenHint(good, provider(), "", publicKeys(), issuedAt)
	wantError(t, err, oidc.InvalidRequest, "id_token_hint")
}

func FuzzVerifyIDTokenHint(f *testing.F) {
	good := hintFor(f, "ana", oidc.ES256)
	f.Add(good)
	f.Add(hintFor(f, "Añá", oidc.RS256, "profile"))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(`{"payload":"e30","protected":"e30","signature":""}`)
	f.Fuzz(func(t *testing.T, hint string) {
		user, err := oidc.VerifyIDTokenHint(hint, provider(), "okta", publicKeys(), issuedAt)
		if (err == nil) != (user != "") {
			t.Fatalf("%q, %v", user, err)
		}
		// Nobody but the keys' owner makes a signature: what passes is one of the seeds.
		if err == nil && user != "ana" && user != "Añá" {
			t.Fatalf("hint %q names %q", hint, user)
		}
	})
}
