package agentapi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what a report may hold.
const (
	maxText         = 256 // bytes of a text
	maxFacts        = 64
	maxFactName     = 64 // bytes
	maxAttestations = 8
	maxEvidence     = 32 << 10 // bytes of one attestation
	maxToken        = 128
	maxCSR          = 16 << 10
	maxSequence     = 1<<53 - 1
)

// ErrJSON is a body that is not the JSON that it should be.
var ErrJSON = errors.New("not the JSON that is wanted")

// decode is strict: unknown, doubled and differently cased names, invalid UTF-8
// and anything after the value are refused.
func decode[T any](body []byte) (*T, error) {
	v := new(T)
	err := json.Unmarshal(body, v, json.RejectUnknownMembers(true))
	if err == nil && string(bytes.TrimSpace(body)) == "null" {
		err = errors.New("null")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrJSON, explain(err))
	}
	return v, nil
}

// explain says what is wrong with JSON without naming Go types.
func explain(err error) string {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		where := semantic.JSONPointer
		switch {
		case errors.Is(err, json.ErrUnknownName):
			return fmt.Sprintf("unknown name %q", where)
		case semantic.JSONKind != 0:
			return fmt.Sprintf("%q must not be a %s", where, semantic.JSONKind)
		}
		return fmt.Sprintf("%q cannot be read", where)
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Sprintf("name %q given twice", syntax.JSONPointer)
		}
		return fmt.Sprintf("syntax error at byte %d", syntax.ByteOffset)
	}
	return err.Error()
}

// Fault is everything that is wrong with a request that is JSON.
type Fault struct{ Problems []string }

func (f *Fault) Error() string { return strings.Join(f.Problems, "; ") }

func (f *Fault) add(format string, args ...any) {
	f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
}

func (f *Fault) err() error {
	if len(f.Problems) == 0 {
		return nil
	}
	return f
}

// ParseEnrollRequest reads the body of a request to enrol: ErrJSON, or a *Fault
// with all that is wrong.
func ParseEnrollRequest(body []byte) (*EnrollRequest, error) {
	r, err := decode[EnrollRequest](body)
	if err != nil {
		return nil, err
	}
	var f Fault
	if r.Token == "" || len(r.Token) > maxToken {
		f.add("token has %d bytes, not 1 to %d", len(r.Token), maxToken)
	}
	if r.CSR == "" || len(r.CSR) > maxCSR {
		f.add("csr has %d bytes, not 1 to %d", len(r.CSR), maxCSR)
	}
	r.Device.check(&f)
	r.TPM.check(&f)
	return r, f.err()
}

// ParseRenewRequest reads the body of a request to renew, as ParseEnrollRequest
// does.
func ParseRenewRequest(body []byte) (*RenewRequest, error) {
	r, err := decode[RenewRequest](body)
	if err != nil {
		return nil, err
	}
	var f Fault
	if r.CSR == "" || len(r.CSR) > maxCSR {
		f.add("csr has %d bytes, not 1 to %d", len(r.CSR), maxCSR)
	}
	r.TPM.check(&f)
	return r, f.err()
}

// ParseReport reads the body of a report, as ParseEnrollRequest does. Whether
// its time and its sequence are right is not for it to know.
func ParseReport(body []byte) (*Report, error) {
	r, err := decode[Report](body)
	if err != nil {
		return nil, err
	}
	var f Fault
	if r.Sequence < 1 || r.Sequence > maxSequence {
		f.add("sequence %d is not from 1 to %d", r.Sequence, uint64(maxSequence))
	}
	if r.ObservedAt.IsZero() {
		f.add("observed_at is missing")
	}
	for _, text := range []struct{ name, value string }{{"boot_id", r.BootID}, {"previous", r.Previous}} {
		if problem := CheckText(text.value); problem != "" {
			f.add("%s: %s", text.name, problem)
		}
	}
	r.Device.check(&f)
	checkFacts(r.Facts, &f)
	if len(r.Attestations) > maxAttestations {
		f.add("%d attestations; at most %d are taken", len(r.Attestations), maxAttestations)
	}
	for i, a := range r.Attestations {
		if a.Type == "" {
			f.add("attestations[%d].type is missing", i)
		} else if problem := CheckText(a.Type); problem != "" {
			f.add("attestations[%d].type: %s", i, problem)
		}
		if a.Value == "" || len(a.Value) > maxEvidence || !printable(a.Value) {
			f.add("attestations[%d].value has %d bytes, not 1 to %d of printable ASCII", i, len(a.Value), maxEvidence)
		}
	}
	return r, f.err()
}

