package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
)

// VerifyPKCE checks the verifier of a token request against the challenge of its
// authorization request (RFC 7636 section 4.6, S256). A verifier without a
// challenge is refused: somebody took the challenge away (RFC 9700 section
// 4.8.2). Its errors are *Error with InvalidGrant.
func VerifyPKCE(challenge, verifier string) error {
	if challenge == "" && verifier == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(verifier))
	if challenge != "" && subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1 {
		return nil
	}
	return &Error{Code: InvalidGrant, Description: "code_verifier is not that of the authorization request", Reason: "code_verifier",
		Err: errors.New("code verifier does not match")}
}
