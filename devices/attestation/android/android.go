// Package android judges Android key attestation: a chain of certificates in
// which the secure hardware of a device says what it knows of a key, of the state
// in which the device started, and, if a device owner may ask that, of its serial
// number.
package android

import (
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/devices/attestation"
	"gatepost.dev/posture"
)

// Format is the name of the format in WebAuthn.
const Format = "android-key"

// rootsJSON is https://android.googleapis.com/attestation/root as of July 2026.
//
//go:embed roots.json
var rootsJSON []byte

// Roots are those of Google, in whose chains the attestations of all certified
// devices end.
func Roots() ([]*x509.Certificate, error) {
	var texts []string
	if err := json.Unmarshal(rootsJSON, &texts); err != nil {
		return nil, fmt.Errorf("read the roots of Android: %w", err)
	}
	var roots []*x509.Certificate
	for _, text := range texts {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("read the roots of Android: no PEM block")
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read the roots of Android: %w", err)
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// Verifier judges statements of the format. Of them only x5c counts: alg and sig
// are over what only WebAuthn has, and that the applicant has the key, his
// certificate request says.
type Verifier struct {
	Roots   []*x509.Certificate // none: nobody is trusted
	Revoked Revoked             // nil: none is
}

var _ attestation.Verifier = (*Verifier)(nil)

// Verify is VerifyChain for a device that is named: only the attestation of a
// serial number does that, for which the app must be the device owner's.
func (v *Verifier) Verify(statement, nonce []byte, now time.Time) (*attestation.Result, error) {
	var s struct {
		X5C [][]byte `cbor:"x5c"`
	}
	if err := attestation.Decode(statement, &s); err != nil {
		return nil, err
	}
	chain, err := attestation.Chain(s.X5C)
	if err != nil {
		return nil, err
	}
	result, err := v.VerifyChain(chain, nonce, now)
	switch {
	case err != nil:
		return nil, err
	case len(result.Identifiers) == 0:
		return nil, bad("the attestation names no device")
	}
	return result, nil
}

// VerifyChain verifies that secure hardware made the key, in a device that is
// locked and started verified software, and that the attestation was made for the
// nonce, which is its challenge as it is. The chain begins with the leaf and ends
// with the root.
//
// Whoever knows by other means which device it is can do without Identifiers,
// which are empty for an attestation that names none. Errors are ErrEvidence.
func (v *Verifier) VerifyChain(chain []*x509.Certificate, nonce []byte, now time.Time) (*attestation.Result, error) {
	if err := v.walk(chain, now); err != nil {
		return nil, err
	}
	said, err := descriptionOf(chain)
	if err != nil {
		return nil, err
	}
	if err := said.check(nonce); err != nil {
		return nil, err
	}
	key, hash, err := keyOf(chain[0])
	if err != nil {
		return nil, err
	}
	result := &attestation.Result{Key: key, Attested: posture.AttestedKey{
		Format: Format, KeyHash: hash, At: now, HardwareID: said.serial, Serial: said.serial,
		Vendor: said.manufacturer, Model: said.model, Version: said.version(),
	}}
	if said.serial != "" {
		result.Identifiers = []string{said.serial}
	}
	return result, nil
}
