package tpmkey

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Signer signs with a key that its TPM keeps. It may be used by several at once.
type Signer struct {
	device *Device
	object *Object
	public *ecdsa.PublicKey
}

var _ crypto.Signer = (*Signer)(nil)

// Signer is a signer for a key of CreateKey.
func (d *Device) Signer(key *Object) (*Signer, error) {
	public, err := key.Key()
	if err != nil {
		return nil, err
	}
	ec, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T in the TPM, which is not ours", public)
	}
	return &Signer{device: d, object: key, public: ec}, nil
}

// Public is the *ecdsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign signs a SHA-2 digest, by ECDSA in ASN.1. The TPM has its own random
// numbers.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (der []byte, err error) {
	var hash tpm2.TPMIAlgHash
	switch opts.HashFunc() {
	case crypto.SHA256:
		hash = tpm2.TPMAlgSHA256
	case crypto.SHA384:
		hash = tpm2.TPMAlgSHA384
	case crypto.SHA512:
		hash = tpm2.TPMAlgSHA512
	default:
		return nil, fmt.Errorf("sign with the TPM: a digest of %v", opts.HashFunc())
	}
	err = s.device.with(func(t transport.TPM) error {
		key, err := load(t, s.object)
		if err != nil {
			return err
		}
		defer key.flush(t)
		answer, err := tpm2.Sign{
			KeyHandle: key.handle(), Digest: tpm2.TPM2BDigest{Buffer: digest},
			InScheme: tpm2.TPMTSigScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: hash}),
			},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(t)
		if err != nil {
			return fmt.Errorf("sign with the TPM: %w", err)
		}
		sig, err := answer.Signature.Signature.ECDSA()
		if err != nil {
			return err
		}
		der, err = asn1.Marshal(struct{ R, S *big.Int }{
			new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer),
		})
		return err
	})
	return der, err
}
