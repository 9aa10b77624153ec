package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

func newDecision(n int) posture.Decision {
	return posture.Decision{
		ID: fmt.Sprintf("019aa8f0%08x-%x", n, n*7919), Time: day.Add(time.Duration(n) * time.Second), RelyingParty: "acme", Protocol: "saml",
		RequestID: fmt.Sprintf("_request%d", n), AnswerID: fmt.Sprintf("_answer%d", n), Subject: "ann@example.com", DeviceID: "a",
		App:     posture.AppContext{InstanceID: " 0oa1 ", Name: "<&>\" \u2028"},
		Outcome: posture.Asserted, Managed: true, Failures: []posture.Failure{{Rule: "disk", Why: "off", Help: "on"}},
	}
}

func decide(t testing.TB, r *store.Records, d posture.Decision) {
	t.Helper()
	if err := r.Decide(t.Context(), d, d.Time.Add(6*time.Minute)); err != nil {
		t.Fatalf("decide: %v", err)
	}
}

func testDecisions(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	_, err := r.Decision(ctx, "none")
	wantErr(t, "decision that is not there", err, posture.ErrNoDecision)
	if last, err := r.LastDecisions(ctx, 5); err != nil || len(last) != 0 {
		t.Errorf("last of none: %v, %v", last, err)
	}
	const all = 200
	var decisions []posture.Decision
	for n := range all {
		decisions = append(decisions, newDecision(n))
	}
	race(20, func(g int) {
		for n := g; n < all; n += 20 {
			decide(t, r, decisions[n])
		}
	})
	if d, err := r.Decision(ctx, decisions[7].ID); err != nil || !reflect.DeepEqual(d, decisions[7]) {
		t.Errorf("decision: %+v, want %+v: %v", d, decisions[7], err)
	}
	for _, c := range []struct {
		after string
		limit int
		want  []posture.Decision
	}{
		{"", 3, decisions[:3]},
		{"", 1000, decisions},
		{decisions[9].ID, 10, decisions[10:20]},
		{decisions[all-2].ID, 10, decisions[all-1:]},
		{decisions[all-1].ID, 10, nil},
	} {
		got, err := r.Decisions(ctx, c.after, c.limit)
		if err != nil || len(got) != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("decisions after %q, %d at most: %d of them, want %d: %v", c.after, c.limit, len(got), len(c.want), err)
		}
	}
	for _, n := range []int{-1, 0, 1, 2, 3, 10, 66, 67, 99, 100, 101, 199, 200, 201, 5000} {
		got, err := r.LastDecisions(ctx, n)
		want := decisions[all-min(max(n, 0), all):]
		if err != nil || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("last %d: %d of them: %v", n, len(got), err)
		}
	}
	testOddDecisions(t, r)
}

// testOddDecisions: IDs of every shape that is allowed, and those that are not.
func testOddDecisions(t *testing.T, r *store.Records) {
	for i, id := range []string{"\x01", "0", strings.Repeat("\xff", 64), strings.Repeat("z", 64), "z"} {
		d := newDecision(1000 + i)
		d.ID = id
		decide(t, r, d)
	}
	last, err := r.LastDecisions(t.Context(), 3)
	if err != nil || len(last) != 3 || last[0].RequestID != "_request1004" || last[1].RequestID != "_request1003" || last[2].RequestID != "_request1002" {
		t.Errorf("last 3 of odd IDs: %+v, %v", last, err)
	}
	for _, spoil := range []func(d *posture.Decision){
		func(d *posture.Decision) { d.ID = "" },
		func(d *posture.Decision) { d.ID = strings.Repeat("z", 65) },
	} {
		d := newDecision(2000)
		spoil(&d)
		if err := r.Decide(t.Context(), d, day); err == nil {
			t.Errorf("decision %q was recorded", d.ID)
		}
	}
	for _, id := range []string{"unsigned-1", "unsigned-2"} { // without a request ID nothing is claimed
		d := newDecision(2001)
		d.ID, d.RequestID = id, ""
		decide(t, r, d)
	}
}

func testReplay(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	decide(t, r, newDecision(1))

	again := newDecision(2)
	again.RequestID = newDecision(1).RequestID
	wantErr(t, "second answer", r.Decide(ctx, again, day), posture.ErrReplayed)
	_, err := r.Decision(ctx, again.ID)
	wantErr(t, "decision on the replayed request", err, posture.ErrNoDecision)

	other := newDecision(3) // another relying party may use the same ID
	other.RequestID, other.RelyingParty = newDecision(1).RequestID, "other"
	decide(t, r, other)

	same := newDecision(1) // another request, a decision ID that is taken
	same.RequestID = "_fresh"
	wantErr(t, "decision ID that is taken", r.Decide(ctx, same, day), posture.ErrExists)
	same.ID = newDecision(4).ID
	decide(t, r, same) // and that request was not used up

	// Names and IDs that would run together were they simply joined, and IDs
	// made to shape keys.
	for i, name := range [][2]string{{"a", "b c"}, {"a b", "c"}, {`a" "b`, "c"}, {"a", `b" "c`}, {"a", "../x"}, {"a", "\x00\xff"}, {"a", strings.Repeat("x", 100_000)}} {
		d := newDecision(10 + i)
		d.RelyingParty, d.RequestID = name[0], name[1]
		decide(t, r, d)
		d.ID = newDecision(100 + i).ID
		wantErr(t, fmt.Sprintf("second answer to %.20q", name), r.Decide(ctx, d, day), posture.ErrReplayed)
	}

	var first atomic.Int32
	race(100, func(i int) {
		d := newDecision(1000 + i)
		d.RequestID = "_contended"
		switch err := r.Decide(ctx, d, day.Add(time.Duration(i)*time.Hour)); { // clocks apart
		case err == nil:
			first.Add(1)
		case !errors.Is(err, posture.ErrReplayed):
			t.Error(err)
		}
	})
	if first.Load() != 1 {
		t.Errorf("%d answers to one request", first.Load())
	}
}

func testSweep(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	const old = 300 // more than one commit sweeps
	race(old, func(i int) {
		d := newDecision(i)
		if err := r.Decide(ctx, d, day.Add(6*time.Minute)); err != nil {
			t.Error(err)
		}
	})
	late := newDecision(old)
	if err := r.Decide(ctx, late, day.Add(7*time.Minute)); err != nil {
		t.Fatal(err)
	}
	replay := func(n int) error {
		d := newDecision(n)
		d.ID = newDecision(5000 + n).ID
		return r.Decide(ctx, d, day.Add(6*time.Minute))
	}
	// Claims ended, but the clock may have to step back yet.
	for _, now := range []time.Duration{0, 6 * time.Minute, 15 * time.Minute, 16 * time.Minute} {
		if err := r.SweepClaims(ctx, day.Add(now)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, fmt.Sprintf("replay after a sweep at %v", now), replay(3), posture.ErrReplayed)
	}
	sweep := func(int) {
		if err := r.SweepClaims(ctx, day.Add(16*time.Minute+time.Second)); err != nil {
			t.Error(err)
		}
	}
	race(3, sweep)
	sweep(0) // what fell between the three
	if claims, err := kv.Scan(ctx, "claim/", "", 1000); err != nil || len(claims) != 1 {
		t.Errorf("%d claims are left, want the late one: %v", len(claims), err)
	}
	wantErr(t, "replay of the late one", replay(old), posture.ErrReplayed)
	if all, err := r.Decisions(ctx, "", 1000); err != nil || len(all) != old+1 {
		t.Errorf("sweeping left %d of %d decisions: %v", len(all), old+1, err)
	}
}
