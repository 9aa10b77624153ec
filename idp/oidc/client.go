package oidc

import (
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms of ID tokens (RFC 7518 section 3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// Client is a relying party as it is registered.
type Client struct {
	ID           string
	RedirectURIs []string            // compared exactly
	Secrets      []Secret            // for client_secret_basic and client_secret_post; empty: neither
	Keys         *jose.JSONWebKeySet // public keys for private_key_jwt and signed requests; nil: neither

	RequirePKCE          bool
	RequireRequestObject bool
	OmitIss              bool   // answers without the iss parameter of RFC 9207
	IDTokenAlg           string // RS256 or ES256
}

// Secret is a client secret.
type Secret struct {
	Hash      [32]byte  // SHA-256
	Clear     string    // the secret itself, where it is kept in a file; empty: only the hash is known
	ExpiresAt time.Time // zero: never
}

// Provider is what the provider says of itself.
type Provider struct {
	Issuer       string
	AuthorizeURL string
	TokenURL     string
	UserInfoURL  string
	JWKSURL      string
	IDTokenAlgs  []string // for which there are keys
}

// Parameter is a name and its value as they came or go out.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
