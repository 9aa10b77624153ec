package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
	"gatepost.dev/posture/rules"
)

// Policy says when a device is managed and compliant.
type Policy struct {
	// ManagedMaxAge is how long ago a trusted source may have said that the
	// device is managed or compliant. A device of which the last word is older
	// is stale, and as good as not managed: import more often than this.
	// Defaults to 168h (7 days).
	ManagedMaxAge time.Duration `yaml:"managed_max_age"`

	// Rank is how hard to copy the proof of a device must be at least: proxy,
	// imported, software, hardware or attested. A weaker one is as good as none:
	// weak_proof. By default any counts.
	Rank string `yaml:"rank"`

	// RecognisedBy are the ways to be recognised that count: certificate (in TLS)
	// and challenge (by the agent on the device). Defaults to both.
	RecognisedBy []string `yaml:"recognised_by"`

	// MaxAge is how long what is reported of a device counts for the rules that
	// do not say so themselves. Defaults to 24h.
	MaxAge time.Duration `yaml:"max_age"`

	// Baselines are built-in rules by name, such as disk-encryption; `gatepost
	// policy baselines` shows them.
	Baselines []string `yaml:"baselines"`

	// OSVersion is the least version of each platform: macOS, Windows, iOS,
	// Android, ChromeOS, Linux. A platform that is not named is not asked.
	OSVersion map[string]string `yaml:"os_version"`

	// Facts are the values that facts must have, such as DiskEncrypted: "true".
	Facts map[string]string `yaml:"facts"`

	// Rules are demands of your own. With any rule, baseline or threshold a device
	// is compliant if all of them hold; without, if trusted sources say so.
	Rules []Rule `yaml:"rules"`

	// Emit are the names of the facts that SAML answers carry beside the verdict.
	Emit []string `yaml:"emit"`

	// Shadow is the name of another policy that is judged and recorded beside this
	// one, without effect.
	Shadow string `yaml:"shadow"`

	_ struct{} `yaml:"bind_owner" later:"write it at the relying party"`
}

// Rule is one demand on a device.
type Rule struct {
	// Name is how decisions and pages call it: letters, digits, ".", "_" and "-",
	// at most 64. Required.
	Name string `yaml:"name"`

	// Require is what must hold, an expression in CEL. Required.
	Require prose `yaml:"require"`

	// Platforms are those that it is for. Defaults to all.
	Platforms []string `yaml:"platforms"`

	// MaxAge is how long a fact counts for it. Defaults to the policy's.
	MaxAge time.Duration `yaml:"max_age"`

	// Unknown is what it does when a fact that it needs was not reported, or too
	// long ago: fail or pass. Defaults to fail.
	Unknown string `yaml:"unknown"`

	// Severity is what its failure does: block (the device is not compliant) or
	// warn (it is said, and nothing else). Defaults to block.
	Severity string `yaml:"severity"`

	// Grace is how long, from its first failure, it does not block. Defaults to 0.
	Grace time.Duration `yaml:"grace"`

	// Help is what the user can do, as plain text.
	Help prose `yaml:"help"`

	// Link is where more is said, an http or https URL.
	Link string `yaml:"link"`
}

// Application is an application that has its own policy.
type Application struct {
	// ID is the application instance's, as Okta's application context has it: it
	// or Name is required, and what is written must match.
	ID string `yaml:"id"`

	// Name is the application's, as Okta's application context has it.
	Name string `yaml:"name"`

	// Policy is the name of the policy that judges devices for it. Required.
	Policy string `yaml:"policy"`
}

// appPolicies are the applications as the store would keep them.
func (rp *RelyingParty) appPolicies() []posture.AppPolicy {
	var apps []posture.AppPolicy
	for _, a := range rp.Applications {
		apps = append(apps, posture.AppPolicy(a))
	}
	return apps
}

// anyDemands tells whether a policy of the relying party demands anything, so that
// there is something to explain.
func (c *Config) anyDemands(rp *RelyingParty) bool {
	names := []string{rp.Policy}
	for _, a := range rp.Applications {
		names = append(names, a.Policy)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		p := c.Policies[name]
		return len(p.Rules)+len(p.Baselines)+len(p.OSVersion)+len(p.Facts) > 0
	})
}

// spec is the policy as it is compiled.
func (p *Policy) spec() *rules.Spec {
	s := &rules.Spec{Baselines: p.Baselines, OSVersion: p.OSVersion, Facts: p.Facts, MaxAge: p.MaxAge}
	for _, r := range p.Rules {
		s.Rules = append(s.Rules, rules.RuleSpec{
			Name: r.Name, Require: string(r.Require), Platforms: r.Platforms, MaxAge: r.MaxAge, Unknown: r.Unknown,
			Severity: r.Severity, Grace: r.Grace, Help: string(r.Help), Link: r.Link,
		})
	}
	return s
}

