package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gatepost.dev/posture"
)

// Enroll uses the token whose secret has the hash. decide gets the token and the
// devices that the hardware may be (the one that the token names, and those with
// the serial number; and the one with the endorsement key), and says what becomes
// of them. All of it is one commit, so
// of any number of uses of a token one succeeds. decide is called again when
// another change came first; its error is returned as it is, and nothing changed
// then, the token included. An empty hash is that of no token: then there is none.
//
// Errors: posture.ErrNoToken, ErrKeyInUse, ErrEKInUse; ErrExists for a transaction
// that there is.
func (r *Records) Enroll(ctx context.Context, tokenHash string, clues posture.Clues, decide func(e *posture.Enrolling) error) error {
	return retry(ctx, func() error {
		var e posture.Enrolling
		var tokenRev uint64
		var err error
		if tokenHash != "" {
			if e.Token, tokenRev, err = r.token(ctx, tokenHash); err != nil {
				return err
			}
		}
		revs, err := r.knownHardware(ctx, &e, clues)
		if err != nil {
			return err
		}
		return r.enroll(ctx, &e, revs, decide, func(t *posture.Token) ([]Op, error) {
			if tokenHash == "" {
				return nil, nil
			}
			used, err := putRecord(tokenKey(t.Hash), *t, tokenRev)
			return []Op{used}, err
		})
	})
}

// EnrollDevice is Enroll for who needs no token, because it proved to be the
// device. The claim is used instead, in the same commit.
//
// Errors: posture.ErrNoDevice, ErrReplayed when the claim was used, ErrKeyInUse.
func (r *Records) EnrollDevice(ctx context.Context, id string, c posture.Claim, decide func(e *posture.Enrolling) error) error {
	return retry(ctx, func() error {
		if err := r.replayed(ctx, &c); err != nil {
			return err
		}
		revs := revisions{}
		known, err := r.hardware(ctx, id, revs)
		if err != nil {
			return err
		}
		e := posture.Enrolling{Known: []posture.KnownHardware{known}}
		return r.enroll(ctx, &e, revs, decide, func(*posture.Token) ([]Op, error) { return []Op{claim(&c)}, nil })
	})
}

// enroll commits what decide says, and what uses up the right to enrol.
func (r *Records) enroll(ctx context.Context, e *posture.Enrolling, revs revisions, decide func(e *posture.Enrolling) error, use func(t *posture.Token) ([]Op, error)) error {
	before := map[string]former{}
	for _, k := range known(e) {
		before[k.Device.ID] = former{k.Device.Serial, k.Device.EK, k.Device.Standing()}
	}
	if err := decide(e); err != nil {
		return err
	}
	used, err := use(&e.Token)
	if err != nil {
		return err
	}
	ops, err := r.enrollOps(ctx, e, before, used, revs)
	if err != nil {
		return err
	}
	err = r.kv.Commit(ctx, ops...)
	if errors.Is(err, ErrConflict) {
		if _, known := r.kv.Get(ctx, keyHashKey(e.Certificate.KeyHash)); known == nil {
			return fmt.Errorf("key %q: %w", e.Certificate.KeyHash, posture.ErrKeyInUse)
		}
		err = r.sameTransaction(ctx, e.Transaction, err)
	}
	return err
}

// UpdateHardware lets change change the device together with its certificates:
// it returns those that it changed, which are written in the same commit. It is
// called again when another change came first; its error is returned as it is,
// and nothing changed then. Or posture.ErrNoDevice.
func (r *Records) UpdateHardware(ctx context.Context, id string, change func(k *posture.KnownHardware) ([]posture.Certificate, error)) (posture.Device, error) {
	var d posture.Device
	err := retry(ctx, func() error {
		revs := revisions{}
		k, err := r.hardware(ctx, id, revs)
		if err != nil {
			return err
		}
		serial, ek, standing := k.Device.Serial, k.Device.EK, k.Device.Standing()
		changed, err := change(&k)
		if err != nil {
			return err
		}
		d = k.Device
		ops, err := putDevice(&d, revs[deviceKey(id)], serial)
		if err != nil {
			return err
		}
		if ops, err = r.putEK(ctx, &d, ek, ops); err != nil {
			return err
		}
		if ops, err = r.noteChanges(standing, &d, ops); err != nil {
			return err
		}
		if ops, err = putCertificates(ops, changed, revs); err != nil {
			return err
		}
		return r.kv.Commit(ctx, ops...)
	})
	return d, err
}

