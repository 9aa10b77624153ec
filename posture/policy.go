package posture

import (
	"cmp"
	"slices"
	"time"
)

// DefaultMaxAge is how long a policy believes that a device is managed when it
// does not say so itself.
const DefaultMaxAge = 7 * 24 * time.Hour

// Policy turns facts into a verdict.
type Policy struct {
	Name          string
	ManagedMaxAge time.Duration // 0: DefaultMaxAge
	// Rules decide compliance. Without any, what a trusted source said of the
	// device's compliance is the verdict.
	Rules []Rule
	// Graced tells that a rule has a grace period, so that since when a device fails
	// it must be noted.
	Graced bool
	// Rank is the least that a proof must be; empty: any does.
	Rank Rank
	// Methods are the ways to be recognised that count; none: all do.
	Methods []Method
	// Emit are the names of the facts that the answer carries beside the verdict.
	Emit []string
	// Shadow is judged and recorded beside this policy, without effect; nil: none.
	Shadow *Policy
}

// MaxAge is how long the policy believes that a device is managed.
func (p *Policy) MaxAge() time.Duration { return cmp.Or(p.ManagedMaxAge, DefaultMaxAge) }

// Takes tells whether a device that proved itself so is recognised.
func (p *Policy) Takes(proof Proof) bool {
	return proof.Rank.AtLeast(p.Rank) && (len(p.Methods) == 0 || slices.Contains(p.Methods, proof.Method))
}

// Input is what a rule sees.
type Input struct {
	Device *Device
	Proof  *Proof     // by which it was recognised; nil: there is no sign-in
	App    AppContext // the application that the request is for; empty: none was named
	Now    time.Time
}

// Rule is one demand of a policy on a device.
type Rule interface {
	// Name identifies the rule in verdicts and decisions.
	Name() string
	// Check tells whether the device meets the rule, or is none that the rule is
	// for; else why not and what the user can do about it. What passes costs no
	// memory.
	Check(in *Input) (failure Failure, ok bool)
	// Explain tells what the rule saw and made of it, for people.
	Explain(in *Input) Finding
}

// Severity is what the failure of a rule does.
type Severity string

// The severities. The empty one is Block.
const (
	Block Severity = "block" // the device is not compliant
	Warn  Severity = "warn"  // it is said, and nothing else
)

// Failure is one rule that a device does not meet.
type Failure struct {
	Rule     string        `json:"rule"`
	Why      string        `json:"why"`
	Help     string        `json:"help,omitempty"` // what the user can do, as plain text
	Link     string        `json:"link,omitempty"` // where more is said, an http or https URL
	Severity Severity      `json:"severity,omitempty"`
	Until    time.Time     `json:"until,omitzero"` // until then it does not block; zero: it does
	Grace    time.Duration `json:"-"`              // from the first failure until Until
}

// Blocks tells whether the device is not compliant because of the failure.
func (f *Failure) Blocks(now time.Time) bool {
	return f.Severity != Warn && !now.Before(f.Until)
}

// Finding is what a rule saw of a device, and what it made of it.
type Finding struct {
	Rule    string   `json:"rule"`
	Require string   `json:"require"` // the demand, as its author wrote it
	OK      bool     `json:"ok"`
	Skipped string   `json:"skipped,omitempty"` // why the rule is not for this device, which makes it OK
	Facts   []Seen   `json:"facts,omitempty"`   // that it looked at
	Failure *Failure `json:"failure,omitempty"` // nil: OK
}

// Seen is one fact that a rule looked at; Source is empty if nobody says it.
type Seen struct {
	Name       string        `json:"name"`
	Value      string        `json:"value,omitempty"`
	Source     Source        `json:"source,omitzero"`
	ObservedAt time.Time     `json:"observed_at,omitzero"`
	Age        time.Duration `json:"age,omitempty"`
	Stale      bool          `json:"stale,omitempty"` // too old for the rule to count
}

// Failing notes since when a device fails a rule that has a grace period.
type Failing struct {
	Policy string    `json:"policy"`
	Rule   string    `json:"rule"`
	Since  time.Time `json:"since"`
}

// failingSince tells since when the device fails the rule, if that was noted.
func (d *Device) failingSince(policy, rule string) (since time.Time, ok bool) {
	for _, f := range d.Failing {
		if f.Policy == policy && f.Rule == rule {
			return f.Since, true
		}
	}
	return time.Time{}, false
}

// NoteFailures writes into the device which rules with a grace period it fails by
// the verdict of the policy, so that the next verdict knows since when. It tells
// whether that is news. The verdict on a device that is not managed says nothing.
func (d *Device) NoteFailures(policy *Policy, v *Verdict, now time.Time) (news bool) {
	if !v.Managed {
		return false
	}
	before := len(d.Failing)
	d.Failing = slices.DeleteFunc(d.Failing, func(f Failing) bool {
		return f.Policy == policy.Name && !slices.ContainsFunc(v.Failures, func(w Failure) bool { return w.Rule == f.Rule && w.Grace > 0 })
	})
	news = len(d.Failing) != before
	for _, f := range v.Failures {
		if f.Grace == 0 {
			continue
		}
		if _, known := d.failingSince(policy.Name, f.Rule); !known {
			d.Failing = append(d.Failing, Failing{Policy: policy.Name, Rule: f.Rule, Since: now})
			news = true
		}
	}
	return news
}

// Quarantine keeps a device out for a time, or until it is released.
type Quarantine struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"` // zero: until it is released
	By    string    `json:"by"`             // who decided it
	Why   string    `json:"why"`
}

// Holds tells whether the quarantine keeps the device out at now; nil does not.
func (q *Quarantine) Holds(now time.Time) bool {
	return q != nil && (q.Until.IsZero() || now.Before(q.Until))
}

// Explain gives the verdict with what every rule of the policy saw and made of the
// device, whether or not it is managed.
func Explain(in *Input, p *Policy) (Verdict, []Finding) {
	v := Judge(in, p)
	var findings []Finding
	for _, r := range p.Rules {
		f := r.Explain(in)
		if i := slices.IndexFunc(v.Failures, func(w Failure) bool { return w.Rule == f.Rule }); i >= 0 {
			f.Failure = &v.Failures[i]
		}
		findings = append(findings, f)
	}
	return v, findings
}
