package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"
	"time"

	"gatepost.dev/idp/oidc"
)

// issuedAt is when grants and tokens of these tests are made.
var issuedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// provider is what the tests' provider says of itself.
func provider() *oidc.Provider {
	return &oidc.Provider{
		Issuer:       "https://posture.example.com",
		AuthorizeURL: "https://device.posture.example.com/oidc/authorize",
		TokenURL:     "https://posture.example.com/oidc/token",
		UserInfoURL:  "https://posture.example.com/oidc/userinfo",
		JWKSURL:      "https://posture.example.com/oidc/jwks",
		IDTokenAlgs:  []string{oidc.RS256, oidc.ES256},
	}
}

// rsaKey and ecKey sign as the keys of a keyring do.
type rsaKey struct{ *rsa.PrivateKey }

func (k rsaKey) Sign(_ context.Context, digest []byte) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, k.PrivateKey, crypto.SHA256, digest)
}

type ecKey struct{ *ecdsa.PrivateKey }

func (k ecKey) Sign(_ context.Context, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, digest)
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

var newRSA = sync.OnceValue(func() rsaKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return rsaKey{key}
})

var newEC = sync.OnceValue(func() ecKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return ecKey{key}
})

// signers are one for each algorithm.
func signers() map[string]*oidc.Signer {
	return map[string]*oidc.Signer{
		oidc.RS256: {ID: "rsa-1", Alg: oidc.RS256, Key: newRSA()},
		oidc.ES256: {ID: "ec-1", Alg: oidc.ES256, Key: newEC()},
	}
}

// publicKeys are those of signers.
func publicKeys() []oidc.PublicKey {
	return []oidc.PublicKey{
		{ID: "rsa-1", Alg: oidc.RS256, Key: &newRSA().PublicKey},
		{ID: "ec-1", Alg: oidc.ES256, Key: &newEC().PublicKey},
	}
}

// askedFor is a request with everything that an answer depends on.
func askedFor() *oidc.Authorization {
	return &oidc.Authorization{
		Client:        &oidc.Client{ID: "okta", IDTokenAlg: oidc.RS256},
		RedirectURI:   "https://acme.okta.com/oauth2/v1/authorize/callback",
		State:         "state-1",
		Nonce:         "nonce-1",
		Scopes:        []string{"email", "openid", "profile", "offline_access"},
		CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", // RFC 7636 appendix B
		App: []oidc.Parameter{
			{Name: "OktaAppInstanceId", Value: "0oa1"},
			{Name: "OktaAppName", Value: `Payroll "two" <&> ☕ `},
		},
	}
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B

// granted is a grant for the request, filled in for a managed device.
func granted(a *oidc.Authorization) (*oidc.Grant, string) {
	g, code := oidc.NewGrant(a, issuedAt)
	g.User = "Ana@Example.com"
	g.Subject = oidc.SubjectOf(g.User)
	g.AMR = []string{"pop"}
	g.Device = oidc.DeviceContext{Managed: true, Compliant: true, ExternalID: "d-1"}
	return g, code
}

// signed is the ID token of the grant.
func signed(t testing.TB, g *oidc.Grant, s *oidc.Signer, accessToken string, now time.Time) string {
	t.Helper()
	p, err := oidc.PrepareIDToken(g, provider(), s.Alg, accessToken, now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.Sign(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
