package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/posture"
)

// Token returns the token whose secret has the hash, or posture.ErrNoToken.
func (r *Records) Token(ctx context.Context, hash string) (posture.Token, error) {
	t, _, err := r.token(ctx, hash)
	return t, err
}

func (r *Records) token(ctx context.Context, hash string) (posture.Token, uint64, error) {
	return read[posture.Token](ctx, r.kv, tokenKey(hash), posture.ErrNoToken)
}

// AddToken adds a token; posture.ErrExists if its secret is another's.
func (r *Records) AddToken(ctx context.Context, t posture.Token) error {
	if len(t.Hash) != 64 || strings.Trim(t.Hash, "0123456789abcdef") != "" {
		return fmt.Errorf("hash %.70q of a token is no SHA-256 in lower-case hex", t.Hash)
	}
	put, err := putRecord(tokenKey(t.Hash), t, Absent)
	if err != nil {
		return err
	}
	err = r.kv.Commit(ctx, put)
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("token %q: %w", t.ID(), posture.ErrExists)
	}
	return err
}

// Tokens returns up to limit tokens by hash, from the one after after on (empty:
// the first).
func (r *Records) Tokens(ctx context.Context, after string, limit int) ([]posture.Token, error) {
	return list[posture.Token](ctx, r.kv, tokenPrefix, tokenKey(after), limit)
}

// RevokeToken makes the token with that ID useless, or returns
// posture.ErrNoToken. Revoking again changes nothing.
func (r *Records) RevokeToken(ctx context.Context, id string, at time.Time) (posture.Token, error) {
	var t posture.Token
	if len(id) != posture.TokenIDLen {
		return t, fmt.Errorf("%w: %.70q", posture.ErrNoToken, id)
	}
	err := retry(ctx, func() error {
		page, err := r.kv.Scan(ctx, tokenKey(id), "", 1)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("%w: %q", posture.ErrNoToken, id)
		}
		if t, err = decode[posture.Token](page[0]); err != nil || !t.RevokedAt.IsZero() {
			return err
		}
		t.RevokedAt = at
		put, err := putRecord(page[0].Key, t, page[0].Rev)
		if err != nil {
			return err
		}
		return r.kv.Commit(ctx, put)
	})
	return t, err
}

// tokenKept is how long a token is listed after it has expired.
const tokenKept = 30 * 24 * time.Hour

// SweepTokens deletes the tokens that expired more than thirty days before now.
// It reads all of them, in pages.
func (r *Records) SweepTokens(ctx context.Context, now time.Time) error {
	for after := ""; ; {
		page, err := r.kv.Scan(ctx, tokenPrefix, after, MaxOps)
		if err != nil || len(page) == 0 {
			return err
		}
		var ops []Op
		for _, e := range page {
			after = e.Key
			t, err := decode[posture.Token](e)
			if err != nil {
				return err
			}
			if now.Sub(t.ExpiresAt) > tokenKept {
				ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: e.Rev})
			}
		}
		if len(ops) == 0 {
			continue
		}
		// On a conflict somebody changed one; the next sweep gets the rest.
		if err := r.kv.Commit(ctx, ops...); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
}
