package devices

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// Why a device cannot enrol or renew, besides the sentinels of posture and
// ErrBadRequest.
var (
	ErrToken       = errors.New("the token is not valid")
	ErrOtherDevice = errors.New("the token is for another device")
	ErrTooMany     = errors.New("the device has too many certificates")
)

// EnrollRecords keeps the tokens and what comes of them.
type EnrollRecords interface {
	// Token: posture.ErrNoToken.
	Token(ctx context.Context, hash string) (posture.Token, error)
	// Enroll does what decide makes of the token, if a hash says which, and of the
	// devices that the hardware may be, all or nothing: posture.ErrNoToken,
	// ErrKeyInUse, ErrEKInUse, ErrExists.
	Enroll(ctx context.Context, tokenHash string, clues posture.Clues, decide func(e *posture.Enrolling) error) error
	// EnrollDevice is the same for a device that needs no token, by a claim that
	// can be made once: posture.ErrNoDevice, ErrReplayed, ErrKeyInUse.
	EnrollDevice(ctx context.Context, id string, c posture.Claim, decide func(e *posture.Enrolling) error) error
}

// Enroller gives devices their first certificate, for a token.
type Enroller struct {
	Issuer  *Issuer
	Records EnrollRecords
	Judge   func(d *posture.Device) posture.Verdict // by the default policy, now
}

// HashToken is what is kept of a token's secret.
func HashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Applicant is who asks for a device's first certificate, by whatever channel.
type Applicant struct {
	Token   string                           // its secret
	Key     func() (crypto.PublicKey, error) // that the applicant proved to have; not called for a token that is not valid
	Claimed agentapi.Device                  // the applicant's own word on its hardware
	Channel posture.Channel
	// Profile is in place of a token: the applicant has what a management system
	// hands to all its devices. It counts for one of the inventory only.
	Profile bool
	// Transaction is kept with the certificate, which is filled in; nil: none.
	Transaction *posture.Transaction
	// Attested is the key as hardware vouched for it; nil: nothing did.
	Attested *posture.AttestedKey
	// Proven is the device that hardware vouched it is; it needs no token. Claim is
	// what it may enrol with once. Nothing else of the applicant's word is taken.
	Proven string
	Claim  posture.Claim
	// Uncertified: nobody who is trusted certified the hardware of Attested, which
	// then counts only if an administrator pinned it to the device.
	Uncertified bool
}

// Enrolled is what came of an enrolment.
type Enrolled struct {
	Device      posture.Device
	State       agentapi.State
	Token       string // its ID; empty: there was none
	Certificate *x509.Certificate
	Rank        posture.Rank         // of the certificate
	NotAttested agentapi.NotAttested // why not, although Attested was set
}

// Enroll uses the token for the device that asks. Of its certificate request only
// the key is taken; subject and subject alternative name come from the record.
//
// Whose record that is, an administrator said who bound the token; else the
// serial number finds it, if the hardware's is known for one device alone. The
// device's own word is not enough to take the place of a key that is at work:
// then the certificate is held and the device is suspected to be two, and neither
// key counts for anything until an administrator decides between them (gatepost
// device release). A TPM's word is enough, if the inventory knows the TPM: then
// the token's device must be that one, and without one the former key is replaced
// at once.
//
// Errors: ErrToken, which does not tell why; ErrOtherDevice, ErrOtherTPM;
// ErrBadRequest; posture.ErrRetired, ErrSuspected, ErrKeyInUse, ErrEKInUse,
// ErrNoDevice for a profile, ErrExists for the transaction. None of them uses the
// token.
func (e *Enroller) Enroll(ctx context.Context, a *Applicant) (*Enrolled, error) {
	if a.Proven != "" {
		return e.enrollProven(ctx, a)
	}
	now, hash, claimed := e.Issuer.Now(), "", a.Claimed
	if !a.Profile {
		hash = HashToken(a.Token)
		// Before the request's signature is verified: most refusals cost no more.
		t, err := e.token(ctx, hash, a, now)
		if err != nil {
			return nil, err
		}
		if a.Channel == posture.BySCEP { // by which hardware need not say what it is
			claimed.Serial = cmp.Or(claimed.Serial, t.Serial)
		}
	}
	key, err := a.Key()
	if err != nil {
		return nil, err
	}
	own := *a
	own.Claimed = claimed
	var out *Enrolled
	var why agentapi.NotAttested
	own.Attested, why = only(a.Attested, key)
	err = e.Records.Enroll(ctx, hash, posture.Clues{Serial: claimed.Serial, EK: ekOf(own.Attested)}, func(n *posture.Enrolling) (err error) {
		out, err = e.decide(n, &own, key, now)
		return err
	})
	switch {
	case errors.Is(err, posture.ErrNoToken):
		return nil, ErrToken // it was swept meanwhile
	case err != nil:
		return nil, err
	}
	out.NotAttested = cmp.Or(why, out.NotAttested)
	return out, nil
}

