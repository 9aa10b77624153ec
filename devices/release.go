package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// ErrWhichKey asks for a word on which key to keep.
var ErrWhichKey = errors.New("which key to keep")

// Keep is which key an administrator lets a device go on with.
type Keep string

// The keys of a device that a second agent enrolled as.
const (
	KeepOld Keep = "old" // that of the agent that was there
	KeepNew Keep = "new" // that whose certificate is held
)

// DecisionRecords changes a device together with its certificates, durably:
// posture.ErrNoDevice.
type DecisionRecords interface {
	UpdateHardware(ctx context.Context, id string, change func(k *posture.KnownHardware) ([]posture.Certificate, error)) (posture.Device, error)
}

// Decider is an administrator who decides on a device.
type Decider struct {
	Records DecisionRecords
	Now     func() time.Time
}

// Approve makes a device that enrolled managed, for as long as its agent
// reports. Errors: posture.ErrNoDevice, ErrRetired.
func (a *Decider) Approve(ctx context.Context, id string) (posture.Device, error) {
	return a.Records.UpdateHardware(ctx, id, func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		if k.Device.Retired() {
			return nil, fmt.Errorf("device %q: %w", id, posture.ErrRetired)
		}
		k.Device.Approve(a.Now())
		return nil, nil
	})
}

// Release ends a suspicion, and decides between two keys: keep may be empty if
// no certificate is held. Certificates of the other key are revoked. Errors:
// ErrWhichKey, posture.ErrNoDevice, ErrRetired.
func (a *Decider) Release(ctx context.Context, id string, keep Keep) (posture.Device, error) {
	return a.Records.UpdateHardware(ctx, id, func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		now := a.Now()
		held := false
		for i := range k.Certificates {
			held = held || k.Certificates[i].Held && !k.Certificates[i].Revoked()
		}
		switch {
		case k.Device.Retired():
			return nil, fmt.Errorf("device %q: %w", id, posture.ErrRetired)
		case keep != "" && keep != KeepOld && keep != KeepNew:
			return nil, fmt.Errorf("%w: %q is neither %s nor %s", ErrWhichKey, keep, KeepOld, KeepNew)
		case held && keep == "":
			return nil, fmt.Errorf("%w: a second agent enrolled as %q and its certificate is held; say %s or %s", ErrWhichKey, id, KeepOld, KeepNew)
		case !held && keep == KeepNew:
			return nil, fmt.Errorf("%w: no certificate of %q is held", ErrWhichKey, id)
		}
		if keep == KeepNew && k.Device.Contest != nil {
			k.Device.Enrolled = k.Device.Contest
		}
		k.Device.Release(now)
		changed := keepOne(k.Certificates, keep, now)
		if keep == KeepNew {
			keepTPM(&k.Device, changed)
		}
		return changed, nil
	})
}

// keepOne gives the certificates of agents that change when one key is kept. Of
// several that are held the newest is the new one.
func keepOne(certificates []posture.Certificate, keep Keep, now time.Time) []posture.Certificate {
	newest := -1
	for i := range certificates {
		c := &certificates[i]
		if c.Held && !c.Revoked() && (newest < 0 || c.NotBefore.After(certificates[newest].NotBefore)) {
			newest = i
		}
	}
	var changed []posture.Certificate
	for i, c := range certificates {
		switch {
		case !c.Agent || c.Revoked():
			continue
		case i == newest && keep == KeepNew:
			c.Held = false
		case c.Held || keep == KeepNew && now.Before(c.NotAfter):
			c.RevokedAt, c.RevokeReason = now, "an administrator kept the other key"
		default:
			continue
		}
		changed = append(changed, c)
	}
	return changed
}

// keepTPM makes the TPM of the key that was kept the device's, unless an
// administrator pinned another.
func keepTPM(d *posture.Device, changed []posture.Certificate) {
	for i := range changed {
		if ek := ekOf(d.AttestedKey(changed[i].KeyHash)); ek != "" && !changed[i].Revoked() && d.EKPinnedBy == "" {
			d.EK, d.EKClaimed = ek, ""
		}
	}
}
