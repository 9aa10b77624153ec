package oidc

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxHeader = 4 << 10 // encoded
	// maxTries bounds the keys that one signature is tried with, when it names none:
	// anybody can make us try. Two are enough for a rotation. A client with more of
	// a kind, or with two on P-521, which cost milliseconds, names its key.
	maxTries     = 2
	maxTriesP521 = 1
)

// verifier says whose signature on a compact JWS is believed (RFC 7515). The key
// never comes from the JWS.
type verifier struct {
	algs    []jose.SignatureAlgorithm
	keys    *jose.JSONWebKeySet // for all but HS
	secrets [][]byte            // for HS
	types   []string            // of the typ header, in lower case; absent will do
}

// open gives the payload of a JWS with a good signature.
func (v *verifier) open(token string) ([]byte, *BadRequest) {
	if fault := v.checkHeader(token); fault != nil {
		return nil, fault
	}
	jws, err := jose.ParseSignedCompact(token, v.algs)
	if unexpected := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &unexpected) {
		return nil, bad("algorithm", "alg is %.40q", unexpected.Got)
	} else if err != nil {
		return nil, bad("malformed", "%w", err)
	}
	header := jws.Signatures[0].Protected
	keys, fault := v.candidates(header.Algorithm, header.KeyID)
	if fault != nil {
		return nil, fault
	}
	for _, key := range keys {
		if payload, err := jws.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, bad("signature", "no key of the client verifies it, of %d that fit", len(keys))
}

// checkHeader refuses, before anything is made of it, a header that brings its
// own key or wants to be understood in a way of its own (RFC 7515 sections 4.1.2,
// 4.1.3, 4.1.5, 4.1.6 and 4.1.11, RFC 7797, RFC 7516 section 4.1.3).
func (v *verifier) checkHeader(token string) *BadRequest {
	encoded, _, _ := strings.Cut(token, ".")
	if len(encoded) > maxHeader {
		return bad("too_large", "header is %d bytes, at most %d are read", len(encoded), maxHeader)
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return bad("malformed", "header: %w", err)
	}
	header, err := readClaimSet(raw)
	if err != nil {
		return bad("malformed", "header: %w", err)
	}
	for _, name := range [...]string{"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"} {
		if _, ok := header[name]; ok {
			return bad("header", "header has %s", name)
		}
	}
	if _, err := header.text("kid"); err != nil {
		return bad("malformed", "header: %w", err)
	}
	typ, err := header.text("typ")
	if err != nil {
		return bad("malformed", "header: %w", err)
	}
	// RFC 7515 section 4.1.9: the prefix may be left out, and case does not matter.
	if typ != "" && !slices.Contains(v.types, strings.TrimPrefix(strings.ToLower(typ), "application/")) {
		return bad("type", "typ is %.40q", typ)
	}
	return nil
}

// candidates gives the keys that may have made a signature.
func (v *verifier) candidates(alg, kid string) ([]any, *BadRequest) {
	var keys []any
	if size, ok := macKeySize(alg); ok {
		for _, s := range v.secrets {
			if len(s) >= size {
				keys = append(keys, s)
			}
		}
		switch {
		case len(keys) > 0:
		case len(v.secrets) > 0:
			return nil, bad("secret_short", "%s needs a secret of %d bytes", alg, size)
		default:
			// The likeliest fault of all, since Okta's Terraform provider turns HS256 on.
			return nil, bad("secret_hashed", "%s needs the client's secret in the clear, which is known only of a client with a secret file", alg)
		}
	} else if v.keys != nil {
		for i := range v.keys.Keys {
			if k := &v.keys.Keys[i]; fits(k, alg) && (kid == "" || kid == k.KeyID) {
				keys = append(keys, k.Key)
			}
		}
	}
	limit := maxTries
	if alg == "ES512" {
		limit = maxTriesP521
	}
	switch {
	case len(keys) == 0:
		return nil, bad("key_unknown", "client has no key %.80q for %s", kid, alg)
	case len(keys) > limit:
		return nil, bad("key_unnamed", "%d keys fit, and none is named", len(keys))
	}
	return keys, nil
}

// macKeySize is how long a secret must be at least, in bytes (RFC 7518 section
// 3.2). It is not ok of an algorithm that takes no secret.
func macKeySize(alg string) (size int, ok bool) {
	switch alg {
	case "HS256":
		return 32, true
	case "HS384":
		return 48, true
	case "HS512":
		return 64, true
	}
	return 0, false
}

// fits tells whether a key is for an algorithm (RFC 7518 section 3.1).
func fits(k *jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		switch alg {
		case "ES256":
			return key.Params().BitSize == 256
		case "ES384":
			return key.Params().BitSize == 384
		case "ES512":
			return key.Params().BitSize == 521
		}
	}
	return false
}
