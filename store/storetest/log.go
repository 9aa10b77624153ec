package storetest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/events/trail"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

var logKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// verifyLog goes through the log of the one node there is.
func verifyLog(t testing.TB, r *store.Records) (entries []trail.Entry, err error) {
	t.Helper()
	bounds, err := r.LogBounds(t.Context())
	if err != nil {
		return nil, err
	}
	if len(bounds) != 1 {
		t.Fatalf("bounds %+v", bounds)
	}
	v, err := trail.NewVerifier(bounds[0], logKey.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	kept, err := r.LogEntries(t.Context(), bounds[0].Node, 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range kept {
		e, err := v.Add(text, func(id string) ([]byte, error) { return r.DecisionRecord(t.Context(), id) })
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	_, _, err = v.End()
	return entries, err
}

func seal(t testing.TB, r *store.Records) {
	t.Helper()
	if err := r.Seal(t.Context(), logKey, eventBody); err != nil {
		t.Fatalf("seal: %v", err)
	}
}

// testLog makes decisions and changes of devices while the log is written.
func testLog(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	const racers, each = 8, 25
	stop, sealed := make(chan struct{}), make(chan error)
	go func() {
		for {
			err := r.Seal(ctx, logKey, eventBody)
			select {
			case <-stop:
				sealed <- err
				return
			default:
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	race(racers, func(g int) {
		for n := range each {
			decide(t, r, newDecision(g*each+n))
			id := fmt.Sprint("d", g)
			_, err := r.UpdateDevice(ctx, id, func(d *posture.Device, exists bool) error {
				at := day.Add(time.Duration(n) * time.Second)
				d.ID, d.UpdatedAt, d.Quarantine = id, at, &posture.Quarantine{At: at, By: "soc", Why: fmt.Sprint("alert ", n)}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	close(stop)
	if err := <-sealed; err != nil {
		t.Fatal(err)
	}
	seal(t, r)
	entries, err := verifyLog(t, r)
	if err != nil || len(entries) != 2*racers*each {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	// What happened to one device stands in order, each once.
	next, decided := map[string]int{}, map[string]bool{}
	for _, e := range entries {
		switch e.Event.Kind {
		case posture.DeviceQuarantined:
			if want := fmt.Sprint("alert ", next[e.Event.DeviceID]); e.Event.Why != want {
				t.Errorf("device %s: %q, want %q", e.Event.DeviceID, e.Event.Why, want)
			}
			next[e.Event.DeviceID]++
		case posture.Decided:
			decided[e.Event.Decision] = true
		}
	}
	if len(decided) != racers*each {
		t.Errorf("%d decisions", len(decided))
	}
	if left, err := kv.Scan(ctx, "outbox/", "", 10); err != nil || len(left) != 0 {
		t.Errorf("in the outbox are still %v, %v", left, err)
	}
}

// testLogTampered changes, deletes and swaps what is kept.
func testLogTampered(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for n := range 4 {
		decide(t, r, newDecision(n))
	}
	seal(t, r)
	if _, err := verifyLog(t, r); err != nil {
		t.Fatal(err)
	}
	var kept []store.Entry
	for _, prefix := range []string{"log/", "loghead/", "decision/"} {
		page, err := kv.Scan(ctx, prefix, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, page...)
	}
	if len(kept) != 4+1+4 {
		t.Fatalf("%d records", len(kept))
	}
	put := func(key string, value []byte) {
		op := store.Op{Kind: store.Put, Key: key, Value: value, Rev: store.Any}
		if value == nil {
			op.Kind = store.Delete
		}
		if err := kv.Commit(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range kept {
		for i := range e.Value {
			changed := slices.Clone(e.Value)
			changed[i] ^= 1
			put(e.Key, changed)
			if _, err := verifyLog(t, r); !errors.Is(err, trail.ErrBroken) {
				t.Fatalf("%s with byte %d changed: %s: %v", e.Key, i, changed, err)
			}
		}
		if !strings.HasPrefix(e.Key, "loghead/") {
			put(e.Key, nil)
			if _, err := verifyLog(t, r); !errors.Is(err, trail.ErrBroken) {
				t.Errorf("without %s: %v", e.Key, err)
			}
		}
		put(e.Key, e.Value)
	}
	if _, err := verifyLog(t, r); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func testPruneLog(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	const all = 100
	for n := range all {
		decide(t, r, newDecision(n))
	}
	if deleted, err := r.PruneLog(ctx, day.Add(time.Hour), logKey); err != nil || deleted != 0 {
		t.Errorf("nothing is in the log, %d deleted: %v", deleted, err)
	}
	seal(t, r)
	left := all
	for _, keep := range []int{0, 1, 50, 50, all} {
		deleted, err := r.PruneLog(ctx, day.Add(time.Duration(keep)*time.Second), logKey)
		if err != nil || deleted != left-(all-keep) {
			t.Errorf("keep from %d: %d deleted, %v", keep, deleted, err)
		}
		left = all - keep
		entries, err := verifyLog(t, r)
		if err != nil || len(entries) != left {
			t.Errorf("keep from %d: %d entries left, %v", keep, len(entries), err)
		}
		if decisions, err := r.Decisions(ctx, "", 1000); err != nil || len(decisions) != left {
			t.Errorf("keep from %d: %d decisions left, %v", keep, len(decisions), err)
		}
	}
	// It goes on from there.
	decide(t, r, newDecision(all))
	seal(t, r)
	if entries, err := verifyLog(t, r); err != nil || len(entries) != 1 || entries[0].Seq != all+1 {
		t.Errorf("%+v, %v", entries, err)
	}
}

// testLogRace writes the log twice at once and prunes it meanwhile.
func testLogRace(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	race(4, func(g int) {
		for n := range 40 {
			switch g {
			case 0, 1:
				wantErr(t, "seal", r.Seal(ctx, logKey, eventBody), nil)
			case 2:
				_, err := r.PruneLog(ctx, day.Add(20*time.Second), logKey)
				wantErr(t, "prune", err, nil)
			case 3:
				decide(t, r, newDecision(n))
			}
		}
	})
	seal(t, r)
	if _, err := r.PruneLog(ctx, day.Add(20*time.Second), logKey); err != nil {
		t.Error(err)
	}
	entries, err := verifyLog(t, r)
	if err != nil || len(entries) != 20 || entries[0].Seq != 21 {
		t.Errorf("%d entries left: %v", len(entries), err)
	}
}

func testAPITokens(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	for n := range 3 {
		token := posture.APIToken{Name: fmt.Sprint("t", n), Role: posture.Viewer, CreatedAt: day, ExpiresAt: day.Add(90 * 24 * time.Hour)}
		token.Hash = strings.Repeat(fmt.Sprint(n), 64)
		if err := r.AddAPIToken(ctx, token); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "the same again", r.AddAPIToken(ctx, token), posture.ErrExists)
	}
	first := strings.Repeat("0", 64)
	if err := r.AddAPIToken(ctx, posture.APIToken{Hash: "short"}); err == nil {
		t.Error("a token without a hash is added")
	}
	_, err := r.APIToken(ctx, strings.Repeat("f", 64))
	wantErr(t, "unknown", err, posture.ErrNoAPIToken)
	if page, err := r.APITokens(ctx, first, 1); err != nil || len(page) != 1 || page[0].Name != "t1" {
		t.Errorf("%+v, %v", page, err)
	}
	used := day.Add(20 * 24 * time.Hour)
	if err := r.UseAPIToken(ctx, first, used, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	if token, err := r.APIToken(ctx, first); err != nil || !token.UsedAt.Equal(used) || token.UsedFrom != "192.0.2.1" {
		t.Errorf("%+v, %v", token, err)
	}
	_, err = r.RevokeAPIToken(ctx, strings.Repeat("2", posture.TokenIDLen), day)
	wantErr(t, "revoke", err, nil)
	again, err := r.RevokeAPIToken(ctx, strings.Repeat("2", posture.TokenIDLen), used)
	if err != nil || !again.RevokedAt.Equal(day) {
		t.Errorf("revoked again: %+v, %v", again, err)
	}
	_, err = r.RevokeAPIToken(ctx, strings.Repeat("2", posture.TokenIDLen-1), used)
	wantErr(t, "short ID", err, posture.ErrNoAPIToken)
	wantErr(t, "use of a revoked one", r.UseAPIToken(ctx, strings.Repeat("2", 64), used, ""), posture.ErrNoAPIToken)
	// The one that was not used ends after thirty days, the revoked one is
	// forgotten.
	if err := r.SweepAPITokens(ctx, day.Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	page, err := r.APITokens(ctx, "", 10)
	if err != nil || len(page) != 2 || !page[0].RevokedAt.IsZero() || page[1].RevokedAt.IsZero() {
		t.Errorf("after a sweep: %+v, %v", page, err)
	}
	seal(t, r)
	if entries, err := verifyLog(t, r); err != nil || len(entries) != 1 || entries[0].Event.Why != "API token t1 (1111111111111111) was not used for 30 days" {
		t.Errorf("the log says %+v, %v", entries, err)
	}
}

func eventBody(e *posture.Event) ([]byte, error) {
	return []byte(e.Kind + " " + posture.EventKind(e.DeviceID) + " " + posture.EventKind(e.Why)), nil
}
