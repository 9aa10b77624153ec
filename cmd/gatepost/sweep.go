package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"
)

// sweep deletes, again and again, the claims that cannot be replayed any more,
// and the grants and tokens that cannot be used any more.
func (s *server) sweep(ctx context.Context) {
	defer close(s.swept)
	ticker := time.NewTicker(cmp.Or(s.sweepEvery, time.Minute))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			err := errors.Join(s.records.SweepClaims(ctx, s.now()), s.records.SweepGrants(ctx, s.now()), s.records.SweepTokens(ctx, s.now()))
			if err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "claims, grants or tokens not swept", slog.String("error", err.Error()))
			}
		}
	}
}
