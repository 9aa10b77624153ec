package rules_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/posture/rules"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// mac is a device of which an agent and an import spoke.
func mac() *posture.Device {
	d := &posture.Device{ID: "mac-1", Serial: "C02X", Vendor: "Apple", Model: "Mac15,3", OS: "macOS", OSVersion: "15.7.1", Owner: "ann@example.com", Enrolled: &posture.Enrolled{}}
	imported := posture.Source{Name: "mdm", Kind: posture.Import}
	d.Apply(&posture.Report{Facts: map[string]string{"DiskEncrypted": "true", "FirewallOn": "false", "PendingSecurityUpdates": "4", "Said": "agent", "Odd": "x\ty"}}, posture.AgentSource(), now.Add(-time.Hour))
	d.Apply(&posture.Report{Facts: map[string]string{"Said": "mdm", posture.FactManaged: "true"}}, imported, now.Add(-2*time.Hour))
	d.Apply(&posture.Report{Facts: map[string]string{"Old": "true"}}, imported, now.Add(-72*time.Hour))
	d.OS, d.OSVersion = "macOS", "15.7.1"
	return d
}

func compile(t testing.TB, s *rules.Spec) []posture.Rule {
	t.Helper()
	compiled, faults := rules.Compile(s)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return compiled
}

func one(t testing.TB, r rules.RuleSpec) posture.Rule {
	t.Helper()
	r.Name = "r"
	return compile(t, &rules.Spec{Rules: []rules.RuleSpec{r}})[0]
}

// TestExpressions: what holds, what does not and why, and what is not known.
func TestExpressions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		require string
		why     string // empty: it holds; "unknown": and so it fails unless that passes
	}{
		{`facts.DiskEncrypted == "true"`, ""},
		{`facts["DiskEncrypted"] == "true"`, ""},
		{`facts.FirewallOn == "true"`, "FirewallOn is false."},
		{`facts.FirewallOn == "true" || facts.DiskEncrypted == "true"`, ""},
		{`int(facts.PendingSecurityUpdates) < 5`, ""},
		{`int(facts.PendingSecurityUpdates) < 4`, "PendingSecurityUpdates is 4."},
		{`int(facts.FirewallOn) < 4`, `The rule cannot be evaluated: `},
		{`facts.SecureBoot == "true"`, "unknown"},
		{`facts.SecureBoot != "false"`, "unknown"},
		{`!(facts.SecureBoot == "false")`, "unknown"},
		{`facts["Secure" + "Boot"] == "true"`, "unknown"},
		{`facts.SecureBoot == "true" || true`, ""},
		{`!has(facts.SecureBoot) || facts.SecureBoot == "true"`, ""},
		{`has(facts.SecureBoot)`, "The device does not meet the rule."},
		{`"SecureBoot" in facts`, "The device does not meet the rule."},
		{`"DiskEncrypted" in facts && "DiskEncrypted" in age`, ""},
		{`has(facts.SecureBoot) || int(facts.FirewallOn) < 1`, "The rule cannot be evaluated: "}, // asked for, not needed: an error, and not unknown
		{`has(facts.SecureBoot) || {"a": true}["b"]`, "The rule cannot be evaluated: "},
		{`has(facts.SecureBoot) || facts.TPMPresent == "true"`, "unknown"},
		{`facts.SecureBoot == "true" && facts.TPMPresent == "true"`, "unknown"},
		{`[facts.SecureBoot].exists(x, x == "true")`, "unknown"},
		{`facts.Old == "true"`, "unknown"},
		{`has(facts.Old)`, "Old"},
		{`facts.Said == "mdm" && source.Said == "mdm"`, ""}, // the trusted one, though the agent's word is newer
		{`source.DiskEncrypted == "agent"`, ""},
		{`age.DiskEncrypted == duration("1h")`, ""},
		{`age.DiskEncrypted < duration("1h")`, "DiskEncrypted is true."},
		{`facts.exists(f, f.startsWith("Disk"))`, ""},
		{`facts.all(f, f != "Old")`, ""},
		{`size(facts) == 6`, ""},
		{`facts == facts && facts != source && {} != facts && facts != {}`, ""},
		{`source == {"DiskEncrypted": "agent", "FirewallOn": "agent", "PendingSecurityUpdates": "agent", "Said": "mdm", "Odd": "agent", "IsManaged": "mdm"}`, ""},
		{`{"DiskEncrypted": "agent", "FirewallOn": "agent", "PendingSecurityUpdates": "agent", "Said": "mdm", "Odd": "agent", "IsManaged": "mdm"} == source`, ""},
		{`!(source in [{"DiskEncrypted": "agent", "FirewallOn": "agent", "PendingSecurityUpdates": "agent", "Said": "mdm", "Odd": "agent", "IsManaged": "mdm"}])`, "The device does not meet the rule."},
		{`source == {"DiskEncrypted": "agent", "FirewallOn": "agent", "PendingSecurityUpdates": "agent", "Said": "agent", "Odd": "agent", "IsManaged": "mdm"}`, "The device does not meet the rule."},
		{`device.vendor == "Apple" && device.model.startsWith("Mac") && device.serial == "C02X" && device.id == "mac-1"`, ""},
		{`device.os == "macOS" && device.platform == "macOS" && device.os_version.atLeast("15.7")`, ""},
		{`device.os_version.atLeast("15.10")`, "The device does not meet the rule."},
		{`device.os_version.atLeast(device.model)`, "The rule cannot be evaluated"},
		{`device.enrolled`, ""},
		{`owner == "ann@example.com" && device.owner == owner`, ""},
		{`application.id == "0oa1" && application.name == "Wiki"`, ""},
		{`now > timestamp("2026-11-28T11:59:59Z") && now < timestamp("2026-11-28T12:00:01Z")`, ""},
		{`facts.Odd == "no"`, `Odd is "x\ty".`},
		{`device.model.matches("^Mac[0-9]+,[0-9]$")`, ""},
		{`false`, "The device does not meet the rule."},
	} {
		for _, unknown := range []string{"", "fail", "pass"} {
			r := one(t, rules.RuleSpec{Require: tt.require, Unknown: unknown})
			in := &posture.Input{Device: mac(), App: posture.AppContext{InstanceID: "0oa1", Name: "Wiki"}, Now: now}
			f, ok := r.Check(in)
			want := tt.why == "" || tt.why == "unknown" && unknown == "pass"
			if ok != want {
				t.Errorf("%s, unknown %q: ok %t, %q", tt.require, unknown, ok, f.Why)
			}
			if !ok && tt.why != "unknown" && !strings.HasPrefix(f.Why, tt.why) && tt.why != "Old" {
				t.Errorf("%s: why %q, want %q", tt.require, f.Why, tt.why)
			}
			if x := r.Explain(in); x.OK != ok || (x.Failure != nil) == ok || x.Require != tt.require {
				t.Errorf("%s: explained as %+v", tt.require, x)
			}
		}
	}
}

