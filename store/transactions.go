package store

import (
	"context"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// Transaction returns the transaction, or posture.ErrNoTransaction.
func (r *Records) Transaction(ctx context.Context, id string) (posture.Transaction, error) {
	t, _, err := read[posture.Transaction](ctx, r.kv, transactionKey(id), posture.ErrNoTransaction)
	return t, err
}

// SweepTransactions deletes the transactions that ended before now. It reads all
// of them, in pages.
func (r *Records) SweepTransactions(ctx context.Context, now time.Time) error {
	return sweep(ctx, r.kv, exchangePrefix, func(t *posture.Transaction) (delete, changed bool) {
		return !now.Before(t.Until), false
	})
}

// newTransaction is the operation that keeps a new transaction, if there is one.
func newTransaction(t *posture.Transaction) ([]Op, error) {
	if t == nil {
		return nil, nil
	}
	if err := checkHash(t.ID); err != nil {
		return nil, fmt.Errorf("transaction: %w", err)
	}
	put, err := putRecord(transactionKey(t.ID), t, Absent)
	return []Op{put}, err
}

// sameTransaction is posture.ErrExists if a commit that would have kept the
// transaction failed because there is one; else the error.
func (r *Records) sameTransaction(ctx context.Context, t *posture.Transaction, err error) error {
	if t == nil {
		return err
	}
	if _, known := r.kv.Get(ctx, transactionKey(t.ID)); known == nil {
		return fmt.Errorf("transaction %q: %w", t.ID, posture.ErrExists)
	}
	return err
}
