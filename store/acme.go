package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// ACMERecord returns the record, or posture.ErrNoACMERecord. One that has ended
// may be there still.
func (r *Records) ACMERecord(ctx context.Context, id string) (posture.ACMERecord, error) {
	record, _, err := r.acmeRecord(ctx, id)
	return record, err
}

func (r *Records) acmeRecord(ctx context.Context, id string) (posture.ACMERecord, uint64, error) {
	record, rev, err := read[posture.ACMERecord](ctx, r.kv, acmeKey(id), posture.ErrNoACMERecord)
	if err == nil && record.ID != id {
		return posture.ACMERecord{}, Absent, fmt.Errorf("%w: ACME record %q says that it is %q", ErrDamaged, id, record.ID)
	}
	return record, rev, err
}

// UpdateACMERecord lets change change the record, or make it: exists tells
// whether it is there, else only its ID is set. change may be called again, with
// a fresh record, when another change came first; its error ends the update and
// is returned as it is.
func (r *Records) UpdateACMERecord(ctx context.Context, id string, change func(a *posture.ACMERecord, exists bool) error) error {
	return retry(ctx, func() error {
		record, rev, err := r.acmeRecord(ctx, id)
		if err != nil && !errors.Is(err, posture.ErrNoACMERecord) {
			return err
		}
		record.ID = id
		if err := change(&record, err == nil); err != nil {
			return err
		}
		if record.ID != id || record.Until.IsZero() {
			return fmt.Errorf("update of ACME record %q makes it %q until %s", id, record.ID, record.Until)
		}
		put, err := putRecord(acmeKey(id), record, rev)
		if err != nil {
			return err
		}
		return r.kv.Commit(ctx, put)
	})
}

// TakeACMERecord returns the record and deletes it: of any number who take it one
// gets it, the others posture.ErrNoACMERecord.
func (r *Records) TakeACMERecord(ctx context.Context, id string) (posture.ACMERecord, error) {
	var record posture.ACMERecord
	err := retry(ctx, func() (err error) {
		var rev uint64
		if record, rev, err = r.acmeRecord(ctx, id); err != nil {
			return err
		}
		return r.kv.Commit(ctx, Op{Kind: Delete, Key: acmeKey(id), Rev: rev})
	})
	if err != nil {
		return posture.ACMERecord{}, err
	}
	return record, nil
}

// SweepACMERecords deletes the records that ended before now. It reads all of
// them, in pages.
func (r *Records) SweepACMERecords(ctx context.Context, now time.Time) error {
	for after := ""; ; {
		page, err := r.kv.Scan(ctx, acmePrefix, after, MaxOps)
		if err != nil || len(page) == 0 {
			return err
		}
		var ops []Op
		for _, e := range page {
			record, err := decode[posture.ACMERecord](e)
			if err != nil {
				return err
			}
			if record.Until.Before(now) {
				ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: e.Rev})
			}
			after = e.Key
		}
		// On a conflict one of them was made to last; the next sweep gets the rest.
		if err := r.kv.Commit(ctx, ops...); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
		if len(page) < MaxOps {
			return nil
		}
	}
}
