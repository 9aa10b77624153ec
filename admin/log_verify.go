package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"gatepost.dev/events/trail"
)

func (h *Log) verify(w http.ResponseWriter, r *http.Request) error {
	out := newStream(w)
	if err := out.unbound(); err != nil {
		return err
	}
	bounds, err := h.Records.LogBounds(r.Context())
	broken := errors.Is(err, trail.ErrBroken)
	if err != nil && !broken {
		return fail(fmt.Errorf("read the log: %w", err))
	}
	result := LogVerified{Key: hex.EncodeToString(h.Key), Bounds: bounds}
	if result.Bounds == nil {
		result.Bounds = []trail.Bounds{}
	}
	if broken {
		result.Faults = []string{err.Error()}
	}
	for i, b := range bounds {
		entries, decisions, err := h.verifyNode(r.Context(), b, out)
		for tries := 0; errors.Is(err, trail.ErrBroken) && tries < maxPruned; tries++ {
			// Unless old entries were deleted meanwhile, and it begins elsewhere now.
			now, moved := h.moved(r.Context(), b)
			if !moved {
				break
			}
			b, bounds[i] = now, now
			entries, decisions, err = h.verifyNode(r.Context(), b, out)
		}
		switch {
		case errors.Is(err, trail.ErrBroken):
			result.Faults = append(result.Faults, fmt.Sprintf("node %q: %v", b.Node, err))
		case err != nil:
			failure := fail(fmt.Errorf("verify the log: %w", err))
			out.send(verifyLine{Problem: problem(r.Context(), failure)})
			return failure
		}
		result.Nodes, result.Entries, result.Decisions = result.Nodes+1, result.Entries+entries, result.Decisions+decisions
	}
	out.send(verifyLine{Result: &result})
	return out.err
}

// maxPruned is how often a verification begins anew because the log is pruned.
const maxPruned = 5

// moved are the bounds of a node's log now, and whether it begins elsewhere than
// they say.
func (h *Log) moved(ctx context.Context, b trail.Bounds) (now trail.Bounds, moved bool) {
	all, err := h.Records.LogBounds(ctx)
	if err != nil {
		return b, false
	}
	for _, now := range all {
		if now.Node == b.Node {
			return now, now.First != b.First
		}
	}
	return b, false
}

func (h *Log) verifyNode(ctx context.Context, b trail.Bounds, out *stream) (entries uint64, decisions int, err error) {
	v, err := trail.NewVerifier(b, h.Key)
	if err != nil {
		return 0, 0, err
	}
	err = h.walk(ctx, b, func(kept []byte) error {
		_, err := v.Add(kept, func(id string) ([]byte, error) { return h.Records.DecisionRecord(ctx, id) })
		if entries++; err == nil && entries%(20*logPage) == 0 {
			out.send(verifyLine{Done: entries, Total: v.Total()})
		}
		return errors.Join(err, out.err)
	})
	if err != nil {
		return entries, 0, err
	}
	return v.End()
}
