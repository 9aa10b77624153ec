package posture

import (
	"testing"
	"time"
)

func TestFoldSerial(t *testing.T) {
	t.Parallel()
	for serial, want := range map[string]string{"C02ABC": "c02abc", " PF3xyz\t": "pf3xyz", "5CD1-2": "5cd1-2"} {
		if got, ok := FoldSerial(serial); !ok || got != want {
			t.Errorf("%q folds to %q, %t", serial, got, ok)
		}
	}
	for _, serial := range []string{"", "  ", "abc", "0000000", "To Be Filled By O.E.M.", "System Serial Number", "Default string", "None", "N/A", "123456789", "XXXXXXXX"} {
		if _, ok := FoldSerial(serial); ok {
			t.Errorf("%q tells machines apart", serial)
		}
	}
}

func TestSameVendor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"Dell", "Dell Inc.", true}, {"LENOVO", "Lenovo", true}, {"", "Apple", true}, {"Apple", "Apple Inc.", true},
		{"Dell", "Lenovo", false}, {"HP", "HPE", false},
	} {
		if SameVendor(tt.a, tt.b) != tt.same || SameVendor(tt.b, tt.a) != tt.same {
			t.Errorf("%q and %q: want %t", tt.a, tt.b, tt.same)
		}
	}
}

// TestEnrollmentGoesWithItsAgent: an enrolment's word is as old as the last
// report; another source's word against it wins, and nobody else's word gets
// younger by a report.
func TestEnrollmentGoesWithItsAgent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	later := at.Add(30 * 24 * time.Hour)
	policy := &Policy{Name: "default"}
	imported := Source{Name: "import", Kind: Import}
	for name, tt := range map[string]struct {
		change func(d *Device)
		want   Reason // NotCompliant: managed
	}{
		"reports":         {func(*Device) {}, NotCompliant},
		"reports no more": {func(d *Device) { d.Agent.ReceivedAt = at }, Stale},
		"never reported":  {func(d *Device) { d.Agent = nil }, Stale},
		"an import says no": {func(d *Device) {
			d.setFact(Fact{Name: FactManaged, Value: "false", Source: imported, ObservedAt: later})
		}, NotManaged},
		"suspected": {func(d *Device) { d.Suspected = &Suspicion{At: later} }, CloneSuspected},
		"an import, and not itself": {func(d *Device) {
			d.Facts = []Fact{{Name: FactManaged, Value: "true", Source: imported, ObservedAt: at}}
		}, Stale},
		"its agent alone": {func(d *Device) {
			d.Facts = []Fact{{Name: FactManaged, Value: "true", Source: AgentSource(), ObservedAt: later}}
		}, NotManaged},
	} {
		d := Device{ID: "a", Enrolled: &Enrolled{At: at}, Agent: &AgentState{ReceivedAt: later}}
		d.Approve(at)
		tt.change(&d)
		if v := Judge(&Input{Device: &d, Now: later}, policy); v.Reason != tt.want {
			t.Errorf("%s: %+v, want %q", name, v, tt.want)
		}
	}
}
