package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"gatepost.dev/store"
)

// Get returns the entry at key.
func (d *DB) Get(ctx context.Context, key string) (store.Entry, error) {
	e := store.Entry{Key: key}
	err := d.view(ctx, func(b *bbolt.Bucket) error {
		stored := b.Get([]byte(key))
		if stored == nil {
			return store.ErrNoKey
		}
		return fill(&e, stored)
	})
	if err != nil {
		return store.Entry{}, fmt.Errorf("get %q: %w", key, err)
	}
	return e, nil
}

// Scan returns entries in key order. The file's pages are held only while they
// are copied, never while the caller works on them.
func (d *DB) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Entry, error) {
	var found []store.Entry
	err := d.view(ctx, func(b *bbolt.Bucket) error {
		c := b.Cursor()
		for k, v := c.Seek([]byte(max(prefix, after))); k != nil && len(found) < limit; k, v = c.Next() {
			if !bytes.HasPrefix(k, []byte(prefix)) {
				break
			}
			if string(k) == after {
				continue
			}
			e := store.Entry{Key: string(k)}
			if err := fill(&e, v); err != nil {
				return err
			}
			found = append(found, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scan %q: %w", prefix, err)
	}
	return found, nil
}

// view calls read with the bucket. What read sees must not be kept: it is the
// file's memory.
func (d *DB) view(ctx context.Context, read func(*bbolt.Bucket) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if why := d.unusable.Load(); why != nil {
		return *why
	}
	// A page that the disk cannot deliver is a fault in memory, and a damaged
	// page makes bbolt panic. Neither may end the process: other keys may still
	// be readable.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	begun := false
	defer func() {
		if p := recover(); p != nil {
			err = damaged(p)
			if !begun {
				d.unusable.Store(&err) // bbolt still holds a lock that every reader takes
			}
		}
	}()
	tx, err := d.bolt.Begin(false)
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	if err != nil {
		return err
	}
	begun = true
	defer tx.Rollback()
	return read(tx.Bucket(bucket))
}

const revLen = 8 // bytes of a revision, big endian, before each value

// fill copies what is stored into e.
func fill(e *store.Entry, stored []byte) error {
	if len(stored) < revLen {
		return fmt.Errorf("%w: no revision at %q; restore a backup", store.ErrDamaged, e.Key)
	}
	e.Rev = binary.BigEndian.Uint64(stored)
	e.Value = bytes.Clone(stored[revLen:])
	return nil
}
