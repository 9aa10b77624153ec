package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"gatepost.dev/posture"
)

// warnAhead is how long before it expires it is told, once each, of a key or
// certificate without which sign-ins fail.
var warnAhead = []time.Duration{3 * 24 * time.Hour, 14 * 24 * time.Hour}

// warnOfExpiry notes what is about to expire.
func (s *server) warnOfExpiry(ctx context.Context) {
	g, now := s.current.Load(), s.now()
	warn := func(what string, at time.Time) {
		for _, ahead := range warnAhead {
			if now.Before(at.Add(-ahead)) {
				continue
			}
			detail, _ := json.Marshal(map[string]any{"what": what, "not_after": at.UTC()}) // they always encode
			e := posture.Event{Detail: detail, Time: now, Kind: posture.KeyExpiring, Why: fmt.Sprintf("%s ends at %s", what, at.UTC().Format(time.RFC3339))}
			if _, err := s.records.NoteOnce(ctx, fmt.Sprintf("%s %d %s", e.Why, ahead, posture.KeyExpiring), e); err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "not noted what is about to expire", slog.String("error", err.Error()))
			}
			return // the nearer limit stands for the farther
		}
	}
	for _, ring := range g.keyrings() {
		for _, k := range ring.Published() {
			warn(fmt.Sprintf("the %s signing key %s (%s)", k.Algorithm(), k.ID, k.State), k.Certificate.NotAfter)
		}
	}
	for i := range g.sites {
		warn("the TLS certificate of "+g.sites[i].Host, chainExpiry(&g.sites[i]))
	}
	warn("the certificate of the device authority", g.authority.Certificate.NotAfter)
	for _, a := range g.trusted {
		warn("the certificate of the authority "+a.Subject.String(), a.NotAfter)
	}
}
