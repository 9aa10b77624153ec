package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatepost.dev/posture"
)

// tail gives each decision of the log once, when it becomes visible.
//
// The ID of a decision is made before the decision is committed, so one may
// become visible behind others whose IDs are greater. Each look therefore
// begins some way before the newest, and leaves out what was given already.
type tail struct {
	log   DecisionLog
	after string  // looks begin behind this ID
	seen  []given // those behind after, by ID
}

type given struct {
	id   string
	time time.Time
}

const (
	// overlap is how long after its ID a decision may become visible and still
	// be given: longer than a request is allowed to take to arrive and commit.
	overlap = 30 * time.Second
	// maxSeen bounds the overlap by number, since each look reads it again.
	maxSeen  = 4096
	tailPage = 500
)

// start gives the newest n decisions, unless it is to go on behind an ID.
func (t *tail) start(ctx context.Context, n int, out *stream) error {
	if t.after == "" {
		// More than are to be given, for the overlap.
		size := max(n, defaultLimit)
		found, err := t.log.LastDecisions(ctx, size)
		if err != nil {
			return err
		}
		for i, d := range found {
			t.remember(d)
			if i >= len(found)-n {
				out.send(decisionLine{Decision: &d})
			}
		}
		if len(found) == size {
			t.after = found[0].ID
		}
		t.forget()
	}
	out.begin()
	if out.err == nil {
		out.err = out.control.Flush()
	}
	return nil
}

// look gives what is new.
func (t *tail) look(ctx context.Context, out *stream) error {
	cursor := t.after
	for out.err == nil {
		page, err := t.log.Decisions(ctx, cursor, tailPage)
		if err != nil {
			return err
		}
		for _, d := range page {
			if cursor = d.ID; t.remember(d) {
				out.send(decisionLine{Decision: &d})
			}
		}
		t.forget()
		if len(page) < tailPage {
			break
		}
	}
	return nil
}

// remember tells whether the decision is new.
func (t *tail) remember(d posture.Decision) bool {
	i, found := slices.BinarySearchFunc(t.seen, d.ID, func(g given, id string) int { return strings.Compare(g.id, id) })
	if !found {
		t.seen = slices.Insert(t.seen, i, given{d.ID, d.Time})
	}
	return !found
}

// forget drops what lies before the overlap, by which the next look begins
// later.
func (t *tail) forget() {
	if len(t.seen) == 0 {
		return
	}
	since := t.seen[len(t.seen)-1].time.Add(-overlap)
	old := max(0, len(t.seen)-maxSeen)
	for old < len(t.seen)-1 && t.seen[old].time.Before(since) {
		old++
	}
	if old > 0 {
		t.after = t.seen[old-1].id
		t.seen = slices.Delete(t.seen, 0, old)
	}
}
