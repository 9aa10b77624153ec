package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// Lengths of PKCE's strings (RFC 7636 sections 4.1 and 4.2).
const (
	minVerifier   = 43
	maxVerifier   = 128
	challengeSize = 43 // SHA-256 in base64url
)

// VerifyPKCE checks a verifier against the S256 challenge that the code is bound
// to; empty is none (RFC 7636 section 4.6). A verifier without a challenge is
// refused too: somebody took the challenge out of the request (RFC 9700 section
// 2.1.1). Errors are *Error, invalid_grant.
func VerifyPKCE(challenge, verifier string) error {
	const description = "code_verifier does not fit the code"
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return refuse(InvalidGrant, "pkce_downgrade", description)
	case verifier == "":
		return refuse(InvalidGrant, "pkce_missing", "code_verifier is missing")
	case len(verifier) < minVerifier || len(verifier) > maxVerifier || strings.ContainsFunc(verifier, isReserved):
		return refuse(InvalidGrant, "pkce_malformed", description)
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) != 1 {
		return refuse(InvalidGrant, "pkce_wrong", description)
	}
	return nil
}

func isReserved(r rune) bool { return !isBase64URL(r) && r != '.' && r != '~' }

func isBase64URL(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}
