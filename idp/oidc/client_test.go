package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/idp/oidc"
)

func TestVerifyPKCE(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ challenge, verifier, want string }{
		"RFC 7636, appendix B": {challenge, verifier, "accepted"},
		"neither":              {"", "", "accepted"},
		"downgrade":            {"", verifier, "invalid_grant: pkce_downgrade"},
		"no verifier":          {challenge, "", "invalid_grant: pkce_missing"},
		"wrong":                {challenge, verifier[1:] + "A", "invalid_grant: pkce_wrong"},
		"plain":                {challenge, challenge, "invalid_grant: pkce_wrong"},
		"short":                {challenge, verifier[1:], "invalid_grant: pkce_malformed"},
		"long":                 {challenge, strings.Repeat("v", 129), "invalid_grant: pkce_malformed"},
		"longest":              {challenge, strings.Repeat("~", 128), "invalid_grant: pkce_wrong"},
		"reserved":             {challenge, verifier[1:] + "+", "invalid_grant: pkce_malformed"},
		"not ASCII":            {challenge, verifier + "é", "invalid_grant: pkce_malformed"},
	} {
		if got := outcome(oidc.VerifyPKCE(c.challenge, c.verifier)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	a, b := oidc.NewSecret(), oidc.NewSecret()
	if raw, err := base64.RawURLEncoding.DecodeString(a); err != nil || len(raw) != 48 || a == b {
		t.Errorf("secrets %q and %q", a, b)
	}
	h := oidc.HashSecret("abc") // FIPS 180-2 appendix B.1
	if got := hex.EncodeToString(h[:]); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("hash %s", got)
	}
}

func TestCheckRedirectURI(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		rpCallback, rpOther, "https://a.example", "https://a.example:8443/cb?x=1&y", "https://[2001:db8::1]/cb", "https://a.example/%41",
		"http://127.0.0.1:49152/cb", "http://[::1]/cb", "http://localhost:3000/cb",
	} {
		if err := oidc.CheckRedirectURI(uri); err != nil {
			t.Errorf("%q: %v", uri, err)
		}
	}
	for uri, want := range map[string]string{
		"":                                               "not absolute",
		"/cb":                                            "not absolute",
		"//a.example/cb":                                 "not https",
		"a.example/cb":                                   "not absolute",
		"https:cb":                                       "not absolute",
		"https:///cb":                                    "not absolute",
		"https://:443/cb":                                "not absolute",
		"http://a.example/cb":                            "is http",
		"http://127.0.0.1.evil.example/":                 "is http",
		"http://127.0.0.2/cb":                            "is http",
		"http://localhost.evil.example/":                 "is http",
		"com.example.app://cb/x":                         "not https",
		"javascript://a.example/%0aX":                    "not https",
		"javascript:alert":                               "not absolute",
		"data:text/html,x":                               "not absolute",
		"https://a.example/cb#x":                         "fragment",
		"https://a.example/cb#":                          "fragment",
		"https://u@a.example/cb":                         "names a user",
		"https://a.example:99999/cb":                     "no such port",
		"https://a.example:0/cb":                         "no such port",
		"https://a.example/o'brien":                      "percent-encoded",
		"https://a.example/(1)":                          "percent-encoded",
		"https://a.example@evil.example":                 "names a user",
		"https://*.example/cb":                           "wildcard",
		"https://a.example/*":                            "wildcard",
		"https://a.example/a b":                          "percent-encoded",
		"https://a.example/\n":                           "percent-encoded",
		"https://a.example\\@evil/":                      "percent-encoded",
		"https://ä.example/":                             "percent-encoded",
		"https://a.example/\"":                           "percent-encoded",
		"https://a.example/%zz":                          "invalid URL escape",
		"https://a.example:x/":                           "invalid port",
		"https://a.example/?code=x":                      "code",
		"https://a.example/?a&st%61te":                   "state",
		"https://a.example/?a;b":                         "query",
		"https://a.example/" + strings.Repeat("a", 2048): "bytes long",
	} {
		if err := oidc.CheckRedirectURI(uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", uri, err, want)
		}
	}
}

