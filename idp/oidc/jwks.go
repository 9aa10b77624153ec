package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// KeySet is the JSON Web Key Set with the keys that verify ID tokens (RFC 7517
// section 5; OpenID Connect Discovery 3, jwks_uri). Nothing but public keys of
// their algorithm's kind, each under an ID of its own, gets in.
func KeySet(keys []PublicKey) ([]byte, error) {
	if len(keys) == 0 {
		return nil, errors.New("write key set: no keys")
	}
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(keys))}
	for _, k := range keys {
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("write key set: %w", err)
		}
		if len(set.Key(k.ID)) > 0 {
			return nil, fmt.Errorf("write key set: two keys of ID %q", k.ID)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Key, KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
	}
	document, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("write key set: %w", err)
	}
	return document, nil
}

func (k *PublicKey) check() error {
	if k.ID == "" {
		return errors.New("key without an ID")
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if k.Alg == RS256 && key.N.BitLen() >= 2048 {
			return nil
		}
	case *ecdsa.PublicKey:
		if k.Alg == ES256 && key.Curve == elliptic.P256() {
			return nil
		}
	}
	return fmt.Errorf("key %q (%T) is no public key for %q", k.ID, k.Key, k.Alg)
}
