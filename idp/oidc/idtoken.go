package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/contract"
)

// Key signs SHA-256 digests: for RS256 by RSASSA-PKCS1-v1_5, for ES256 as the 64
// bytes of r and s (RFC 7518 sections 3.3 and 3.4).
type Key interface {
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// Signer is a key with the names that relying parties know it by.
type Signer struct {
	ID  string // kid, as in PublicKey
	Alg string // RS256 or ES256
	Key Key
}

// Prepared is a checked ID token. Only a Prepared can be signed, and only once.
type Prepared struct {
	alg    string
	claims []byte
	signed bool
}

// PrepareIDToken checks what the token is to say, against OpenID Connect core 2
// and against Okta's contract, and writes it down for signing by a key of alg.
// The token holds the hash of the access token that goes with it.
func PrepareIDToken(g *Grant, p *Provider, alg, accessToken string, now time.Time) (*Prepared, error) {
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("prepare ID token: %w", err)
	}
	switch {
	case p.Issuer == "":
		return nil, errors.New("prepare ID token: no issuer")
	case alg != RS256 && alg != ES256:
		return nil, fmt.Errorf("prepare ID token: unknown algorithm %q", alg)
	case accessToken == "":
		return nil, errors.New("prepare ID token: no access token")
	}
	o := object{b: make([]byte, 0, 1024)}
	o.string("iss", p.Issuer)
	o.string("aud", g.ClientID)
	o.number("exp", now.Add(IDTokenLifetime).Unix())
	o.number("iat", now.Unix())
	o.number("auth_time", g.AuthTime.Unix())
	if g.Nonce != "" {
		o.string("nonce", g.Nonce)
	}
	o.string("acr", contract.DevicePosture)
	o.strings("amr", g.AMR)
	o.string("at_hash", tokenHash(accessToken))
	g.writeClaims(&o, g.IDTokenClaims)
	return &Prepared{alg: alg, claims: o.end()}, nil
}

// tokenHash is the at_hash of an access token beside a signature over SHA-256
// (OpenID Connect core 3.1.3.6).
func tokenHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// Sign signs the token and returns it in compact serialisation (RFC 7515 section
// 3.1).
func (t *Prepared) Sign(ctx context.Context, s *Signer) (string, error) {
	switch {
	case t.signed:
		return "", errors.New("sign ID token: signed before")
	case s.ID == "":
		return "", errors.New("sign ID token: key without an ID")
	case s.Alg != t.alg:
		return "", fmt.Errorf("sign ID token: key %q is for %s, not for %s", s.ID, s.Alg, t.alg)
	}
	t.signed = true

	header := object{b: make([]byte, 0, 96)}
	header.string("alg", s.Alg)
	header.string("kid", s.ID)
	header.string("typ", idTokenType)
	const signatureSize = 256 // of RSA-2048; a longer one makes the slice grow
	token := make([]byte, 0, base64.RawURLEncoding.EncodedLen(len(header.b)+1+len(t.claims)+signatureSize)+4)
	token = base64.RawURLEncoding.AppendEncode(token, header.end())
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, t.claims)
	digest := sha256.Sum256(token)
	signature, err := s.Key.Sign(ctx, digest[:])
	switch {
	case err != nil:
		return "", fmt.Errorf("sign ID token: %w", err)
	case len(signature) == 0 || s.Alg == ES256 && len(signature) != 64:
		return "", fmt.Errorf("sign ID token: key %q made a signature of %d bytes for %s", s.ID, len(signature), s.Alg)
	}
	token = append(token, '.')
	return string(base64.RawURLEncoding.AppendEncode(token, signature)), nil
}

const idTokenType = "JWT"
