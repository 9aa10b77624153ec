package devices_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// fleet is an inventory of made-up devices.
type fleet struct {
	devices []posture.Device
	failAt  int // the page that cannot be read, from 1; 0: none
	pages   int
}

func (f *fleet) CountDevices(context.Context) (int, error) { return len(f.devices), nil }

func (f *fleet) Devices(_ context.Context, after string, limit int) ([]posture.Device, error) {
	if f.pages++; f.pages == f.failAt {
		return nil, errors.New("disk failed")
	}
	from := 0
	for from < len(f.devices) && f.devices[from].ID <= after {
		from++
	}
	return f.devices[from:min(len(f.devices), from+limit)], nil
}

// encrypted is a rule.
type encrypted struct{ severity posture.Severity }

func (encrypted) Name() string { return "disk" }

func (r encrypted) Check(in *posture.Input) (posture.Failure, bool) {
	f := in.Device.Fact("DiskEncrypted", time.Hour, in.Now)
	return posture.Failure{Rule: "disk", Why: "it is not encrypted", Severity: r.severity}, f != nil && f.Value == "true"
}

func (encrypted) Explain(*posture.Input) posture.Finding { return posture.Finding{Rule: "disk"} }

// madeUp has n devices: every third one has no encrypted disk, every tenth one is not
// managed, and the import calls every seventh not compliant.
func madeUp(n int, now time.Time) *fleet {
	word := func(b bool) string { return fmt.Sprint(b) }
	f := &fleet{}
	source := posture.Source{Name: "import", Kind: posture.Import}
	for i := range n {
		var d posture.Device
		d.Apply(&posture.Report{DeviceID: fmt.Sprintf("dev-%06d", i), Owner: "o", Facts: map[string]string{
			posture.FactManaged: word(i%10 != 0), posture.FactCompliant: word(i%7 != 0), "DiskEncrypted": word(i%3 != 0),
		}}, source, now)
		f.devices = append(f.devices, d)
	}
	return f
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	const n = 2100 // a multiple of all three
	s := devices.Simulator{Inventory: madeUp(n, now), Now: func() time.Time { return now }}
	before := &posture.Policy{Name: "default"}
	after := &posture.Policy{Name: "default", Rules: []posture.Rule{encrypted{}}}
	last, total := 0, 0
	got, err := s.Run(t.Context(), before, after, posture.AppContext{}, func(done, of int) {
		if done < last {
			t.Errorf("%d are done after %d", done, last)
		}
		last, total = done, of
	})
	if err != nil || last != n || total != n {
		t.Fatalf("%v; told of %d of %d", err, last, total)
	}
	want := devices.Simulation{Devices: n, Failing: map[string]int{}, Warned: map[string]int{}}
	var losing []string
	for i := range n {
		managed, was, is := i%10 != 0, i%7 != 0, i%3 != 0
		if !managed {
			continue
		}
		want.Before.Managed++
		want.After.Managed++
		if !is {
			want.Failing["disk"]++
		}
		if was {
			want.Before.Compliant++
		}
		if is {
			want.After.Compliant++
		}
		switch {
		case was && !is:
			want.Lose++
			losing = append(losing, fmt.Sprintf("dev-%06d", i))
		case !was && is:
			want.Gain++
		}
	}
	var named []string
	for _, c := range got.Losing {
		named = append(named, c.DeviceID)
		if c.After != posture.NotCompliant || len(c.Failures) != 1 || c.Owner != "o" {
			t.Errorf("change %+v", c)
		}
	}
	if !reflect.DeepEqual(named, losing[:20]) {
		t.Errorf("names %v, want %v", named, losing[:20])
	}
	if got.Losing = nil; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}

	// What only warns changes nothing.
	after.Rules = []posture.Rule{encrypted{posture.Warn}}
	if got, err = s.Run(t.Context(), before, after, posture.AppContext{}, func(int, int) {}); err != nil || got.After.Compliant != got.After.Managed || len(got.Failing) != 0 || got.Warned["disk"] != want.Failing["disk"] {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSimulateSaysThatItFailed: what was not read is not passed over.
func TestSimulateSaysThatItFailed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := madeUp(1000, now)
	f.failAt = 3
	s := devices.Simulator{Inventory: f, Now: func() time.Time { return now }}
	p := &posture.Policy{}
	if _, err := s.Run(t.Context(), p, p, posture.AppContext{}, func(int, int) {}); err == nil || err.Error() != "disk failed" {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Inventory = madeUp(1000, now)
	if _, err := s.Run(ctx, p, p, posture.AppContext{}, func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
