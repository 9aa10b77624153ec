package main

import (
	"context"
	"log/slog"
	"time"

	"gatepost.dev/events/webhook"
)

// sealEvery is how long an event waits, at most, until it is in the log: until
// then only the store's file protects it.
const sealEvery = 200 * time.Millisecond

// seal writes what was noted into the log, again and again, and deletes what is
// older than it is kept.
func (s *server) seal(ctx context.Context) {
	ticker := time.NewTicker(sealEvery)
	defer ticker.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.records.Seal(ctx, s.current.Load().logKey, webhook.Body)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			s.log.LogAttrs(ctx, slog.LevelError, "events cannot be written into the log; they wait, and it is tried again", slog.String("error", err.Error()))
		case err == nil && failing:
			s.log.LogAttrs(ctx, slog.LevelInfo, "events are written into the log again")
		}
		failing = err != nil
	}
}
