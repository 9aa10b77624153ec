package oidc

import (
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// jwtBearer is the only type of client assertions (RFC 7523 section 2.2).
const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgs are those of private_key_jwt. HS, that is client_secret_jwt, is
// none of them: secrets are hashed.
var assertionAlgs = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

var assertionTypes = []string{"jwt", "client-authentication+jwt"}

// AssertionClaim is the ID of a client assertion, which works once (RFC 7523
// section 3, item 7).
type AssertionClaim struct {
	JTI   string    // unique for its client only
	Until time.Time // how long it must stay claimed
}

// verifyAssertion verifies private_key_jwt (OpenID Connect core 9, RFC 7523
// section 3).
func (t *TokenRequest) verifyAssertion(c *Client, p *Provider, now time.Time) (*AssertionClaim, error) {
	if t.assertionType != jwtBearer {
		return nil, Unauthenticated("assertion_kind", nil)
	}
	v := verifier{algs: assertionAlgs, keys: c.Keys, types: assertionTypes}
	claim, fault := v.openAssertion(t.assertion, c, p, now)
	if fault != nil {
		return nil, Unauthenticated("assertion_"+fault.Reason, fault.Err)
	}
	return claim, nil
}

func (v *verifier) openAssertion(assertion string, c *Client, p *Provider, now time.Time) (*AssertionClaim, *BadRequest) {
	payload, fault := v.open(assertion)
	if fault != nil {
		return nil, fault
	}
	claims, err := readClaimSet(payload)
	if err != nil {
		return nil, bad("malformed", "%w", err)
	}
	for _, name := range [...]string{"iss", "sub"} {
		if id, err := claims.text(name); err != nil || id != c.ID {
			return nil, bad("client_mismatch", "%s is %.200q, not %q", name, id, c.ID)
		}
	}
	// Clients in use name the one or the other.
	audience, err := claims.texts("aud")
	if err != nil || !slices.Contains(audience, p.Issuer) && !slices.Contains(audience, p.TokenURL) {
		return nil, bad("audience", "aud is %.200q", audience)
	}
	until, fault := claims.checkTimes(now, 0)
	if fault != nil {
		return nil, fault
	}
	id, fault := claims.id()
	if fault != nil {
		return nil, fault
	}
	if id == "" {
		return nil, bad("jti_missing", "no jti")
	}
	return &AssertionClaim{JTI: id, Until: until}, nil
}
