// Package rules compiles the rules of a policy: expressions in CEL, plain
// thresholds, and the built-in baselines.
package rules

import (
	"fmt"
	"time"
)

// Spec is what a policy demands, as its author wrote it.
type Spec struct {
	Baselines []string          // by name, see Baselines
	OSVersion map[string]string // the least version by platform, such as "macOS": "15.1"
	Facts     map[string]string // the values that facts must have, by name
	MaxAge    time.Duration     // how long a fact counts, unless its rule says otherwise; 0: DefaultMaxAge
	Rules     []RuleSpec
}

// DefaultMaxAge is how long a fact counts when neither rule nor policy say.
const DefaultMaxAge = 24 * time.Hour

// RuleSpec is one rule as its author wrote it.
type RuleSpec struct {
	Name      string
	Require   string        // in CEL, of type bool
	Platforms []string      // that it is for; none: all
	MaxAge    time.Duration // how long a fact counts; 0: as the policy says
	Unknown   string        // "fail" (also ""), or "pass": what the rule does when a fact it needs is not known or too old
	Severity  string        // "block" (also ""), or "warn"
	Grace     time.Duration // from the first failure until it blocks
	Help      string        // what the user can do, as plain text
	Link      string        // an http or https URL
}

// Fault is what is wrong with a Spec.
type Fault struct {
	Path   string // the field, such as "rules[2].require" or "os_version.macOS"
	Line   int    // in the field's text, from 1; 0: the field as a whole
	Column int    // in that line, from 1, in characters
	Text   string
}

func (f Fault) Error() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.Path, f.Line, f.Column, f.Text)
}
