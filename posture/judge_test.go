package posture_test

import (
	"strconv"
	"testing"
	"time"

	"gatepost.dev/posture"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func said(name, value string, kind posture.SourceKind, age time.Duration) posture.Fact {
	return posture.Fact{Name: name, Value: value, Source: posture.Source{Name: string(kind), Kind: kind}, ObservedAt: now.Add(-age)}
}

// rule is a Rule that holds or does not.
type rule struct {
	name string
	ok   bool
}

func (r rule) Name() string { return r.name }
func (r rule) Check(*posture.Input) (posture.Failure, bool) {
	return posture.Failure{Rule: r.name, Why: "because"}, r.ok
}
func (r rule) Explain(*posture.Input) posture.Finding { return posture.Finding{Rule: r.name, OK: r.ok} }

func TestJudge(t *testing.T) {
	t.Parallel()
	managed := said(posture.FactManaged, "true", posture.Import, time.Hour)
	compliant := said(posture.FactCompliant, "true", posture.Import, time.Hour)
	day := &posture.Policy{Name: "day", ManagedMaxAge: 24 * time.Hour}
	limited := managed
	limited.MaxAge = 30 * time.Minute

	tests := []struct {
		name    string
		device  posture.Device
		policy  *posture.Policy
		managed bool
		comply  bool
		reason  posture.Reason
	}{
		{"managed and compliant", posture.Device{Facts: []posture.Fact{compliant, managed}}, day, true, true, ""},
		{"managed, compliance unknown", posture.Device{Facts: []posture.Fact{managed}}, day, true, false, posture.NotCompliant},
		{"managed, not compliant", posture.Device{Facts: []posture.Fact{said(posture.FactCompliant, "false", posture.Import, 0), managed}}, day, true, false, posture.NotCompliant},
		{"managed, compliance stale", posture.Device{Facts: []posture.Fact{said(posture.FactCompliant, "true", posture.Import, 25*time.Hour), managed}}, day, true, false, posture.NotCompliant},
		{"nothing said", posture.Device{}, day, false, false, posture.NotManaged},
		{"said not managed", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "false", posture.Import, 0)}}, day, false, false, posture.NotManaged},
		{"not the word true", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "TRUE", posture.Import, 0)}}, day, false, false, posture.NotManaged},
		{"stale", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "true", posture.Import, 24*time.Hour+time.Second)}}, day, false, false, posture.Stale},
		{"fresh to the second", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "true", posture.Import, 24*time.Hour)}}, day, true, true, ""},
		{"the fact's own limit is shorter", posture.Device{Facts: []posture.Fact{compliant, limited}}, day, false, false, posture.Stale},
		{"from the future", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "true", posture.Import, -time.Hour)}}, day, false, false, posture.Stale},
		{"default limit", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "true", posture.Import, posture.DefaultMaxAge)}}, &posture.Policy{}, true, true, ""},
		{"past the default limit", posture.Device{Facts: []posture.Fact{said(posture.FactManaged, "true", posture.Import, posture.DefaultMaxAge+time.Second)}}, &posture.Policy{}, false, false, posture.Stale},
		{"an agent cannot say managed", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "true", posture.Agent, 0)}}, day, false, false, posture.NotManaged},
		{"an agent cannot say compliant", posture.Device{Facts: []posture.Fact{said(posture.FactCompliant, "true", posture.Agent, 0), managed}}, day, true, false, posture.NotCompliant},
		{"an agent cannot contradict either", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "false", posture.Agent, 0), managed}}, day, true, true, ""},
		{"sources disagree", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "false", posture.Connector, 0), managed}}, day, false, false, posture.NotManaged},
		{"a stale word against is not believed", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "false", posture.Connector, 48*time.Hour), managed}}, day, true, true, ""},
		{"a stale word for does not help", posture.Device{Facts: []posture.Fact{compliant, said(posture.FactManaged, "true", posture.Connector, 48*time.Hour), managed}}, day, true, true, ""},
		{"retired", posture.Device{RetiredAt: now, Facts: []posture.Fact{compliant, managed}}, day, false, false, posture.RevokedCertificate},
		{"rules hold", posture.Device{Facts: []posture.Fact{managed}}, &posture.Policy{Rules: []posture.Rule{rule{"a", true}}}, true, true, ""},
		{"a rule fails whatever was said", posture.Device{Facts: []posture.Fact{compliant, managed}}, &posture.Policy{Rules: []posture.Rule{rule{"a", true}, rule{"b", false}}}, true, false, posture.NotCompliant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := posture.Judge(&posture.Input{Device: &tt.device, Now: now}, tt.policy)
			if v.Managed != tt.managed || v.Compliant != tt.comply || v.Reason != tt.reason {
				t.Errorf("Judge = managed %t, compliant %t, reason %q; want %t, %t, %q", v.Managed, v.Compliant, v.Reason, tt.managed, tt.comply, tt.reason)
			}
			if v.Compliant && !v.Managed {
				t.Error("compliant without being managed")
			}
		})
	}
}

