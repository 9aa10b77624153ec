package storetest

import (
	"context"
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

// issued is the value of a grant that nobody has redeemed.
const issued = "issued"

// newGrant ends n seconds after the day.
func newGrant(n int) posture.Grant {
	until := day.Add(time.Duration(n) * time.Second)
	return posture.Grant{ID: fmt.Sprintf("%08x%024x", until.Unix(), n), Until: until, Value: []byte(issued)}
}

// newGranted is a decision on no request, as OpenID Connect makes them.
func newGranted(n int) posture.Decision {
	d := newDecision(n)
	d.Protocol, d.RequestID, d.AnswerID = "oidc", "", newGrant(n).ID
	return d
}

func decideGrant(t testing.TB, r *store.Records, n int) {
	t.Helper()
	if err := r.DecideGrant(t.Context(), newGranted(n), time.Time{}, newGrant(n)); err != nil {
		t.Fatalf("decide grant: %v", err)
	}
}

// wantGrant checks what the grant says; empty: it must not be there.
func wantGrant(t testing.TB, r *store.Records, what string, n int, value string) {
	t.Helper()
	g, err := r.Grant(context.Background(), newGrant(n).ID)
	if value == "" {
		wantErr(t, what, err, posture.ErrNoGrant)
		return
	}
	if err != nil || string(g.Value) != value {
		t.Errorf("%s: grant %d says %q, want %q: %v", what, n, g.Value, value, err)
	}
}

func testGrants(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for _, id := range []string{
		newGrant(1).ID, "", "0", "../decision/1", strings.ToUpper(newGrant(10).ID), newGrant(1).ID + "/", strings.Repeat("a", 65), strings.Repeat("a", 100_000),
	} {
		_, err := r.Grant(ctx, id)
		wantErr(t, fmt.Sprintf("grant %.40q", id), err, posture.ErrNoGrant)
		err = r.UpdateGrant(ctx, id, func([]byte) ([]byte, error) { return []byte("x"), nil })
		wantErr(t, fmt.Sprintf("change of grant %.40q", id), err, posture.ErrNoGrant)
	}
	for n := range 3 { // without a request ID none is in the way of another
		decideGrant(t, r, n)
	}
	if claims, err := kv.Scan(ctx, "claim/", "", 10); err != nil || len(claims) != 0 {
		t.Errorf("%d claims on no request: %v", len(claims), err)
	}
	want := newGrant(1)
	want.Until = want.Until.Truncate(time.Second)
	if g, err := r.Grant(ctx, want.ID); err != nil || !reflect.DeepEqual(g, want) {
		t.Errorf("grant %+v, want %+v: %v", g, want, err)
	}
	if d, err := r.Decision(ctx, newGranted(1).ID); err != nil || !reflect.DeepEqual(d, newGranted(1)) {
		t.Errorf("decision %+v, want %+v: %v", d, newGranted(1), err)
	}
	for what, spoil := range map[string]func(d *posture.Decision, g *posture.Grant){
		"other time":     func(_ *posture.Decision, g *posture.Grant) { g.Until = g.Until.Add(time.Second) },
		"no ID":          func(_ *posture.Decision, g *posture.Grant) { g.ID = "" },
		"only a time":    func(_ *posture.Decision, g *posture.Grant) { g.ID = g.ID[:8] },
		"capitals":       func(_ *posture.Decision, g *posture.Grant) { g.ID = strings.ToUpper(g.ID) },
		"long ID":        func(_ *posture.Decision, g *posture.Grant) { g.ID += strings.Repeat("0", 40) },
		"no hex":         func(_ *posture.Decision, g *posture.Grant) { g.ID = g.ID[:31] + "/" },
		"no value":       func(_ *posture.Decision, g *posture.Grant) { g.Value = nil },
		"no decision ID": func(d *posture.Decision, _ *posture.Grant) { d.ID = "" },
	} {
		d, g := newGranted(10), newGrant(10)
		spoil(&d, &g)
		if err := r.DecideGrant(ctx, d, day, g); err == nil {
			t.Errorf("%s: grant %q was recorded", what, g.ID)
		}
		_, err := r.Decision(ctx, newGranted(10).ID)
		wantErr(t, what, err, posture.ErrNoDecision)
	}
}

// testGrantsWhole: a decision, its claim and its grant are there together or not
// at all.
func testGrantsWhole(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	whole := func(what string, d posture.Decision, g posture.Grant, want error) {
		t.Helper()
		wantErr(t, what, r.DecideGrant(ctx, d, day.Add(time.Hour), g), want)
		if _, err := r.Decision(ctx, d.ID); want != nil && !errors.Is(err, posture.ErrNoDecision) && d.ID != newDecision(1).ID {
			t.Errorf("%s: decision %q is there: %v", what, d.ID, err)
		}
		if _, err := r.Grant(ctx, g.ID); want != nil && !errors.Is(err, posture.ErrNoGrant) && g.ID != newGrant(1).ID {
			t.Errorf("%s: grant %q is there: %v", what, g.ID, err)
		}
	}
	decision := func(n int, request string) posture.Decision {
		d := newGranted(n)
		d.RequestID = request
		return d
	}
	whole("first", decision(1, "_a"), newGrant(1), nil)
	whole("replayed", decision(2, "_a"), newGrant(2), posture.ErrReplayed)
	whole("decision is taken", decision(1, "_b"), newGrant(2), posture.ErrExists)
	whole("grant is taken", decision(2, "_b"), newGrant(1), posture.ErrExists)
	whole("all that failed before", decision(2, "_b"), newGrant(2), nil)
	other := newDecision(3)
	other.RequestID = "_b"
	wantErr(t, "decision without a grant on the same request", r.Decide(ctx, other, day), posture.ErrReplayed)

	failing := &failingKV{KV: kv}
	failing.failAfter(0)
	wantErr(t, "store that fails", store.New(failing).DecideGrant(ctx, decision(4, "_c"), day, newGrant(4)), errInjected)
	wantGrant(t, r, "store that fails", 4, "")
	whole("after the failure", decision(4, "_c"), newGrant(4), nil)

	var first atomic.Int32
	race(100, func(i int) {
		switch err := r.DecideGrant(ctx, decision(100+i, "_contended"), day.Add(time.Duration(i)*time.Hour), newGrant(100+i)); {
		case err == nil:
			first.Add(1)
		case !errors.Is(err, posture.ErrReplayed):
			t.Error(err)
		}
	})
	grants, err := kv.Scan(ctx, "grant/", "", 1000)
	if err != nil || first.Load() != 1 || len(grants) != 4 {
		t.Errorf("%d answers to one request, %d grants in all, want 4: %v", first.Load(), len(grants), err)
	}
}

var errUsed = errors.New("used before")

// redeem makes an issued grant redeemed, and any other one revoked.
func redeem(value []byte) ([]byte, error) {
	if string(value) == issued {
		return []byte("redeemed"), nil
	}
	return []byte("revoked"), errUsed
}

// testRedeem: of 100 redemptions at once one succeeds.
func testRedeem(t *testing.T, kv store.KV) {
	r := store.New(kv)
	for n := range 5 {
		decideGrant(t, r, n)
		var won, lost atomic.Int32
		race(100, func(int) {
			switch err := r.UpdateGrant(t.Context(), newGrant(n).ID, redeem); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, errUsed):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
		if won.Load() != 1 || lost.Load() != 99 {
			t.Fatalf("%d redemptions of one grant succeeded, %d were refused", won.Load(), lost.Load())
		}
		wantGrant(t, r, "redeemed again and again", n, "revoked")
	}
}

// testGrantRefusal: a refusal writes what it says, and comes back as it is.
func testGrantRefusal(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	decideGrant(t, r, 1)
	decideGrant(t, r, 2)
	id := newGrant(1).ID
	if err := r.UpdateGrant(ctx, id, redeem); err != nil {
		t.Fatal(err)
	}
	wantGrant(t, r, "first use", 1, "redeemed")
	if err := r.UpdateGrant(ctx, id, redeem); err != errUsed {
		t.Errorf("second use: %v", err)
	}
	wantGrant(t, r, "second use", 1, "revoked")

	before := get(t, kv, "grant/"+id).Rev
	for what, refusal := range map[string]error{"nothing": nil, "refusal": errUsed, "refusal that looks like a conflict": store.ErrConflict} {
		calls := 0
		err := r.UpdateGrant(ctx, id, func(value []byte) ([]byte, error) {
			calls++
			copy(value, "???") // its own copy
			return nil, refusal
		})
		if err != refusal || calls != 1 {
			t.Errorf("%s: %d calls, %v", what, calls, err)
		}
	}
	if after := get(t, kv, "grant/"+id); after.Rev != before || string(after.Value) != "revoked" {
		t.Errorf("a change to nothing wrote %q", after.Value)
	}
	wantGrant(t, r, "the other grant", 2, issued)
}

// testClaims: what was claimed, by a decision or alone, can be claimed no more.
func testClaims(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	jti := posture.Claim{RelyingParty: "acme", RequestID: "jti", Until: day.Add(time.Hour)}
	wantErr(t, "first use", r.Claim(ctx, jti), nil)
	wantErr(t, "replay", r.Claim(ctx, jti), posture.ErrReplayed)
	wantErr(t, "another's claim", r.Claim(ctx, posture.Claim{RelyingParty: "other", RequestID: "jti", Until: day}), nil)

	asRequest := newDecision(1001)
	asRequest.RequestID = "jti"
	wantErr(t, "claimed ID as a request", r.Decide(ctx, asRequest, day), posture.ErrReplayed)
	decide(t, r, newDecision(1002))
	wantErr(t, "answered request as a claim", r.Claim(ctx, posture.Claim{RelyingParty: "acme", RequestID: newDecision(1002).RequestID, Until: day}), posture.ErrReplayed)
	if err := r.Claim(ctx, posture.Claim{RelyingParty: "acme", Until: day}); err == nil {
		t.Error("nothing was claimed")
	}

	short := posture.Claim{RelyingParty: "acme", RequestID: "contended", Until: day}
	var won atomic.Int32
	race(80, func(int) {
		switch err := r.Claim(ctx, short); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, posture.ErrReplayed):
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d uses of one claim", won.Load())
	}
	failing := &failingKV{KV: kv}
	failing.failAfter(0)
	wantErr(t, "store that fails", store.New(failing).Claim(ctx, posture.Claim{RelyingParty: "acme", RequestID: "new", Until: day}), errInjected)
	if err := r.SweepClaims(ctx, day.Add(30*time.Minute)); err != nil {
		t.Error(err)
	}
	wantErr(t, "claim that was swept", r.Claim(ctx, short), nil)
	wantErr(t, "claim that holds still", r.Claim(ctx, jti), posture.ErrReplayed)
}
