package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
	"gatepost.dev/posture/rules"
)

type policyCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	Check     policyCheck     `cmd:"" help:"Say every fault of the policies in a file, with line and column."`
	Explain   policyExplain   `cmd:"" help:"Show why a policy judges a device as it does, rule by rule."`
	Simulate  policySimulate  `cmd:"" help:"Judge the whole inventory by a policy of a file, without effect, and show what would change."`
	Baselines policyBaselines `cmd:"" help:"List the built-in rules, or show one set of them."`
}

type policyCheck struct {
	File string `arg:"" type:"existingfile" help:"File with policies, as gatepost.yaml has them; gatepost.yaml itself, too."`
}

// Run checks the file.
func (c *policyCheck) Run(e *env) error {
	config, faults := LoadPolicies(c.File)
	if e.json {
		if err := printJSON(e.stdout, append([]Fault{}, faults...)); err != nil {
			return err
		}
	} else {
		for _, f := range faults {
			fmt.Fprintln(e.stderr, f)
		}
	}
	if config == nil {
		return unusable(c.File, faults)
	}
	if e.json {
		return nil
	}
	policies, err := newPolicies(config)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		what := counted(len(policies[name].Rules), "rule")
		if len(policies[name].Rules) == 0 {
			what = "no rules: compliant is what trusted sources call so"
		}
		fmt.Fprintf(e.stdout, "%s: %s\n", name, what)
	}
	return nil
}

// appQuery names an application by flags.
type appQuery struct {
	AppID   string `name:"app" placeholder:"ID" help:"As for the application of that ID, as Okta's application context has it."`
	AppName string `placeholder:"NAME" help:"As for the application of that name."`
}

func (a appQuery) context() posture.AppContext {
	return posture.AppContext{InstanceID: a.AppID, Name: a.AppName}
}

type policyExplain struct {
	Device       string `arg:"" help:"Its ID."`
	Policy       string `placeholder:"NAME" xor:"policy" help:"By this policy (default: default)."`
	RelyingParty string `name:"for" placeholder:"NAME" xor:"policy" help:"By the policy of this relying party."`
	appQuery
}

// Run shows the verdict.
func (c *policyExplain) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		x, err := client.Explain(e.ctx, admin.ExplainQuery{DeviceID: c.Device, Policy: c.Policy, RelyingParty: c.RelyingParty, App: c.context()})
		if err != nil {
			return fmt.Errorf("explain device %q: %w", c.Device, err)
		}
		if e.json {
			return printJSON(e.stdout, x)
		}
		fmt.Fprintf(e.stdout, "%s by policy %s: %s\n", x.DeviceID, x.Policy, outcomeOf(&x))
		if len(x.Findings) == 0 {
			fmt.Fprintln(e.stdout, "The policy has no rules: compliant is what trusted sources call so.")
			return nil
		}
		t := newTable(e.stdout, "RULE", "RESULT", "FACT", "VALUE", "SOURCE", "AGE", "WHY")
		for _, f := range x.Findings {
			explainRow(t, &f)
		}
		return t.flush()
	})
}

func outcomeOf(x *admin.Explanation) string {
	word := map[bool]string{true: "", false: "not "}
	text := word[x.Verdict.Managed] + "managed, " + word[x.Verdict.Compliant] + "compliant"
	if x.Verdict.Reason != "" {
		text += " (" + string(x.Verdict.Reason) + ")"
	}
	if q := x.Quarantine; q != nil {
		text += ", by " + printable(q.By) + ": " + printable(q.Why)
	}
	return text
}

// explainRow adds the rows of a rule, one for each fact that it looked at.
func explainRow(t *table, f *posture.Finding) {
	result, why := "pass", f.Skipped
	if f.Skipped != "" {
		result = "not asked"
	}
	if w := f.Failure; w != nil {
		result, why = "FAIL", w.Why
		switch {
		case w.Severity == posture.Warn:
			result = "warn"
		case !w.Until.IsZero() && w.Until.After(time.Now()):
			result = "until " + w.Until.UTC().Format("2006-01-02 15:04 MST")
		}
	}
	if len(f.Facts) == 0 {
		t.row(f.Rule, result, "", "", "", "", printable(why))
	}
	for i, s := range f.Facts {
		rule, shown, because := f.Rule, result, printable(why)
		if i > 0 {
			rule, shown, because = "", "", ""
		}
		value, age := printable(s.Value), ""
		switch {
		case s.Source.Name == "":
			value = "not reported"
		case s.Stale:
			age = s.Age.Truncate(time.Second).String() + ", too old"
		default:
			age = s.Age.Truncate(time.Second).String()
		}
		t.row(rule, shown, s.Name, value, s.Source.Name, age, because)
	}
}

