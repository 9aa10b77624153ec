package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	fastjson "github.com/go-json-experiment/json"

	"gatepost.dev/certs"
	"gatepost.dev/devices/attestation"
	"gatepost.dev/devices/attestation/tpm"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// TPMPrefix begins the paths of the attestation authority.
const TPMPrefix = Prefix + "/tpm"

// Lifetimes of what the attestation authority gives.
const (
	questionLife = 5 * time.Minute // to activate a credential
	akLife       = 24 * time.Hour  // of an attestation key's certificate
)

// recordQuestion begins the IDs of its records; the hash of the secret follows.
const recordQuestion = "tpm/"

// EKInventory knows the devices by the endorsement keys of their TPMs.
type EKInventory interface {
	// DeviceByEK is the device with the endorsement key, hex as in Device.EK:
	// posture.ErrNoDevice.
	DeviceByEK(ctx context.Context, ek string) (posture.Device, error)
}

// AttestationCA certifies the attestation key of a TPM, once the TPM proved that
// it has both that key and an endorsement key of the inventory. It is asked as
// smallstep's clients ask theirs: two requests of JSON without any signature,
// since the second shows what only that TPM could decrypt.
type AttestationCA struct {
	Authority *certs.AttestationAuthority
	Roots     *x509.CertPool // of endorsement keys' certificates; nil: only pinned keys are taken
	Records   Records
	Inventory EKInventory
	Limiter   *web.Rates // by address
	Now       func() time.Time
}

// Endpoints are both.
func (a *AttestationCA) Endpoints() []Endpoint {
	return []Endpoint{
		{"POST " + TPMPrefix + "/attest", a.serveAttest},
		{"POST " + TPMPrefix + "/secret", a.serveSecret},
	}
}

// attestRequest is what a client says of its TPM. Of its own word on the TPM's
// maker nothing is taken.
type attestRequest struct {
	EK      []byte   `json:"ek"`      // SubjectPublicKeyInfo
	EKCerts [][]byte `json:"ekCerts"` // DER
	Params  struct {
		Public []byte `json:"public"` // TPMT_PUBLIC of the attestation key
	} `json:"params"`
}

// attestAnswer is what only the TPM can use, each with its size before it
// (TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET).
type attestAnswer struct {
	Credential []byte `json:"credential"`
	Secret     []byte `json:"secret"`
}

// question is what the server must remember until the TPM answers.
type question struct {
	TPM certs.TPM `json:"tpm"`
	AK  []byte    `json:"ak"` // SubjectPublicKeyInfo
}

// maxEKCerts bounds what a client brings; TPMs have two or three.
const maxEKCerts = 8

