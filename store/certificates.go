package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatepost.dev/posture"
)

// Certificate returns the certificate by its authority and serial, both as
// posture.Certificate writes them, or posture.ErrNoCertificate.
func (r *Records) Certificate(ctx context.Context, authority, serial string) (posture.Certificate, error) {
	c, _, err := read[posture.Certificate](ctx, r.kv, certificateKey(authority, serial), posture.ErrNoCertificate)
	return c, err
}

// Certificates returns all certificates of the device, by authority and serial.
func (r *Records) Certificates(ctx context.Context, deviceID string) ([]posture.Certificate, error) {
	var found []posture.Certificate
	err := r.eachCertificate(ctx, deviceID, func(c posture.Certificate, _ uint64) (bool, error) {
		found = append(found, c)
		return true, nil
	})
	return found, err
}

// eachCertificate calls do with each certificate of the device and its revision
// until do returns false or an error.
func (r *Records) eachCertificate(ctx context.Context, deviceID string, do func(posture.Certificate, uint64) (bool, error)) error {
	const page = 100
	prefix, after := certificatesOf(deviceID), ""
	for {
		index, err := r.kv.Scan(ctx, prefix, after, page)
		if err != nil {
			return err
		}
		for _, e := range index {
			after = e.Key
			authority, serial, _ := strings.Cut(strings.TrimPrefix(e.Key, prefix), "/")
			c, rev, err := read[posture.Certificate](ctx, r.kv, certificateKey(authority, serial), posture.ErrNoCertificate)
			if err != nil {
				return err
			}
			if more, err := do(c, rev); err != nil || !more {
				return err
			}
		}
		if len(index) < page {
			return nil
		}
	}
}

// AddCertificate records a certificate that was issued to a device. The device
// must exist (posture.ErrNoDevice) and not be retired (posture.ErrRetired), also
// at the moment of the commit; the key must be new (posture.ErrKeyInUse), even
// if the certificate that has it is expired or revoked; and so must authority
// and serial be (posture.ErrExists).
func (r *Records) AddCertificate(ctx context.Context, c posture.Certificate) error {
	return r.AddRenewal(ctx, c, posture.Renewal{})
}

// AddRenewal is AddCertificate for one that renews another: in the same commit it
// keeps the transaction, if there is one (posture.ErrExists, if there was), notes
// at the device what is to be noted, and takes the key of another certificate of
// the same device, if that is wanted.
func (r *Records) AddRenewal(ctx context.Context, c posture.Certificate, n posture.Renewal) error {
	certificate, err := newCertificate(c)
	if err != nil {
		return err
	}
	transaction, err := newTransaction(n.Transaction)
	if err != nil {
		return err
	}
	return retry(ctx, func() error {
		d, rev, err := r.device(ctx, c.DeviceID)
		if err != nil {
			return err
		}
		if d.Retired() {
			return fmt.Errorf("device %q: %w", d.ID, posture.ErrRetired)
		}
		device := Op{Kind: Check, Key: deviceKey(d.ID), Rev: rev}
		if n.Note != nil {
			if err := n.Note(&d); err != nil {
				return err
			}
			if device, err = writeDevice(&d, rev); err != nil {
				return err
			}
		}
		ops := slices.Concat(certificate, transaction, []Op{device})
		taken, err := r.keyOf(ctx, c.DeviceID, c.KeyHash)
		switch {
		case err != nil:
			return err
		case n.SameKey && taken != nil:
			ops[slices.IndexFunc(ops, func(o Op) bool { return o.Key == taken.Key })].Rev = taken.Rev
		}
		if err = r.kv.Commit(ctx, ops...); !errors.Is(err, ErrConflict) {
			return err
		}
		if _, known := r.kv.Get(ctx, keyHashKey(c.KeyHash)); known == nil && !n.SameKey {
			return fmt.Errorf("key %q: %w", c.KeyHash, posture.ErrKeyInUse)
		}
		if _, known := r.kv.Get(ctx, certificateKey(c.Authority, c.Serial)); known == nil {
			return fmt.Errorf("certificate %q: %w", c.Authority+"/"+c.Serial, posture.ErrExists)
		}
		return r.sameTransaction(ctx, n.Transaction, err) // else the device changed
	})
}

// keyOf is the entry of a key that a certificate of the device has; nil: none has
// it. Or posture.ErrKeyInUse, if another device's does.
func (r *Records) keyOf(ctx context.Context, deviceID, keyHash string) (*Entry, error) {
	e, err := r.kv.Get(ctx, keyHashKey(keyHash))
	switch {
	case errors.Is(err, ErrNoKey):
		return nil, nil
	case err != nil:
		return nil, err
	}
	authority, serial, _ := strings.Cut(string(e.Value), "/")
	c, err := r.Certificate(ctx, authority, serial)
	switch {
	case err != nil:
		return nil, err
	case c.DeviceID != deviceID:
		return nil, fmt.Errorf("key %q: %w", keyHash, posture.ErrKeyInUse)
	}
	return &e, nil
}

// checkCertificate refuses what cannot stand in keys.
func checkCertificate(c *posture.Certificate) error {
	for _, part := range []struct{ what, hex string }{
		{"authority", c.Authority}, {"serial", c.Serial}, {"key hash", c.KeyHash},
	} {
		if part.hex == "" || len(part.hex) > maxName/2 || strings.Trim(part.hex, "0123456789abcdef") != "" {
			return fmt.Errorf("%s %q of a certificate is not lower-case hex", part.what, part.hex)
		}
	}
	return nil
}
