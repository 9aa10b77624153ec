package store

import (
	"context"
	"errors"
	"fmt"

	"gatepost.dev/posture"
)

// ResumeImports is called at start-up and from time to time, while nobody else
// has the store open: it applies the rest of an import that was committed, and
// deletes one that was not. posture.ErrExists: this process is at an import.
func (r *Records) ResumeImports(ctx context.Context) error {
	if !r.importing.TryLock() {
		return fmt.Errorf("an import: %w", posture.ErrExists)
	}
	defer r.importing.Unlock()
	return r.resume(ctx, true)
}

// resume finishes the import in hand if it was committed, and deletes it if it
// was not and nobody can be at it any more: at start-up, or because this process
// gave it up.
func (r *Records) resume(ctx context.Context, startUp bool) error {
	e, err := r.kv.Get(ctx, importKey)
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	if err != nil {
		return err
	}
	record, err := decode[importRecord](e)
	switch {
	case err != nil:
		return err
	case record.Committed:
		a := applier{r: r, record: record, rev: e.Rev}
		if _, err := a.run(ctx); err != nil {
			return fmt.Errorf("finish the import from %q of %s: %w", record.Source.Name, record.At, err)
		}
	case startUp || record.Aborted || e.Rev == r.abandoned:
		return r.discard(ctx, record, e.Rev)
	}
	return nil
}

// discard deletes what was staged by an import that was not committed, its
// record last. The record gets a new revision first: a commit of rows that is
// still on its way, because its caller gave it up, then fails instead of leaving
// rows for the next import to find.
func (r *Records) discard(ctx context.Context, record importRecord, rev uint64) error {
	if !record.Aborted {
		record.Aborted = true
		put, err := putRecord(importKey, record, rev)
		if err != nil {
			return err
		}
		if err := r.kv.Commit(ctx, put); err != nil {
			return ignoreConflict(err) // it was committed, or is no longer ours
		}
		e, err := r.kv.Get(ctx, importKey)
		if err != nil {
			return err
		}
		rev = e.Rev
	}
	for {
		staged, err := r.kv.Scan(ctx, stagedPrefix, "", inFlight)
		if err != nil {
			return err
		}
		if len(staged) == 0 {
			return ignoreConflict(r.kv.Commit(ctx, Op{Kind: Delete, Key: importKey, Rev: rev}))
		}
		ops := []Op{{Kind: Check, Key: importKey, Rev: rev}}
		for _, e := range staged {
			ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: Any})
		}
		if err := r.kv.Commit(ctx, ops...); err != nil {
			return ignoreConflict(err)
		}
	}
}

// ignoreConflict is for changes that are no longer to be made when somebody else
// was there first.
func ignoreConflict(err error) error {
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}
