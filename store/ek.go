package store

import (
	"context"
	"errors"
	"fmt"

	"gatepost.dev/posture"
)

// DeviceByEK returns the device whose TPM has the endorsement key with the hash,
// as posture.Device has it, or posture.ErrNoDevice.
func (r *Records) DeviceByEK(ctx context.Context, hash string) (posture.Device, error) {
	if hash == "" {
		return posture.Device{}, posture.ErrNoDevice
	}
	entry, err := r.kv.Get(ctx, ekOf(hash))
	if errors.Is(err, ErrNoKey) {
		return posture.Device{}, posture.ErrNoDevice
	}
	if err != nil {
		return posture.Device{}, err
	}
	d, _, err := r.device(ctx, string(entry.Value))
	if err == nil && d.EK != hash { // it changed between the two reads
		return posture.Device{}, posture.ErrNoDevice
	}
	return d, err
}

// putEK adds the operations that keep the device findable by its endorsement key,
// which was before: it is no other device's (posture.ErrEKInUse), also at the
// moment of the commit.
func (r *Records) putEK(ctx context.Context, d *posture.Device, before string, ops []Op) ([]Op, error) {
	if d.EK == before {
		return ops, nil
	}
	if before != "" {
		ops = append(ops, Op{Kind: Delete, Key: ekOf(before), Rev: Any})
	}
	if d.EK == "" {
		return ops, nil
	}
	switch other, err := r.DeviceByEK(ctx, d.EK); {
	case err == nil && other.ID != d.ID:
		return nil, fmt.Errorf("device %q: %w: %q", d.ID, posture.ErrEKInUse, other.ID)
	case err != nil && !errors.Is(err, posture.ErrNoDevice):
		return nil, err
	}
	return append(ops, Op{Kind: Put, Key: ekOf(d.EK), Value: []byte(d.ID), Rev: Absent}), nil
}
