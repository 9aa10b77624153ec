package posture_test

import (
	"testing"
	"time"

	"gatepost.dev/posture"
)

// lenient is a rule that fails with what it says of the failure.
type lenient struct {
	rule
	failure posture.Failure
}

func (l lenient) Check(*posture.Input) (posture.Failure, bool) {
	l.failure.Rule = l.name
	return l.failure, l.ok
}

func managedDevice() posture.Device {
	return posture.Device{ID: "dev-1", Facts: []posture.Fact{said(posture.FactManaged, "true", posture.Import, time.Hour)}}
}

func TestSeverityAndGrace(t *testing.T) {
	t.Parallel()
	warn := lenient{rule{"firewall", false}, posture.Failure{Severity: posture.Warn}}
	grace := lenient{rule{"updates", false}, posture.Failure{Grace: 72 * time.Hour}}
	p := &posture.Policy{Name: "p", Rules: []posture.Rule{warn, grace, rule{"disk", true}}}
	d := managedDevice()
	in := &posture.Input{Device: &d, Now: now}

	v := posture.Judge(in, p)
	if !v.Compliant || len(v.Failures) != 2 || !v.Failures[1].Until.Equal(now.Add(72*time.Hour)) || !v.Failures[0].Until.IsZero() {
		t.Fatalf("first failure: %+v", v)
	}
	if !d.NoteFailures(p, &v, now) || len(d.Failing) != 1 {
		t.Fatalf("noted %+v", d.Failing)
	}
	in.Now = now.Add(71 * time.Hour)
	{
		v = posture.Judge(in, p)
		if !v.Compliant || d.NoteFailures(p, &v, in.Now) || !v.Failures[1].Until.Equal(now.Add(72*time.Hour)) {
			t.Errorf("within the grace period: %+v, %+v", v, d.Failing)
		}
	}
	in.Now = now.Add(72 * time.Hour)
	if v = posture.Judge(in, p); v.Compliant || v.Reason != posture.NotCompliant {
		t.Errorf("after the grace period: %+v", v)
	}

	// Another policy has its own, and a rule that holds again begins anew.
	other := &posture.Policy{Name: "q", Rules: []posture.Rule{grace}}
	if v = posture.Judge(in, other); !v.Compliant {
		t.Errorf("another policy: %+v", v)
	}
	mended := &posture.Policy{Name: "p", Rules: []posture.Rule{rule{"updates", true}}}
	if v = posture.Judge(in, mended); !d.NoteFailures(mended, &v, in.Now) || len(d.Failing) != 0 {
		t.Errorf("mended: %+v", d.Failing)
	}
	if v = posture.Judge(in, p); !v.Compliant {
		t.Errorf("fails anew: %+v", v)
	}

	// A policy that lost its rules, and gets them back, begins anew too.
	d.NoteFailures(p, &v, in.Now)
	if v = posture.Judge(in, &posture.Policy{Name: "p"}); !d.NoteFailures(&posture.Policy{Name: "p"}, &v, in.Now) || len(d.Failing) != 0 {
		t.Errorf("without rules: %+v", d.Failing)
	}
	v = posture.Judge(in, p)

	// A device that is not managed was not asked by any rule.
	d.NoteFailures(p, &v, in.Now)
	d.RetiredAt = in.Now
	if v = posture.Judge(in, p); v.Judged || d.NoteFailures(p, &v, in.Now) || len(d.Failing) != 1 {
		t.Errorf("retired: %+v, %+v", v, d.Failing)
	}
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		q    *posture.Quarantine
		held bool
	}{
		"none":        {nil, false},
		"over":        {&posture.Quarantine{At: now.Add(-time.Hour), Until: now}, false},
		"holds":       {&posture.Quarantine{At: now.Add(-time.Hour), Until: now.Add(time.Nanosecond), By: "soc", Why: "alert 7"}, true},
		"without end": {&posture.Quarantine{At: now.Add(-time.Hour)}, true},
	} {
		d := managedDevice()
		d.Quarantine = tt.q
		p := &posture.Policy{Rules: []posture.Rule{rule{"disk", true}}}
		v := posture.Judge(&posture.Input{Device: &d, Now: now}, p)
		if !v.Managed || v.Compliant == tt.held || (v.Reason == posture.Quarantined) != tt.held || (v.Quarantine != nil) != tt.held {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