// TestStaleness: a fact counts as long as its rule says, and as its own limit says.
func TestStaleness(t *testing.T) {
	t.Parallel()
	d := mac()
	r := one(t, rules.RuleSpec{Require: `facts.DiskEncrypted == "true"`, MaxAge: 90 * time.Minute})
	for after, want := range map[time.Duration]bool{0: true, 30 * time.Minute: true, 30*time.Minute + 1: false, 47 * time.Hour: false} {
		f, ok := r.Check(&posture.Input{Device: d, Now: now.Add(after)})
		if ok != want {
			t.Errorf("%s later: %t, %q", after, ok, f.Why)
		}
		if after == 47*time.Hour && f.Why != "DiskEncrypted was last reported 2 days ago." {
			t.Errorf("why: %q", f.Why)
		}
	}
	for i := range d.Facts {
		d.Facts[i].MaxAge = time.Minute
	}
	if _, ok := r.Check(&posture.Input{Device: d, Now: now}); ok {
		t.Error("a fact counts for longer than it may")
	}
	if f, _ := one(t, rules.RuleSpec{Require: `facts.X == "true"`}).Check(&posture.Input{Device: d, Now: now}); f.Why != "X was not reported." {
		t.Errorf("why: %q", f.Why)
	}
}

// TestPlatforms: a rule for other platforms is not asked, and a device that does not
// say what it is is not let off.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		platforms string
		os        string
		asked     bool
	}{
		{"", "macOS", true}, {"", "Plan 9", true}, {"macos", "macOS", true}, {"macOS", "Mac OS X", true}, {"macOS", "Windows 11 Pro", false},
		{"WINDOWS", "Microsoft", true}, {"Windows", "windows", true}, {"iOS", "iPadOS", true}, {"iPadOS", "iOS", false}, {"Linux Android", "Ubuntu", true},
		{"macOS", "", true}, {"macOS", "Plan 9", true}, {"ChromeOS", "Chrome OS", true}, {"Linux", "Android", false},
	} {
		d := mac()
		d.OS = tt.os
		in := &posture.Input{Device: d, Now: now}
		r := one(t, rules.RuleSpec{Require: `false`, Platforms: strings.Fields(tt.platforms), Help: "h", Link: "https://x.example", Severity: "warn", Grace: time.Hour})
		f, ok := r.Check(in)
		if ok == tt.asked {
			t.Errorf("%q on %q: %t", tt.platforms, tt.os, ok)
		}
		if !ok && (f.Rule != "r" || f.Help != "h" || f.Link != "https://x.example" || f.Severity != posture.Warn || f.Grace != time.Hour) {
			t.Errorf("failure %+v", f)
		}
		if x := r.Explain(in); (x.Skipped != "") == tt.asked {
			t.Errorf("%q on %q: %+v", tt.platforms, tt.os, x)
		}
	}
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	compiled := compile(t, &rules.Spec{
		OSVersion: map[string]string{"macos": "15.7", "Windows": "10.0.19045", "iOS": "18"},
		Facts:     map[string]string{"DiskEncrypted": "true", "FirewallOn": "true", "Missing": "1"},
	})
	var names []string
	got := map[string]string{}
	in := &posture.Input{Device: mac(), Now: now}
	for _, r := range compiled {
		names = append(names, r.Name())
		if f, ok := r.Check(in); !ok {
			got[r.Name()] = f.Why
		}
	}
	if fmt.Sprint(names) != "[os-version fact-DiskEncrypted fact-FirewallOn fact-Missing]" {
		t.Errorf("rules %v", names)
	}
	if fmt.Sprint(got) != fmt.Sprint(map[string]string{"fact-FirewallOn": "FirewallOn is false; true is required.", "fact-Missing": "Missing was not reported."}) {
		t.Errorf("failures %v", got)
	}
	for _, tt := range []struct {
		os, version, why string
		skipped          bool
	}{
		{"macOS", "15.7", "", false}, {"macOS", "15.6.9", "macOS 15.6.9 is older than 15.7.", false}, {"macOS", "", "The version of the operating system is not known; at least 15.7 is required.", false},
		{"macOS", "15.x", "macOS 15.x is older than 15.7.", false}, {"Windows 11", "10.0.22631.1", "", false}, {"Linux", "1", "", true}, {"", "99", "The operating system is not known.", false},
		{"iPadOS", "17.9", "iPadOS 17.9 is older than 18.", false}, {"iPadOS", "18.0.1", "", false},
	} {
		d := mac()
		d.OS, d.OSVersion = tt.os, tt.version
		in := &posture.Input{Device: d, Now: now}
		f, ok := compiled[0].Check(in)
		if ok != (tt.why == "") || f.Why != tt.why {
			t.Errorf("%s %s: %t, %q", tt.os, tt.version, ok, f.Why)
		}
		if x := compiled[0].Explain(in); (x.Skipped != "") != tt.skipped || x.OK != ok {
			t.Errorf("%s %s: %+v", tt.os, tt.version, x)
		}
	}
}

