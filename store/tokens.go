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
	if err := checkHash(t.Hash); err != nil {
		return err
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
	return revoke(ctx, r.kv, tokenPrefix, id, posture.ErrNoToken, func(t *posture.Token) bool {
		if !t.RevokedAt.IsZero() {
			return false
		}
		t.RevokedAt = at
		return true
	})
}

// tokenKept is how long a token is listed after it has expired.
const tokenKept = 30 * 24 * time.Hour

// SweepTokens deletes the tokens that expired more than thirty days before now.
// It reads all of them, in pages.
func (r *Records) SweepTokens(ctx context.Context, now time.Time) error {
	return sweep(ctx, r.kv, tokenPrefix, func(t *posture.Token) (delete, changed bool) {
		return now.Sub(t.ExpiresAt) > tokenKept, false
	})
}

// checkHash refuses what does not hash a secret.
func checkHash(hash string) error {
	if len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
		return fmt.Errorf("hash %.70q of a token is no SHA-256 in lower-case hex", hash)
	}
	return nil
}

// revoke lets end change the token of whatever kind below prefix whose hash begins
// with id. end tells whether it changed anything.
func revoke[T any](ctx context.Context, kv KV, prefix, id string, missing error, end func(t *T) bool) (t T, err error) {
	if len(id) != posture.TokenIDLen {
		return t, fmt.Errorf("%w: %.70q", missing, id)
	}
	err = retry(ctx, func() error {
		page, err := kv.Scan(ctx, prefix+id, "", 1)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("%w: %q", missing, id)
		}
		if t, err = decode[T](page[0]); err != nil || !end(&t) {
			return err
		}
		put, err := putRecord(page[0].Key, t, page[0].Rev)
		if err != nil {
			return err
		}
		return kv.Commit(ctx, put)
	})
	return t, err
}

// sweep deletes or changes the records below prefix, as judge says of each. It
// reads all of them, in pages.
func sweep[T any](ctx context.Context, kv KV, prefix string, judge func(record *T) (delete, changed bool)) error {
	for after := ""; ; {
		page, err := kv.Scan(ctx, prefix, after, MaxOps)
		if err != nil || len(page) == 0 {
			return err
		}
		var ops []Op
		for _, e := range page {
			after = e.Key
			record, err := decode[T](e)
			if err != nil {
				return err
			}
			switch dead, changed := judge(&record); {
			case dead:
				ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: e.Rev})
			case changed:
				put, err := putRecord(e.Key, record, e.Rev)
				if err != nil {
					return err
				}
				ops = append(ops, put)
			}
		}
		if len(ops) == 0 {
			continue
		}
		// On a conflict somebody changed one; the next sweep gets the rest.
		if err := kv.Commit(ctx, ops...); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
}
