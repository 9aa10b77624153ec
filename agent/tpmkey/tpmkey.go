// Package tpmkey keeps an agent's key in a TPM 2.0, and has the TPM vouch for it.
// References are to the TPM 2.0 Library, part 3.
//
// Keys are made under the storage root key and go back to the caller as blobs
// that only this TPM can load: it has room for few, and a file has room for all.
// What is loaded is dropped again within the same call, since a TPM without a
// resource manager holds three objects at once.
package tpmkey

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// DefaultPath is Linux's TPM behind its resource manager.
const DefaultPath = "/dev/tpmrm0"

// ErrNoTPM is a TPM that cannot be reached.
var ErrNoTPM = errors.New("no TPM can be used")

// Device is a TPM: a character device, or a Unix socket of one that is software.
// It is opened for each call, one after the other: a TPM has room for few.
type Device struct {
	Path string
	mu   sync.Mutex
}

// Object is a key that its TPM can load: the contents of TPM2B_PUBLIC and of
// TPM2B_PRIVATE. The private part is encrypted by the TPM, for itself.
type Object struct {
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
}

// Key is the object's public key.
func (o *Object) Key() (crypto.PublicKey, error) {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](o.Public)
	if err != nil {
		return nil, fmt.Errorf("read key of the TPM: %w", err)
	}
	return tpm2.Pub(*area)
}

// Endorsement is the TPM's own key, which it was made with.
type Endorsement struct {
	Certificate []byte // DER; nil: the TPM has none
	Public      []byte // SubjectPublicKeyInfo in DER
	ECC         bool   // P-256, else RSA
}

// Indices of endorsement keys' certificates in the TPM's memory (TCG EK
// Credential Profile 2.5, section 2.2.1.4).
const (
	indexRSA = 0x01C00002
	indexECC = 0x01C0000A
)

// Probe tells why the TPM cannot be used: ErrNoTPM.
func (d *Device) Probe() error {
	return d.with(func(t transport.TPM) error {
		_, err := tpm2.GetRandom{BytesRequested: 1}.Execute(t)
		return err
	})
}

// Endorsement reads the endorsement key that has a certificate; if none has, it
// is the P-256 one.
func (d *Device) Endorsement() (*Endorsement, error) {
	out := &Endorsement{}
	err := d.with(func(t transport.TPM) error {
		if out.Certificate = readCertificate(t, indexRSA); out.Certificate == nil {
			out.ECC = true
			out.Certificate = readCertificate(t, indexECC)
		}
		ek, err := createPrimary(t, tpm2.TPMRHEndorsement, ekTemplate(out.ECC))
		if err != nil {
			return fmt.Errorf("make endorsement key: %w", err)
		}
		defer ek.flush(t)
		key, err := tpm2.Pub(*ek.area)
		if err != nil {
			return err
		}
		out.Public, err = x509.MarshalPKIXPublicKey(key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func ekTemplate(ecc bool) *tpm2.TPMTPublic {
	if ecc {
		return &tpm2.ECCEKTemplate
	}
	return &tpm2.RSAEKTemplate
}

// CreateAttestationKey makes a P-256 key that signs only what the TPM says.
func (d *Device) CreateAttestationKey() (*Object, error) {
	return d.create(true, tpm2.TPMTECCScheme{
		Scheme:  tpm2.TPMAlgECDSA,
		Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
	})
}

// CreateKey makes a P-256 key that signs what it is given.
func (d *Device) CreateKey() (*Object, error) {
	return d.create(false, tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull})
}

func (d *Device) create(restricted bool, scheme tpm2.TPMTECCScheme) (*Object, error) {
	out := &Object{}
	err := d.with(func(t transport.TPM) error {
		srk, err := createPrimary(t, tpm2.TPMRHOwner, &tpm2.ECCSRKTemplate)
		if err != nil {
			return fmt.Errorf("make storage root key: %w", err)
		}
		defer srk.flush(t)
		made, err := tpm2.Create{
			ParentHandle: srk.handle(),
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
				ObjectAttributes: tpm2.TPMAObject{
					FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
					Restricted: restricted, SignEncrypt: true,
				},
				Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256, Scheme: scheme}),
			}),
		}.Execute(t)
		if err != nil {
			return fmt.Errorf("make key in the TPM: %w", err)
		}
		out.Public, out.Private = made.OutPublic.Bytes(), made.OutPrivate.Buffer
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Activate returns the secret that was encrypted for the endorsement key and for
// the attestation key (TPM2_ActivateCredential).
func (d *Device) Activate(e *Endorsement, ak *Object, credential, encrypted []byte) (secret []byte, err error) {
	err = d.with(func(t transport.TPM) error {
		key, err := load(t, ak)
		if err != nil {
			return err
		}
		defer key.flush(t)
		ek, err := createPrimary(t, tpm2.TPMRHEndorsement, ekTemplate(e.ECC))
		if err != nil {
			return fmt.Errorf("make endorsement key: %w", err)
		}
		defer ek.flush(t)
		answer, err := tpm2.ActivateCredential{
			ActivateHandle: key.handle(),
			KeyHandle: tpm2.AuthHandle{
				Handle: ek.at, Name: ek.name,
				Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
					_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session, NonceTPM: nonce}.Execute(t)
					return err
				}),
			},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: credential},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: encrypted},
		}.Execute(t)
		if err != nil {
			return fmt.Errorf("activate credential: %w", err)
		}
		secret = answer.CertInfo.Buffer
		return nil
	})
	return secret, err // not in one: secret could be read before it is there
}

// Certify has the attestation key vouch for the other key and hold the nonce
// (TPM2_Certify): a TPMS_ATTEST and a TPMT_SIGNATURE.
func (d *Device) Certify(ak, key *Object, nonce []byte) (info, signature []byte, err error) {
	err = d.with(func(t transport.TPM) error {
		signer, err := load(t, ak)
		if err != nil {
			return err
		}
		defer signer.flush(t)
		object, err := load(t, key)
		if err != nil {
			return err
		}
		defer object.flush(t)
		answer, err := tpm2.Certify{
			ObjectHandle: object.handle(), SignHandle: signer.handle(),
			QualifyingData: tpm2.TPM2BData{Buffer: nonce},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		}.Execute(t)
		if err != nil {
			return fmt.Errorf("certify key: %w", err)
		}
		info, signature = answer.CertifyInfo.Bytes(), tpm2.Marshal(answer.Signature)
		return nil
	})
	return info, signature, err
}
