package agentapi

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Paths of the challenges to a TPM: before a device enrols, for its token on the
// issuer's host, and before it renews, over its certificate on the device host.
const (
	AttestPath      = "/agent/v1/attest"
	RenewAttestPath = "/agent/v1/renew/attest"
)

// AttestLife is how long a device has from the challenge to the request that
// answers it.
const AttestLife = 5 * time.Minute

// AttestRequest asks for a challenge to the device's TPM. Bytes are base64.
type AttestRequest struct {
	Token         string `json:"token,omitempty"`          // is not used up; none for renewals
	EKCertificate []byte `json:"ek_certificate,omitempty"` // of the endorsement key, DER; some TPMs have none
	EK            []byte `json:"ek"`                       // the endorsement key, SubjectPublicKeyInfo in DER
	AK            []byte `json:"ak"`                       // the attestation key, TPMT_PUBLIC
}

// AttestChallenge is the answer to an AttestRequest: what TPM2_ActivateCredential
// makes a secret of.
type AttestChallenge struct {
	State      []byte `json:"state"` // comes back as it is
	Credential []byte `json:"credential"`
	Encrypted  []byte `json:"encrypted"`
}

// TPMEvidence says that the key of a certificate request is in the device's TPM:
// the attestation key of the challenge vouches for it, with TPMNonce.
type TPMEvidence struct {
	State     []byte `json:"state"`
	Secret    []byte `json:"secret"`
	Public    []byte `json:"public"`    // TPMT_PUBLIC of the key
	Info      []byte `json:"info"`      // TPMS_ATTEST of TPM2_Certify
	Signature []byte `json:"signature"` // TPMT_SIGNATURE
}

// TPMNonce is the qualifying data of the attestation that answers the challenge.
func TPMNonce(state, secret []byte) []byte {
	h := sha256.New()
	for _, part := range [][]byte{state, secret} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) // or a byte could move from one to the other
		h.Write(part)
	}
	return h.Sum(nil)
}

// NotAttested is why a certificate is not ranked attested although evidence came.
type NotAttested string

// The reasons.
const (
	BadEvidence NotAttested = "evidence"   // it does not hold, or came too late
	UnknownEK   NotAttested = "ek_unknown" // nobody who is trusted certified the TPM, and no administrator pinned it
	OtherEK     NotAttested = "ek_other"   // the inventory knows another TPM of the device
)

// Limits of what a TPM says, in bytes.
const (
	maxEKCertificate = 8 << 10
	maxTPMState      = 8 << 10
	maxTPMStructure  = 1 << 10
)

// ParseAttestRequest reads the body of a request for a challenge, as
// ParseEnrollRequest does. A renewal names no token.
func ParseAttestRequest(body []byte) (*AttestRequest, error) {
	r, err := decode[AttestRequest](body)
	if err != nil {
		return nil, err
	}
	var f Fault
	if len(r.Token) > maxToken {
		f.add("token has %d bytes, not 1 to %d", len(r.Token), maxToken)
	}
	if len(r.EKCertificate) > maxEKCertificate {
		f.add("ek_certificate has %d bytes, not up to %d", len(r.EKCertificate), maxEKCertificate)
	}
	f.sizes([]size{{"ek", r.EK, maxTPMStructure}, {"ak", r.AK, maxTPMStructure}})
	return r, f.err()
}

// size is how many bytes a member may have.
type size struct {
	name  string
	value []byte
	most  int
}

func (f *Fault) sizes(all []size) {
	for _, s := range all {
		if len(s.value) == 0 || len(s.value) > s.most {
			f.add("%s has %d bytes, not 1 to %d", s.name, len(s.value), s.most)
		}
	}
}

func (e *TPMEvidence) check(f *Fault) {
	if e == nil {
		return
	}
	f.sizes([]size{
		{"tpm.state", e.State, maxTPMState}, {"tpm.secret", e.Secret, maxTPMStructure}, {"tpm.public", e.Public, maxTPMStructure},
		{"tpm.info", e.Info, maxTPMStructure}, {"tpm.signature", e.Signature, maxTPMStructure},
	})
}
