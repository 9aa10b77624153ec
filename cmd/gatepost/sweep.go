package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"gatepost.dev/posture"
)

// sweep deletes, again and again, the claims that cannot be replayed any more,
// and the grants and tokens that cannot be used any more.
func (s *server) sweep(ctx context.Context) {
	defer close(s.swept)
	s.resumeImports(ctx)
	ticker := time.NewTicker(cmp.Or(s.sweepEvery, time.Minute))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.resumeImports(ctx)
			err := errors.Join(s.records.SweepClaims(ctx, s.now()), s.records.SweepGrants(ctx, s.now()), s.records.SweepTokens(ctx, s.now()), s.records.SweepAPITokens(ctx, s.now()))
			if err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "claims, grants or tokens not swept", slog.String("error", err.Error()))
			}
			s.prune(ctx)
		}
	}
}

// prune deletes from the log what is older than it is kept.
func (s *server) prune(ctx context.Context) {
	g := s.current.Load()
	if g.config.Log.Keep == 0 {
		return
	}
	deleted, err := s.records.PruneLog(ctx, s.now().Add(-g.config.Log.Keep.Duration()), g.logKey)
	if err != nil && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelError, "the log is not pruned", slog.String("error", err.Error()))
	}
	if deleted > 0 {
		s.log.LogAttrs(ctx, slog.LevelInfo, "old entries of the log deleted", slog.Int("entries", deleted))
	}
}

// resumeImports keeps what an interrupted import had promised. Sign-ins go on
// from what is known meanwhile, also when the disk is too full to go on with it.
func (s *server) resumeImports(ctx context.Context) {
	err := s.records.ResumeImports(ctx)
	if err == nil || errors.Is(err, posture.ErrExists) || ctx.Err() != nil { // one is in hand
		return
	}
	s.log.LogAttrs(ctx, slog.LevelError, "an interrupted import is not finished; it is tried again", slog.String("error", err.Error()))
}
