package rules

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"

	"gatepost.dev/posture"
)

const (
	maxRules = 200
	maxProse = 2000 // bytes of a help or link
	longest  = 10 * 365 * 24 * time.Hour
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// compiler makes rules of a Spec.
type compiler struct {
	env    *cel.Env
	maxAge time.Duration
	rules  []posture.Rule
	names  map[string]string // of the rules, with where each comes from
	faults []Fault
}

// Compile checks what the policy demands and makes rules of it: of the baselines,
// the least versions, the demanded facts, and its own rules, in this order. If there
// is a fault, there are no rules, and every fault is told.
func Compile(s *Spec) (compiled []posture.Rule, faults []Fault) {
	env, err := newEnv()
	if err != nil {
		return nil, []Fault{{Text: "CEL does not work: " + err.Error()}}
	}
	c := &compiler{env: env, maxAge: s.MaxAge, names: map[string]string{}}
	if c.maxAge == 0 {
		c.maxAge = DefaultMaxAge
	}
	c.duration("max_age", s.MaxAge)
	c.baselines(s.Baselines)
	c.versions(s.OSVersion)
	c.facts(s.Facts)
	if len(s.Rules) > maxRules {
		c.fault("rules", fmt.Sprintf("are %d; at most %d are allowed", len(s.Rules), maxRules))
		return nil, c.faults
	}
	for i := range s.Rules {
		c.rule(fmt.Sprintf("rules[%d]", i), &s.Rules[i])
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return c.rules, nil
}

func (c *compiler) fault(path, text string) {
	c.faults = append(c.faults, Fault{Path: path, Text: text})
}

// add adds a rule whose name no other has.
func (c *compiler) add(path string, r *rule) {
	if other, again := c.names[r.name]; again {
		c.fault(path, fmt.Sprintf("%q is the name of %s as well", r.name, other))
	}
	c.names[r.name] = path
	c.rules = append(c.rules, r)
}

func (c *compiler) baselines(names []string) {
	for i, name := range names {
		path := fmt.Sprintf("baselines[%d]", i)
		if slices.Contains(names[:i], name) {
			c.fault(path, fmt.Sprintf("%q is there twice", name))
			continue
		}
		known := []string{}
		found := false
		for _, b := range Baselines() {
			known = append(known, b.Name)
			if b.Name != name {
				continue
			}
			found = true
			for j := range b.Rules {
				c.rule(path, &b.Rules[j])
			}
		}
		if !found {
			c.fault(path, fmt.Sprintf("there is no baseline %.80q; there are %s", name, strings.Join(known, ", ")))
		}
	}
}

func (c *compiler) versions(least map[string]string) {
	if len(least) == 0 {
		return
	}
	r := &rule{name: "os-version", versions: map[string]string{}}
	r.failure = posture.Failure{Rule: r.name, Help: "Update the operating system."}
	var demands []string
	for _, name := range slices.Sorted(maps.Keys(least)) {
		path := "os_version." + name
		platform, ok := canonical(name)
		switch version := least[name]; {
		case !ok:
			c.fault(path, fmt.Sprintf("%.80q is no platform; there are %s", name, strings.Join(platforms, ", ")))
		case r.versions[platform] != "":
			c.fault(path, platform+" is there twice")
		case !isVersion(version):
			c.fault(path, fmt.Sprintf("%.80q is no version: write numbers and dots, such as \"14.1\"", version))
		default:
			r.versions[platform] = version
			demands = append(demands, platform+" "+version)
		}
	}
	r.require = "at least " + strings.Join(demands, ", ")
	c.add("os_version", r)
}

func (c *compiler) facts(wanted map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		path, want := "facts."+name, wanted[name]
		switch {
		case !nameForm.MatchString(name):
			c.fault(path, fmt.Sprintf("%.80q is no name of a fact", name))
		case !prose(want) || len(want) > maxLength:
			c.fault(path, "is too long, or holds a control character")
		}
		r := &rule{name: "fact-" + name, fact: name, want: want, maxAge: c.maxAge, require: fmt.Sprintf("facts.%s == %q", name, want)}
		r.failure = posture.Failure{Rule: r.name}
		c.add(path, r)
	}
}

// rule compiles a rule of the policy or of a baseline.
func (c *compiler) rule(path string, s *RuleSpec) {
	at := func(field string) string {
		if strings.HasPrefix(path, "baselines") {
			return path
		}
		return path + "." + field
	}
	r := &rule{name: s.Name, require: strings.TrimSpace(s.Require), maxAge: s.MaxAge, unknownPasses: s.Unknown == "pass"}
	r.failure = posture.Failure{Rule: s.Name, Help: strings.TrimSpace(s.Help), Link: s.Link, Severity: posture.Severity(s.Severity), Grace: s.Grace}
	if r.maxAge == 0 {
		r.maxAge = c.maxAge
	}
	if !nameForm.MatchString(s.Name) {
		c.fault(at("name"), fmt.Sprintf("%.80q is no name: 1 to 64 letters, digits, \".\", \"_\" and \"-\", the first a letter or a digit", s.Name))
	}
	c.duration(at("max_age"), s.MaxAge)
	c.duration(at("grace"), s.Grace)
	c.word(at("unknown"), s.Unknown, "fail", "pass")
	c.word(at("severity"), s.Severity, string(posture.Block), string(posture.Warn))
	c.placed(at("platforms"), s.Platforms, r)
	c.told(at, s)
	if r.require == "" {
		c.fault(at("require"), "is missing: write what must hold, such as facts.DiskEncrypted == \"true\"")
	} else {
		var faults []Fault
		r.expression, faults = compile(c.env, at("require"), s.Require)
		c.faults = append(c.faults, faults...)
	}
	if r.expression != nil && r.expression.application && s.Grace > 0 {
		c.fault(at("grace"), "is for rules that do not look at the application: since when a device fails is noted once for all applications. Give the application a policy of its own")
	}
	c.add(at("name"), r)
}

func (c *compiler) duration(path string, d time.Duration) {
	if d < 0 || d > longest {
		c.fault(path, fmt.Sprintf("%s is out of range: from 0s to %s", d, longest))
	}
}

func (c *compiler) word(path, word string, known ...string) {
	if word != "" && !slices.Contains(known, word) {
		c.fault(path, fmt.Sprintf("%.80q is not known: write %s", word, strings.Join(known, " or ")))
	}
}

func (c *compiler) placed(path string, named []string, r *rule) {
	for i, name := range named {
		platform, ok := canonical(name)
		switch {
		case !ok:
			c.fault(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%.80q is no platform; there are %s", name, strings.Join(platforms, ", ")))
		case slices.Contains(r.platforms, platform):
			c.fault(fmt.Sprintf("%s[%d]", path, i), platform+" is there twice")
		default:
			r.platforms = append(r.platforms, platform)
		}
	}
}

// told checks what the user is told.
func (c *compiler) told(at func(string) string, s *RuleSpec) {
	if !prose(s.Help) || len(s.Help) > maxProse {
		c.fault(at("help"), fmt.Sprintf("has more than %d bytes, or a control character", maxProse))
	}
	if s.Link == "" {
		return
	}
	u, err := url.Parse(s.Link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(s.Link) > maxProse {
		c.fault(at("link"), fmt.Sprintf("%.80q is no http or https URL", s.Link))
	}
}

// prose tells whether s is text for people, of one or more lines.
func prose(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}
