package oidc

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxKeySet  = 64 << 10 // bytes
	maxKeys    = 16
	minRSABits = 2048 // above 4096, go-jose reads none
)

// ParseKeys reads the JWK set that a client registers (RFC 7517 section 5): 1 to
// 16 public keys for signatures, RSA of 2048 to 4096 bits or EC on P-256, P-384 or
// P-521. Any other key in it is an error: left out, it would be missed on the day
// that the client begins to use it.
func ParseKeys(data []byte) (*jose.JSONWebKeySet, error) {
	if len(data) > maxKeySet {
		return nil, fmt.Errorf("JWK set is %d bytes, at most %d are read", len(data), maxKeySet)
	}
	var document struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf(`read JWK set, which is {"keys": [...]}: %w`, err)
	}
	if n := len(document.Keys); n < 1 || n > maxKeys {
		return nil, fmt.Errorf(`JWK set, which is {"keys": [...]}, has %d keys; it must have 1 to %d`, n, maxKeys)
	}
	set := &jose.JSONWebKeySet{}
	for i, raw := range document.Keys {
		k, err := parseKey(raw)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if k.KeyID != "" && len(set.Key(k.KeyID)) > 0 {
			return nil, fmt.Errorf("key %d: kid %.80q is used twice", i+1, k.KeyID)
		}
		set.Keys = append(set.Keys, *k)
	}
	return set, nil
}

func parseKey(raw jsontext.Value) (*jose.JSONWebKey, error) {
	members, err := readClaimSet(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"d", "k", "p", "q", "dp", "dq", "qi", "oth", "priv"} {
		if _, ok := members[name]; ok {
			return nil, fmt.Errorf("it holds %q: it is a private or symmetric key, to be considered lost", name)
		}
	}
	k := &jose.JSONWebKey{}
	if err := k.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if k.Use != "" && k.Use != "sig" {
		return nil, fmt.Errorf("use is %.40q, not sig", k.Use)
	}
	if k.Algorithm != "" && (!slices.Contains(assertionAlgs, jose.SignatureAlgorithm(k.Algorithm)) || !fits(k, k.Algorithm)) {
		return nil, fmt.Errorf("alg %.40q is not for such a key", k.Algorithm)
	}
	return k, checkKey(k)
}

func checkKey(k *jose.JSONWebKey) error {
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSABits {
			return fmt.Errorf("RSA key has %d bits; it must have at least %d", n, minRSABits)
		}
		if key.E < 3 || key.E%2 == 0 || key.E > math.MaxInt32 {
			return fmt.Errorf("RSA key has the exponent %d", key.E) // crypto/rsa would verify nothing with it
		}
		return nil
	case *ecdsa.PublicKey:
		return nil // on one of the three curves, which reading it has made sure of
	}
	return errors.New("it is neither RSA nor EC")
}
