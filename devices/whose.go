package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
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
		switch out, err = e.decide(n, a, key, now); {
		case err != nil:
		case n.Certificate.KeyHash != a.Attested.KeyHash:
			err = fmt.Errorf("%w: its key is not the one that hardware vouched for", ErrBadRequest)
		case out.Rank != posture.RankAttested:
			err = fmt.Errorf("%w: what vouched for its key is not the hardware of the device", ErrBadRequest)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// whoAsks is the record of the hardware that asks, and whether more than its own
// word says so; nil if it is new, which one
// that hardware vouched for never is.
func whoAsks(n *posture.Enrolling, a *Applicant, now time.Time) (known *posture.KnownHardware, sure bool, err error) {
	switch {
	case a.Proven != "":
		known, err = proven(n, a.Proven)
		return known, true, err
	case !a.Profile && !n.Token.Usable(now):
		return nil, false, ErrToken // used by the one who came first
	}
	if known, err = byTPM(n, a); known != nil || err != nil {
		return known, true, err
	}
	known, err = whose(n, &a.Claimed)
	return known, n.Token.Bound(), err
}

// proven is the device that hardware vouched for.
func proven(n *posture.Enrolling, id string) (*posture.KnownHardware, error) {
	if len(n.Known) != 1 || n.Known[0].Device.ID != id {
		return nil, fmt.Errorf("device %q: %w", id, posture.ErrNoDevice)
	}
	switch d := &n.Known[0].Device; {
	case d.Retired():
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
	case d.Suspected != nil:
		return nil, fmt.Errorf("device %q: %w", d.ID, posture.ErrSuspected)
	}
	return &n.Known[0], nil
}

// whose is the record of the hardware that asks; nil if it is new.
func whose(n *posture.Enrolling, claimed *agentapi.Device) (*posture.KnownHardware, error) {
	t := &n.Token
	if t.Serial != "" && !sameSerial(t.Serial, claimed.Serial) {
		return nil, fmt.Errorf("%w: one with another serial number", ErrOtherDevice)
	}
	if t.DeviceID != "" {
		if len(n.Known) == 0 || n.Known[0].Device.ID != t.DeviceID {
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
