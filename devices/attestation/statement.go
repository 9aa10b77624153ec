package attestation

import (
	"crypto/x509"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// maxChain is how many certificates a statement may bring: those of hardware have
// three or four.
const maxChain = 8

// Decode decodes CBOR (RFC 8949) of exactly one value, without doubled keys and
// without anything that a statement has no use for. Errors are ErrEvidence.
func Decode(data []byte, into any) error {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels:   4,
		MaxArrayElements:  64,
		MaxMapPairs:       16,
	}.DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	return nil
}

// Chain parses the certificates of a statement's x5c, the leaf first. Errors are
// ErrEvidence.
func Chain(x5c [][]byte) ([]*x509.Certificate, error) {
	if len(x5c) == 0 || len(x5c) > maxChain {
		return nil, fmt.Errorf("%w: %d certificates, not 1 to %d", ErrEvidence, len(x5c), maxChain)
	}
	chain := make([]*x509.Certificate, len(x5c))
	for i, der := range x5c {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrEvidence, i, err)
		}
	}
	return chain, nil
}
