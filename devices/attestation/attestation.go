// Package attestation verifies what hardware says of a key: that it made the key
// and keeps it. A format has a package below this one.
//
// It asks nobody and knows no inventory: bytes, a nonce and a time in, what is
// proven out.
package attestation

import (
	"crypto"
	"errors"
	"time"

	"gatepost.dev/posture"
)

// ErrEvidence is a statement that proves nothing, whatever is wrong with it.
var ErrEvidence = errors.New("bad attestation evidence")

// Result is what a statement proves.
type Result struct {
	Key         crypto.PublicKey    // that the hardware keeps
	Attested    posture.AttestedKey // the same, as it is recorded
	Identifiers []string            // of the device, each proven as well as the key
}

// Verifier verifies the statements of one format.
type Verifier interface {
	// Verify takes the CBOR of an attestation statement (attStmt of WebAuthn level 2
	// section 6.5) and the nonce that must be in it. Errors are ErrEvidence.
	Verify(statement []byte, nonce []byte, now time.Time) (*Result, error)
}