// TestHostileValues: what a device says stands in no sentence unquoted or at length.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	d := mac()
	long := "<script>\x1b[2J" + strings.Repeat("ü", 5000)
	d.Apply(&posture.Report{Facts: map[string]string{"Evil": long}}, posture.AgentSource(), now)
	d.OS, d.OSVersion = "macOS\x1b", long
	in := &posture.Input{Device: d, Now: now}
	for _, r := range compile(t, &rules.Spec{
		OSVersion: map[string]string{"macOS": "1"}, Facts: map[string]string{"Evil": "x"},
		Rules: []rules.RuleSpec{{Name: "cel", Require: `facts.Evil == "x"`}, {Name: "err", Require: `int(facts.Evil) > 0`}},
	}) {
		f, ok := r.Check(in)
		if ok || len(f.Why) > 400 || strings.ContainsAny(f.Why, "\x1b\n") {
			t.Errorf("%s: %t, %q", r.Name(), ok, f.Why)
		}
	}
}

// TestCostWhileItRuns: what was estimated for devices of usual size is counted for
// others while it runs, and what gets too dear fails.
func TestCostWhileItRuns(t *testing.T) {
	t.Parallel()
	r := one(t, rules.RuleSpec{Require: `facts.all(f, facts[f].matches("^[a-z]+$"))`})
	usual, huge := &posture.Device{ID: "usual"}, &posture.Device{ID: "huge"}
	for i := range 200 {
		name := fmt.Sprintf("F%05d", i)
		usual.Facts = append(usual.Facts, posture.Fact{Name: name, Value: "abc", Source: posture.AgentSource(), ObservedAt: now})
		huge.Facts = append(huge.Facts, posture.Fact{Name: name, Value: strings.Repeat("a", 100_000), Source: posture.AgentSource(), ObservedAt: now})
	}
	if f, ok := r.Check(&posture.Input{Device: usual, Now: now}); !ok {
		t.Errorf("the usual device: %q", f.Why)
	}
	if f, ok := r.Check(&posture.Input{Device: huge, Now: now}); ok || !strings.Contains(f.Why, "cost limit") {
		t.Errorf("the huge device: %t, %q", ok, f.Why)
	}
}

