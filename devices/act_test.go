package devices_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// one is the outcome of an act on one device.
func one(t *testing.T, done []devices.Outcome, err error) devices.Outcome {
	t.Helper()
	if err != nil || len(done) != 1 {
		t.Fatalf("%+v, %v; want one outcome", done, err)
	}
	return done[0]
}

func TestQuarantineEnds(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.add(imported("mac-1", "C02TEST1", "Apple"))
	mac := devices.Target{Device: "mac-1"}
	order := func(d time.Duration, why string) devices.Order {
		return devices.Order{For: d, By: "soc", Why: why}
	}
	shorten := order(time.Hour, "shorter")
	shorten.Shorten = true
	for _, step := range []struct {
		name    string
		order   devices.Order
		changed bool
		until   time.Duration // from the beginning; 0: no end
		why     string
	}{
		{"first", order(8*time.Hour, "first"), true, 8 * time.Hour, "first"},
		{"the same again", order(8*time.Hour, "first"), false, 8 * time.Hour, "first"},
		{"shorter", order(time.Hour, "shorter"), false, 8 * time.Hour, "first"},
		{"longer", order(9*time.Hour, "longer"), true, 9 * time.Hour, "longer"},
		{"shortened", shorten, true, time.Hour, "shorter"},
		{"without end", order(0, "open"), true, 0, "open"},
		{"without end again", order(0, "again"), false, 0, "open"},
		{"an end", order(time.Hour, "end"), false, 0, "open"},
		{"an end that shortens", shorten, true, time.Hour, "shorter"},
	} {
		done, err := w.actor.Quarantine(ctx, mac, step.order)
		o := one(t, done, err)
		want := posture.Quarantine{At: begin, By: "soc", Why: step.why}
		if step.until > 0 {
			want.Until = begin.Add(step.until)
		}
		if o.Changed != step.changed || *o.Quarantine != want || *w.device("mac-1").Quarantine != want {
			t.Errorf("%s: %+v, %+v; want %v, %+v", step.name, o, o.Quarantine, step.changed, want)
		}
	}
	d := w.device("mac-1")
	if v := w.judge(&d); v.Reason != posture.Quarantined || v.Compliant {
		t.Errorf("%+v; want it quarantined", v)
	}
	w.pass(time.Hour)
	if v := w.judge(&d); v.Quarantine != nil {
		t.Errorf("%+v; want it over by itself", v)
	}
	done, err := w.actor.Quarantine(ctx, mac, order(time.Minute, "anew"))
	if o := one(t, done, err); !o.Changed || !o.Quarantine.At.Equal(w.now()) {
		t.Errorf("%+v; want a new one behind one that is over", o)
	}
}

