package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// APIToken returns the token whose secret has the hash, or
// posture.ErrNoAPIToken.
func (r *Records) APIToken(ctx context.Context, hash string) (posture.APIToken, error) {
	t, _, err := read[posture.APIToken](ctx, r.kv, apiTokenKey(hash), posture.ErrNoAPIToken)
	return t, err
}

// AddAPIToken adds a token; posture.ErrExists if its secret is another's.
func (r *Records) AddAPIToken(ctx context.Context, t posture.APIToken) error {
	if err := checkHash(t.Hash); err != nil {
		return err
	}
	put, err := putRecord(apiTokenKey(t.Hash), t, Absent)
	if err != nil {
		return err
	}
	err = r.kv.Commit(ctx, put)
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("API token %q: %w", t.ID(), posture.ErrExists)
	}
	return err
}

// APITokens returns up to limit tokens by hash, from the one after after on
// (empty: the first).
func (r *Records) APITokens(ctx context.Context, after string, limit int) ([]posture.APIToken, error) {
	return list[posture.APIToken](ctx, r.kv, apiTokenPrefix, apiTokenKey(after), limit)
}

// UseAPIToken notes when and from where the token was used; posture.ErrNoAPIToken
// if it is gone or was revoked.
func (r *Records) UseAPIToken(ctx context.Context, hash string, at time.Time, from string) error {
	return retry(ctx, func() error {
		t, rev, err := read[posture.APIToken](ctx, r.kv, apiTokenKey(hash), posture.ErrNoAPIToken)
		if err != nil {
			return err
		}
		if !t.RevokedAt.IsZero() {
			return fmt.Errorf("%w: %q was revoked", posture.ErrNoAPIToken, t.ID())
		}
		t.UsedAt, t.UsedFrom = at, from
		put, err := putRecord(apiTokenKey(hash), t, rev)
		if err != nil {
			return err
		}
		return r.kv.Commit(ctx, put)
	})
}

// RevokeAPIToken makes the token with that ID useless, or returns
// posture.ErrNoAPIToken. Revoking again changes nothing.
func (r *Records) RevokeAPIToken(ctx context.Context, id string, at time.Time) (posture.APIToken, error) {
	return revoke(ctx, r.kv, apiTokenPrefix, id, posture.ErrNoAPIToken, func(t *posture.APIToken) bool {
		if !t.RevokedAt.IsZero() {
			return false
		}
		t.RevokedAt = at
		return true
	})
}

// SweepAPITokens revokes the tokens that were not used for posture.MaxIdle, and
// deletes those that ended more than thirty days before now. It reads all of them.
func (r *Records) SweepAPITokens(ctx context.Context, now time.Time) error {
	var idle []posture.APIToken
	err := sweep(ctx, r.kv, apiTokenPrefix, func(t *posture.APIToken) (delete, changed bool) {
		ended := t.ExpiresAt
		if !t.RevokedAt.IsZero() && t.RevokedAt.Before(ended) {
			ended = t.RevokedAt
		}
		if now.Sub(ended) > tokenKept {
			return true, false
		}
		if t.RevokedAt.IsZero() && t.Idle(now) {
			t.RevokedAt = now
			idle = append(idle, *t)
			return false, true
		}
		return false, false
	})
	for i := range idle {
		why := fmt.Sprintf("API token %s (%s) was not used for %d days", idle[i].Name, idle[i].ID(), posture.MaxIdle/(24*time.Hour))
		err = errors.Join(err, r.Note(ctx, posture.Event{Time: now, Kind: posture.Changed, By: "server", Why: why}))
	}
	return err
}
