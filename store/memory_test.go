package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatepost.dev/store"
	"gatepost.dev/store/storetest"
)

// TestSuite runs the suite on an engine that is as simple as can be: what fails
// here is wrong in the records or in the suite.
func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) store.KV { return &memory{entries: map[string]store.Entry{}} })
}

// memory is a KV in memory.
type memory struct {
	mu      sync.Mutex
	entries map[string]store.Entry
	rev     uint64
	closed  bool
}

func (m *memory) enter(ctx context.Context) (leave func(), err error) {
	m.mu.Lock()
	if m.closed {
		err = store.ErrClosed
	} else {
		err = ctx.Err()
	}
	return m.mu.Unlock, err
}

func (m *memory) Get(ctx context.Context, key string) (store.Entry, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return store.Entry{}, err
	}
	e, ok := m.entries[key]
	if !ok {
		return store.Entry{}, store.ErrNoKey
	}
	e.Value = bytes.Clone(e.Value)
	return e, nil
}

func (m *memory) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Entry, error) {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return nil, err
	}
	keys := slices.Collect(maps.Keys(m.entries))
	keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) || after != "" && k <= after })
	slices.Sort(keys)
	var found []store.Entry
	for _, k := range keys[:min(len(keys), max(limit, 0))] {
		e := m.entries[k]
		e.Value = bytes.Clone(e.Value)
		found = append(found, e)
	}
	return found, nil
}

func (m *memory) Commit(ctx context.Context, ops ...store.Op) error {
	leave, err := m.enter(ctx)
	defer leave()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, o := range ops {
		if o.Key == "" || len(o.Key) > 1024 || seen[o.Key] || o.Kind > store.Check || len(ops) > store.MaxOps {
			return errors.New("refused")
		}
		seen[o.Key] = true
	}
	for _, o := range ops {
		if o.Rev != store.Any && o.Rev != m.entries[o.Key].Rev {
			return fmt.Errorf("%q: %w", o.Key, store.ErrConflict)
		}
	}
	m.rev++
	for _, o := range ops {
		switch o.Kind {
		case store.Put:
			m.entries[o.Key] = store.Entry{Key: o.Key, Value: append([]byte{}, o.Value...), Rev: m.rev}
		case store.Delete:
			delete(m.entries, o.Key)
		}
	}
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