func TestLiftSettlesNothing(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	d := imported("mac-1", "C02TEST1", "Apple")
	d.Suspected = &posture.Suspicion{At: begin, Why: "two boots"}
	w.add(d)
	mac := devices.Target{Device: "mac-1"}
	done, err := w.actor.Lift(ctx, mac)
	if o := one(t, done, err); o.Changed || o.Quarantine != nil || o.Suspected != "two boots" {
		t.Errorf("%+v; want nothing to lift", o)
	}
	if _, err := w.actor.Quarantine(ctx, mac, devices.Order{By: "soc", Why: "alert 7"}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	for i, changed := range []bool{true, false} {
		done, err := w.actor.Lift(ctx, mac)
		o := one(t, done, err)
		if o.Changed != changed || o.Quarantine == nil || o.Quarantine.Holds(w.now()) || o.Suspected != "two boots" {
			t.Errorf("release %d: %+v, %+v", i, o, o.Quarantine)
		}
		w.pass(time.Minute)
	}
	if w.device("mac-1").Suspected == nil {
		t.Error("a release of a quarantine settled a suspicion")
	}
}

func TestActByOwner(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for i := range 1203 { // more than two pages
		d := imported(fmt.Sprintf("d-%04d", i), "", "Dell")
		if d.Owner = "bob@example.com"; i%601 == 0 {
			d.Owner = []string{"ann@example.com", "Ann@Example.com", "ANN@EXAMPLE.COM"}[i/601]
		}
		w.add(d)
	}
	ann := devices.Target{Owner: "aNN@example.com"}
	if _, err := w.actor.Retire(ctx, devices.Target{Device: "d-0601"}, ""); err != nil {
		t.Fatal(err)
	}
	for i, changed := range []bool{true, false} {
		done, err := w.actor.Quarantine(ctx, ann, devices.Order{For: time.Hour, By: "soc", Why: "alert"})
		if err != nil || len(done) != 3 || done[0].Changed != changed || done[1].Skipped == "" || done[2].Device != "d-1202" || done[2].Changed != changed {
			t.Errorf("time %d: %+v, %v", i, done, err)
		}
	}
	if w.device("d-0001").Quarantine != nil {
		t.Error("the device of another is in quarantine")
	}
	w.pass(time.Second)
	done, err := w.actor.Lift(ctx, ann)
	if err != nil || len(done) != 3 || !done[0].Changed || done[1].Skipped == "" {
		t.Errorf("released: %+v, %v", done, err)
	}
	for i, changed := range []bool{true, false} {
		done, err = w.actor.Retire(ctx, ann, "left")
		if err != nil || len(done) != 3 || done[0].Changed != changed || done[1].Changed || done[2].Changed != changed {
			t.Errorf("retired, time %d: %+v, %v", i, done, err)
		}
		w.pass(time.Second)
	}
	if d := w.device("d-1202"); !d.Retired() || d.RetireReason != "left" {
		t.Errorf("%+v; want it retired", d)
	}
}

func TestActRefused(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.add(imported("mac-1", "C02TEST1", "Apple"))
	w.add(imported("old-3", "", "Dell"))
	if _, err := w.actor.Retire(ctx, devices.Target{Device: "old-3"}, ""); err != nil {
		t.Fatal(err)
	}
	mac, good := devices.Target{Device: "mac-1"}, devices.Order{By: "soc", Why: "alert"}
	for name, tt := range map[string]struct {
		target devices.Target
		order  devices.Order
		want   error
	}{
		"nothing":      {devices.Target{}, good, devices.ErrBadTarget},
		"both":         {devices.Target{Device: "mac-1", Owner: "ann"}, good, devices.ErrBadTarget},
		"no device":    {devices.Target{Device: "none"}, good, posture.ErrNoDevice},
		"retired":      {devices.Target{Device: "old-3"}, good, posture.ErrRetired},
		"no owner":     {devices.Target{Owner: "eve"}, good, devices.ErrNoOwner},
		"no reason":    {mac, devices.Order{By: "soc"}, devices.ErrBadOrder},
		"nobody":       {mac, devices.Order{Why: "alert"}, devices.ErrBadOrder},
		"in the past":  {mac, devices.Order{For: -1, By: "soc", Why: "alert"}, devices.ErrBadOrder},
		"eleven years": {mac, devices.Order{For: 11 * 365 * 24 * time.Hour, By: "soc", Why: "alert"}, devices.ErrBadOrder},
		"bad reason":   {mac, devices.Order{By: "soc", Why: "a\nb"}, devices.ErrBadOrder},
		"bad name":     {mac, devices.Order{By: " soc", Why: "alert"}, devices.ErrBadOrder},
	} {
		if done, err := w.actor.Quarantine(ctx, tt.target, tt.order); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v; want %v", name, done, err, tt.want)
		}
	}
	if w.device("mac-1").Quarantine != nil {
		t.Error("a refused order has an effect")
	}
	for _, reason := range []string{"a\nb", strings.Repeat("x", 257), "\xff"} {
		if _, err := w.actor.Retire(ctx, mac, reason); !errors.Is(err, devices.ErrBadReason) {
			t.Errorf("retired for the reason %q: %v", reason, err)
		}
	}
	if d := w.device("mac-1"); d.Retired() {
		t.Error("retired for a reason that was refused")
	}
}
