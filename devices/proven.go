package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// errNothingVouched is a fault of the caller, not of the applicant.
var errNothingVouched = errors.New("enrol by proof without an attested key or a claim")

// enrollProven gives a certificate to the device that hardware vouched it is.
//
// Errors: ErrBadRequest; posture.ErrNoDevice, ErrRetired, ErrSuspected,
// ErrReplayed for a claim that was made, ErrKeyInUse.
func (e *Enroller) enrollProven(ctx context.Context, a *Applicant) (*Enrolled, error) {
	if a.Attested == nil || a.Claim.RequestID == "" {
		return nil, errNothingVouched
	}
	now := e.Issuer.Now()
	key, err := a.Key()
	if err != nil {
		return nil, err
	}
	var out *Enrolled
	err = e.Records.EnrollDevice(ctx, a.Proven, a.Claim, func(n *posture.Enrolling) (err error) {
		if out, err = e.decide(n, a, key, now); err == nil && n.Certificate.KeyHash != a.Attested.KeyHash {
			err = fmt.Errorf("%w: its key is not the one that hardware vouched for", ErrBadRequest)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// whoAsks is the record of the hardware that asks; nil if it is new, which one
// that hardware vouched for never is.
func whoAsks(n *posture.Enrolling, a *Applicant, now time.Time) (*posture.KnownHardware, error) {
	if a.Proven == "" {
		if !a.Profile && !n.Token.Usable(now) {
			return nil, ErrToken // used by the one who came first
		}
		return whose(n, &a.Claimed)
	}
	if len(n.Known) != 1 || n.Known[0].Device.ID != a.Proven {
		return nil, fmt.Errorf("device %q: %w", a.Proven, posture.ErrNoDevice)
	}
	switch d := &n.Known[0].Device; {
	case d.Retired():
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
	case d.Suspected != nil:
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrSuspected)
	}
	return &n.Known[0], nil
}
