package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"gatepost.dev/posture"
)

// judgeEvery is how often all devices are judged, so that it is told which became
// compliant or ceased to be without a report: by an import, or because what is
// known of them grew old.
const judgeEvery = 15 * time.Minute

// judgeAll notes for whom the verdict changed.
func (s *server) judgeAll(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		found, err := s.records.Devices(ctx, after, page)
		if err != nil {
			return err
		}
		for i := range found {
			d := &found[i]
			after = d.ID
			note := s.current.Load().note
			if d.Retired() || !note(d, s.now()) {
				continue
			}
			_, err := s.records.UpdateDevice(ctx, d.ID, func(d *posture.Device, exists bool) error {
				if !exists || !note(d, s.now()) {
					return errSettled
				}
				return nil
			})
			if err != nil && !errors.Is(err, errSettled) {
				return err
			}
		}
		if len(found) < page {
			return nil
		}
	}
}

// errSettled ends an update that somebody else made first.
var errSettled = errors.New("noted already")

// sweep deletes, again and again, the claims that cannot be replayed any more,
// and the grants, tokens and ACME records that cannot be used any more.
func (s *server) sweep(ctx context.Context) {
	s.resumeImports(ctx)
	ticker := time.NewTicker(cmp.Or(s.sweepEvery, time.Minute))
	defer ticker.Stop()
	var judged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.resumeImports(ctx)
			err := errors.Join(s.records.SweepClaims(ctx, s.now()), s.records.SweepGrants(ctx, s.now()), s.records.SweepTokens(ctx, s.now()),
				s.records.SweepTransactions(ctx, s.now()), s.records.SweepAPITokens(ctx, s.now()), s.records.SweepACMERecords(ctx, s.now()))
			if err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "claims, grants, tokens, transactions or ACME records not swept", slog.String("error", err.Error()))
			}
			s.prune(ctx)
			s.warnOfExpiry(ctx)
			if now := s.now(); now.Sub(judged) >= judgeEvery || now.Before(judged) {
				judged = now
				if err := s.judgeAll(ctx); err != nil && ctx.Err() == nil {
					s.log.LogAttrs(ctx, slog.LevelError, "not all devices judged", slog.String("error", err.Error()))
				}
			}
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
