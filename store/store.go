// Package store keeps the records (devices, certificates, relying parties,
// decisions, claimed request IDs, grants) over a four-method ordered key-value
// interface. It knows keys and encodings; what the records mean is posture's.
package store

import (
	"context"
	"errors"
	"math"
)

// KV is an ordered map with atomic, conditional writes. Keys sort as byte
// strings. All methods are safe for concurrent use.
type KV interface {
	// Get returns the entry at key, or ErrNoKey.
	Get(ctx context.Context, key string) (Entry, error)
	// Scan returns up to limit entries whose keys begin with prefix and sort
	// after after (exclusive; empty: from the start), in key order.
	Scan(ctx context.Context, prefix, after string, limit int) ([]Entry, error)
	// Commit applies all operations or none. It returns when they are durable,
	// or ErrConflict when a key's revision was not the one its Op demands. No
	// key may stand in two operations. On any other error, and when ctx ended
	// first, the outcome is unknown.
	Commit(ctx context.Context, ops ...Op) error
	// Close ends the store after the commits in hand.
	Close() error
}

// Errors of every KV.
var (
	ErrNoKey    = errors.New("no such key")
	ErrConflict = errors.New("changed meanwhile")
	ErrClosed   = errors.New("store is closed")
	ErrDamaged  = errors.New("store is damaged")
)

// Entry is one key with its value and the revision of its last change. The
// caller owns Value.
type Entry struct {
	Key   string
	Value []byte
	Rev   uint64
}

// Revisions that an Op can demand besides one it has read.
const (
	Absent uint64 = 0              // the key must not exist
	Any    uint64 = math.MaxUint64 // whatever is there
)

// Op is one operation of a Commit.
type Op struct {
	Kind  OpKind
	Key   string
	Value []byte // for Put
	Rev   uint64 // the revision that the key must still have, or Absent, or Any
}

// OpKind is what an Op does once its revision holds.
type OpKind uint8

// The kinds of operation.
const (
	Put OpKind = iota
	Delete
	Check // changes nothing; the commit fails if the revision does not hold
)

// MaxOps is how many operations one Commit may hold, so that every engine can
// take it.
const MaxOps = 128
