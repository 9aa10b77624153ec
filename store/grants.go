package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/posture"
)

// The ID of a grant: its Until in Unix seconds, and what makes it unique.
const (
	minGrantID  = 16
	maxGrantID  = 64
	untilDigits = 8
)

// DecideGrant records the decision with the grant in which it waits to be
// fetched, in one commit. If the decision has a request ID it claims it, as
// Decide does: posture.ErrReplayed when it was claimed before. The grant must
// be new: posture.ErrExists.
func (r *Records) DecideGrant(ctx context.Context, d posture.Decision, claimUntil time.Time, g posture.Grant) error {
	until, ok := grantUntil(g.ID)
	if !ok || until != g.Until.Unix() {
		return fmt.Errorf("grant %.64q is not named by hex that begins with %08x", g.ID, g.Until.Unix())
	}
	if len(g.Value) == 0 {
		return fmt.Errorf("grant %q says nothing", g.ID)
	}
	return r.decide(ctx, d, claimUntil, Op{Kind: Put, Key: grantKey(g.ID), Value: g.Value, Rev: Absent})
}

// grantUntil is when, in Unix seconds, the grant with that ID may be forgotten;
// false: no grant has such an ID.
func grantUntil(id string) (seconds int64, ok bool) {
	if len(id) < minGrantID || len(id) > maxGrantID || strings.Trim(id, "0123456789abcdef") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(id[:untilDigits], 16, 64)
	return seconds, err == nil
}

// Grant returns the grant, or posture.ErrNoGrant. Its Until is in whole
// seconds.
func (r *Records) Grant(ctx context.Context, id string) (posture.Grant, error) {
	e, err := r.grant(ctx, id)
	if err != nil {
		return posture.Grant{}, err
	}
	seconds, _ := grantUntil(id)
	return posture.Grant{ID: id, Until: time.Unix(seconds, 0).UTC(), Value: e.Value}, nil
}

func (r *Records) grant(ctx context.Context, id string) (Entry, error) {
	if _, ok := grantUntil(id); !ok {
		return Entry{}, fmt.Errorf("%w: %.64q", posture.ErrNoGrant, id)
	}
	e, err := r.kv.Get(ctx, grantKey(id))
	if errors.Is(err, ErrNoKey) {
		err = fmt.Errorf("%w: %q", posture.ErrNoGrant, id)
	}
	return e, err
}

// UpdateGrant writes what change makes of the value of the grant; nil leaves it
// as it is. Of any number of redemptions at once one sees the grant as it was
// issued: change is called again with the newer value when another change comes
// first, so it must do nothing else.
//
// The error is posture.ErrNoGrant, or that of change, which is returned when next
// was written: refusing can leave its mark.
func (r *Records) UpdateGrant(ctx context.Context, id string, change func(value []byte) (next []byte, err error)) error {
	var refusal error
	err := retry(ctx, func() error {
		e, err := r.grant(ctx, id)
		if err != nil {
			return err
		}
		var next []byte
		if next, refusal = change(e.Value); next == nil {
			return nil
		}
		return r.kv.Commit(ctx, Op{Kind: Put, Key: e.Key, Value: next, Rev: e.Rev})
	})
	if err != nil {
		return err
	}
	return refusal
}

// SweepGrants deletes the grants that ended before now. They sort by their end,
// so it reads these and one page of the others at most.
func (r *Records) SweepGrants(ctx context.Context, now time.Time) error {
	for {
		page, err := r.kv.Scan(ctx, grantPrefix, "", MaxOps)
		if err != nil {
			return err
		}
		var ops []Op
		for _, e := range page {
			until, ok := grantUntil(strings.TrimPrefix(e.Key, grantPrefix))
			if !ok {
				return fmt.Errorf("%w: grant %q has no time", ErrDamaged, e.Key)
			}
			if until >= now.Unix() {
				break
			}
			// Whatever changed in it meanwhile, it has ended: the key says so.
			ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: Any})
		}
		if len(ops) == 0 {
			return nil
		}
		if err := r.kv.Commit(ctx, ops...); err != nil || len(ops) < MaxOps {
			return err
		}
	}
}
