package oidc_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/contract"
	"gatepost.dev/idp/oidc"
)

// free signs for nothing, with that many bytes.
type free int

func (f free) Sign(context.Context, []byte) ([]byte, error) { return make([]byte, f), nil }

// broken cannot sign.
type broken struct{ err error }

func (b broken) Sign(context.Context, []byte) ([]byte, error) { return nil, b.err }

// TestIDTokenVerifies has two readers that are not ours check each algorithm.
func TestIDTokenVerifies(t *testing.T) {
	t.Parallel()
	for alg, s := range signers() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			g, code := granted(askedFor())
			access, _, err := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt)
			if err != nil {
				t.Fatal(err)
			}
			now := issuedAt.Add(2 * time.Second)
			token := signed(t, g, s, access, now)

			object, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range publicKeys() {
				_, err := object.Verify(k.Key)
				if (err == nil) != (k.ID == s.ID) {
					t.Errorf("verified by %s: %v", k.ID, err)
				}
			}
			if header := object.Signatures[0].Protected; header.KeyID != s.ID || header.ExtraHeaders[jose.HeaderType] != "JWT" {
				t.Errorf("header = %+v", header)
			}

			var public []crypto.PublicKey
			for _, k := range publicKeys() {
				public = append(public, k.Key)
			}
			relyingParty := gooidc.NewVerifier(provider().Issuer, &gooidc.StaticKeySet{PublicKeys: public}, &gooidc.Config{
				ClientID: "okta", SupportedSigningAlgs: []string{alg}, Now: func() time.Time { return now.Add(oidc.IDTokenLifetime - time.Second) },
			})
			read, err := relyingParty.Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if err := read.VerifyAccessToken(access); err != nil {
				t.Errorf("at_hash: %v", err)
			}
			if err := read.VerifyAccessToken(code); err == nil {
				t.Error("at_hash passes another token")
			}
			if read.Subject != "ana@example.com" || read.Nonce != "nonce-1" || !read.IssuedAt.Equal(now) || !read.Expiry.Equal(now.Add(oidc.IDTokenLifetime)) {
				t.Errorf("token = %+v", read)
			}
		})
	}
}

func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	g, _ := granted(askedFor())
	s := signers()[oidc.RS256]
	// The example of OpenID Connect core appendix A.3 gives token and at_hash.
	const access, accessHash = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"
	now := issuedAt.Add(1500 * time.Millisecond)
	want := map[string]any{
		"iss": "https://posture.example.com", "sub": "ana@example.com", "aud": "okta",
		"iat": float64(issuedAt.Unix() + 1), "exp": float64(issuedAt.Unix() + 301), "auth_time": float64(issuedAt.Unix()),
		"nonce": "nonce-1", "acr": contract.DevicePosture, "amr": []any{"pop"}, "at_hash": accessHash,
		"device_context": map[string]any{"managed": true, "compliant": true, "externalId": "d-1"},
		"email":          "Ana@Example.com", "preferred_username": "Ana@Example.com",
		"OktaAppInstanceId": "0oa1", "OktaAppName": `Payroll "two" <&> ☕ `,
		"app_instance_id": "0oa1", "app_name": `Payroll "two" <&> ☕ `,
	}
	if got := claimsOf(t, signed(t, g, s, access, now)); !reflect.DeepEqual(got, want) {
		t.Errorf("claims = %v\nwant %v", got, want)
	}

	a := askedFor()
	a.Nonce, a.App, a.Scopes = "", nil, []string{"openid"}
	g, _ = granted(a)
	g.AMR, g.Device = nil, oidc.DeviceContext{}
	for _, name := range []string{"nonce", "email", "preferred_username", "OktaAppInstanceId", "OktaAppName", "app_instance_id", "app_name"} {
		delete(want, name)
	}
	want["amr"], want["device_context"] = []any{}, map[string]any{"managed": false, "compliant": false}
	if got := claimsOf(t, signed(t, g, s, access, now)); !reflect.DeepEqual(got, want) {
		t.Errorf("claims = %v\nwant %v", got, want)
	}
}