// TestConcurrently: one rule is judged by many at a time.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	r := one(t, rules.RuleSpec{Require: `facts.DiskEncrypted == "true" && !has(facts.Missing)`})
	bad := mac()
	bad.Facts = nil
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d := mac()
			if i%2 == 1 {
				d = bad
			}
			for range 500 {
				if _, ok := r.Check(&posture.Input{Device: d, Now: now}); ok != (i%2 == 0) {
					t.Errorf("goroutine %d: %t", i, ok)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBaselines: each compiles, is described, passes a device as it should be and
// fails one that is not.
func TestBaselines(t *testing.T) {
	t.Parallel()
	var all []string
	for _, b := range rules.Baselines() {
		all = append(all, b.Name)
		if b.About == "" || len(b.Rules) == 0 {
			t.Errorf("%s: %+v", b.Name, b)
		}
		compiled := compile(t, &rules.Spec{Baselines: []string{b.Name}})
		for _, r := range b.Rules {
			if r.Help == "" {
				t.Errorf("%s does not help", r.Name)
			}
			good, poor := mac(), mac()
			good.OS, poor.OS = r.Platforms[0], r.Platforms[0]
			good.OSVersion, poor.OSVersion = "999", "1"
			word := func(d *posture.Device, v string) {
				facts := map[string]string{}
				for _, name := range []string{"DiskEncrypted", "FirewallOn", "ScreenLock", "SecureBoot"} {
					facts[name] = v
				}
				os, version := d.OS, d.OSVersion
				d.Apply(&posture.Report{Facts: facts}, posture.AgentSource(), now)
				d.OS, d.OSVersion = os, version
			}
			word(good, "true")
			word(poor, "false")
			failed := map[bool]int{}
			for _, c := range compiled {
				if _, ok := c.Check(&posture.Input{Device: good, Now: now}); !ok {
					failed[true]++
				}
				if _, ok := c.Check(&posture.Input{Device: poor, Now: now}); !ok {
					failed[false]++
				}
			}
			if failed[true] != 0 || failed[false] != 1 {
				t.Errorf("%s on %s: the good device fails %d, the poor one %d", b.Name, r.Platforms[0], failed[true], failed[false])
			}
		}
	}
	compile(t, &rules.Spec{Baselines: all}) // no two share a name
}

// spec20 has twenty rules such as real policies have.
func spec20(prose string) *rules.Spec {
	s := &rules.Spec{OSVersion: map[string]string{"macOS": "14.0"}, Facts: map[string]string{"DiskEncrypted": "true", "FirewallOn": "false"}}
	for i := range 17 {
		require := []string{
			`facts.DiskEncrypted == "true"`, `int(facts.PendingSecurityUpdates) < 5`, `!has(facts.Missing) || facts.Missing == "true"`,
			`device.os_version.atLeast("15.1")`, `device.vendor == "Apple" && device.model.startsWith("Mac")`, `age.DiskEncrypted < duration("24h") && source.DiskEncrypted == "agent"`,
		}[i%6]
		s.Rules = append(s.Rules, rules.RuleSpec{Name: fmt.Sprintf("rule-%d", i), Require: require, Help: prose})
	}
	return s
}

// BenchmarkJudge is a verdict by twenty rules that hold, with short texts and long.
func BenchmarkJudge(b *testing.B) {
	for name, prose := range map[string]string{"short": "Mend it.", "long": strings.Repeat("Mend it at once. ", 100)} {
		b.Run(name, func(b *testing.B) {
			p := &posture.Policy{Rules: compile(b, spec20(prose))}
			d := mac()
			b.ReportAllocs()
			for b.Loop() {
				if v := posture.Judge(&posture.Input{Device: d, Now: now}, p); !v.Compliant {
					b.Fatal(v)
				}
			}
		})
	}
}
