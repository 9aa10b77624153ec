package store

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/posture"
)

// maxDecisionID is how many bytes the ID of a decision may have.
const maxDecisionID = 64

// Decide records the decision and claims its request for it, in one commit:
// posture.ErrReplayed when the request was claimed before. The claim of a
// relying party's request ID holds until claimUntil, which must lie behind the
// last moment at which the request would be accepted, and goes with SweepClaims.
//
// A claim is a key made of the relying party and the request ID and of nothing
// else, written on condition that it is absent. So of any number of answers to
// one request one is recorded, whatever the clocks of the answering nodes say;
// time decides only when a claim may be swept. A decision without a request ID
// claims nothing.
func (r *Records) Decide(ctx context.Context, d posture.Decision, claimUntil time.Time) error {
	return r.decide(ctx, d, claimUntil)
}

// decide is Decide together with operations, each on condition that its key is
// absent.
func (r *Records) decide(ctx context.Context, d posture.Decision, claimUntil time.Time, with ...Op) error {
	if d.ID == "" || len(d.ID) > maxDecisionID {
		return fmt.Errorf("decision ID %q does not have 1 to %d bytes", d.ID, maxDecisionID)
	}
	record, err := putRecord(decisionKey(d.ID), d, Absent)
	if err != nil {
		return err
	}
	noted, err := r.decided(&d, record.Value)
	if err != nil {
		return err
	}
	ops := append(with, record, noted)
	var request *posture.Claim
	if d.RequestID != "" {
		request = &posture.Claim{RelyingParty: d.RelyingParty, RequestID: d.RequestID, Until: claimUntil}
		ops = append(ops, claim(request))
	}
	return retry(ctx, func() error {
		err := r.kv.Commit(ctx, ops...)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if err := r.replayed(ctx, request); err != nil {
			return err
		}
		for _, op := range ops[:len(with)+1] {
			if _, known := r.kv.Get(ctx, op.Key); known == nil {
				return fmt.Errorf("%q: %w", op.Key, posture.ErrExists)
			}
		}
		return err // what was in the way was swept meanwhile
	})
}

// Claim claims the request ID, or returns posture.ErrReplayed: it can be claimed
// once, by this or by Decide. The claim goes with SweepClaims after c.Until.
func (r *Records) Claim(ctx context.Context, c posture.Claim) error {
	if c.RequestID == "" {
		return errors.New("claim of no request")
	}
	return retry(ctx, func() error {
		err := r.kv.Commit(ctx, claim(&c))
		if errors.Is(err, ErrConflict) {
			if err := r.replayed(ctx, &c); err != nil {
				return err
			}
		}
		return err
	})
}

// claim is the operation that claims a request ID, which can be done once.
func claim(c *posture.Claim) Op {
	return Op{Kind: Put, Key: claimKey(c.RelyingParty, c.RequestID), Value: strconv.AppendInt(nil, c.Until.Unix(), 10), Rev: Absent}
}

// replayed tells whether it was the claim, if there is one, that a commit came
// too late for: posture.ErrReplayed then.
func (r *Records) replayed(ctx context.Context, c *posture.Claim) error {
	if c == nil {
		return nil
	}
	if _, known := r.kv.Get(ctx, claimKey(c.RelyingParty, c.RequestID)); known != nil {
		return nil
	}
	return fmt.Errorf("request %q of %q: %w", c.RequestID, c.RelyingParty, posture.ErrReplayed)
}

// claimGrace is how far the clock may step back without letting a request be
// answered again whose claim was swept before the step.
const claimGrace = 10 * time.Minute

// SweepClaims deletes the claims that nobody needs any more: those that ended
// ten minutes before now. It reads all claims, in pages: some ten thousand an
// hour at ten sign-ins a second.
func (r *Records) SweepClaims(ctx context.Context, now time.Time) error {
	dead := now.Add(-claimGrace).Unix()
	for after := ""; ; {
		page, err := r.kv.Scan(ctx, claimPrefix, after, MaxOps)
		if err != nil || len(page) == 0 {
			return err
		}
		var ops []Op
		for _, e := range page {
			until, err := strconv.ParseInt(string(e.Value), 10, 64)
			if err != nil {
				return fmt.Errorf("%w: claim %q: %w", ErrDamaged, e.Key, err)
			}
			if until < dead {
				ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: e.Rev})
			}
			after = e.Key
		}
		// On a conflict somebody else is sweeping; the next sweep gets the rest.
		if err := r.kv.Commit(ctx, ops...); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Decision returns the decision, or posture.ErrNoDecision.
func (r *Records) Decision(ctx context.Context, id string) (posture.Decision, error) {
	d, _, err := read[posture.Decision](ctx, r.kv, decisionKey(id), posture.ErrNoDecision)
	return d, err
}

// Decisions returns up to limit decisions, the oldest first, from the one after
// after on (empty: the first).
func (r *Records) Decisions(ctx context.Context, after string, limit int) ([]posture.Decision, error) {
	return list[posture.Decision](ctx, r.kv, decisionPrefix, decisionKey(after), limit)
}

// LastDecisions returns the newest n decisions, the oldest of them first.
func (r *Records) LastDecisions(ctx context.Context, n int) ([]posture.Decision, error) {
	if n <= 0 {
		return nil, nil
	}
	page, err := r.kv.Scan(ctx, decisionPrefix, "", 2*n+1)
	if err == nil && len(page) > 2*n {
		page, err = r.lastPage(ctx, position(page[n].Key), n)
	}
	if err != nil {
		return nil, err
	}
	return decodeAll[posture.Decision](page[max(0, len(page)-n):])
}

// lastPage returns all decisions behind a place, chosen so that they are between
// n and 2n. At least n must lie behind low.
//
// A KV is read forwards only, so the place is sought by bisection. The upper
// bound of the steps is the bits of a position; it takes far fewer, because a
// page that is too full is itself a better lower bound.
func (r *Records) lastPage(ctx context.Context, low *big.Int, n int) ([]Entry, error) {
	high := new(big.Int).Lsh(big.NewInt(1), 8*maxDecisionID) // fewer than n lie behind it
	for range 8*maxDecisionID + 1 {
		middle := new(big.Int).Add(low, high)
		middle.Rsh(middle, 1)
		place := string(middle.FillBytes(make([]byte, maxDecisionID)))
		page, err := r.kv.Scan(ctx, decisionPrefix, decisionKey(place), 2*n+1)
		switch {
		case err != nil:
			return nil, err
		case len(page) > 2*n:
			low = position(page[n].Key)
		case len(page) < n:
			high = middle
		default:
			return page, nil
		}
	}
	return nil, errors.New("decisions come faster than their end can be found")
}

// position is the ID in the key of a decision as a number, in the same order.
func position(key string) *big.Int {
	digits := make([]byte, maxDecisionID)
	copy(digits, strings.TrimPrefix(key, decisionPrefix))
	return new(big.Int).SetBytes(digits)
}