// keySet writes a JWK set of members.
func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// jwk is the JSON of a key, with members changed.
func jwk(t testing.TB, key any, change claims) string {
	t.Helper()
	data, err := (&jose.JSONWebKey{Key: key}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var members claims
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	return string(encode(t, changed(members, change)))
}

// odd is an RSA key whose modulus is a number of so many bits, as good as any
// until somebody verifies with it.
func odd(bits, exponent int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: exponent}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	public := func(name string) any { return rpKeys()[name].Public() }
	var named, nameless []string
	for i := range 17 {
		named = append(named, jwk(t, public("p256"), claims{"kid": fmt.Sprint(i)}))
		nameless = append(nameless, jwk(t, public("p256"), nil))
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ document, want string }{
		"all kinds": {keySet(jwk(t, public("rsa"), claims{"kid": "1", "use": "sig", "alg": "PS512"}), jwk(t, public("p256"), claims{"alg": "ES256"}),
			jwk(t, public("p384"), claims{"kid": "3", "key_ops": []string{"verify"}}), jwk(t, public("p521"), nil)), ""},
		"2048 bits":          {keySet(jwk(t, odd(2048, 3), nil)), ""},
		"4096 bits":          {keySet(jwk(t, odd(4096, math.MaxInt32), nil)), ""},
		"16 keys":            {keySet(named[:16]...), ""},
		"16 keys, no kid":    {keySet(nameless[:16]...), ""},
		"more members":       {`{"x":1,` + keySet(named[0])[1:], ""},
		"17 keys":            {keySet(named...), "17 keys"},
		"no keys":            {keySet(), "0 keys"},
		"no set":             {named[0], "0 keys"},
		"nothing":            {"", "read JWK set"},
		"rest":               {keySet(named[0]) + "{}", "read JWK set"},
		"set twice":          {`{"keys":[],` + keySet(named[0])[1:], "read JWK set"},
		"too large":          {keySet(named[0]) + strings.Repeat(" ", 64<<10), "bytes"},
		"kid twice":          {keySet(named[0], named[1], named[0]), `key 3: kid "0" is used twice`},
		"member twice":       {keySet(`{"kid":"a",` + named[0][1:]), "duplicate"},
		"key of null":        {keySet("null"), "null"},
		"private RSA":        {keySet(jwk(t, rpKeys()["rsa"], nil)), "private or symmetric"},
		"private EC":         {keySet(named[0], jwk(t, rpKeys()["p256"], nil)), "key 2: it holds \"d\""},
		"public with p":      {keySet(jwk(t, public("rsa"), claims{"p": "AQ"})), "private or symmetric"},
		"symmetric":          {keySet(jwk(t, []byte(rpSecret), nil)), "private or symmetric"},
		"short RSA":          {keySet(jwk(t, odd(2047, 65537), nil)), "2047 bits"},
		"long RSA":           {keySet(jwk(t, odd(4097, 65537), nil)), "too large"},
		"exponent 1":         {keySet(jwk(t, odd(2048, 1), nil)), "bad e value"},
		"exponent too large": {keySet(jwk(t, odd(2048, 1<<32+1), nil)), "exponent"},
		"exponent even":      {keySet(jwk(t, odd(2048, 65536), nil)), "exponent"},
		"P-224":              {keySet(jwk(t, public("p256"), claims{"crv": "P-224", "x": b64(p224.X.Bytes()), "y": b64(p224.Y.Bytes())})), "P-224"},
		"not on the curve":   {keySet(jwk(t, public("p256"), claims{"x": b64(make([]byte, 32))})), "key 1"},
		"Ed25519":            {keySet(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`), "neither RSA nor EC"},
		"unknown kind":       {keySet(`{"kty":"X"}`), "key 1"},
		"no kind":            {keySet(`{}`), "key 1"},
		"encryption":         {keySet(jwk(t, public("rsa"), claims{"use": "enc"})), "use is \"enc\""},
		"alg of another":     {keySet(jwk(t, public("rsa"), claims{"alg": "ES256"})), "alg \"ES256\""},
		"alg of its curve":   {keySet(jwk(t, public("p384"), claims{"alg": "ES256"})), "alg \"ES256\""},
		"alg of a secret":    {keySet(jwk(t, public("rsa"), claims{"alg": "HS256"})), "alg \"HS256\""},
		"alg of encryption":  {keySet(jwk(t, public("rsa"), claims{"alg": "RSA-OAEP"})), "alg \"RSA-OAEP\""},
		"certificate broken": {keySet(jwk(t, public("rsa"), claims{"x5c": []string{"AAAA"}})), "key 1"},
	} {
		set, err := oidc.ParseKeys([]byte(c.document))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want == "" && len(set.Keys) == 0:
			t.Errorf("%s: no keys", name)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestParsedKeysVerify holds that what is parsed is what was meant.
func TestParsedKeysVerify(t *testing.T) {
	t.Parallel()
	set, err := oidc.ParseKeys([]byte(keySet(jwk(t, rpKeys()["rsa"].Public(), claims{"kid": "rsa"}), jwk(t, rpKeys()["p256"].Public(), claims{"kid": "p256"}))))
	if err != nil {
		t.Fatal(err)
	}
	c := rpClient()
	c.Keys = set
	for name, alg := range map[string]jose.SignatureAlgorithm{"rsa": "RS256", "p256": "ES256"} {
		if _, err := authenticate(t, "", fields{"client_assertion": jwt(t, alg, name, baseAssertion()), "client_assertion_type": bearer}, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