// token is the one with the hash, if the applicant can use it.
func (e *Enroller) token(ctx context.Context, hash string, a *Applicant, now time.Time) (posture.Token, error) {
	t, err := e.Records.Token(ctx, hash)
	switch {
	case err != nil && !errors.Is(err, posture.ErrNoToken):
		return t, fmt.Errorf("look up token: %w", err)
	case err != nil, !t.Usable(now):
		return t, ErrToken
	// What a management system carries to a device is for that device.
	case a.Channel == posture.BySCEP && !t.Bound():
		return t, ErrToken
	}
	return t, nil
}

// decide says what becomes of the token, the device and its certificates.
func (e *Enroller) decide(n *posture.Enrolling, a *Applicant, key crypto.PublicKey, now time.Time) (*Enrolled, error) {
	t, claimed := &n.Token, &a.Claimed
	known, sure, err := whoAsks(n, a, now)
	switch {
	case err != nil:
		return nil, err
	case known == nil && a.Profile:
		return nil, fmt.Errorf("the one with the serial number %s: %w", quote(claimed.Serial), posture.ErrNoDevice)
	}
	d := posture.Device{ID: newDeviceID(t), CreatedAt: now}
	var certificates []posture.Certificate
	if known != nil {
		d, certificates = known.Device, known.Certificates
	}
	held := false
	switch {
	case a.Proven != "":
		// Suspicions are left to the administrator.
		n.Revoked = formerCertificates(certificates, a.Channel, now)
	case sure:
		n.Revoked = formerCertificates(certificates, a.Channel, now)
		if a.Channel == posture.ByAgent { // else the keys of its agents, of which there may be two, are as good as before
			d.Release(now)
		}
	case known != nil:
		held = contested(known, a.Attested, now)
	}
	out, err := e.certify(n, a, &d, key, held)
	if err != nil {
		return nil, err
	}
	if a.Proven != "" {
		// No agent came to speak for the device, and nobody vouched for more than
		// its key: what is known of it, managed or not, stays.
		d.UpdatedAt = now
	} else {
		e.settle(n, a, &d, held, now)
		out.Token = t.ID()
	}
	n.Device = d
	out.Device, out.State = d, e.state(&d, held)
	return out, nil
}

// certify makes the certificate, and notes at the device what hardware vouched for.
func (e *Enroller) certify(n *posture.Enrolling, a *Applicant, d *posture.Device, key crypto.PublicKey, held bool) (*Enrolled, error) {
	cert, record, err := e.Issuer.make(d.ID, key, 0)
	if err != nil {
		return nil, err
	}
	record.Agent, record.Held, record.Channel, record.Rank = true, held, a.Channel, posture.RankSoftware
	attested, why := believe(a.Attested, a.Uncertified, d)
	if attested != nil {
		record.Rank = posture.RankAttested
	}
	if a.Transaction != nil {
		kept := *a.Transaction
		kept.Certificate, n.Transaction = cert.Raw, &kept
	}
	noteHardware(d, a.Attested, attested, held)
	n.Certificate = record
	return &Enrolled{Certificate: cert, Rank: record.Rank, NotAttested: why}, nil
}

// settle writes down how the device came to enrol, and uses the token.
func (e *Enroller) settle(n *posture.Enrolling, a *Applicant, d *posture.Device, held bool, now time.Time) {
	t, claimed := &n.Token, &a.Claimed
	enrolled := &posture.Enrolled{At: now, Token: t.ID(), Hardware: posture.Hardware{Serial: claimed.Serial, Board: claimed.HardwareID}}
	if held {
		d.Contest, d.UpdatedAt = enrolled, now
		d.Suspected = cmp.Or(d.Suspected, &posture.Suspicion{At: now, Why: "a second key enrolled as this device, by its word alone"})
	} else {
		if a.Channel == posture.ByAgent || d.Enrolled == nil { // else its agent is still the one that enrolled
			d.Enrolled = enrolled
		}
		enrol(d, t, claimed, now)
	}
	n.Suspected = twins(n, d, claimed, now)
	if !a.Profile {
		t.UsedAt, t.UsedBy = now, d.ID
	}
}

// state is what the agent is told.
func (e *Enroller) state(d *posture.Device, held bool) agentapi.State {
	switch {
	case held, d.Suspected != nil:
		return agentapi.Held
	case e.Judge(d).Managed:
		return agentapi.Managed
	}
	return agentapi.Pending
}

// enrol writes into the device what its agent and the token say of it.
func enrol(d *posture.Device, t *posture.Token, claimed *agentapi.Device, now time.Time) {
	d.Apply(&posture.Report{
		Serial: claimed.Serial, Vendor: claimed.Vendor, Model: claimed.Model, OS: claimed.OS, OSVersion: claimed.OSVersion,
	}, posture.AgentSource(), now)
	if t.Owner != "" {
		d.Owner = t.Owner
	}
	if t.Managed {
		d.Approve(now)
	}
}

func sameSerial(a, b string) bool {
	x, _ := posture.FoldSerial(a)
	y, _ := posture.FoldSerial(b)
	return x == y
}

// newDeviceID is the ID of a device that nobody knows yet: the token's, or one
// that tells nothing.
func newDeviceID(t *posture.Token) string {
	if t.DeviceID != "" {
		return t.DeviceID
	}
	return "dev-" + strings.ToLower(rand.Text())
}