type policySimulate struct {
	File    string `arg:"" type:"existingfile" help:"File with policies, as gatepost.yaml has them."`
	Policy  string `default:"default" placeholder:"NAME" help:"The policy of the file that is tried (default: ${default})."`
	Against string `placeholder:"NAME" help:"The live policy that it is compared with (default: of the same name)."`
	appQuery
}

// Run simulates.
func (c *policySimulate) Run(e *env) error {
	config, faults := LoadPolicies(c.File)
	for _, f := range faults {
		fmt.Fprintln(e.stderr, f)
	}
	if config == nil {
		return unusable(c.File, faults)
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return withServer(e, func(client *admin.Client) error {
		p := newProgress(e.stderr, time.Now)
		s, err := client.Simulate(e.ctx, admin.SimulationRequest{Policies: string(text), Policy: c.Policy, Against: c.Against, App: c.context()}, func(done, total int) {
			p.show("%s %d of %d devices judged", progressBar(done, total), done, total)
		})
		p.clear()
		if err != nil {
			return fmt.Errorf("simulate %s: %w", c.File, err)
		}
		if e.json {
			return printJSON(e.stdout, s)
		}
		return c.print(e, &s)
	})
}

// progressBar is how far something is, as [#####-----].
func progressBar(done, total int) string {
	const width = 20
	n := width
	if total > 0 {
		n = min(width, done*width/total)
	}
	return "[" + strings.Repeat("#", n) + strings.Repeat("-", width-n) + "]"
}

func (c *policySimulate) print(e *env, s *devices.Simulation) error {
	fmt.Fprintf(e.stdout, "%s by policy %s of %s, against %s as it is now, in %s\n",
		counted(s.Devices, "device"), c.Policy, c.File, cmp.Or(c.Against, c.Policy), s.Took.Round(time.Millisecond))
	t := newTable(e.stdout, "", "NOW", "THEN")
	t.row("managed", strconv.Itoa(s.Before.Managed), strconv.Itoa(s.After.Managed))
	t.row("compliant", strconv.Itoa(s.Before.Compliant), strconv.Itoa(s.After.Compliant))
	t.row("no longer compliant", "", strconv.Itoa(s.Lose))
	t.row("newly compliant", "", strconv.Itoa(s.Gain))
	for _, rule := range slices.Sorted(maps.Keys(s.Failing)) {
		t.row("fail "+rule, "", strconv.Itoa(s.Failing[rule]))
	}
	for _, rule := range slices.Sorted(maps.Keys(s.Warned)) {
		t.row("warned by "+rule, "", strconv.Itoa(s.Warned[rule]))
	}
	if err := t.flush(); err != nil || len(s.Losing) == 0 {
		return err
	}
	fmt.Fprintln(e.stdout)
	t = newTable(e.stdout, "NO LONGER COMPLIANT", "OWNER", "WHY")
	for _, l := range s.Losing {
		why := []string{}
		for _, f := range l.Failures {
			why = append(why, f.Rule+": "+printable(strings.TrimSuffix(f.Why, ".")))
		}
		if len(why) == 0 {
			why = append(why, string(l.After))
		}
		t.row(l.DeviceID, printable(l.Owner), strings.Join(why, "; "))
	}
	if s.Lose > len(s.Losing) {
		t.row(fmt.Sprintf("and %d more", s.Lose-len(s.Losing)), "", "")
	}
	return t.flush()
}

type policyBaselines struct {
	Name string `arg:"" optional:"" help:"Show this one as a policy would have it."`
}

// Run lists the baselines.
func (c *policyBaselines) Run(e *env) error {
	all := rules.Baselines()
	if c.Name != "" {
		all = slices.DeleteFunc(all, func(b rules.Baseline) bool { return b.Name != c.Name })
		if len(all) == 0 {
			return fmt.Errorf("there is no baseline %q; \"gatepost policy baselines\" lists them", c.Name)
		}
	}
	if e.json {
		return printJSON(e.stdout, all)
	}
	if c.Name != "" {
		return printBaseline(e.stdout, all[0])
	}
	t := newTable(e.stdout, "BASELINE", "WHAT IT DEMANDS")
	for _, b := range all {
		t.row(b.Name, b.About)
	}
	return t.flush()
}
