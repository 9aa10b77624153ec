package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/posture/rules"
)

// TestFaults: each fault is told with where it is.
func TestFaults(t *testing.T) {
	t.Parallel()
	rule := func(change func(r *rules.RuleSpec)) *rules.Spec {
		r := rules.RuleSpec{Name: "r", Require: "true"}
		change(&r)
		return &rules.Spec{Rules: []rules.RuleSpec{r}}
	}
	require := func(text string) *rules.Spec { return rule(func(r *rules.RuleSpec) { r.Require = text }) }
	for _, tt := range []struct {
		spec *rules.Spec
		want string // the beginnings of the faults, by line
	}{
		{require(`facts.A == `), `rules[0].require:1:12: Syntax error`},
		{require("facts.A == \"true\" &&\n  device.os_versoin == \"1\""), `rules[0].require:2:9: undeclared reference to 'device.os_versoin' (did you mean 'device.os_version'?)`},
		{require(`device.colour == "red"`), `rules[0].require:1:7: undeclared reference to 'device.colour' (did you mean 'device.owner'?)`},
		{require(`device == "red"`), `rules[0].require:1:1: device is followed by a name that it does not have; it has id, serial`},
		{require(`facts.A == 1`), `rules[0].require:1:9: found no matching overload for '_==_' applied to '(string, int)'`},
		{require(`facts.A`), `rules[0].require:1:1: gives a string; a demand must give true or false`},
		{require(`"ü" == fact.A`), `rules[0].require:1:8: undeclared reference to 'fact'`},
		{require(`bogus() && other`), "rules[0].require:1:6: undeclared reference to 'bogus'\nrules[0].require:1:12: undeclared reference to 'other'"},
		{require(`device.os_version.atLeast("14.x")`), `rules[0].require:1:27: "14.x" is no version`},
		{require("true &&\n\"a\".atLeast(\"1\")"), `rules[0].require:2:1: "a" is no version`},
		{require(`device.model.matches("[")`), `rules[0].require:1:22: invalid matches argument`},
		{require(`age.A < duration("3 days")`), `rules[0].require:1:18: invalid duration argument`},
		{require("  \n"), `rules[0].require: is missing`},
		{require(strings.Repeat("true && ", 600) + "true"), `rules[0].require: has 4804 bytes; at most 4096 are allowed`},
		{require(strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200)), `rules[0].require:1:`},
		{require(`facts.all(a, facts.all(b, facts.all(c, a != b)))`), `rules[0].require: can cost too much`},
		{require(`facts.all(a, facts.all(b, a.matches(b)))`), `rules[0].require: can cost too much`},
		{rule(func(r *rules.RuleSpec) { r.Name = "a b" }), `rules[0].name: "a b" is no name`},
		{rule(func(r *rules.RuleSpec) { r.Name = "" }), `rules[0].name: "" is no name`},
		{rule(func(r *rules.RuleSpec) { r.MaxAge = -time.Second }), `rules[0].max_age: -1s is out of range`},
		{rule(func(r *rules.RuleSpec) { r.Grace = 100000 * time.Hour }), `rules[0].grace: 100000h0m0s is out of range`},
		{rule(func(r *rules.RuleSpec) { r.Unknown = "maybe" }), `rules[0].unknown: "maybe" is not known: write fail or pass`},
		{rule(func(r *rules.RuleSpec) { r.Severity = "error" }), `rules[0].severity: "error" is not known: write block or warn`},
		{rule(func(r *rules.RuleSpec) { r.Platforms = []string{"macOS", "BeOS", "MACOS"} }), "rules[0].platforms[1]: \"BeOS\" is no platform\nrules[0].platforms[2]: macOS is there twice"},
		{rule(func(r *rules.RuleSpec) { r.Link = "javascript:alert(1)" }), `rules[0].link: "javascript:alert(1)" is no http or https URL`},
		{rule(func(r *rules.RuleSpec) { r.Link = "https://" + strings.Repeat("a", 2000) }), `rules[0].link: `},
		{rule(func(r *rules.RuleSpec) { r.Help = "a\x1b[2J" }), `rules[0].help: `},
		{rule(func(r *rules.RuleSpec) { r.Help = strings.Repeat("a", 2001) }), `rules[0].help: `},
		{rule(func(r *rules.RuleSpec) { r.Grace, r.Require = time.Hour, `application.name == "x" || false` }), `rules[0].grace: is for rules that do not look at the application`},
		{&rules.Spec{Rules: []rules.RuleSpec{{Name: "a", Require: "true"}, {Name: "a", Require: "true"}}}, `rules[1].name: "a" is the name of rules[0].name as well`},
		{&rules.Spec{Rules: make([]rules.RuleSpec, 201)}, `rules: are 201; at most 200 are allowed`},
		{&rules.Spec{Baselines: []string{"firewall", "antivirus", "firewall"}}, "baselines[1]: there is no baseline \"antivirus\"; there are disk-encryption, firewall,\nbaselines[2]: \"firewall\" is there twice"},
		{&rules.Spec{Baselines: []string{"screen-lock"}, Rules: []rules.RuleSpec{{Name: "screen-lock", Require: "true"}}}, `rules[0].name: "screen-lock" is the name of baselines[0] as well`},
		{&rules.Spec{OSVersion: map[string]string{"macOS": "14.x", "Plan 9": "4", "windows": "", "Linux": "-1", "iOS": "+1"}}, "os_version.Linux: \"-1\" is no version\nos_version.Plan 9: \"Plan 9\" is no platform\nos_version.iOS: \"+1\" is no version\nos_version.macOS: \"14.x\" is no version\nos_version.windows: \"\" is no version"},
		{&rules.Spec{OSVersion: map[string]string{"MACOS": "14", "macOS": "15"}}, `os_version.macOS: macOS is there twice`},
		{&rules.Spec{Facts: map[string]string{"a b": "true", "A": "x\x00"}}, "facts.A: is too long, or holds a control character\nfacts.a b: \"a b\" is no name of a fact"},
		{&rules.Spec{MaxAge: -1}, `max_age: -1ns is out of range`},
	} {
		compiled, faults := rules.Compile(tt.spec)
		var got []string
		for _, f := range faults {
			got = append(got, f.Error())
		}
		want := strings.Split(tt.want, "\n")
		same := len(got) == len(want) || strings.HasSuffix(tt.want, ":1:") && len(got) > 0
		for i := range min(len(got), len(want)) {
			same = same && strings.HasPrefix(got[i], want[i])
		}
		if !same || compiled != nil {
			t.Errorf("faults\n%s\nwant\n%s", strings.Join(got, "\n"), tt.want)
		}
		for _, text := range got {
			if strings.Contains(text, "container") || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("a stranger does not understand %q", text)
			}
		}
	}
}