// putCertificates adds the operations that write certificates that were there.
func putCertificates(ops []Op, changed []posture.Certificate, revs revisions) ([]Op, error) {
	for _, c := range changed {
		key := certificateKey(c.Authority, c.Serial)
		put, err := putRecord(key, c, revs[key])
		if err != nil {
			return nil, err
		}
		ops = append(ops, put)
	}
	if len(ops) > MaxOps {
		return nil, fmt.Errorf("%d certificates are too many to change at once", len(changed))
	}
	return ops, nil
}

// hardware reads the device with its certificates, and notes their revisions.
func (r *Records) hardware(ctx context.Context, id string, revs revisions) (k posture.KnownHardware, err error) {
	if k.Device, revs[deviceKey(id)], err = r.device(ctx, id); err != nil {
		return k, err
	}
	err = r.eachCertificate(ctx, id, func(c posture.Certificate, rev uint64) (bool, error) {
		k.Certificates = append(k.Certificates, c)
		revs[certificateKey(c.Authority, c.Serial)] = rev
		return true, nil
	})
	return k, err
}

// revisions are those of the records that an enrolment may change, by key.
type revisions map[string]uint64

// knownHardware fills in who it may be that asks.
func (r *Records) knownHardware(ctx context.Context, e *posture.Enrolling, clues posture.Clues) (revisions, error) {
	var ids []string
	if e.Token.DeviceID != "" {
		ids = []string{e.Token.DeviceID}
	}
	same, err := r.DevicesBySerial(ctx, clues.Serial)
	if err != nil {
		return nil, err
	}
	for _, d := range same {
		if d.ID != e.Token.DeviceID {
			ids = append(ids, d.ID)
		}
	}
	revs := revisions{}
	for _, id := range ids {
		known, err := r.hardware(ctx, id, revs)
		if errors.Is(err, posture.ErrNoDevice) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e.Known = append(e.Known, known)
	}
	switch d, err := r.DeviceByEK(ctx, clues.EK); {
	case err == nil:
		same, err := r.hardware(ctx, d.ID, revs)
		if err != nil {
			return nil, err
		}
		e.ByEK = &same
	case !errors.Is(err, posture.ErrNoDevice):
		return nil, err
	}
	return revs, nil
}

// known are the devices that the enrolment may be of.
func known(e *posture.Enrolling) []posture.KnownHardware {
	if e.ByEK == nil {
		return e.Known
	}
	return append(slices.Clip(e.Known), *e.ByEK)
}

// former is what the device was whose record an enrolment changes.
type former struct {
	serial, ek string
	standing   posture.Standing
}

// enrollOps are the operations of the enrolment.
func (r *Records) enrollOps(ctx context.Context, e *posture.Enrolling, before map[string]former, used []Op, revs revisions) ([]Op, error) {
	if err := checkName("device ID", e.Device.ID); err != nil {
		return nil, err
	}
	ops, err := putDevice(&e.Device, revs[deviceKey(e.Device.ID)], before[e.Device.ID].serial) // Absent for a new one
	if err != nil {
		return nil, err
	}
	if ops, err = r.putEK(ctx, &e.Device, before[e.Device.ID].ek, ops); err != nil {
		return nil, err
	}
	if ops, err = r.noteChanges(before[e.Device.ID].standing, &e.Device, ops); err != nil {
		return nil, err
	}
	for i := range e.Suspected {
		d := &e.Suspected[i]
		put, err := putDevice(d, revs[deviceKey(d.ID)], d.Serial)
		if err != nil {
			return nil, err
		}
		ops = append(ops, put...)
		if ops, err = r.noteChanges(before[d.ID].standing, d, ops); err != nil {
			return nil, err
		}
	}
	certificate, err := newCertificate(e.Certificate)
	if err != nil {
		return nil, err
	}
	transaction, err := newTransaction(e.Transaction)
	if err != nil {
		return nil, err
	}
	return putCertificates(slices.Concat(ops, used, certificate, transaction), e.Revoked, revs)
}

// newCertificate are the operations that record an issued certificate, on
// condition that it and its key are new.
func newCertificate(c posture.Certificate) ([]Op, error) {
	if err := checkCertificate(&c); err != nil {
		return nil, err
	}
	put, err := putRecord(certificateKey(c.Authority, c.Serial), c, Absent)
	if err != nil {
		return nil, err
	}
	name := c.Authority + "/" + c.Serial
	return []Op{
		put,
		{Kind: Put, Key: keyHashKey(c.KeyHash), Value: []byte(name), Rev: Absent},
		{Kind: Put, Key: certificatesOf(c.DeviceID) + name, Rev: Any},
	}, nil
}
