package oidc

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
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

// NewSecret makes a client secret: 48 random bytes in base64url, which no
// encoding on the way changes. Its 64 characters are what HS512 demands of a key
// (RFC 7518 section 3.2).
func NewSecret() string {
	var b [48]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret is what is kept of a client secret.
func HashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

const maxClientID = 255

// CheckClientID says why an ID cannot be registered, or nil. It is what RFC 6749
// appendix A.1 allows, without the space, which nobody sees.
func CheckClientID(id string) error {
	if id == "" || len(id) > maxClientID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("%.80q is no client ID: 1 to %d printable ASCII characters without a space", id, maxClientID)
	}
	return nil
}

const maxRedirectURI = 2 << 10

// CheckRedirectURI says why a URI cannot be registered, or nil. It must be
// absolute, without fragment (RFC 6749 section 3.1.2), and https; http only to
// the machine that the browser runs on (RFC 8252 section 7.3, RFC 9700 section 2.1).
func CheckRedirectURI(uri string) error {
	if len(uri) > maxRedirectURI {
		return fmt.Errorf("redirect URI is %d bytes long, at most %d are allowed", len(uri), maxRedirectURI)
	}
	for _, r := range uri { // quote and parentheses too: in a form, a browser would send to another URI
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}'()", r) {
			return fmt.Errorf("redirect URI %q: %q must be percent-encoded", uri, r)
		}
	}
	u, err := url.Parse(uri)
	if err != nil {
		return fmt.Errorf("redirect URI: %w", err)
	}
	fault := ""
	port, err := strconv.Atoi(cmp.Or(u.Port(), "443"))
	switch host := u.Hostname(); {
	case host == "":
		fault = "is not absolute"
	case u.Scheme == "http" && host != "127.0.0.1" && host != "::1" && host != "localhost":
		fault = "is http, and not on the browser's own machine"
	case u.Scheme != "https" && u.Scheme != "http":
		fault = "is not https"
	case err != nil || port < 1 || port > 65535:
		fault = "has no such port"
	case u.User != nil:
		fault = "names a user"
	case strings.Contains(uri, "#"):
		fault = "has a fragment"
	case strings.Contains(uri, "*"):
		fault = "has a wildcard: it is compared exactly"
	}
	if fault != "" {
		return fmt.Errorf("redirect URI %q %s", uri, fault)
	}
	return checkRedirectQuery(u.RawQuery)
}

// checkRedirectQuery refuses what the answer adds: a parameter given twice is
// read by each client as it likes.
func checkRedirectQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("redirect URI's query: %w", err)
	}
	for _, name := range [...]string{"code", "state", "iss", "error", "error_description"} {
		if values.Has(name) {
			return errors.New("redirect URI has the parameter " + name + ", which the answer adds")
		}
	}
	return nil
}