func TestJudgeNamesEveryFailure(t *testing.T) {
	t.Parallel()
	d := posture.Device{Facts: []posture.Fact{said(posture.FactManaged, "true", posture.Connector, 0)}}
	p := &posture.Policy{Rules: []posture.Rule{rule{"a", false}, rule{"b", true}, rule{"c", false}}}
	v := posture.Judge(&posture.Input{Device: &d, Now: now}, p)
	if len(v.Failures) != 2 || v.Failures[0].Rule != "a" || v.Failures[1].Rule != "c" {
		t.Errorf("failures = %v, want those of a and c in order", v.Failures)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	mdm := posture.Source{Name: "mdm", Kind: posture.Connector}
	var d posture.Device
	d.Apply(&posture.Report{DeviceID: "d1", Vendor: "Apple", Owner: "ana", Facts: map[string]string{posture.FactManaged: "true", "DiskEncrypted": "true"}}, mdm, now)
	d.Apply(&posture.Report{DeviceID: "d1", OSVersion: "15.5", Facts: map[string]string{posture.FactManaged: "false"}}, mdm, now.Add(time.Minute))
	if d.ID != "d1" || d.Vendor != "Apple" || d.OSVersion != "15.5" || d.Owner != "ana" {
		t.Errorf("device = %+v: an empty field must change nothing, a given one must", d)
	}
	if !d.CreatedAt.Equal(now) || !d.UpdatedAt.Equal(now.Add(time.Minute)) {
		t.Errorf("created %v, updated %v", d.CreatedAt, d.UpdatedAt)
	}
	if len(d.Facts) != 2 || d.Facts[0].Name != "DiskEncrypted" || d.Facts[1].Value != "false" {
		t.Errorf("facts = %+v: want one for each name and source, the later word", d.Facts)
	}

	agent := posture.Source{Name: "agent", Kind: posture.Agent}
	dropped := d.Apply(&posture.Report{DeviceID: "d1", Facts: map[string]string{posture.FactManaged: "true", posture.FactCompliant: "true", "DiskEncrypted": "false"}}, agent, now)
	if len(dropped) != 2 || dropped[0] != posture.FactCompliant || dropped[1] != posture.FactManaged {
		t.Errorf("dropped = %v, want both verdicts of an agent", dropped)
	}
	if len(d.Facts) != 3 {
		t.Errorf("facts = %+v: an agent's own fact stands beside the connector's", d.Facts)
	}
}

func TestUnlist(t *testing.T) {
	t.Parallel()
	d := posture.Device{Facts: []posture.Fact{
		{Name: posture.FactManaged, Value: "true", Source: posture.Source{Name: "hr", Kind: posture.Import}, ObservedAt: now},
		{Name: posture.FactManaged, Value: "true", Source: posture.Source{Name: "mdm", Kind: posture.Connector}, ObservedAt: now},
	}}
	if d.Unlist("mdm", now) {
		t.Error("a device that the source named just now was unlisted")
	}
	if !d.Unlist("mdm", now.Add(time.Hour)) || d.Facts[1].Value != "false" || d.Facts[0].Value != "true" {
		t.Errorf("facts = %+v: want only what mdm said changed", d.Facts)
	}
	if d.Unlist("mdm", now.Add(2*time.Hour)) {
		t.Error("unlisted twice")
	}
	// An import after the clock was set back is the source's last word all the same.
	if !d.Unlist("hr", now.Add(-time.Minute)) || d.Facts[0].Value != "false" || !d.Facts[0].ObservedAt.Equal(now.Add(-time.Minute)) {
		t.Errorf("facts = %+v: want unlisted at an earlier time", d.Facts)
	}
}

func BenchmarkJudge(b *testing.B) {
	d := posture.Device{}
	facts := map[string]string{posture.FactManaged: "true", posture.FactCompliant: "true"}
	for i := range 20 {
		facts["Fact"+strconv.Itoa(i)] = "true"
	}
	d.Apply(&posture.Report{DeviceID: "d1", Facts: facts}, posture.Source{Name: "import", Kind: posture.Import}, now)
	p := &posture.Policy{}
	b.ReportAllocs()
	for b.Loop() {
		if v := posture.Judge(&posture.Input{Device: &d, Now: now}, p); !v.Compliant {
			b.Fatal(v)
		}
	}
}
