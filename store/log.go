package store

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/events/trail"
	"gatepost.dev/posture"
)

// pruned is how many entries one commit deletes.
const pruned = 40

// Seal writes the events that were noted on this node into its log, signs where
// that ends, and queues them, as body makes of them, for the webhooks that are to
// be told: each in one commit. It may be repeated, which finishes what an error
// interrupted, and is to be called by one goroutine of a node.
func (r *Records) Seal(ctx context.Context, key ed25519.PrivateKey, body func(*posture.Event) ([]byte, error)) error {
	for more := true; more; {
		// What a call that was cancelled had begun may still be written meanwhile.
		err := retry(ctx, func() (err error) {
			more, err = r.sealSome(ctx, key, body)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sealSome makes one commit of Seal; more is false when nothing was left to do.
func (r *Records) sealSome(ctx context.Context, key ed25519.PrivateKey, body func(*posture.Event) ([]byte, error)) (more bool, err error) {
	waiting, err := r.kv.Scan(ctx, r.outbox(), "", (MaxOps-1)/2)
	if err != nil || len(waiting) == 0 {
		return false, err
	}
	hooks, err := r.Webhooks(ctx)
	if err != nil {
		return false, err
	}
	waiting = waiting[:min(len(waiting), (MaxOps-1)/(2+len(hooks)))]
	b, rev, err := r.bounds(ctx, r.node)
	if err != nil {
		return false, err
	}
	ops := make([]Op, 0, MaxOps)
	for _, e := range waiting {
		n, err := decode[noted](e)
		if err != nil {
			return false, err
		}
		entry := b.Next()
		entry.Event, entry.Decision = n.Event, n.Decision
		encoded, err := entry.Encode()
		if err != nil {
			return false, fmt.Errorf("encode entry %d: %w", entry.Seq, err)
		}
		b.Append(encoded)
		ops = append(ops, Op{Kind: Put, Key: logKey(r.node, entry.Seq), Value: encoded, Rev: Absent}, Op{Kind: Delete, Key: e.Key, Rev: e.Rev})
		told, err := deliveries(hooks, n.Event, body)
		if err != nil {
			return false, err
		}
		ops = append(ops, told...)
	}
	return true, r.commitBounds(ctx, b, rev, key, ops)
}

func (r *Records) commitBounds(ctx context.Context, b trail.Bounds, rev uint64, key ed25519.PrivateKey, ops []Op) error {
	b.Sign(key)
	encoded, err := b.Encode()
	if err != nil {
		return fmt.Errorf("encode the log's bounds: %w", err)
	}
	return r.kv.Commit(ctx, append(ops, Op{Kind: Put, Key: boundsKey(b.Node), Value: encoded, Rev: rev})...)
}

// bounds are those of the log of a node, or of one that is to begin.
func (r *Records) bounds(ctx context.Context, node string) (b trail.Bounds, rev uint64, err error) {
	e, err := r.kv.Get(ctx, boundsKey(node))
	if errors.Is(err, ErrNoKey) {
		return trail.NewBounds(node), Absent, nil
	}
	if err != nil {
		return b, Absent, err
	}
	b, err = trail.ParseBounds(e.Value)
	return b, e.Rev, err
}

// LogBounds are those of the logs of all nodes, by name, or trail.ErrBroken.
func (r *Records) LogBounds(ctx context.Context) (all []trail.Bounds, err error) {
	page, err := r.kv.Scan(ctx, boundsPrefix, "", maxNodes)
	if err != nil {
		return nil, err
	}
	for _, e := range page {
		b, err := trail.ParseBounds(e.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// maxNodes is more than a cluster has.
const maxNodes = 1000

// LogEntries returns up to limit entries of the log of a node as they are kept,
// from the one after after on (0: the first).
func (r *Records) LogEntries(ctx context.Context, node string, after uint64, limit int) ([][]byte, error) {
	page, err := r.kv.Scan(ctx, logPrefix+node+"/", logKey(node, after), limit)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, len(page))
	for i, e := range page {
		entries[i] = e.Value
	}
	return entries, nil
}

// DecisionRecord is the decision as it is kept, nil if there is none.
func (r *Records) DecisionRecord(ctx context.Context, id string) ([]byte, error) {
	e, err := r.kv.Get(ctx, decisionKey(id))
	if errors.Is(err, ErrNoKey) {
		return nil, nil
	}
	return e.Value, err
}

// PruneLog deletes from this node's log, with their decisions, the oldest entries
// that are of before keep, and signs where it begins from then on. It deletes in
// the order of the log, so an entry with a later time keeps those behind it.
func (r *Records) PruneLog(ctx context.Context, keep time.Time, key ed25519.PrivateKey) (deleted int, err error) {
	for {
		n := 0
		err := retry(ctx, func() (err error) { // Seal moves the end meanwhile
			n, err = r.pruneSome(ctx, keep, key)
			return err
		})
		if err != nil || n == 0 {
			return deleted, err
		}
		deleted += n
	}
}

// pruneSome makes one commit of PruneLog; it deletes none when nothing was left to
// do.
func (r *Records) pruneSome(ctx context.Context, keep time.Time, key ed25519.PrivateKey) (deleted int, err error) {
	b, rev, err := r.bounds(ctx, r.node)
	if err != nil {
		return 0, err
	}
	page, err := r.kv.Scan(ctx, logPrefix+r.node+"/", "", pruned)
	if err != nil {
		return 0, err
	}
	var ops []Op
	for _, e := range page {
		entry, err := decode[trail.Entry](e)
		if err != nil {
			return 0, err
		}
		if !entry.Event.Time.Before(keep) || entry.Seq > b.Last {
			break // or it came after the bounds were read
		}
		if entry.Seq != b.First || entry.Prev != b.Before {
			return 0, fmt.Errorf("%w: entry %d of the log is not the one that it begins with; nothing of it is deleted", ErrDamaged, entry.Seq)
		}
		b.Drop(e.Value)
		ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: e.Rev})
		if entry.Event.Kind == posture.Decided {
			ops = append(ops, Op{Kind: Delete, Key: decisionKey(entry.Event.Decision), Rev: Any})
		}
		deleted++
	}
	if deleted == 0 {
		return 0, nil
	}
	return deleted, r.commitBounds(ctx, b, rev, key, ops)
}
