package posture

import "time"

// Reason names why a device is not managed or a request was refused. The words
// are part of the outside: they stand in StatusDetail, decisions and logs.
type Reason string

// The reasons.
const (
	NoCertificate      Reason = "no_certificate"
	UnknownDevice      Reason = "unknown_device"
	RevokedCertificate Reason = "revoked_certificate"
	RevocationUnknown  Reason = "revocation_unknown" // whether its authority revoked it could not be found out
	ExpiredCertificate Reason = "expired_certificate"
	CloneSuspected     Reason = "clone_suspected" // there may be two of the device
	NotManaged         Reason = "not_managed"
	Stale              Reason = "stale"
	OwnerMismatch      Reason = "owner_mismatch"
	NotCompliant       Reason = "not_compliant"
	Quarantined        Reason = "quarantined" // somebody keeps the device out
	NoSubject          Reason = "no_subject"  // nobody is known whom the answer could be about
	WeakProof          Reason = "weak_proof"  // the policy demands a proof that is harder to copy, or another one
)

// Verdict is what a policy makes of a device at one time.
type Verdict struct {
	Managed    bool
	Compliant  bool        // never true unless Managed
	Reason     Reason      // why not managed, Quarantined, or NotCompliant; empty when both hold
	Judged     bool        // the rules were: the device is managed and the policy has some
	Failures   []Failure   // the rules that failed, in the policy's order; not all of them block
	Quarantine *Quarantine // that holds; nil: none
	Warnings   []Reason    // what the verdict would be worse for, if the relying party did not only want to know
}

// Judge gives the policy's verdict on a device.
//
// A proof that the policy does not take is as good as none, whatever is known of
// the device.
// Managed: not retired, not suspected to be two, and what trusted sources say is fresh and unanimous:
// conflicting, stale or missing words are not managed. Compliant: not in
// quarantine, and every rule that blocks holds or is in its grace period; in a
// policy without rules, fresh and unanimous trusted sources say so.
func Judge(in *Input, p *Policy) Verdict {
	d, now := in.Device, in.Now
	v := Verdict{}
	if d.Quarantine.Holds(now) {
		v.Quarantine = d.Quarantine // also of a device that is not managed: it must not be asserted
	}
	if in.Proof != nil && !p.Takes(*in.Proof) {
		v.Reason = WeakProof
		return v
	}
	maxAge := p.MaxAge()
	if v.Reason = d.unmanaged(maxAge, now); v.Reason != "" {
		return v
	}
	v.Managed = true
	if len(p.Rules) == 0 {
		v.Compliant = d.say(FactCompliant, maxAge, now) == saysTrue
	} else {
		v.Compliant = v.judgeRules(in, p)
	}
	if !v.Compliant {
		v.Reason = NotCompliant
	}
	if v.Quarantine != nil {
		v.Compliant, v.Reason = false, Quarantined
	}
	return v
}

// unmanaged is why the device is not managed, or "".
func (d *Device) unmanaged(maxAge time.Duration, now time.Time) Reason {
	if d.Retired() {
		return RevokedCertificate
	}
	if d.Suspected != nil {
		return CloneSuspected
	}
	switch d.say(FactManaged, maxAge, now) {
	case saysTrue:
		return ""
	case saysStale:
		return Stale
	}
	return NotManaged
}

// judgeRules tells whether no rule of the policy blocks.
func (v *Verdict) judgeRules(in *Input, p *Policy) (ok bool) {
	v.Judged, ok = true, true
	for _, r := range p.Rules {
		f, passed := r.Check(in)
		if passed {
			continue
		}
		if f.Grace > 0 {
			since, known := in.Device.failingSince(p.Name, f.Rule)
			if !known {
				since = in.Now
			}
			f.Until = since.Add(f.Grace)
		}
		v.Failures = append(v.Failures, f)
		ok = ok && !f.Blocks(in.Now)
	}
	return ok
}

type saying int

const (
	saysNothing saying = iota
	saysStale
	saysFalse
	saysTrue
)

// say sums up what trusted sources say of a true-or-false fact: a fresh word
// against it wins over any for it, and only "true" is true.
func (d *Device) say(name string, maxAge time.Duration, now time.Time) saying {
	sum := saysNothing
	for i := range d.Facts {
		f := &d.Facts[i]
		if f.Name != name || !f.Source.Kind.MaySayManaged() {
			continue
		}
		switch {
		case !d.fresh(f, maxAge, now):
			sum = max(sum, saysStale)
		case f.Value != "true":
			return saysFalse
		default:
			sum = saysTrue
		}
	}
	return sum
}

// fresh is Fact.Fresh, but for what an enrolment says: that goes for as long as
// the agent that enrolled reports, so it is as old as its last report.
func (d *Device) fresh(f *Fact, maxAge time.Duration, now time.Time) bool {
	if f.Source.Kind == Enrollment && d.Agent != nil && d.Agent.ReceivedAt.After(f.ObservedAt) {
		said := *f
		said.ObservedAt = d.Agent.ReceivedAt
		f = &said
	}
	return f.Fresh(maxAge, now)
}

// maxAhead is how far ahead of our clock an observation may lie before it is
// not believed.
const maxAhead = 5 * time.Minute

// Fresh tells whether the fact may still be believed at now: not older than
// maxAge nor than its own limit, and not from the future.
func (f *Fact) Fresh(maxAge time.Duration, now time.Time) bool {
	if f.MaxAge > 0 && f.MaxAge < maxAge {
		maxAge = f.MaxAge
	}
	age := now.Sub(f.ObservedAt)
	return age <= maxAge && age >= -maxAhead
}

// Fact is what counts of what the sources say of the device by that name: what is
// fresh, of that what a trusted source says, of that the newest. Nil: nothing.
func (d *Device) Fact(name string, maxAge time.Duration, now time.Time) *Fact {
	var best *Fact
	for i := range d.Facts {
		f := &d.Facts[i]
		if f.Name != name || !d.fresh(f, maxAge, now) {
			continue
		}
		if best == nil || f.outweighs(best) {
			best = f
		}
	}
	return best
}

func (f *Fact) outweighs(g *Fact) bool {
	if a, b := f.Source.Kind.MaySayManaged(), g.Source.Kind.MaySayManaged(); a != b {
		return a
	}
	return f.ObservedAt.After(g.ObservedAt)
}
