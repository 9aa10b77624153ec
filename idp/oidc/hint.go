package oidc

import (
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// PublicKey is a key of the provider that relying parties may know.
type PublicKey struct {
	ID  string // kid
	Alg string // RS256 or ES256
	Key crypto.PublicKey
}

// maxHintAge is how old an ID token may be and still name a user. Its signature
// can be checked only as long as its key is published, which is mostly shorter.
const maxHintAge = 365 * 24 * time.Hour

// VerifyIDTokenHint returns the user whom id_token_hint names: an ID token that
// this provider issued to that client, of which it does not matter that it
// expired (OpenID Connect core 3.1.2.1). A token of another client is refused:
// it would tell relying parties of each other's users.
//
// Errors are *Error: InvalidRequest for what is no such token, LoginRequired for
// one that can no longer be checked or does not say enough.
func VerifyIDTokenHint(hint string, p *Provider, clientID string, keys []PublicKey, now time.Time) (user string, err error) {
	object, err := jose.ParseSignedCompact(hint, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return "", badHint("not a signed token: %w", err)
	}
	header := object.Signatures[0].Protected
	// The same keys may sign other kinds of token with our issuer in them.
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != idTokenType {
		return "", badHint("type is %v", typ)
	}
	i := slices.IndexFunc(keys, func(k PublicKey) bool { return k.ID == header.KeyID })
	if i < 0 {
		return "", staleHint("key %q is not known", header.KeyID)
	}
	payload, err := object.Verify(keys[i].Key)
	if err != nil {
		return "", badHint("key %q: %w", header.KeyID, err)
	}
	return hintedUser(payload, p.Issuer, clientID, now)
}

// hintedUser reads the claims of an ID token whose signature is ours.
func hintedUser(payload []byte, issuer, clientID string, now time.Time) (string, error) {
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		IssuedAt int64  `json:"iat"`
		Subject  string `json:"sub"`
		Username string `json:"preferred_username"`
		Email    string `json:"email"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", badHint("claims: %w", err)
	}
	issuedAt := time.Unix(claims.IssuedAt, 0)
	switch {
	case claims.Issuer != issuer:
		return "", badHint("issuer is %q", claims.Issuer)
	case claims.Audience != clientID:
		return "", badHint("audience is %q, client is %q", claims.Audience, clientID)
	case now.Sub(issuedAt) > maxHintAge:
		return "", staleHint("issued at %v", issuedAt.UTC())
	}
	for _, user := range []string{claims.Username, claims.Email, claims.Subject} {
		if user != "" && SubjectOf(user) == claims.Subject {
			return user, nil
		}
	}
	// A sub that is a hash leads to no user without one of the other claims.
	return "", staleHint("subject %q names no user", claims.Subject)
}

func badHint(format string, args ...any) *Error {
	return &Error{Code: InvalidRequest, Description: "id_token_hint is not an ID token of this provider for this client",
		Reason: "id_token_hint", Err: fmt.Errorf(format, args...)}
}

func staleHint(format string, args ...any) *Error {
	return &Error{Code: LoginRequired, Description: "id_token_hint does not tell the user any more",
		Reason: "id_token_hint", Err: fmt.Errorf(format, args...)}
}
