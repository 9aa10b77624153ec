// Package devices is how devices come into the inventory, what the inventory
// hands out to them, and how they leave it: the import of files, the issuing of
// client certificates, and retiring.
//
// It parses and checks; it keeps nothing itself (the records are behind small
// interfaces), judges nothing (that is posture's), and knows nothing of HTTP.
package devices

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatepost.dev/certs"
	"gatepost.dev/posture"
)

// Limits of an import file.
const (
	maxLine     = 64 << 10 // bytes, without the line's end
	maxText     = 256      // bytes of any value but the ID
	maxFactName = 64
	maxFacts    = 64 // facts named as such in one row
	maxRows     = 10_000_000
)

// Row is one good row of an import file.
type Row struct {
	Line   int // the first line of the file is 1
	Report posture.Report
}

// RowError says what is wrong with one value of one row, or with the whole row.
type RowError struct {
	Line   int    `json:"line"`
	Column string `json:"column,omitempty"` // the column's name; empty: the whole row
	// Problem says what is wrong and, where it helps, what to write instead.
	Problem string `json:"problem"`
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
	}
	return fmt.Sprintf("line %d, %s: %s", e.Line, e.Column, e.Problem)
}

const (
	factPrefix  = "fact."
	columnNames = "id, serial, vendor, model, os, os_version, owner, managed, compliant and fact.<Name>"
)

// checkColumn tells what is wrong with the name of a column, or "".
func checkColumn(name string) (problem string) {
	switch name {
	case "id", "serial", "vendor", "model", "os", "os_version", "owner", "managed", "compliant":
		return ""
	}
	fact, ok := strings.CutPrefix(name, factPrefix)
	switch {
	case !ok:
		return "unknown column; known are " + columnNames
	case strings.EqualFold(fact, posture.FactManaged):
		return "this fact has a column of its own: managed"
	case strings.EqualFold(fact, posture.FactCompliant):
		return "this fact has a column of its own: compliant"
	case !validFactName(fact):
		return fmt.Sprintf("bad name of a fact: a letter, then up to %d letters, digits, '.', '_' and '-'", maxFactName-1)
	}
	return ""
}

// setColumn writes the value of a known column into the report, or tells what
// is wrong with it. An empty value says nothing.
func setColumn(r *posture.Report, column, value string) (problem string) {
	if value == "" {
		return ""
	}
	if problem := checkText(value); problem != "" {
		return problem
	}
	switch column {
	case "id":
		if problem := checkID(value); problem != "" {
			return problem
		}
		r.DeviceID = value
	case "serial":
		r.Serial = value
	case "vendor":
		r.Vendor = value
	case "model":
		r.Model = value
	case "os":
		r.OS = value
	case "os_version":
		r.OSVersion = value
	case "owner":
		r.Owner = value
	case "managed":
		return setBool(r, posture.FactManaged, value)
	case "compliant":
		return setBool(r, posture.FactCompliant, value)
	default:
		setFact(r, strings.TrimPrefix(column, factPrefix), value)
	}
	return ""
}

func setBool(r *posture.Report, fact, value string) (problem string) {
	if value != "true" && value != "false" {
		return fmt.Sprintf("%s is not a truth value: write true or false, in lower case", quote(value))
	}
	setFact(r, fact, value)
	return ""
}

func setFact(r *posture.Report, name, value string) {
	if r.Facts == nil {
		r.Facts = make(map[string]string)
	}
	r.Facts[name] = value
}

// checkRow tells what is wrong with the row as a whole. column is the one to
// blame, if any.
func checkRow(r *posture.Report) (column, problem string) {
	facts := len(r.Facts)
	for _, own := range []string{posture.FactManaged, posture.FactCompliant} {
		if _, ok := r.Facts[own]; ok {
			facts--
		}
	}
	switch {
	case r.DeviceID == "":
		return "id", "no value; every row needs one"
	case facts > maxFacts:
		return "", fmt.Sprintf("%d facts; at most %d are taken", facts, maxFacts)
	}
	return "", ""
}

// checkID tells what is wrong with a device's ID. "." and ".." are refused
// because they cannot stand in the path of a URL.
func checkID(id string) (problem string) {
	if id == "." || id == ".." {
		return quote(id) + " cannot be an ID"
	}
	if err := certs.ValidDeviceID(id); err != nil {
		return err.Error()
	}
	return ""
}

// checkText tells what is wrong with a text that may end in an assertion, a
// page or a log: it must consist of characters that XML can carry (XML 1.0
// section 2.2), none of them a control character, with no space around it.
func checkText(s string) (problem string) {
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
		return fmt.Sprintf("%s has a space before or after it; remove it", quote(s))
	}
	return ""
}

func validFactName(s string) bool {
	if s == "" || len(s) > maxFactName || !isAlnum(s[0]) || s[0] <= '9' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isAlnum(s[i]) && !strings.ContainsRune("._-", rune(s[i])) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// quote shows a value of the file in a message, shortened when it is long.
func quote(s string) string {
	const show = 40
	if len(s) > show {
		return fmt.Sprintf("%+q...", s[:show])
	}
	return fmt.Sprintf("%+q", s)
}