func (d *Device) check(f *Fault) {
	for _, text := range []struct{ name, value string }{
		{"vendor", d.Vendor}, {"model", d.Model}, {"os", d.OS}, {"os_version", d.OSVersion}, {"serial", d.Serial}, {"hardware_id", d.HardwareID},
	} {
		if problem := CheckText(text.value); problem != "" {
			f.add("device.%s: %s", text.name, problem)
		}
	}
}

func checkFacts(facts map[string]string, f *Fault) {
	if len(facts) > maxFacts {
		f.add("%d facts; at most %d are taken", len(facts), maxFacts)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		value := facts[name]
		if !ValidFactName(name) {
			f.add("facts: %+.70q is no name of a fact: a letter, then up to %d letters, digits, '.', '_' and '-'", name, maxFactName-1)
			continue
		}
		problem := CheckText(value)
		if problem == "" {
			problem = factTypes[name].check(value)
		}
		if problem != "" {
			f.add("facts.%s: %s", name, problem)
		}
	}
}

// Names of facts whose values have a type. Every other fact is a text.
const (
	FactDiskEncrypted  = "DiskEncrypted"
	FactFirewallOn     = "FirewallOn"
	FactScreenLock     = "ScreenLock"
	FactSecureBoot     = "SecureBoot"
	FactTPMPresent     = "TPMPresent"
	FactPendingUpdates = "PendingSecurityUpdates"
)

// factType is what the value of a fact must be.
type factType int

const (
	textFact factType = iota
	truthFact
	numberFact
)

// factTypes are the types of those facts that have one.
var factTypes = map[string]factType{
	FactDiskEncrypted: truthFact, FactFirewallOn: truthFact, FactScreenLock: truthFact, FactSecureBoot: truthFact, FactTPMPresent: truthFact,
	FactPendingUpdates: numberFact,
}

// check tells what is wrong with a value, or "".
func (t factType) check(value string) (problem string) {
	switch t {
	case truthFact:
		if value != "true" && value != "false" {
			return fmt.Sprintf("%+.40q is not true or false", value)
		}
	case numberFact:
		if n, err := strconv.ParseUint(value, 10, 32); err != nil || strconv.FormatUint(n, 10) != value {
			return fmt.Sprintf("%+.40q is not a number", value)
		}
	default:
		if value == "" {
			return "empty; leave out what is not known"
		}
	}
	return ""
}

// ValidFactName tells whether a fact may have the name: a letter, then up to 63
// letters, digits, '.', '_' and '-'.
func ValidFactName(name string) bool {
	if name == "" || len(name) > maxFactName || !isLetter(name[0]) {
		return false
	}
	for i := 1; i < len(name); i++ {
		if c := name[i]; !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune("._-", rune(c)) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// CheckText tells what is wrong with a text that may end in an assertion, a page
// or a log: it must consist of characters that XML can carry (XML 1.0 section
// 2.2), none of them a control character, with no space around it.
func CheckText(s string) (problem string) {
	switch {
	case len(s) > maxText:
		return fmt.Sprintf("%d bytes long; at most %d are taken", len(s), maxText)
	case !utf8.ValidString(s):
		return "not valid UTF-8, the only encoding that is taken"
	}
	for _, c := range s {
		if unicode.IsControl(c) || c == 0xFFFE || c == 0xFFFF {
			return fmt.Sprintf("holds the character %U, which is not taken", c)
		}
	}
	if strings.TrimSpace(s) != s {
		return fmt.Sprintf("%+.40q has a space before or after it; remove it", s)
	}
	return ""
}

// OldestReport is how long a report may lie at an agent that cannot send it.
const OldestReport = 7 * 24 * time.Hour
