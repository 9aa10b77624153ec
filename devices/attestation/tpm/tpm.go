// Package tpm judges the evidence of TPM 2.0 devices: certificates of endorsement
// keys (EK), attestation keys (AK), and keys for which an AK vouches. References
// are to the TPM 2.0 Library, parts 1 and 2, and to the TCG EK Credential
// Profile 2.5.
//
// Nothing here talks to a TPM. All bytes are hostile: an error is always
// attestation.ErrEvidence.
package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"gatepost.dev/devices/attestation"
)

// Format is the name of the format in WebAuthn and ACME.
const Format = "tpm"

// maxStructure bounds each structure of the TPM's. A public area with an RSA key
// of 4096 bits takes 600 bytes.
const maxStructure = 1024

// bad is evidence that proves nothing.
func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %w", attestation.ErrEvidence, fmt.Errorf(format, args...))
}

// KeyHash is the lower-case hex SHA-256 of the key's SubjectPublicKeyInfo. Empty:
// it is no key that has one.
func KeyHash(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// public is a TPMT_PUBLIC.
type public struct {
	attributes tpm2.TPMAObject
	key        crypto.PublicKey
	name       []byte // part 1, section 16: the name's algorithm and the hash of the structure
}

// parsePublic reads a TPMT_PUBLIC with a key that is strong enough. The name is
// that of the bytes as they came: were it made of what was understood of them,
// two structures could share it.
func parsePublic(area []byte) (*public, error) {
	if len(area) > maxStructure {
		return nil, bad("a public area of %d bytes; at most %d are taken", len(area), maxStructure)
	}
	p, key, err := readPublic(area)
	if err != nil {
		return nil, bad("read public area: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	hash, err := hashOf(p.NameAlg)
	if err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(area)
	return &public{
		attributes: p.ObjectAttributes, key: key,
		name: h.Sum(binary.BigEndian.AppendUint16(nil, uint16(p.NameAlg))),
	}, nil
}

// readPublic is tpm2.Unmarshal with the key, as unmarshal.
func readPublic(area []byte) (p *tpm2.TPMTPublic, key crypto.PublicKey, err error) {
	defer recovered(&err)
	if p, err = tpm2.Unmarshal[tpm2.TPMTPublic](area); err != nil {
		return nil, nil, err
	}
	key, err = tpm2.Pub(*p)
	return p, key, err
}

// unmarshal is tpm2.Unmarshal, which goes by reflection and may panic where bytes
// are hostile.
func unmarshal[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](data []byte) (v *T, err error) {
	defer recovered(&err)
	return tpm2.Unmarshal[T, P](data)
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("malformed: %v", r)
	}
}

// hashOf takes the SHA-2 hashes.
func hashOf(alg tpm2.TPMIAlgHash) (crypto.Hash, error) {
	switch alg {
	case tpm2.TPMAlgSHA256, tpm2.TPMAlgSHA384, tpm2.TPMAlgSHA512:
		return alg.Hash()
	}
	return 0, bad("hash algorithm %#x; SHA-256, SHA-384 and SHA-512 are taken", uint16(alg))
}

// checkKey refuses keys that are weak, or so large that using them would tire us.
func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
			return bad("an RSA key of %d bits; 2048 to 4096 are taken", bits)
		}
		if key.E < 1<<16+1 || key.E%2 == 0 { // FIPS 186-5 section A.1.1
			return bad("an RSA key with the exponent %d", key.E)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return bad("an elliptic curve other than P-256 and P-384")
		}
		// The conversion is what checks that the point lies on the curve.
		if _, err := key.ECDH(); err != nil {
			return bad("elliptic curve key: %w", err)
		}
	default:
		return bad("a key of type %T; RSA, P-256 and P-384 are taken", key)
	}
	return nil
}

// bound refuses a key that was made elsewhere, or that can be moved elsewhere
// (part 1, section 25.2).
func (p *public) bound() error {
	a := &p.attributes
	switch {
	case !a.FixedTPM:
		return bad("the key lacks fixedTPM: it can be duplicated")
	case !a.FixedParent:
		return bad("the key lacks fixedParent: it can be duplicated")
	case !a.SensitiveDataOrigin:
		return bad("the key lacks sensitiveDataOrigin: it was made outside the TPM")
	case !a.SignEncrypt:
		return bad("the key lacks sign: it is not for signing")
	}
	return nil
}

// AK is an attestation key's public part, which may be anybody's: that a TPM has
// the private part, only its secret's return or a certificate proves.
type AK struct {
	Key  crypto.PublicKey
	Name []byte
}

// ParseAK reads the TPMT_PUBLIC of an attestation key. It must be one that signs
// nothing but what the TPM itself says (restricted, part 1 section 25.1), or its
// word on another key would be worth nothing.
func ParseAK(area []byte) (*AK, error) {
	p, err := parsePublic(area)
	if err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	if err := p.bound(); err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	switch a := &p.attributes; {
	case !a.Restricted:
		return nil, bad("attestation key: the key lacks restricted: it signs whatever it is given")
	case a.Decrypt:
		return nil, bad("attestation key: the key is for decryption too")
	}
	return &AK{Key: p.key, Name: p.name}, nil
}
