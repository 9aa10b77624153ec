package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
	"gatepost.dev/posture/rules"
)

// LoadPolicies reads the policies of a file and finds their faults; of a whole
// configuration it looks at those only. The Config, which has nothing else, is nil
// if a fault is more than a warning.
func LoadPolicies(path string) (*Config, []Fault) {
	f := newFindings(path)
	data, err := readUpTo(path, maxConfig)
	if err != nil {
		f.addAt(0, "", err.Error(), "")
		return nil, f.faults
	}
	return parsePolicies(f, data, os.LookupEnv)
}

func parsePolicies(f *findings, data []byte, getenv func(string) (string, bool)) (*Config, []Fault) {
	f.last = 1 + bytes.Count(data, []byte("\n"))
	root := parseYAML(f, data)
	if root == nil {
		return nil, f.sorted()
	}
	c := &Config{file: f.file, lines: f.lines}
	d := &decoder{findings: f, getenv: getenv}
	d.value("", root, reflect.ValueOf(c).Elem())
	f.faults = slices.DeleteFunc(f.faults, func(fault Fault) bool { return !ofPolicies(fault.Path) })
	if len(c.Policies) == 0 && !f.faulty("policies") {
		f.addAt(1, "policies", missing, "write policies: and below it the name of each, as in gatepost.yaml")
	}
	c.setDefaults()
	c.validatePolicies(f)
	if Refused(f.faults) {
		c = nil
	}
	return c, f.sorted()
}

// ofPolicies tells whether a fault is one of the policies, or of the file as such.
func ofPolicies(path string) bool {
	if path == "" {
		return true
	}
	for ; path != ""; path = parent(path) {
		if path == "policies" {
			return true
		}
	}
	return false
}

// policySource gives the policies of a generation (admin.PolicySource).
type policySource struct{ *parties }

// Names are those of all policies of the configuration.
func (p policySource) Names() []string { return slices.Sorted(maps.Keys(p.policies)) }

// Named implements admin.PolicySource.
func (p policySource) Named(name string) (*posture.Policy, error) {
	if policy := p.policies[name]; policy != nil {
		return policy, nil
	}
	return nil, fmt.Errorf("%w: %.80q", admin.ErrNoPolicy, name)
}

// Of implements admin.PolicySource.
func (p policySource) Of(ctx context.Context, relyingParty string, app posture.AppContext) (*posture.Policy, error) {
	party := p.file[relyingParty]
	if party == nil {
		record, err := p.records.RelyingParty(ctx, relyingParty)
		if err != nil {
			return nil, err
		}
		if party, err = p.parse(record); err != nil {
			return nil, err
		}
	}
	return party.PolicyFor(app), nil
}

// Parse implements admin.PolicySource. Nothing of this process's environment goes
// into what others send.
func (policySource) Parse(text []byte) (map[string]*posture.Policy, error) {
	c, faults := parsePolicies(newFindings("policies"), text, func(string) (string, bool) { return "", false })
	if c == nil {
		err := admin.ErrBadPolicies
		for _, f := range faults {
			err = fmt.Errorf("%w\n%s", err, f)
		}
		return nil, err
	}
	policies, err := newPolicies(c)
	if err != nil {
		return nil, errors.Join(admin.ErrBadPolicies, err)
	}
	if !c.written("policies." + defaultPolicy) {
		delete(policies, defaultPolicy)
	}
	return policies, nil
}

// yamlRule is a rule of a baseline as a policy would have it.
type yamlRule struct {
	Name      string   `yaml:"name"`
	Require   string   `yaml:"require"`
	Platforms []string `yaml:"platforms,omitempty,flow"`
	MaxAge    string   `yaml:"max_age,omitempty"`
	Unknown   string   `yaml:"unknown,omitempty"`
	Severity  string   `yaml:"severity,omitempty"`
	Grace     string   `yaml:"grace,omitempty"`
	Help      string   `yaml:"help,omitempty"`
	Link      string   `yaml:"link,omitempty"`
}

// printBaseline writes the rules of a baseline so that they can be copied into a
// policy and changed there.
func printBaseline(w io.Writer, b rules.Baseline) error {
	var written struct {
		Rules []yamlRule `yaml:"rules"`
	}
	for _, r := range b.Rules {
		y := yamlRule{Name: r.Name, Require: r.Require, Platforms: r.Platforms, Unknown: r.Unknown, Severity: r.Severity, Help: r.Help, Link: r.Link}
		if r.MaxAge > 0 {
			y.MaxAge = r.MaxAge.String()
		}
		if r.Grace > 0 {
			y.Grace = r.Grace.String()
		}
		written.Rules = append(written.Rules, y)
	}
	if _, err := fmt.Fprintf(w, "# %s: %s\n", b.Name, b.About); err != nil {
		return err
	}
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	if err := out.Encode(written); err != nil {
		return err
	}
	return out.Close()
}
