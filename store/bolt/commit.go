package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"go.etcd.io/bbolt"

	"gatepost.dev/store"
)

// Limits of one commit besides store.MaxOps, small enough for any engine.
const (
	maxKey   = 1 << 10 // bytes of a key
	maxValue = 1 << 20 // bytes of a value
)

// maxBatch is about how many bytes go into one transaction, so that a flood of
// commits does not become one huge one.
const maxBatch = 8 << 20

// pending is a commit in the queue. Its operations are copies: when its context
// ends, the caller takes its memory back before the committer is through.
type pending struct {
	ctx  context.Context
	ops  []op
	size int
	done chan error // room for one
}

type op struct {
	kind   store.OpKind
	key    []byte
	stored []byte // for Put: room for the revision, then the value
	rev    uint64
}

// Commit queues the operations for the committer and waits for its answer.
func (d *DB) Commit(ctx context.Context, ops ...store.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := prepareCommit(ctx, ops)
	if err != nil {
		return err
	}
	if !d.queue.add(p) {
		return store.ErrClosed
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// prepareCommit checks and copies the operations.
func prepareCommit(ctx context.Context, ops []store.Op) (*pending, error) {
	if len(ops) > store.MaxOps {
		return nil, fmt.Errorf("%d operations in one commit, at most %d are allowed", len(ops), store.MaxOps)
	}
	p := &pending{ctx: ctx, ops: make([]op, len(ops)), done: make(chan error, 1)}
	seen := make(map[string]bool, len(ops))
	for i, o := range ops {
		switch {
		case o.Kind > store.Check:
			return nil, fmt.Errorf("unknown kind of operation %d", o.Kind)
		case o.Key == "":
			return nil, errors.New("empty key")
		case len(o.Key) > maxKey:
			return nil, fmt.Errorf("key %.32q... has %d bytes, at most %d are allowed", o.Key, len(o.Key), maxKey)
		case seen[o.Key]:
			return nil, fmt.Errorf("key %q stands in two operations of one commit", o.Key)
		case len(o.Value) > maxValue:
			return nil, fmt.Errorf("value of %q has %d bytes, at most %d are allowed", o.Key, len(o.Value), maxValue)
		}
		seen[o.Key] = true
		p.ops[i] = op{kind: o.Kind, key: []byte(o.Key), rev: o.Rev}
		if o.Kind == store.Put {
			p.ops[i].stored = append(make([]byte, revLen, revLen+len(o.Value)), o.Value...)
		}
		p.size += len(o.Key) + len(o.Value)
	}
	return p, nil
}

// queue holds the commits that wait for the committer. There is no timer:
// what gathers while one transaction is synced makes the next, and a lone
// commit never waits.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting []*pending
	closed  bool
}

func (q *queue) init() { q.changed = sync.NewCond(&q.mu) }

func (q *queue) add(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, p)
	q.changed.Signal()
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Signal()
}

// wait waits for commits; false: the queue is closed and empty.
func (q *queue) wait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	return len(q.waiting) > 0
}

// take returns the commits of the next transaction, or one.
func (q *queue) take(one bool) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && (n == 0 || !one && size+q.waiting[n].size <= maxBatch) {
		size += q.waiting[n].size
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return batch
}

// run is the committer: the only writer of the file.
func (d *DB) run() {
	defer close(d.ended)
	debug.SetPanicOnFault(true)
	for d.queue.wait() {
		// Whoever can run now may have a commit for this transaction too. On an
		// idle machine nobody can, and this takes no time.
		runtime.Gosched()
		batch := d.queue.take(d.singly)
		verdicts := make([]error, len(batch))
		err := d.write(batch, verdicts)
		for i, p := range batch {
			if err != nil {
				verdicts[i] = err
			}
			p.done <- verdicts[i]
		}
	}
}

// write makes one durable transaction of the batch. A commit that fails alone
// has its error in verdicts; an error that is returned is everybody's.
func (d *DB) write(batch []*pending, verdicts []error) (err error) {
	if d.unwritable != nil {
		return d.unwritable
	}
	if why := d.unusable.Load(); why != nil {
		return *why
	}
	defer func() {
		if p := recover(); p != nil {
			// bbolt's memory is now in an unknown state, its locks too.
			err = damaged(p)
			d.unwritable = err
		}
	}()
	tx, err := d.bolt.Begin(true)
	if err != nil {
		return fmt.Errorf("begin to write: %w", err)
	}
	b := tx.Bucket(bucket)
	// One revision for all that a transaction writes is enough: nobody can have
	// seen a key between two commits of the same transaction.
	rev, err := b.NextSequence()
	if err != nil {
		tx.Rollback()
		return err
	}
	changed := false
	for i, p := range batch {
		if verdicts[i] = p.check(b); verdicts[i] != nil {
			continue
		}
		wrote, err := p.apply(b, rev)
		if err != nil {
			tx.Rollback()
			return err
		}
		changed = changed || wrote
	}
	if !changed {
		return tx.Rollback()
	}
	return d.sync(tx)
}

// check tells whether the commit's revisions hold. A commit whose caller gave
// up before it began is dropped.
func (p *pending) check(b *bbolt.Bucket) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	for _, o := range p.ops {
		if o.rev == store.Any {
			continue
		}
		have := store.Absent
		if stored := b.Get(o.key); len(stored) >= revLen {
			have = binary.BigEndian.Uint64(stored)
		}
		if have != o.rev {
			return fmt.Errorf("%q: %w", o.key, store.ErrConflict)
		}
	}
	return nil
}

func (p *pending) apply(b *bbolt.Bucket, rev uint64) (wrote bool, err error) {
	for _, o := range p.ops {
		switch o.kind {
		case store.Put:
			binary.BigEndian.PutUint64(o.stored, rev)
			err = b.Put(o.key, o.stored)
		case store.Delete:
			err = b.Delete(o.key)
		default:
			continue
		}
		if err != nil {
			return false, fmt.Errorf("write %q: %w", o.key, err)
		}
		wrote = true
	}
	return wrote, nil
}

// sync makes the transaction durable. When it cannot, because the disk is full
// or failed, the file is as it was before and the next transaction may succeed.
//
// The exception is a transaction whose last page, the one that makes it valid,
// was written but not synced: whether it is on disk is unknown, and the next
// transaction would write over pages that the file needs if it is not.
func (d *DB) sync(tx *bbolt.Tx) error {
	id := tx.ID()
	err := tx.Commit()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write store file: %w", err)
	if seen, beginErr := d.bolt.Begin(false); beginErr == nil {
		if seen.ID() >= id {
			d.unwritable = fmt.Errorf("%w; check the disk and restart", err)
		}
		seen.Rollback()
	}
	return err
}
