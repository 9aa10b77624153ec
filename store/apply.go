package store

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"gatepost.dev/posture"
)

// applier applies a committed import.
type applier struct {
	r        *Records
	record   importRecord
	rev      uint64 // of the record
	progress func(done, total int)
}

// run applies the chunks that are left, in any order, then makes unmanaged what
// the import no longer names, then deletes the record. It may be interrupted and
// run again, and run by several processes at once.
func (a *applier) run(ctx context.Context) (Result, error) {
	var total Result
	done := 0
	for {
		chunks, err := a.r.kv.Scan(ctx, stagedPrefix, "", inFlight)
		if err != nil {
			return total, err
		}
		if len(chunks) == 0 {
			break
		}
		results := make([]Result, len(chunks))
		errs := make([]error, len(chunks))
		var wg sync.WaitGroup
		for i := range chunks {
			wg.Go(func() { results[i], errs[i] = a.apply(ctx, &chunks[i]) })
		}
		wg.Wait()
		for _, r := range results {
			total.Created += r.Created
			total.Updated += r.Updated
			total.Unchanged += r.Unchanged
			done += r.Created + r.Updated + r.Unchanged
		}
		// One is enough to say: what ails one commit ails those beside it.
		if err := cmp.Or(errs...); errors.Is(errors.Join(errs...), errEnded) {
			return total, nil
		} else if err != nil {
			return total, err
		}
		if a.progress != nil {
			a.progress(done, a.record.Rows)
		}
	}
	if a.record.Replace {
		n, err := a.unlist(ctx)
		total.Unmanaged = n
		if errors.Is(err, errEnded) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
	return total, ignoreConflict(a.r.kv.Commit(ctx, Op{Kind: Delete, Key: importKey, Rev: a.rev}))
}

// apply writes the rows of a chunk into their devices and deletes it, in one
// commit.
func (a *applier) apply(ctx context.Context, chunk *Entry) (counted Result, err error) {
	rows, err := decode[[]posture.Report](*chunk)
	if err != nil {
		return Result{}, err
	}
	err = retry(ctx, func() error {
		counted = Result{}
		ops := []Op{{Kind: Check, Key: importKey, Rev: a.rev}, {Kind: Delete, Key: chunk.Key, Rev: chunk.Rev}}
		taken := make(map[string]bool, len(rows)) // IDs that rows of this chunk are about
		for i := range rows {
			taken[rows[i].DeviceID] = true
		}
		for i := range rows {
			row, err := a.applyRow(ctx, &rows[i], taken, &counted)
			if err != nil {
				return err
			}
			ops = append(ops, row...)
		}
		err := a.r.kv.Commit(ctx, ops...)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if !a.still(ctx, importKey, a.rev) {
			return errEnded
		}
		if !a.still(ctx, chunk.Key, chunk.Rev) {
			counted = Result{}
			return nil // somebody else has applied it
		}
		return err // a device changed
	})
	return counted, err
}

// errEnded says that somebody else has finished the import.
var errEnded = errors.New("the import has ended")

// still tells whether the key may still have the revision.
func (a *applier) still(ctx context.Context, key string, rev uint64) bool {
	e, err := a.r.kv.Get(ctx, key)
	return err != nil && !errors.Is(err, ErrNoKey) || err == nil && e.Rev == rev
}

// applyRow are the operations that write the row into its device.
func (a *applier) applyRow(ctx context.Context, row *posture.Report, taken map[string]bool, counted *Result) ([]Op, error) {
	d, rev, err := a.deviceOf(ctx, row, taken)
	if err != nil {
		return nil, err
	}
	before := d
	before.Facts = slices.Clone(d.Facts) // Apply changes them in place
	d.Apply(row, a.record.Source, a.record.At)
	serial, err := a.r.indexedSerial(ctx, &before)
	if err != nil {
		return nil, err
	}
	switch {
	case rev == Absent:
		counted.Created++
	case sameButTimes(&before, &d):
		counted.Unchanged++
	default:
		counted.Updated++
	}
	return putDevice(&d, rev, serial)
}

// deviceOf is the device that the row is about: the one of its ID, else the one
// that enrolled by itself and has the row's serial number, else a new one.
func (a *applier) deviceOf(ctx context.Context, row *posture.Report, taken map[string]bool) (d posture.Device, rev uint64, err error) {
	d, rev, err = a.r.device(ctx, row.DeviceID)
	if !errors.Is(err, posture.ErrNoDevice) {
		return d, rev, err
	}
	same, err := a.r.DevicesBySerial(ctx, row.Serial)
	same = slices.DeleteFunc(same, func(d posture.Device) bool { return d.Enrolled == nil || d.Retired() })
	if err != nil || len(same) != 1 {
		return d, Absent, err
	}
	known := &same[0]
	if taken[known.ID] || a.named(known) || !posture.SameVendor(known.Vendor, row.Vendor) {
		return d, Absent, nil
	}
	taken[known.ID] = true
	return a.r.device(ctx, known.ID)
}

// named tells whether a row of this import was about the device.
func (a *applier) named(d *posture.Device) bool {
	return slices.ContainsFunc(d.Facts, func(f posture.Fact) bool {
		return f.Source == a.record.Source && f.ObservedAt.Equal(a.record.At)
	})
}

// indexedSerial is the device's serial number, if it can be found by that: a
// record from before there was an index cannot.
func (r *Records) indexedSerial(ctx context.Context, d *posture.Device) (string, error) {
	folded, ok := posture.FoldSerial(d.Serial)
	if !ok {
		return d.Serial, nil
	}
	_, err := r.kv.Get(ctx, serialsOf(folded)+d.ID)
	if errors.Is(err, ErrNoKey) {
		return "", nil
	}
	return d.Serial, err
}

// sameButTimes tells whether two states of a device say the same, whenever they
// were observed. It changes before.
func sameButTimes(before, after *posture.Device) bool {
	if len(before.Facts) != len(after.Facts) {
		return false
	}
	before.UpdatedAt = after.UpdatedAt
	for i := range before.Facts {
		before.Facts[i].ObservedAt = after.Facts[i].ObservedAt
	}
	return reflect.DeepEqual(before, after)
}

// unlist makes unmanaged what the source said to be managed in another import
// than this one, and counts it.
func (a *applier) unlist(ctx context.Context) (n int, err error) {
	err = a.r.eachPageOf(ctx, a.record.Source.Name, func(page []revised) error {
		var gone []Op
		for i := range page {
			d := &page[i].Device
			if !d.Unlist(a.record.Source.Name, a.record.At) {
				continue
			}
			op, err := writeDevice(d, page[i].rev)
			if err != nil {
				return err
			}
			gone = append(gone, op)
		}
		for ops := range slices.Chunk(gone, chunkRows) {
			if err := a.unlistSome(ctx, ops); err != nil {
				return err
			}
			n += len(ops)
		}
		return nil
	})
	return n, err
}

// unlistSome commits the updates of devices, or, when one of these devices has
// changed meanwhile, each by itself, as long as the import is in hand: else it
// may be a later import that has named the device.
func (a *applier) unlistSome(ctx context.Context, ops []Op) error {
	err := a.r.kv.Commit(ctx, ops...)
	if !errors.Is(err, ErrConflict) {
		return err
	}
	for _, op := range ops {
		err := retry(ctx, func() error {
			d, rev, err := a.r.device(ctx, op.Key[len(devicePrefix):])
			if err != nil || !d.Unlist(a.record.Source.Name, a.record.At) {
				return err
			}
			put, err := putRecord(op.Key, &d, rev)
			if err != nil {
				return err
			}
			err = a.r.kv.Commit(ctx, Op{Kind: Check, Key: importKey, Rev: a.rev}, put)
			if errors.Is(err, ErrConflict) && !a.still(ctx, importKey, a.rev) {
				return errEnded
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
