package devices

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices/attestation/tpm"
	"gatepost.dev/posture"
)

// ErrPin is a pin that cannot be set as it is asked for.
var ErrPin = errors.New("bad pin of an endorsement key")

// Pin is an administrator's word on which TPM a device has.
type Pin struct {
	EK      string // hash, as Device.EK; in either case
	Claimed bool   // in place of EK: the one that the device proved to have, which nobody vouches for
	By      string // who says so
}

// PinEK makes the TPM the device's, whoever certified it or not. Keys of another
// TPM count no more as attested. Errors: ErrPin, posture.ErrNoDevice, ErrRetired;
// ErrEKInUse, if it is another device's.
func (a *Decider) PinEK(ctx context.Context, id string, p Pin) (posture.Device, error) {
	if p.By == "" {
		return posture.Device{}, fmt.Errorf("%w: nobody signs it", ErrPin)
	}
	if problem := agentapi.CheckText(p.By); problem != "" {
		return posture.Device{}, fmt.Errorf("%w: by: %s", ErrPin, problem)
	}
	ek := strings.ToLower(p.EK)
	if sum, err := hex.DecodeString(ek); !p.Claimed && (err != nil || len(sum) != 32) {
		return posture.Device{}, fmt.Errorf("%w: %.80q is no SHA-256 of a key; write its 64 hexadecimal digits", ErrPin, p.EK)
	}
	return a.changeTPM(ctx, id, func(d *posture.Device) error {
		if p.Claimed {
			if ek = d.EKClaimed; ek == "" {
				return fmt.Errorf("%w: device %q claims no TPM that is not known already", ErrPin, id)
			}
		}
		if d.EKClaimed == ek {
			d.EKClaimed = ""
		}
		d.EK, d.EKPinnedBy = ek, p.By
		return nil
	})
}

// UnpinEK takes back what PinEK said. Of a TPM that somebody certified nothing else
// changes; another's keys count no more as attested. Errors: as PinEK.
func (a *Decider) UnpinEK(ctx context.Context, id string) (posture.Device, error) {
	return a.changeTPM(ctx, id, func(d *posture.Device) error {
		if d.EKPinnedBy == "" {
			return fmt.Errorf("%w: no TPM is pinned to device %q", ErrPin, id)
		}
		d.EKPinnedBy = ""
		for i := range d.AttestedKeys {
			if k := &d.AttestedKeys[i]; ekOf(k) == d.EK && !k.Pinned {
				return nil
			}
		}
		d.EK, d.EKClaimed = "", d.EK
		return nil
	})
}

// changeTPM changes which TPM is the device's, and what its keys are worth.
func (a *Decider) changeTPM(ctx context.Context, id string, change func(d *posture.Device) error) (posture.Device, error) {
	return a.Records.UpdateHardware(ctx, id, func(k *posture.KnownHardware) ([]posture.Certificate, error) {
		d := &k.Device
		if d.Retired() {
			return nil, fmt.Errorf("device %q: %w", id, posture.ErrRetired)
		}
		if err := change(d); err != nil {
			return nil, err
		}
		d.UpdatedAt = a.Now()
		var stay []posture.AttestedKey
		for _, key := range d.AttestedKeys {
			if key.Format != tpm.Format || key.HardwareID == d.EK && (!key.Pinned || d.EKPinnedBy != "") {
				stay = append(stay, key)
			}
		}
		d.AttestedKeys = stay
		var changed []posture.Certificate
		for _, c := range k.Certificates {
			if c.Rank == posture.RankAttested && d.AttestedKey(c.KeyHash) == nil {
				c.Rank = posture.RankSoftware
				changed = append(changed, c)
			}
		}
		return changed, nil
	})
}
