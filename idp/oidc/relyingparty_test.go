package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/idp/oidc"
)

const (
	rpID       = "okta"
	rpCallback = "https://acme.okta.com/oauth2/v1/authorize/callback"
	rpOther    = "https://login.acme.example/oauth2/v1/authorize/callback?domain=custom"
	rpSecret   = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY-current-0123456789abcde" // current
	rpPrevious = "aGVsbG8gd29ybGQgdGhpcyBpcyBvbGQgc2VjcmV0IQ-previous"              // until rpNow + 1 h
	rpExpired  = "b2xkZXIgc3RpbGwsIGFuZCBvZiBubyB1c2UgYW55IG0"                      // until rpNow
	challenge  = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"                      // RFC 7636 appendix B
)

func rpNow() time.Time { return time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC) }

// rpKeys are the private keys of the tests' client, by kid. What makes them is
// slow, so they are made once.
var rpKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for _, name := range []string{"rsa", "foreign"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[name] = key
	}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[name] = key
	}
	return keys
})

func rpKeySet(names ...string) *jose.JSONWebKeySet {
	set := &jose.JSONWebKeySet{}
	for _, name := range names {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: rpKeys()[name].Public(), KeyID: name, Use: "sig"})
	}
	return set
}

// rpClient is a client with everything that a client can have.
func rpClient() *oidc.Client {
	return &oidc.Client{
		ID: rpID, RedirectURIs: []string{rpCallback, rpOther}, IDTokenAlg: oidc.RS256,
		Keys: rpKeySet("rsa", "p256", "p384", "p521"),
		Secrets: []oidc.Secret{
			{Hash: oidc.HashSecret(rpExpired), Clear: rpExpired, ExpiresAt: rpNow()},
			{Hash: oidc.HashSecret(rpPrevious), Clear: rpPrevious, ExpiresAt: rpNow().Add(time.Hour)},
			{Hash: oidc.HashSecret(rpSecret), Clear: rpSecret},
		},
	}
}

// jws signs whatever it is told to, by hand for RS256, HS256 and none, which lets
// the header say anything.
func jws(header string, payload []byte, sign func(input []byte) []byte) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

func withRSA(name string) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		signature, err := rpKeys()[name].Sign(nil, sum[:], crypto.SHA256)
		if err != nil {
			panic(err)
		}
		return signature
	}
}

func withHMAC(secret string) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func withNothing([]byte) []byte { return nil }

// jwt signs claims in the usual way with any algorithm; a key is named by its kid
// and says so, a secret is itself.
func jwt(t testing.TB, alg jose.SignatureAlgorithm, keyName string, claims map[string]any) string {
	t.Helper()
	var key any = []byte(keyName)
	if k, ok := rpKeys()[keyName]; ok {
		key = jose.JSONWebKey{Key: k, KeyID: keyName}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(encode(t, claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// without is the value of change that takes a name away.
const without = "\x00"

// changed is base with names set, or taken away.
func changed[V any](base map[string]V, change map[string]V) map[string]V {
	m := maps.Clone(base)
	for name, value := range change {
		if any(value) == any(without) {
			delete(m, name)
		} else {
			m[name] = value
		}
	}
	return m
}

type fields = map[string]string
type claims = map[string]any

func form(values fields) string {
	v := url.Values{}
	for name, value := range values {
		v.Set(name, value)
	}
	return v.Encode()
}

// outcome is what became of a request, in short.
func outcome(err error) string {
	var b *oidc.BadRequest
	var e *oidc.Error
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &b):
		return "bad: " + b.Reason
	case errors.As(err, &e):
		if e.Description == "" {
			return "an Error without a description"
		}
		return e.Code + ": " + e.Reason
	}
	return "error of another kind: " + err.Error()
}
