package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/posture"
)

// rule is a compiled rule (posture.Rule). What decides is one of its three demands.
type rule struct {
	name, require string
	platforms     []string // empty: all
	maxAge        time.Duration
	unknownPasses bool
	failure       posture.Failure // but for Why

	expression *expression // or
	fact       string      // whose value must be want, or
	want       string
	versions   map[string]string // the least one by platform
}

// Name implements posture.Rule.
func (r *rule) Name() string { return r.name }

// outcome is what a rule made of a device.
type outcome struct {
	verdict verdict
	missing string // of unknown: the fact that is not known, empty: the platform is not
	err     error  // of failed: the expression could not be evaluated
}

type verdict int

const (
	passed verdict = iota
	notAsked
	unknown
	failed
)

// Check implements posture.Rule.
func (r *rule) Check(in *posture.Input) (posture.Failure, bool) {
	o := r.judge(in)
	if o.verdict <= notAsked || o.verdict == unknown && r.unknownPasses {
		return posture.Failure{}, true
	}
	f := r.failure
	f.Why = r.why(in, &o)
	return f, false
}

func (r *rule) judge(in *posture.Input) outcome {
	if len(r.platforms) > 0 {
		switch platform := platformOf(in.Device.OS); {
		case platform == "":
			return outcome{verdict: unknown} // to say nothing must not get a device out of the rules
		case !slices.ContainsFunc(r.platforms, func(p string) bool { return covers(p, platform) }):
			return outcome{verdict: notAsked}
		}
	}
	switch {
	case r.expression != nil:
		return r.evaluate(in)
	case r.versions != nil:
		return r.compare(in)
	}
	f := in.Device.Fact(r.fact, r.maxAge, in.Now)
	switch {
	case f == nil:
		return outcome{verdict: unknown, missing: r.fact}
	case f.Value != r.want:
		return outcome{verdict: failed}
	}
	return outcome{}
}

// compare compares the version of the operating system.
func (r *rule) compare(in *posture.Input) outcome {
	platform := platformOf(in.Device.OS)
	if platform == "" {
		return outcome{verdict: unknown}
	}
	least := r.least(platform)
	if least == "" {
		return outcome{verdict: notAsked}
	}
	if yes, _ := atLeast(in.Device.OSVersion, least); !yes {
		return outcome{verdict: failed}
	}
	return outcome{}
}

// least is the least version that is demanded of the platform, or "".
func (r *rule) least(platform string) string {
	if v := r.versions[platform]; v != "" {
		return v
	}
	for p, v := range r.versions {
		if covers(p, platform) {
			return v
		}
	}
	return ""
}

func (r *rule) evaluate(in *posture.Input) outcome {
	holds, missing, err := r.expression.run(in, r.maxAge)
	switch {
	case holds:
		return outcome{}
	case missing != "":
		return outcome{verdict: unknown, missing: missing}
	}
	return outcome{verdict: failed, err: err}
}

// why says to the user why the device does not meet the rule.
func (r *rule) why(in *posture.Input, o *outcome) string {
	switch {
	case o.verdict == unknown && o.missing == "":
		return "The operating system is not known."
	case o.verdict == unknown:
		return missingFact(in, o.missing)
	case o.err != nil && !isVersion(in.Device.OSVersion) && strings.Contains(r.require, "os_version"):
		return "The version of the operating system is not known."
	case o.err != nil:
		return "The rule cannot be evaluated: " + quoted(o.err.Error()) + "."
	case r.versions != nil && in.Device.OSVersion == "":
		return "The version of the operating system is not known; at least " + r.least(platformOf(in.Device.OS)) + " is required."
	case r.versions != nil:
		return fmt.Sprintf("%s %s is older than %s.", quoted(cmp.Or(in.Device.OS, "The system")), quoted(in.Device.OSVersion), r.least(platformOf(in.Device.OS)))
	case r.fact != "":
		return fmt.Sprintf("%s is %s; %s is required.", r.fact, quoted(in.Device.Fact(r.fact, r.maxAge, in.Now).Value), r.want)
	}
	var said []string
	for _, s := range r.seen(in) {
		if s.Source.Name != "" && !s.Stale {
			said = append(said, s.Name+" is "+quoted(s.Value))
		}
	}
	if len(said) == 0 {
		return "The device does not meet the rule."
	}
	return strings.Join(said, ", ") + "."
}

// missingFact says why a fact does not count: nobody reported it, or too long ago.
func missingFact(in *posture.Input, name string) string {
	age := time.Duration(-1)
	for i := range in.Device.Facts {
		if f := &in.Device.Facts[i]; f.Name == name {
			if a := in.Now.Sub(f.ObservedAt); age < 0 || a < age {
				age = a
			}
		}
	}
	if age < 0 {
		return name + " was not reported."
	}
	return name + " was last reported " + ago(age) + " ago."
}

// ago is a duration in the words of people.
func ago(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.unit); n == 1 {
			return "1 " + u.name
		} else if n > 1 {
			return strconv.Itoa(n) + " " + u.name + "s"
		}
	}
	return "moments"
}

// quoted is what a device said, so that it can stand in a sentence: at most 60
// letters, and quoted unless it is a plain word.
func quoted(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	plain := s != ""
	for _, c := range s {
		plain = plain && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune(".-_ ", c))
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// Explain implements posture.Rule.
func (r *rule) Explain(in *posture.Input) posture.Finding {
	o := r.judge(in)
	f := posture.Finding{Rule: r.name, Require: r.require, Facts: r.seen(in), OK: true}
	switch {
	case o.verdict == passed:
	case o.verdict == notAsked:
		f.Skipped, f.Facts = "not for "+platformOf(in.Device.OS), nil
	case o.verdict == unknown && r.unknownPasses:
		f.Skipped = r.why(in, &o)
	default:
		failure := r.failure
		failure.Why = r.why(in, &o)
		f.OK, f.Failure = false, &failure
	}
	return f
}

// seen are the facts that the rule looks at.
func (r *rule) seen(in *posture.Input) []posture.Seen {
	names := []string{r.fact}
	switch {
	case r.expression != nil:
		names = r.expression.facts
	case r.versions != nil:
		return []posture.Seen{{Name: "os_version", Value: in.Device.OSVersion, Source: posture.Source{Name: "device"}}}
	}
	var seen []posture.Seen
	for _, name := range names {
		seen = append(seen, r.see(in, name))
	}
	return seen
}

// see is what counts of a fact, else the newest that does not.
func (r *rule) see(in *posture.Input, name string) posture.Seen {
	s := posture.Seen{Name: name}
	f := in.Device.Fact(name, r.maxAge, in.Now)
	if f == nil {
		for i := range in.Device.Facts {
			if g := &in.Device.Facts[i]; g.Name == name && (f == nil || g.ObservedAt.After(f.ObservedAt)) {
				f, s.Stale = g, true
			}
		}
	}
	if f == nil {
		return s
	}
	s.Value, s.Source, s.ObservedAt, s.Age = f.Value, f.Source, f.ObservedAt, in.Now.Sub(f.ObservedAt)
	return s
}
