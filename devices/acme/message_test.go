package acme

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestAccountKeyIsRefused: what is weak, or would tire us.
func TestAccountKeyIsRefused(t *testing.T) {
	t.Parallel()
	modulus := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		key   any
		taken bool
	}{
		"P-256":                {newKey(t).Public(), true},
		"RSA of 2048 bits":     {&rsa.PublicKey{N: modulus(2048), E: 65537}, true},
		"RSA of 2047 bits":     {&rsa.PublicKey{N: modulus(2047), E: 65537}, false},
		"RSA of 4097 bits":     {&rsa.PublicKey{N: modulus(4097), E: 65537}, false},
		"RSA with exponent 3":  {&rsa.PublicKey{N: modulus(2048), E: 3}, false},
		"Ed25519":              {edwards, false},
		"a secret that is one": {[]byte("shared"), false},
		"a private key":        {newKey(t), false},
	} {
		if err := checkAccountKey(&jose.JSONWebKey{Key: tt.key}); (err == nil) != tt.taken {
			t.Errorf("%s: %v", what, err)
		}
	}
	w := newWorld(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	c := (&client{w: w, key: weak, alg: jose.RS256}).fresh()
	if a := c.post(pathNewAccount, map[string]any{}); a.status != http.StatusBadRequest || a.kind != "badPublicKey" {
		t.Errorf("an account with a weak key: %+v", a)
	}
}

// TestEitherKey: two answers to the question by whose key a request is signed are
// none (RFC 8555 section 6.2), where one of them would do, too.
func TestEitherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.client(), w.client()
	both := func(o *jose.SignerOptions) { o.WithHeader("jwk", jose.JSONWebKey{Key: c.key.Public()}) }
	for _, path := range []string{pathNewAccount, pathRevoke} {
		if a := c.serve(http.MethodPost, path, "application/jose+json", c.jws(issuer+path, []byte("{}"), both)); a.kind != "malformed" {
			t.Errorf("jwk and kid at %s: %+v", path, a)
		}
	}
	one := *c
	one.kid = other.kid // the key of c, as the account of another
	if a := one.fresh().post(pathNewOrder, map[string]any{}); a.kind != "unauthorized" {
		t.Errorf("another account's name: %+v", a)
	}
}

// TestReadOnly: where there is nothing to say, what is said is refused (RFC 8555
// section 6.3).
func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	id, _ := c.order("mac-1")
	for _, path := range []string{pathOrder + id, pathAuthz + id, pathCertificate + id} {
		if a := c.post(path, map[string]any{}); a.status != http.StatusBadRequest || a.kind != "malformed" {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if a := c.post(pathCertificate+id, nil); a.status != http.StatusNotFound {
		t.Errorf("the certificate of an order that waits: %+v", a)
	}
}

func TestIdentifierIsRefused(t *testing.T) {
	t.Parallel()
	c := newWorld(t).client()
	for _, value := range []string{"", strings.Repeat("a", maxIdentifier+1), "a\n", "a\x00", "é"} {
		a := c.post(pathNewOrder, map[string]any{"identifiers": []map[string]string{{"type": "permanent-identifier", "value": value}}})
		if a.status != http.StatusBadRequest || a.kind != "rejectedIdentifier" {
			t.Errorf("%q: %+v", value, a)
		}
	}
	c.order(strings.Repeat("a", maxIdentifier))
}
