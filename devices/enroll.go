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
	// Enroll does what decide makes of the token and of the devices that the
	// hardware may be, all or nothing: posture.ErrNoToken, ErrKeyInUse, ErrEKInUse.
	Enroll(ctx context.Context, tokenHash string, clues posture.Clues, decide func(e *posture.Enrolling) error) error
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
	// Attested is the key as hardware vouched for it; nil: nothing did.
	Attested *posture.AttestedKey
	// Uncertified: nobody who is trusted certified the hardware of Attested, which
	// then counts only if an administrator pinned it to the device.
	Uncertified bool
}

// Enrolled is what came of an enrolment.
type Enrolled struct {
	Device      posture.Device
	State       agentapi.State
	Token       string // its ID
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
// ErrBadRequest; posture.ErrRetired, ErrSuspected, ErrKeyInUse, ErrEKInUse. None of them uses the token.
func (e *Enroller) Enroll(ctx context.Context, a *Applicant) (*Enrolled, error) {
	hash := HashToken(a.Token)
	// Before the request's signature is verified: most refusals cost no more.
	t, err := e.Records.Token(ctx, hash)
	if err != nil && !errors.Is(err, posture.ErrNoToken) {
		return nil, fmt.Errorf("look up token: %w", err)
	}
	now := e.Issuer.Now()
	if err != nil || !t.Usable(now) {
		return nil, ErrToken
	}
	key, err := a.Key()
	if err != nil {
		return nil, err
	}
	own, out := *a, (*Enrolled)(nil)
	var why agentapi.NotAttested
	own.Attested, why = only(a.Attested, key)
	err = e.Records.Enroll(ctx, hash, posture.Clues{Serial: a.Claimed.Serial, EK: ekOf(own.Attested)}, func(n *posture.Enrolling) (err error) {
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

// decide says what becomes of the token, the device and its certificates.
func (e *Enroller) decide(n *posture.Enrolling, a *Applicant, key crypto.PublicKey, now time.Time) (*Enrolled, error) {
	t, claimed := &n.Token, &a.Claimed
	if !t.Usable(now) {
		return nil, ErrToken // used by the one who came first
	}
	known, err := byTPM(n, a)
	if err != nil {
		return nil, err
	}
	sure := known != nil || t.Bound()
	if known == nil {
		if known, err = whose(n, claimed); err != nil {
			return nil, err
		}
	}
	d := posture.Device{ID: newDeviceID(t), CreatedAt: now}
	var certificates []posture.Certificate
	if known != nil {
		d, certificates = known.Device, known.Certificates
	}
	held := false
	switch {
	case sure:
		n.Revoked = formerCertificates(certificates, a.Channel, now)
		d.Release(now)
	case known != nil:
		held = contested(known, a.Attested, now)
	}
	cert, record, err := e.Issuer.make(d.ID, key, 0)
	if err != nil {
		return nil, err
	}
	record.Agent, record.Held, record.Channel, record.Rank = true, held, a.Channel, posture.RankSoftware
	attested, why := believe(a.Attested, a.Uncertified, &d)
	if attested != nil {
		record.Rank = posture.RankAttested
	}
	noteHardware(&d, a.Attested, attested, held)
	enrolled := &posture.Enrolled{At: now, Token: t.ID(), Hardware: posture.Hardware{Serial: claimed.Serial, Board: claimed.HardwareID}}
	if held {
		d.Contest, d.UpdatedAt = enrolled, now
		d.Suspected = cmp.Or(d.Suspected, &posture.Suspicion{At: now, Why: "a second key enrolled as this device, by its word alone"})
	} else {
		d.Enrolled = enrolled
		enrol(&d, t, claimed, now)
	}
	t.UsedAt, t.UsedBy = now, d.ID
	n.Device, n.Certificate = d, record
	return &Enrolled{Device: d, State: e.state(&d, held), Token: t.ID(), Certificate: cert, Rank: record.Rank, NotAttested: why}, nil
}

// state is what the agent is told.
func (e *Enroller) state(d *posture.Device, held bool) agentapi.State {
	switch {
	case held:
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

// whose is the record of the hardware that asks; nil if it is new.
func whose(n *posture.Enrolling, claimed *agentapi.Device) (*posture.KnownHardware, error) {
	t := &n.Token
	if t.Serial != "" && !sameSerial(t.Serial, claimed.Serial) {
		return nil, fmt.Errorf("%w: one with another serial number", ErrOtherDevice)
	}
	if t.DeviceID != "" {
		if len(n.Known) == 0 {
			return nil, nil
		}
		d := &n.Known[0].Device
		_, known := posture.FoldSerial(d.Serial)
		_, told := posture.FoldSerial(claimed.Serial)
		switch {
		case d.Retired():
			return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
		case known && told && !sameSerial(d.Serial, claimed.Serial):
			return nil, fmt.Errorf("%w: the inventory has another serial number for %q", ErrOtherDevice, d.ID)
		}
		return &n.Known[0], nil
	}
	var found, retired *posture.KnownHardware
	for i := range n.Known {
		k := &n.Known[i]
		switch {
		case t.Serial == "" && !posture.SameVendor(k.Device.Vendor, claimed.Vendor):
		case k.Device.Retired():
			retired = k
		case found != nil:
			return nil, nil // one serial number for two devices names neither
		default:
			found = k
		}
	}
	switch {
	case found == nil && retired != nil:
		return nil, fmt.Errorf("device %q: %w", retired.Device.ID, posture.ErrRetired)
	case found != nil && found.Device.Suspected != nil && !t.Bound():
		return nil, fmt.Errorf("device %q: %w", found.Device.ID, posture.ErrSuspected)
	}
	return found, nil
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

// anyLive tells whether a key that enrolled is at work with one of the
// certificates.
func anyLive(certificates []posture.Certificate, now time.Time) bool {
	for i := range certificates {
		if c := &certificates[i]; c.Agent && c.Live(now) {
			return true
		}
	}
	return false
}

// superseded is why a certificate no longer counts when its device has enrolled
// anew.
const superseded = "enrolled anew"

// formerCertificates are the certificates that came by the same channel and still
// count, and those that are held, as revoked ones.
func formerCertificates(certificates []posture.Certificate, by posture.Channel, now time.Time) []posture.Certificate {
	var revoked []posture.Certificate
	for _, c := range certificates {
		if c.Agent && !c.Revoked() && now.Before(c.NotAfter) && (c.Held || channelOf(&c) == by) {
			c.RevokedAt, c.RevokeReason = now, superseded
			revoked = append(revoked, c)
		}
	}
	return revoked
}

// channelOf is the channel of a certificate that was enrolled for: before there
// were channels it was the agent's.
func channelOf(c *posture.Certificate) posture.Channel { return cmp.Or(c.Channel, posture.ByAgent) }

// renewAt is when an agent should renew its certificate: with a third of its
// time left.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3)
}