// compilePolicies makes the policies of the configuration; one named default is
// always among them. fault is told what is wrong, by the policy's name.
func (c *Config) compilePolicies(fault func(policy string, f rules.Fault)) map[string]*posture.Policy {
	policies := map[string]*posture.Policy{defaultPolicy: {Name: defaultPolicy}}
	for name, p := range c.Policies {
		compiled, faults := rules.Compile(p.spec())
		for _, f := range faults {
			fault(name, f)
		}
		policies[name] = &posture.Policy{Name: name, ManagedMaxAge: p.ManagedMaxAge, Rules: compiled, Graced: p.graced(), Emit: p.Emit, Rank: posture.Rank(p.Rank), Methods: p.methods()}
	}
	for name, p := range c.Policies {
		policies[name].Shadow = policies[p.Shadow]
	}
	return policies
}

// newPolicies makes the policies of a configuration that was checked.
func newPolicies(c *Config) (map[string]*posture.Policy, error) {
	var first error
	policies := c.compilePolicies(func(name string, f rules.Fault) {
		first = cmp.Or(first, error(fmt.Errorf("policy %q: %w", name, f)))
	})
	return policies, first
}

// noteJudgement gives what notes, when a device reports or an import named it, since
// when it fails the rules that have a grace period, and whether it is compliant by
// the default policy, for those who are told when that changes. Neither looks at
// an application. It tells whether anything is news.
func noteJudgement(policies map[string]*posture.Policy) func(*posture.Device, time.Time) bool {
	var graced []*posture.Policy
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		if p := policies[name]; p.Graced {
			graced = append(graced, p)
		}
	}
	standard := policies[defaultPolicy]
	return func(d *posture.Device, now time.Time) (news bool) {
		for _, p := range graced {
			v := posture.Judge(&posture.Input{Device: d, Now: now}, p)
			news = d.NoteFailures(p, &v, now) || news
		}
		v := posture.Judge(&posture.Input{Device: d, Now: now}, standard)
		return d.NoteCompliance(&v, now) || news
	}
}

// graced tells whether a rule has a grace period.
func (p *Policy) graced() bool {
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Grace > 0 })
}

// validatePolicies finds the faults of the policies.
func (c *Config) validatePolicies(f *findings) {
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		p, path := c.Policies[name], "policies."+name
		if !nameForm.MatchString(name) {
			f.add("policies."+quote(name), nameProblem, nameInstead)
		}
		if p.ManagedMaxAge <= 0 && !f.faulty(path+".managed_max_age") {
			f.add(path+".managed_max_age", "would believe nothing", "write a time above 0, such as 168h")
		}
		believesNothing(f, path+".max_age", p.MaxAge)
		validateProof(f, path, &p)
		for i, r := range p.Rules {
			believesNothing(f, fmt.Sprintf("%s.rules[%d].max_age", path, i), r.MaxAge)
		}
		for i, fact := range p.Emit {
			validateEmit(f, fmt.Sprintf("%s.emit[%d]", path, i), fact, p.Emit[:i])
		}
		switch shadow, ok := c.Policies[p.Shadow]; {
		case p.Shadow == "":
		case !ok:
			f.add(path+".shadow", "there is no policy "+quote(p.Shadow), "write "+list(slices.Sorted(maps.Keys(c.Policies)))+", or write it under policies")
		case p.Shadow == name || shadow.Shadow != "":
			f.add(path+".shadow", quote(p.Shadow)+" is itself, or has a shadow of its own", "write a policy without a shadow")
		}
	}
	c.compilePolicies(func(name string, fault rules.Fault) {
		path := "policies." + name + "." + fault.Path
		if f.faulty(path) && fault.Line == 0 {
			return
		}
		f.addText(path, fault.Line, fault.Column, fault.Text)
	})
}

// believesNothing finds the fault of a max_age that is written as 0, which is not
// its default. One that is misspelt counts as written, and is a fault already.
func believesNothing(f *findings, path string, maxAge time.Duration) {
	beside := func(fault Fault) bool { return parent(fault.Path) == parent(path) }
	if maxAge == 0 && f.written(path) && !slices.ContainsFunc(f.faults, beside) {
		f.add(path, "would believe nothing", "write a time above 0, such as 24h")
	}
}

func validateEmit(f *findings, path, fact string, before []string) {
	switch {
	case strings.EqualFold(fact, posture.FactManaged), strings.EqualFold(fact, posture.FactCompliant):
		f.add(path, quote(fact)+" is in every answer", "delete it")
	case !agentapi.ValidFactName(fact):
		f.add(path, quote(fact)+" is no name of a fact", "write the name as it is reported, such as DiskEncrypted")
	case slices.Contains(before, fact):
		f.add(path, quote(fact)+" is there twice", "delete one")
	}
}

// validateApplications finds the faults of the applications of a relying party.
func (c *Config) validateApplications(f *findings, rp *RelyingParty, path string) {
	for i, a := range rp.Applications {
		path := fmt.Sprintf("%s.applications[%d]", path, i)
		if a.ID == "" && a.Name == "" && !f.faulty(path) {
			f.add(path, "names no application", "write id: or name: as Okta's application context has it")
		}
		if require(f, path+".policy", a.Policy, "write policy: and the name of one under policies") {
			c.validatePolicyName(f, path+".policy", a.Policy)
		}
	}
}

func (c *Config) validatePolicyName(f *findings, path, name string) {
	if _, ok := c.Policies[name]; !ok {
		f.add(path, "there is no policy "+quote(name), "write "+list(slices.Sorted(maps.Keys(c.Policies)))+", or write it under policies")
	}
}