// TestAtLeast compares versions as operating systems report them.
func TestAtLeast(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version, least string
		want           string // "yes", "no", or "error"
	}{
		{"14.1", "14.1", "yes"}, {"14.1.0", "14.1", "yes"}, {"14", "14.0.0", "yes"}, {"14.0", "14.0.1", "no"}, {"14.10", "14.9", "yes"}, {"14.9", "14.10", "no"},
		{"10.0.22631.4460", "10.0.19045", "yes"}, {"10.0.19044.3086", "10.0.19045", "no"}, {"2026-10-05", "2026-09-05", "yes"}, {"2026-09-05", "2026-10-01", "no"},
		{"15", "14.7.9", "yes"}, {"138.0.7204.173", "138", "yes"}, {"18446744073709551615", "1", "yes"},
		{"", "14", "error"}, {"14.x", "14", "error"}, {"14.", "14", "error"}, {".14", "14", "error"}, {"14..1", "14", "error"}, {"-1", "1", "error"}, {"+15", "14", "error"},
		{"15 beta", "14", "error"}, {"99999999999999999999", "1", "error"}, {strings.Repeat("1.", 50) + "1", "1", "error"}, {"１５", "14", "error"},
	} {
		d := mac()
		d.OSVersion = tt.version
		r := one(t, rules.RuleSpec{Require: fmt.Sprintf(`device.os_version.atLeast(%q)`, tt.least)})
		f, ok := r.Check(&posture.Input{Device: d, Now: now})
		if ok != (tt.want == "yes") || (tt.want == "error") != strings.HasPrefix(f.Why, "The version") {
			t.Errorf("%q at least %q: %t, %q; want %s", tt.version, tt.least, ok, f.Why, tt.want)
		}
	}
}

// FuzzAtLeast: of two versions each is at least the other only if they are equal, and
// one always is.
func FuzzAtLeast(f *testing.F) {
	for _, s := range []string{"14.1", "", "1.2-beta", "10.0.19045", "2026-10-05", "14.", "0"} {
		f.Add(s, "14.1")
	}
	r := map[bool]posture.Rule{}
	for _, flip := range []bool{false, true} {
		text := `device.os_version.atLeast(device.model)`
		if flip {
			text = `device.model.atLeast(device.os_version)`
		}
		r[flip] = one(f, rules.RuleSpec{Require: text})
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		in := &posture.Input{Device: &posture.Device{OS: "macOS", OSVersion: a, Model: b}, Now: now}
		one, ok1 := r[false].Check(in)
		other, ok2 := r[true].Check(in)
		versions := !strings.Contains(one.Why+other.Why, "evaluated") && !strings.Contains(one.Why+other.Why, "not known")
		if versions && !ok1 && !ok2 {
			t.Errorf("neither of %q and %q is at least the other", a, b)
		}
		if !versions && (ok1 || ok2) {
			t.Errorf("%q or %q is no version, and at least the other", a, b)
		}
	})
}

// FuzzCompile: no expression brings the compiler down, and what it compiles can be
// judged.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`facts.DiskEncrypted == "true"`, `int(facts.A) < 5 && !has(facts.B)`, `facts.all(f, f != "x")`, `device.os_version.atLeast("1")`, `[1, 2].map(x, x * 2) == [2, 4]`,
		`age.A < duration("1h") ? true : false`, "\x00", `"` + strings.Repeat("a", 100), `facts[facts.A]`, `timestamp("2026-01-01T00:00:00Z") < now`, `{"a": facts}["a"].A == "b"`, `facts == source`, `dyn(facts) == 1`, `type(facts) == map`,
	} {
		f.Add(s)
	}
	d := mac()
	f.Fuzz(func(t *testing.T, text string) {
		compiled, faults := rules.Compile(&rules.Spec{Rules: []rules.RuleSpec{{Name: "r", Require: text}}})
		if (len(faults) == 0) != (len(compiled) == 1) {
			t.Fatalf("%d rules, %v", len(compiled), faults)
		}
		for _, r := range compiled {
			in := &posture.Input{Device: d, Now: now}
			if failure, ok := r.Check(in); ok == (failure.Why != "") {
				t.Errorf("%t, %+v", ok, failure)
			}
			r.Explain(in)
		}
	})
}
