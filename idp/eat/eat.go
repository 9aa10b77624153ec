// Package eat writes attestation results: what this server verified of the
// hardware that keeps a device's key, as an Entity Attestation Token (RFC 9711)
// in JWT form. Evidence itself never leaves, and nothing that names the hardware
// does.
package eat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// Type is the JWT's (RFC 9782 section 3: application/eat+jwt).
const Type = "eat+jwt"

// Profile names what claims there are and what they mean (RFC 9711 section
// 4.3.2). They are those of Result.
const Profile = "urn:gatepost:eat:1"

// Life is how long a result may be believed: no longer than the assertion that
// carries it.
const Life = 5 * time.Minute

// Result is what one answer says of one device.
type Result struct {
	Issuer   string // who verified: the provider's entity ID
	Audience string // who may rely on it: the relying party's entity ID
	DeviceID string
	Request  string // that it is an answer to
	Key      *posture.AttestedKey
}

// claims in the order of their registration: JWT (RFC 7519), EAT (RFC 9711
// sections 4.1, 4.2.3 and 4.3.2), and the profile's own.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Nonce    string `json:"eat_nonce"`
	Model    string `json:"hwmodel,omitempty"` // base64url
	Profile  string `json:"eat_profile"`

	Format     string `json:"att_fmt"`              // of the evidence: tpm, apple, android-key
	AttestedAt int64  `json:"att_time"`             // when it was verified
	Pinned     bool   `json:"att_pinned,omitempty"` // no authority certified the hardware: an administrator knows it
}

// Signer is a key of the provider's. Sign gives the signature of the SHA-256
// digest as JWS has it.
type Signer interface {
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// Sign gives the result as a JWS in compact form, signed by the key with the ID
// and the algorithm, RS256 or ES256.
func (r *Result) Sign(ctx context.Context, now time.Time, keyID, algorithm string, key Signer) (string, error) {
	if r.Key == nil || r.DeviceID == "" || r.Audience == "" || r.Issuer == "" {
		return "", errors.New("attestation result without issuer, audience, device or key")
	}
	header, err := json.Marshal(map[string]string{"alg": algorithm, "kid": keyID, "typ": Type})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims{
		Issuer: r.Issuer, Subject: r.DeviceID, Audience: r.Audience, Expires: now.Add(Life).Unix(), IssuedAt: now.Unix(), ID: rand.Text(),
		Nonce: nonce(r.Request), Model: base64.RawURLEncoding.EncodeToString([]byte(r.Key.Model)), Profile: Profile,
		Format: r.Key.Format, AttestedAt: r.Key.At.Unix(), Pinned: r.Key.Pinned,
	})
	if err != nil {
		return "", err
	}
	token := base64.RawURLEncoding.AppendEncode(nil, header)
	token = base64.RawURLEncoding.AppendEncode(append(token, '.'), payload)
	digest := sha256.Sum256(token)
	signature, err := key.Sign(ctx, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign attestation result: %w", err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), signature)), nil
}

// Bounds of a nonce that is a text, in bytes (RFC 9711 section 4.1).
const (
	minNonce = 8
	maxNonce = 88
)

// nonce binds the result to the request: by its ID, or by the base64url SHA-256 of
// one that is no nonce.
func nonce(request string) string {
	if len(request) >= minNonce && len(request) <= maxNonce {
		return request
	}
	sum := sha256.Sum256([]byte(request))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
