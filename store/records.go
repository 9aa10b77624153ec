package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	fastjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Records are written and read as encoding/json does, by what takes less time. It
// reads more strictly.
var (
	reading = jsonv1.FormatDurationAsNano(true)
	writing = fastjson.JoinOptions(reading,
		jsonv1.OmitEmptyWithLegacySemantics(true), jsontext.AllowInvalidUTF8(true),
		jsontext.EscapeForHTML(true), jsontext.EscapeForJS(true), fastjson.Deterministic(true))
)

// Records are the records over a KV. Every change is compare-and-swap in one
// Commit: durable when the method returns, never half there, and repeated here
// when another change came first. An error that is not one of posture's or this
// package's sentinels leaves open whether the change was made. All methods are
// safe for concurrent use.
type Records struct {
	kv   KV
	node string // whose log this process writes

	eventMu   sync.Mutex
	lastEvent int64 // Unix nanoseconds in the last ID of an event

	importing sync.Mutex // held by the one import of this process
	abandoned uint64     // revision of an import's record that could not be deleted; with importing
}

// New gives the records in kv.
func New(kv KV) *Records { return &Records{kv: kv, node: defaultNode} }

// defaultNode is the node that has its store for itself.
const defaultNode = "main"

// maxTries is how often a change is tried when others keep coming first: far
// more than any real contention needs, so that only a fault is refused.
const maxTries = 1000

// retry calls try until it does not end with ErrConflict. try reads afresh what
// it changes.
func retry(ctx context.Context, try func() error) error {
	for range maxTries - 1 {
		if err := try(); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return try()
}

// read returns the record at key and its revision, or missing.
func read[T any](ctx context.Context, kv KV, key string, missing error) (record T, rev uint64, err error) {
	e, err := kv.Get(ctx, key)
	if errors.Is(err, ErrNoKey) {
		_, name, _ := strings.Cut(key, "/")
		return record, Absent, fmt.Errorf("%w: %q", missing, name)
	}
	if err != nil {
		return record, Absent, err
	}
	record, err = decode[T](e)
	return record, e.Rev, err
}

// list returns up to limit records below prefix whose keys sort after after.
func list[T any](ctx context.Context, kv KV, prefix, after string, limit int) ([]T, error) {
	entries, err := kv.Scan(ctx, prefix, after, limit)
	if err != nil {
		return nil, err
	}
	return decodeAll[T](entries)
}

func decodeAll[T any](entries []Entry) ([]T, error) {
	records := make([]T, 0, len(entries))
	for _, e := range entries {
		record, err := decode[T](e)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

func decode[T any](e Entry) (record T, err error) {
	if err := fastjson.Unmarshal(e.Value, &record, reading); err != nil {
		return record, fmt.Errorf("%w: record %q: %w", ErrDamaged, e.Key, err)
	}
	return record, nil
}

// putRecord is the operation that writes the record.
func putRecord(key string, record any, rev uint64) (Op, error) {
	value, err := fastjson.Marshal(record, writing)
	if err != nil {
		return Op{}, fmt.Errorf("encode %q: %w", key, err)
	}
	return Op{Kind: Put, Key: key, Value: value, Rev: rev}, nil
}
