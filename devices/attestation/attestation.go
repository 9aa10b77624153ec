// Package attestation is what every format of key attestation has in common:
// hardware vouches for a key, and a Verifier says whether its word holds.
//
// A verifier is a pure function over bytes, configured roots and a time. That
// what it says is recorded, and for which device, is up to others.
package attestation

import (
	"crypto"
	"errors"
	"time"

	"gatepost.dev/posture"
)

// ErrEvidence is evidence that proves nothing: malformed, by an authority that is
// not trusted, for another nonce, or of a key that could leave its hardware.
var ErrEvidence = errors.New("the evidence does not hold")

// Result is what evidence proved.
type Result struct {
	Key crypto.PublicKey // that hardware vouches for: RSA of 2048 bits and more, P-256 or P-384
	// Attested is what is recorded of it. KeyHash and At are set.
	Attested posture.AttestedKey
	// Identifiers are the permanent identifiers (RFC 4043) that the evidence
	// proves; at least one.
	Identifiers []string
}

// Verifier judges the evidence of one format.
type Verifier interface {
	// Verify judges an attestation statement, the CBOR of the attStmt of WebAuthn
	// and of draft-ietf-acme-device-attest. The nonce is what the statement has to
	// hold, as the format puts it there. Every error is ErrEvidence.
	Verify(statement, nonce []byte, now time.Time) (*Result, error)
}
