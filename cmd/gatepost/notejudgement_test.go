package main

import (
	"testing"
	"time"

	"gatepost.dev/posture"
)

// TestNoteJudgement: a report starts the time that a rule gives, and ends it when the
// device passes again; without such rules nothing is noted.
func TestNoteJudgement(t *testing.T) {
	t.Parallel()
	c := &Config{Policies: map[string]Policy{
		"default": {Facts: map[string]string{"DiskEncrypted": "true"}},
		"graced":  {Rules: []Rule{{Name: "disk", Require: `facts.DiskEncrypted == "true"`, Grace: time.Hour}, {Name: "now", Require: `false`}}},
	}}
	policies, err := newPolicies(c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	d := posture.Device{ID: "dev-1"}
	say := func(name, value string, source posture.Source) {
		d.Apply(&posture.Report{Facts: map[string]string{name: value}}, source, now)
	}
	say(posture.FactManaged, "true", posture.Source{Name: "import", Kind: posture.Import})
	say("DiskEncrypted", "false", posture.AgentSource())
	note := noteJudgement(policies)
	note(&d, now)
	note(&d, now.Add(time.Minute))
	if len(d.Failing) != 1 || d.Failing[0] != (posture.Failing{Policy: "graced", Rule: "disk", Since: now}) {
		t.Errorf("noted %+v", d.Failing)
	}
	say("DiskEncrypted", "true", posture.AgentSource())
	note(&d, now.Add(2*time.Minute))
	if len(d.Failing) != 0 {
		t.Errorf("mended, noted %+v", d.Failing)
	}
	delete(policies, "graced")
	note = noteJudgement(policies)
	if d.Compliance = nil; note(&d, now) || d.Compliance != nil {
		t.Errorf("a device that is compliant from the first: %+v", d.Compliance)
	}
	say("DiskEncrypted", "false", posture.AgentSource())
	if !note(&d, now) || note(&d, now) || d.Compliance.Compliant || !d.Compliance.Since.Equal(now) {
		t.Errorf("one that ceased to be: %+v", d.Compliance)
	}
}

// TestBadPoliciesDoNotServe: policies that were never checked are not served.
func TestBadPoliciesDoNotServe(t *testing.T) {
	t.Parallel()
	_, err := newPolicies(&Config{Policies: map[string]Policy{"p": {Rules: []Rule{{Name: "r", Require: "nonsense"}}}}})
	if fault, want := err.Error(), `policy "p": rules[0].require:1:1: undeclared reference to 'nonsense'`; fault != want {
		t.Errorf("%s, want %s", fault, want)
	}
}
