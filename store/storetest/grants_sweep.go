package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// countingKV counts the entries that were scanned.
type countingKV struct {
	store.KV
	scanned atomic.Int64
}

func (c *countingKV) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Entry, error) {
	page, err := c.KV.Scan(ctx, prefix, after, limit)
	c.scanned.Add(int64(len(page)))
	return page, err
}

// testSweepGrants: what ended goes, however much there is; what lives is hardly
// looked at.
func testSweepGrants(t *testing.T, kv store.KV) {
	const all, ended = 600, 300
	r, ctx := store.New(kv), t.Context()
	race(30, func(g int) {
		for n := g; n < all; n += 30 {
			decideGrant(t, r, n)
		}
	})
	sweep := func(what string, at time.Duration, left int, atMost int64) {
		t.Helper()
		counting := &countingKV{KV: kv}
		if err := store.New(counting).SweepGrants(ctx, day.Add(at)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		grants, err := kv.Scan(ctx, "grant/", "", 2*all)
		if err != nil || len(grants) != left || grants[0].Key != "grant/"+newGrant(all-left).ID {
			t.Errorf("%s: %d grants are left, want the last %d: %v", what, len(grants), left, err)
		}
		if n := counting.scanned.Load(); n > atMost {
			t.Errorf("%s: %d entries were read", what, n)
		}
	}
	sweep("before all", -time.Hour, all, store.MaxOps)
	sweep("at the first one's end", 0, all, store.MaxOps)
	sweep("just behind it", time.Second-1, all, store.MaxOps)
	sweep("a second behind it", time.Second, all-1, store.MaxOps)
	sweep("later", ended*time.Second, all-ended, ended+store.MaxOps)
	wantGrant(t, r, "ended", ended-1, "")
	wantGrant(t, r, "not ended", ended, issued)

	race(6, func(i int) { // several sweep while others redeem
		if i < 3 {
			if err := r.SweepGrants(ctx, day.Add((all-1)*time.Second)); err != nil {
				t.Error(err)
			}
			return
		}
		for n := ended; n < all-1; n += 7 {
			if err := r.UpdateGrant(ctx, newGrant(n).ID, redeem); err != nil && err != errUsed {
				wantErr(t, "redeem what is being swept", err, posture.ErrNoGrant)
			}
		}
	})
	sweep("in the end", (all-1)*time.Second, 1, store.MaxOps)
	if err := r.UpdateGrant(ctx, newGrant(all-1).ID, redeem); err != nil {
		t.Errorf("the last: %v", err)
	}

	for range 2 { // the last one, and then nothing at all
		if err := r.SweepGrants(ctx, day.Add(24*time.Hour)); err != nil {
			t.Error(err)
		}
	}
	wantGrant(t, r, "after the last sweep", all-1, "")
	if decisions, err := r.Decisions(ctx, "", 2*all); err != nil || len(decisions) != all {
		t.Errorf("sweeping left %d of %d decisions: %v", len(decisions), all, err)
	}
	commit(t, kv, put("grant/sometime", "x", store.Absent))
	wantErr(t, "grant without a time", r.SweepGrants(ctx, day), store.ErrDamaged)
}

// testMeddledGrants: what happens between the reading of a grant and its commit
// counts.
func testMeddledGrants(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for n := range 6 {
		decideGrant(t, r, n)
	}
	update := func(n int, do func()) (seen []string, err error) {
		meddled := store.New(&meddlingKV{KV: kv, meddle: once(0, "grant/", do)})
		err = meddled.UpdateGrant(ctx, newGrant(n).ID, func(value []byte) ([]byte, error) {
			seen = append(seen, string(value))
			return redeem(value)
		})
		return seen, err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	seen, err := update(0, func() { must(r.UpdateGrant(ctx, newGrant(0).ID, redeem)) })
	if err != errUsed || strings.Join(seen, " ") != "issued redeemed" {
		t.Errorf("redeemed meanwhile: saw %q, %v", seen, err)
	}
	wantGrant(t, r, "redeemed meanwhile", 0, "revoked")

	_, err = update(1, func() { must(r.SweepGrants(ctx, day.Add(2*time.Second))) })
	wantErr(t, "swept meanwhile", err, posture.ErrNoGrant)
	wantGrant(t, r, "swept meanwhile", 1, "")

	seen, err = update(2, func() {
		must(r.UpdateGrant(ctx, newGrant(2).ID, func([]byte) ([]byte, error) { return []byte(issued), nil }))
	})
	if err != nil || len(seen) != 2 {
		t.Errorf("written anew meanwhile: saw %q, %v", seen, err)
	}

	// A claim made by somebody else, and swept, between commit and looking.
	gone := posture.Claim{RelyingParty: "acme", RequestID: "gone", Until: day}
	must(r.Claim(ctx, gone))
	swept := store.New(&meddlingKV{KV: kv, meddle: once(0, "claim/", func() { must(r.SweepClaims(ctx, day.Add(time.Hour))) })})
	if err := swept.Claim(ctx, gone); err != nil && !errors.Is(err, posture.ErrReplayed) {
		t.Errorf("swept meanwhile: %v", err)
	}

	n := 0
	restless := store.New(&meddlingKV{KV: kv, meddle: func([]store.Op) error {
		n++
		return kv.Commit(ctx, put("grant/"+newGrant(5).ID, fmt.Sprint(n), store.Any))
	}})
	err = restless.UpdateGrant(ctx, newGrant(5).ID, func([]byte) ([]byte, error) { return []byte("x"), nil })
	wantErr(t, "change that never gets through", err, store.ErrConflict)
}

// redeemForEver issues grants and redeems every second one, and says so.
func redeemForEver(kv store.KV) error {
	r, ctx := store.New(kv), context.Background()
	for n := 0; ; n++ {
		if err := r.DecideGrant(ctx, newGranted(n), day, newGrant(n)); err != nil {
			return err
		}
		acknowledge("issued %d", n)
		if n%2 == 0 {
			continue
		}
		if err := r.UpdateGrant(ctx, newGrant(n).ID, redeem); err != nil {
			return err
		}
		acknowledge("redeemed %d", n)
	}
}

// crashGrants: a code that was handed out before the crash can be redeemed after
// it, once; one that was redeemed before, not again.
func crashGrants(t *testing.T, open func(dir string) (store.KV, error)) {
	for _, killAt := range []string{"issued 0", "redeemed 1", "issued 41", "redeemed 99"} {
		dir := t.TempDir()
		want := map[int]error{}
		last := 0
		runVictim(t, "grant", dir, func(ack string) bool {
			var what string
			if _, err := fmt.Sscanf(ack, "%s %d", &what, &last); err != nil {
				t.Fatalf("%q: %v", ack, err)
			}
			want[last] = nil
			if what == "redeemed" {
				want[last] = errUsed
			}
			return ack == killAt
		})
		kv, err := open(dir)
		if err != nil {
			t.Fatalf("killed at %q: %v", killAt, err)
		}
		r := store.New(kv)
		for n, refusal := range want {
			err := r.UpdateGrant(t.Context(), newGrant(n).ID, redeem)
			// What the last one was about when it died may have been done or not.
			if err != refusal && (n != last || err != errUsed) {
				t.Errorf("killed at %q: grant %d: %v, want %v", killAt, n, err, refusal)
			}
		}
		// The decision of a grant that nobody acknowledged is there iff the grant is.
		_, noDecision := r.Decision(t.Context(), newGranted(last+1).ID)
		_, noGrant := r.Grant(t.Context(), newGrant(last+1).ID)
		if (noDecision == nil) != (noGrant == nil) {
			t.Errorf("killed at %q: half there: decision %v, grant %v", killAt, noDecision, noGrant)
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
