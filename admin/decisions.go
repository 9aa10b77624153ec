package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// DecisionLog reads the recorded decisions.
type DecisionLog interface {
	// Decisions gives up to limit decisions, by ID, from the one after after on.
	Decisions(ctx context.Context, after string, limit int) ([]posture.Decision, error)
	// LastDecisions gives the newest n, by ID.
	LastDecisions(ctx context.Context, n int) ([]posture.Decision, error)
	// Decision gives the one with this ID: posture.ErrNoDecision.
	Decision(ctx context.Context, id string) (posture.Decision, error)
}

// Decisions lists the recorded decisions, and follows them:
//
//	GET decisions?after=&limit=&relying_party=&device=&subject=&outcome=
//	GET decisions?last=
//	GET decisions?follow=true&last=   or   follow=true&after=
//	GET decisions/{id}
//
// Following gives a stream: what was asked for, then each new decision as soon
// as it is seen, until the client goes away or the server stops.
type Decisions struct {
	Log      DecisionLog
	Interval time.Duration   // between two looks at the log; 0: half a second
	Stopping <-chan struct{} // closed when the server stops; may be nil
}

var decisionParameters = []Parameter{
	{Name: "last", Summary: "The newest so many instead: 1 to 1000.", Type: typeOf[int]()},
	{Name: "follow", Summary: "Go on with each new one, as lines of JSON, until the connection ends.", Type: typeOf[bool]()},
	{Name: "relying_party", Summary: "Only those for this relying party.", Type: typeOf[string]()},
	{Name: "device", Summary: "Only those on the device of this ID.", Type: typeOf[string]()},
	{Name: "subject", Summary: "Only those on this user, in any case.", Type: typeOf[string]()},
	{Name: "outcome", Summary: "Only those with this outcome.", Type: typeOf[string](), Values: []string{string(posture.Asserted), string(posture.Refused)}},
}

// Operations are what the API serves by h.
func (h *Decisions) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "decisions", Role: posture.Viewer, Summary: "List decisions, the oldest first; with follow, a line for each, for ever.",
			Query: append(paging(), decisionParameters...), Answer: typeOf[DecisionList](), Follows: true, serve: h.serve},
		{Method: http.MethodGet, Path: "decisions/{id}", Role: posture.Viewer, Summary: "Show one decision.",
			Answer: typeOf[posture.Decision](), Refusals: []int{http.StatusNotFound}, serve: h.one},
	}
}

func (h *Decisions) one(w http.ResponseWriter, r *http.Request) error {
	d, err := h.Log.Decision(r.Context(), r.PathValue("id"))
	if err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusOK, d)
}

func (h *Decisions) serve(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	limit, last, err := q.newest()
	if err != nil {
		return err
	}
	follow, _, err := q.truth("follow")
	if err != nil {
		return err
	}
	wanted, filtered := q.decisions()
	after := q.values.Get("after")
	switch {
	case follow && q.values.Has("limit"):
		return badQuery("follow goes without limit.")
	case filtered && (follow || last > 0):
		return badQuery("What is asked of decisions goes with neither follow nor last.")
	case follow:
		return h.follow(w, r, after, last)
	case last > 0:
		found, err := h.Log.LastDecisions(r.Context(), last)
		return h.answer(w, found, "", err)
	}
	size := limit
	if filtered {
		size = max(limit, filteredPage)
	}
	found, next, err := filterPages(size, after, limit, wanted, func(after string, n int) ([]posture.Decision, error) {
		return h.Log.Decisions(r.Context(), after, n)
	}, func(d *posture.Decision) string { return d.ID })
	return h.answer(w, found, next, err)
}

// decisions tells which decisions are wanted, and whether that is not all.
func (q *query) decisions() (wanted func(d *posture.Decision) bool, filtered bool) {
	party, device, outcome, subject := q.values.Get("relying_party"), q.values.Get("device"), q.values.Get("outcome"), posture.FoldUser(q.values.Get("subject"))
	return func(d *posture.Decision) bool {
		return (party == "" || d.RelyingParty == party) && (device == "" || d.DeviceID == device) &&
			(outcome == "" || string(d.Outcome) == outcome) && (subject == "" || posture.FoldUser(d.Subject) == subject)
	}, party+device+outcome+subject != ""
}

func (h *Decisions) answer(w http.ResponseWriter, found []posture.Decision, next string, err error) error {
	if err != nil {
		return fail(fmt.Errorf("read decisions: %w", err))
	}
	if found == nil {
		found = []posture.Decision{}
	}
	return web.WriteJSON(w, http.StatusOK, DecisionList{Decisions: found, Next: next})
}

func (h *Decisions) follow(w http.ResponseWriter, r *http.Request, after string, last int) error {
	ctx, out := r.Context(), newStream(w)
	if err := out.unbound(); err != nil {
		return err
	}
	t := tail{log: h.Log, after: after}
	err := t.start(ctx, last, out)
	interval := h.Interval
	if interval == 0 {
		interval = 500 * time.Millisecond
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for err == nil && out.err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-h.Stopping:
			return nil
		case <-ticker.C:
			err = t.look(ctx, out)
		}
	}
	if err == nil || ctx.Err() != nil {
		return out.err
	}
	failure := fail(fmt.Errorf("follow decisions: %w", err))
	if out.begun {
		out.send(decisionLine{Problem: problem(ctx, failure)})
	}
	return failure
}
