package store

import (
	"bytes"
	"context"
)

// probeSize is more than a decision or a device takes, and one piece: a file that
// has no room for it has to grow, which is what a full disk refuses.
const probeSize = 64 << 10

// Probe tries whether something can be written: it writes a record that nobody
// reads, and deletes it.
func (r *Records) Probe(ctx context.Context) error {
	if err := r.kv.Commit(ctx, Op{Kind: Put, Key: probeKey, Value: bytes.Repeat([]byte{' '}, probeSize), Rev: Any}); err != nil {
		return err
	}
	return r.kv.Commit(ctx, Op{Kind: Delete, Key: probeKey, Rev: Any})
}