func TestPrepareIDTokenRefuses(t *testing.T) {
	t.Parallel()
	g, _ := granted(askedFor())
	for _, tt := range []struct{ name, issuer, alg, access string }{
		{"no issuer", "", oidc.RS256, "token"},
		{"no algorithm", "https://p", "", "token"},
		{"none", "https://p", "none", "token"},
		{"a MAC", "https://p", "HS256", "token"},
		{"no access token", "https://p", oidc.RS256, ""},
	} {
		if _, err := oidc.PrepareIDToken(g, &oidc.Provider{Issuer: tt.issuer}, tt.alg, tt.access, issuedAt); err == nil {
			t.Errorf("%s: prepared", tt.name)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	prepare := func(alg string) *oidc.Prepared {
		g, _ := granted(askedFor())
		p, err := oidc.PrepareIDToken(g, provider(), alg, "token", issuedAt)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	failure := errors.New("no slot")
	for _, tt := range []struct {
		name, alg string
		s         oidc.Signer
		want      error
	}{
		{"key of another algorithm", oidc.ES256, oidc.Signer{ID: "k", Alg: oidc.RS256, Key: free(64)}, nil},
		{"the other way round", oidc.RS256, oidc.Signer{ID: "k", Alg: oidc.ES256, Key: free(256)}, nil},
		{"ASN.1 instead of r and s", oidc.ES256, oidc.Signer{ID: "k", Alg: oidc.ES256, Key: free(71)}, nil},
		{"no signature", oidc.RS256, oidc.Signer{ID: "k", Alg: oidc.RS256, Key: free(0)}, nil},
		{"no key ID", oidc.RS256, oidc.Signer{Alg: oidc.RS256, Key: free(256)}, nil},
		{"a key that fails", oidc.RS256, oidc.Signer{ID: "k", Alg: oidc.RS256, Key: broken{failure}}, failure},
	} {
		token, err := prepare(tt.alg).Sign(t.Context(), &tt.s)
		if err == nil || token != "" || (tt.want != nil && !errors.Is(err, tt.want)) {
			t.Errorf("%s: %q, %v", tt.name, token, err)
		}
	}
	p := prepare(oidc.RS256)
	if _, err := p.Sign(t.Context(), signers()[oidc.RS256]); err != nil {
		t.Fatal(err)
	}
	if token, err := p.Sign(t.Context(), signers()[oidc.RS256]); err == nil {
		t.Errorf("signed twice: %q", token)
	}
}

// TestHeader shows that a key ID is written as JSON too.
func TestHeader(t *testing.T) {
	t.Parallel()
	g, _ := granted(askedFor())
	token := signed(t, g, &oidc.Signer{ID: "k\"\\\n<é>", Alg: oidc.RS256, Key: free(256)}, "token", issuedAt)
	encoded, _, _ := strings.Cut(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded)
	if want := []byte(`{"alg":"RS256","kid":"k\"\\\u000a<é>","typ":"JWT"}`); err != nil || !bytes.Equal(header, want) {
		t.Errorf("header = %s, want %s", header, want)
	}
}

// BenchmarkIDTokenWithoutSignature is what an ID token costs beside its
// signature.
func BenchmarkIDTokenWithoutSignature(b *testing.B) {
	g, _ := granted(askedFor())
	for _, s := range []*oidc.Signer{{ID: "0123456789abcdef", Alg: oidc.RS256, Key: free(256)}, {ID: "0123456789abcdef", Alg: oidc.ES256, Key: free(64)}} {
		b.Run(s.Alg, func(b *testing.B) { benchmarkIDToken(b, g, s) })
	}
}

// BenchmarkIDToken has the signature in it.
func BenchmarkIDToken(b *testing.B) {
	g, _ := granted(askedFor())
	for alg, s := range signers() {
		b.Run(alg, func(b *testing.B) { benchmarkIDToken(b, g, s) })
	}
}

func benchmarkIDToken(b *testing.B, g *oidc.Grant, s *oidc.Signer) {
	p := provider()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		prepared, err := oidc.PrepareIDToken(g, p, s.Alg, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", issuedAt)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := prepared.Sign(ctx, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUserInfo(b *testing.B) {
	g, _ := granted(askedFor())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oidc.UserInfo(g); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGrant is what keeping a grant costs in one sign-in, but for the store:
// made and encoded, decoded and redeemed and encoded, decoded again.
func BenchmarkGrant(b *testing.B) {
	a := askedFor()
	b.Run("encode", func(b *testing.B) {
		g, _ := granted(a)
		b.ReportAllocs()
		for b.Loop() {
			g.Encode()
		}
	})
	b.Run("decode", func(b *testing.B) {
		g, _ := granted(a)
		value := g.Encode()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := oidc.DecodeGrant(value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sign-in", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g, code := granted(a)
			g, err := oidc.DecodeGrant(g.Encode())
			if err != nil {
				b.Fatal(err)
			}
			token, _, err := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt)
			if err != nil {
				b.Fatal(err)
			}
			if g, err = oidc.DecodeGrant(g.Encode()); err != nil {
				b.Fatal(err)
			}
			if err := g.CheckToken(token, issuedAt); err != nil {
				b.Fatal(err)
			}
		}
	})
}
