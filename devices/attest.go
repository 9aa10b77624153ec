package devices

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices/attestation"
	"gatepost.dev/devices/attestation/tpm"
	"gatepost.dev/posture"
)

// Attester challenges TPMs and judges what they answer. It keeps nothing: what it
// has to know of a challenge comes back with the answer, sealed, to whatever
// server has the same Key. That an answer is good for one certificate only
// follows from what it is bound to, a token or a device, and from its key, which
// no certificate may have had.
type Attester struct {
	Key   []byte         // 32 bytes, the same on every server
	Roots *x509.CertPool // of TPMs' vendors; nil: none is configured
	Now   func() time.Time
}

// ChallengePurpose is what Attester.Key is derived for.
const ChallengePurpose = "gatepost challenges to TPMs 1"

// challenge is what comes back sealed.
type challenge struct {
	For       string    `json:"for"` // see forToken and forDevice
	Expires   time.Time `json:"expires"`
	Secret    []byte    `json:"secret"`
	AK        []byte    `json:"ak"` // TPMT_PUBLIC
	EK        string    `json:"ek"` // hash
	Certified bool      `json:"certified"`
	Vendor    string    `json:"vendor"`
	Model     string    `json:"model"`
	Version   string    `json:"version"`
}

// forToken is what a challenge for an enrolment is bound to, forDevice one for a
// renewal.
func forToken(secret string) string { return "token " + HashToken(secret) }
func forDevice(id string) string    { return "device " + id }

// Challenge makes a challenge that only the TPM with both keys of the request can
// answer. uncertified is why no configured root vouches for its endorsement key:
// then the answer counts only if an administrator pinned it. Errors:
// attestation.ErrEvidence.
func (a *Attester) Challenge(r *agentapi.AttestRequest, bound string) (out *agentapi.AttestChallenge, uncertified, err error) {
	ak, err := tpm.ParseAK(r.AK)
	if err != nil {
		return nil, nil, err
	}
	uncertified = errors.New("the TPM has no certificate")
	var ek *tpm.EK
	if len(r.EKCertificate) > 0 {
		ek, uncertified = tpm.VerifyEK(r.EKCertificate, a.Roots, nil, a.Now())
	}
	if uncertified != nil {
		if ek, err = tpm.ParseEK(r.EK); err != nil {
			return nil, nil, err
		}
	}
	c := challenge{
		For: bound, Expires: a.Now().Add(agentapi.AttestLife), Secret: make([]byte, 32), AK: r.AK,
		EK: ek.Hash, Certified: uncertified == nil, Vendor: ek.Vendor, Model: ek.Model, Version: ek.Version,
	}
	rand.Read(c.Secret) // never fails
	out = &agentapi.AttestChallenge{}
	if out.Credential, out.Encrypted, err = tpm.Challenge(rand.Reader, ek.Key, ak.Name, c.Secret); err != nil {
		return nil, nil, err
	}
	if out.State, err = a.seal(&c); err != nil {
		return nil, nil, err
	}
	return out, uncertified, nil
}

// Verify tells what the answer to a challenge proves of a key. uncertified: that
// counts only if an administrator pinned the endorsement key. Errors:
// attestation.ErrEvidence.
func (a *Attester) Verify(e *agentapi.TPMEvidence, bound string) (key *posture.AttestedKey, uncertified bool, err error) {
	c, err := a.open(e.State)
	now := a.Now()
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%w: challenge: %w", attestation.ErrEvidence, err)
	case c.For != bound:
		return nil, false, fmt.Errorf("%w: the challenge was for another", attestation.ErrEvidence)
	case !now.Before(c.Expires):
		return nil, false, fmt.Errorf("%w: the challenge expired at %s", attestation.ErrEvidence, c.Expires.UTC().Format(time.RFC3339))
	case subtle.ConstantTimeCompare(c.Secret, e.Secret) != 1:
		return nil, false, fmt.Errorf("%w: the TPM returned another secret", attestation.ErrEvidence)
	}
	ak, err := tpm.ParseAK(c.AK)
	if err != nil {
		return nil, false, err
	}
	certified, err := tpm.VerifyCertified(ak.Key, &tpm.Certified{Public: e.Public, Info: e.Info, Signature: e.Signature},
		agentapi.TPMNonce(e.State, e.Secret))
	if err != nil {
		return nil, false, err
	}
	return &posture.AttestedKey{
		Format: tpm.Format, KeyHash: tpm.KeyHash(certified), At: now, HardwareID: c.EK,
		Vendor: c.Vendor, Model: c.Model, Version: c.Version,
	}, !c.Certified, nil
}

// aead seals challenges. A nonce of 96 random bits does for more of them than an
// authority ever makes (NIST SP 800-38D section 8.3).
func (a *Attester) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(a.Key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (a *Attester) seal(c *challenge) ([]byte, error) {
	aead, err := a.aead()
	if err != nil {
		return nil, fmt.Errorf("seal challenge: %w", err)
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("seal challenge: %w", err)
	}
	return aead.Seal(nil, nil, plain, nil), nil
}

func (a *Attester) open(sealed []byte) (*challenge, error) {
	aead, err := a.aead()
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, err
	}
	c := new(challenge)
	return c, json.Unmarshal(plain, c)
}

// CheckToken tells whether a device could enrol with the token now: ErrToken.
func (e *Enroller) CheckToken(ctx context.Context, secret string) error {
	t, err := e.Records.Token(ctx, HashToken(secret))
	switch {
	case err != nil && !errors.Is(err, posture.ErrNoToken):
		return fmt.Errorf("look up token: %w", err)
	case err != nil || !t.Usable(e.Issuer.Now()):
		return ErrToken
	}
	return nil
}
