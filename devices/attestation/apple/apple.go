// Package apple verifies Apple's managed device attestation: the format "apple" of
// ACME's challenge device-attest-01, by which the Secure Enclave vouches for a key
// and Apple for the device's serial number and UDID.
//
// It is not App Attest, which vouches for an app and names no device.
package apple

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	_ "embed"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/devices/attestation"
	"gatepost.dev/posture"
)

// Format is the name of the format.
const Format = "apple"

// rootPEM is "Apple Enterprise Attestation Root CA", from
// https://www.apple.com/certificateauthority/private/
//
//go:embed root.pem
var rootPEM []byte

// Extensions of a leaf, below 1.2.840.113635.100.8 (Apple Platform Deployment,
// "Managed Device Attestation"). Their values are bare texts and bytes, without
// any ASN.1 around them.
var (
	oidSerial    = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 9, 1}
	oidUDID      = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 9, 2}
	oidSepOS     = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 10, 2}
	oidFreshness = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 11, 1}
)

// Root is Apple's root of managed device attestations.
func Root() (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(rootPEM) {
		return nil, errors.New("apple's attestation root cannot be read")
	}
	return roots, nil
}

// Verifier verifies statements whose chains end at one of the roots.
type Verifier struct{ Roots *x509.CertPool }

// Verify implements attestation.Verifier. A device that a user enrolled names
// neither its serial number nor its UDID to anybody, and so proves nothing here.
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
	leaf := chain[0]
	if err := v.verifyChain(chain, now); err != nil {
		return nil, fmt.Errorf("%w: %w", attestation.ErrEvidence, err)
	}
	facts, err := read(leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", attestation.ErrEvidence, err)
	}
	// Apple leaves freshness out when the client asks too often; then the chain may
	// be an old one, of a key whose device is somebody else's by now.
	if len(nonce) == 0 || subtle.ConstantTimeCompare(facts.freshness, nonce) != 1 {
		return nil, fmt.Errorf("%w: it is not for this challenge, or says not for which", attestation.ErrEvidence)
	}
	identifiers := facts.identifiers()
	if len(identifiers) == 0 {
		return nil, fmt.Errorf("%w: it names neither a serial number nor a UDID", attestation.ErrEvidence)
	}
	hash := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return &attestation.Result{
		Key: leaf.PublicKey,
		Attested: posture.AttestedKey{
			Format: Format, KeyHash: hex.EncodeToString(hash[:]), At: now,
			HardwareID: identifiers[len(identifiers)-1], Serial: facts.serial, Vendor: "Apple", Version: facts.sepOS,
		},
		Identifiers: identifiers,
	}, nil
}

// verifyChain wants a leaf that is nobody's authority below one of the roots.
func (v *Verifier) verifyChain(chain []*x509.Certificate, now time.Time) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if chain[0].IsCA {
		return errors.New("the leaf is an authority's certificate")
	}
	if v.Roots == nil {
		return errors.New("no roots") // else x509 takes the system's
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: v.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// facts are what the leaf says.
type facts struct {
	serial, udid, sepOS string
	freshness           []byte
}

// identifiers are those of the device: the serial number first.
func (f *facts) identifiers() []string {
	var out []string
	for _, id := range []string{f.serial, f.udid} {
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}

// maxText is in bytes: longer than any of the texts.
const maxText = 128

func read(leaf *x509.Certificate) (*facts, error) {
	f := new(facts)
	for _, e := range leaf.Extensions {
		text := map[string]*string{oidSerial.String(): &f.serial, oidUDID.String(): &f.udid, oidSepOS.String(): &f.sepOS}[e.Id.String()]
		switch {
		case text != nil:
			if len(e.Value) > maxText || bytes.ContainsFunc(e.Value, func(r rune) bool { return r < ' ' || r > '~' }) {
				return nil, fmt.Errorf("extension %s says %.200q", e.Id, e.Value)
			}
			*text = string(e.Value) // x509 refuses a second one
		case e.Id.Equal(oidFreshness):
			f.freshness = e.Value
		}
	}
	return f, nil
}