// serveAttest answers with a secret that is encrypted to the endorsement key and
// bound to the attestation key (TPM 2.0 part 1 section 24).
func (a *AttestationCA) serveAttest(w http.ResponseWriter, r *http.Request) error {
	var request attestRequest
	if err := a.read(r, &request); err != nil {
		return err
	}
	ek, certified, ak, err := a.keys(&request)
	if err != nil {
		return refuseTPM(err)
	}
	d, err := a.known(r.Context(), ek.Hash, certified)
	if err != nil {
		return refuseTPM(err)
	}
	web.Annotate(r.Context(), slog.String("device", d.ID))
	spki, err := x509.MarshalPKIXPublicKey(ak.Key)
	if err != nil {
		return refuseTPM(fmt.Errorf("%w: attestation key: %w", attestation.ErrEvidence, err))
	}
	value, err := json.Marshal(question{
		TPM: certs.TPM{DeviceID: d.ID, EK: ek.Hash, Vendor: ek.Vendor, Model: ek.Model, Version: ek.Version}, AK: spki,
	})
	if err != nil {
		return fmt.Errorf("encode question: %w", err)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	credential, encrypted, err := tpm.Challenge(rand.Reader, ek.Key, ak.Name, secret)
	if err != nil {
		return refuseTPM(err)
	}
	// Clients send nothing back but the secret, so what it is about is kept here.
	err = a.Records.UpdateACMERecord(r.Context(), recordQuestion+hashOf(secret), func(record *posture.ACMERecord, _ bool) error {
		record.Value, record.Until = value, a.Now().Add(questionLife)
		return nil
	})
	if err != nil {
		return orUnavailable(err)
	}
	return web.WriteJSON(w, http.StatusOK, attestAnswer{sized(credential), sized(encrypted)})
}

// keys are the endorsement key, with what its certificate says if it is certified
// by one of the roots, and the attestation key. Errors are attestation.ErrEvidence.
func (a *AttestationCA) keys(r *attestRequest) (ek *tpm.EK, certified bool, ak *tpm.AK, err error) {
	if len(r.EKCerts) > maxEKCerts {
		return nil, false, nil, fmt.Errorf("%w: %d certificates of endorsement keys", attestation.ErrEvidence, len(r.EKCerts))
	}
	if ek, err = tpm.ParseEK(r.EK); err != nil {
		return nil, false, nil, err
	}
	for _, der := range r.EKCerts {
		if c, err := tpm.VerifyEK(der, a.Roots, nil, a.Now()); err == nil && c.Hash == ek.Hash {
			ek, certified = c, true
		}
	}
	ak, err = tpm.ParseAK(r.Params.Public)
	return ek, certified, ak, err
}

// known is the device in service that has the endorsement key, if an authority of
// TPMs certified it or an administrator pinned it.
func (a *AttestationCA) known(ctx context.Context, ek string, certified bool) (posture.Device, error) {
	d, err := a.Inventory.DeviceByEK(ctx, ek)
	switch {
	case err != nil:
		return d, err
	case d.EK != ek:
		return d, fmt.Errorf("device %q has another endorsement key than %q: %w", d.ID, ek, posture.ErrNoDevice)
	case d.Retired():
		return d, fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
	case d.Suspected != nil:
		return d, fmt.Errorf("device %q: %w", d.ID, posture.ErrSuspected)
	case !certified && d.EKPinnedBy == "":
		return d, fmt.Errorf("%w: no configured root certified the endorsement key, and nobody pinned it", attestation.ErrEvidence)
	}
	return d, nil
}

// serveSecret certifies the attestation key for the secret, which is used with
// that.
func (a *AttestationCA) serveSecret(w http.ResponseWriter, r *http.Request) error {
	var request struct {
		Secret []byte `json:"secret"`
	}
	if err := a.read(r, &request); err != nil {
		return err
	}
	now := a.Now()
	record, err := a.Records.TakeACMERecord(r.Context(), recordQuestion+hashOf(request.Secret))
	switch {
	case errors.Is(err, posture.ErrNoACMERecord):
		return refuse(http.StatusForbidden, unauthorized, "Nobody was asked for this secret, or it was used, or it came too late.", err)
	case err != nil:
		return unavailable(err)
	case !now.Before(record.Until):
		return refuse(http.StatusForbidden, unauthorized, "The secret came too late.", nil)
	}
	var q question
	if err := json.Unmarshal(record.Value, &q); err != nil {
		return fmt.Errorf("read question: %w", err)
	}
	web.Annotate(r.Context(), slog.String("device", q.TPM.DeviceID))
	var ak crypto.PublicKey
	if ak, err = x509.ParsePKIXPublicKey(q.AK); err != nil {
		return fmt.Errorf("read question: %w", err)
	}
	cert, err := a.Authority.Issue(&q.TPM, ak, now, akLife)
	if err != nil {
		return refuse(http.StatusForbidden, unauthorized, "The attestation key cannot be certified.", err)
	}
	return web.WriteJSON(w, http.StatusOK, map[string][][]byte{"chain": {cert.Raw, a.Authority.Certificate.Raw}})
}

// read reads a request of JSON, whatever it says that it is: clients say nothing.
func (a *AttestationCA) read(r *http.Request, into any) error {
	if wait := a.Limiter.Allow(address(r), a.Now()).Wait; wait > 0 {
		e := refuse(http.StatusTooManyRequests, rateLimited, "Too many requests came from this address.", nil)
		e.RetryAfter = wait
		return e
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("read body: %w", err)
	case len(body) > MaxBody:
		return &http.MaxBytesError{Limit: MaxBody}
	}
	if err := fastjson.Unmarshal(body, into); err != nil {
		return badRequest("%w", err)
	}
	return nil
}

// refuseTPM tells the client why it gets no certificate, and not whether the
// device is known: anybody may ask.
func refuseTPM(err error) error {
	switch {
	case errors.Is(err, attestation.ErrEvidence):
		return refuse(http.StatusForbidden, badAttestationStatement, "The TPM's keys are not taken: "+err.Error()+".", err)
	case errors.Is(err, posture.ErrNoDevice), errors.Is(err, posture.ErrRetired), errors.Is(err, posture.ErrSuspected):
		return refuse(http.StatusForbidden, unauthorized, "No device in service has this TPM.", err)
	}
	return unavailable(err)
}

func hashOf(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// sized is a TPM2B.
func sized(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}
