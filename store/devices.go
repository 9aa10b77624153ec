package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// Device returns the device, or posture.ErrNoDevice.
func (r *Records) Device(ctx context.Context, id string) (posture.Device, error) {
	d, _, err := r.device(ctx, id)
	return d, err
}

// Devices returns up to limit devices by ID, from the one after after on
// (empty: the first).
func (r *Records) Devices(ctx context.Context, after string, limit int) ([]posture.Device, error) {
	records, err := list[deviceRecord](ctx, r.kv, devicePrefix, deviceKey(after), limit)
	found := make([]posture.Device, len(records))
	for i := range records {
		found[i] = records[i].device()
	}
	return found, err
}

// UpdateDevice lets change change the device, or make it: exists tells whether
// it is there, else d is empty and change must set its ID. change may be called
// again, with a fresh device, when another change came first; its error ends
// the update and is returned as it is. posture.ErrEKInUse: another device has the
// TPM. The device is returned as it was written.
func (r *Records) UpdateDevice(ctx context.Context, id string, change func(d *posture.Device, exists bool) error) (posture.Device, error) {
	if err := checkName("device ID", id); err != nil {
		return posture.Device{}, err
	}
	var d posture.Device
	err := retry(ctx, func() (err error) {
		var rev uint64
		d, rev, err = r.device(ctx, id)
		if err != nil && !errors.Is(err, posture.ErrNoDevice) {
			return err
		}
		serial, ek, standing := d.Serial, d.EK, d.Standing()
		if err := change(&d, err == nil); err != nil {
			return err
		}
		if d.ID != id {
			return fmt.Errorf("update of device %q makes it %q", id, d.ID)
		}
		ops, err := putDevice(&d, rev, serial)
		if err != nil {
			return err
		}
		if ops, err = r.putEK(ctx, &d, ek, ops); err != nil {
			return err
		}
		if ops, err = r.noteChanges(standing, &d, ops); err != nil {
			return err
		}
		return r.kv.Commit(ctx, ops...)
	})
	if err != nil {
		return posture.Device{}, err
	}
	return d, nil
}

// opsOfDevice is how many operations putDevice gives at most.
const opsOfDevice = 3

// putDevice are the operations that write the device, whose serial number was
// before, and keep it findable by its serial number.
func putDevice(d *posture.Device, rev uint64, before string) ([]Op, error) {
	put, err := writeDevice(d, rev)
	if err != nil {
		return nil, err
	}
	ops := []Op{put}
	was, wasIndexed := posture.FoldSerial(before)
	is, isIndexed := posture.FoldSerial(d.Serial)
	if wasIndexed && was != is {
		ops = append(ops, Op{Kind: Delete, Key: serialsOf(was) + d.ID, Rev: Any})
	}
	if isIndexed && (!wasIndexed || was != is || rev == Absent) {
		ops = append(ops, Op{Kind: Put, Key: serialsOf(is) + d.ID, Rev: Any})
	}
	return ops, nil
}

// maxSerials is how many devices with one serial number are looked at: it names
// one, or else it names none.
const maxSerials = 8

// DevicesBySerial returns the devices with that serial number, in any case, up
// to eight by ID; none for a serial number that tells no machines apart.
func (r *Records) DevicesBySerial(ctx context.Context, serial string) ([]posture.Device, error) {
	folded, ok := posture.FoldSerial(serial)
	if !ok {
		return nil, nil
	}
	prefix := serialsOf(folded)
	index, err := r.kv.Scan(ctx, prefix, "", maxSerials)
	if err != nil {
		return nil, err
	}
	var found []posture.Device
	for _, e := range index {
		d, _, err := r.device(ctx, e.Key[len(prefix):])
		if err != nil {
			return nil, err
		}
		if now, _ := posture.FoldSerial(d.Serial); now == folded { // else it changed between the two reads
			found = append(found, d)
		}
	}
	return found, nil
}

// maxRevoked is how many certificates one commit revokes beside the device.
const maxRevoked = MaxOps - 8

// RetireDevice takes the device out of service and revokes its certificates,
// in the same commit up to 120 of them. From the first commit on the device
// itself is retired, which decides for all its certificates and lets no new one
// be added; further commits revoke what was too much for the first. Retiring
// again changes nothing but finishes what was interrupted.
func (r *Records) RetireDevice(ctx context.Context, id, reason string, at time.Time) (posture.Device, error) {
	var d posture.Device
	for more := true; more; {
		err := retry(ctx, func() (err error) {
			d, more, err = r.retireStep(ctx, id, reason, at)
			return err
		})
		if err != nil {
			return posture.Device{}, err
		}
	}
	return d, nil
}

// retireStep makes one commit of a retirement; more is false when nothing was
// left to do.
func (r *Records) retireStep(ctx context.Context, id, reason string, at time.Time) (d posture.Device, more bool, err error) {
	d, rev, err := r.device(ctx, id)
	if err != nil {
		return d, false, err
	}
	var ops []Op
	if !d.Retired() {
		standing := d.Standing()
		d.RetiredAt, d.RetireReason, d.UpdatedAt = at, reason, at
		op, err := writeDevice(&d, rev)
		if err != nil {
			return d, false, err
		}
		if ops, err = r.noteChanges(standing, &d, append(ops, op)); err != nil {
			return d, false, err
		}
	}
	revocations, err := r.revocations(ctx, &d)
	if err != nil {
		return d, false, err
	}
	ops = append(ops, revocations...)
	if len(ops) == 0 {
		return d, false, nil
	}
	return d, true, r.kv.Commit(ctx, ops...)
}

// revocations are the operations that revoke certificates of the retired device,
// at most maxRevoked.
func (r *Records) revocations(ctx context.Context, d *posture.Device) ([]Op, error) {
	var ops []Op
	err := r.eachCertificate(ctx, d.ID, func(c posture.Certificate, rev uint64) (bool, error) {
		if c.Revoked() {
			return true, nil
		}
		c.RevokedAt, c.RevokeReason = d.RetiredAt, d.RetireReason
		op, err := putRecord(certificateKey(c.Authority, c.Serial), c, rev)
		ops = append(ops, op)
		return len(ops) < maxRevoked, err
	})
	return ops, err
}

// CountDevices counts the devices, those out of service among them.
func (r *Records) CountDevices(ctx context.Context) (n int, err error) {
	const page = 1000
	for after := ""; ; {
		entries, err := r.kv.Scan(ctx, devicePrefix, after, page)
		if err != nil {
			return n, err
		}
		n += len(entries)
		if len(entries) < page {
			return n, nil
		}
		after = entries[page-1].Key
	}
}
