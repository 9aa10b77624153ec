// Package devices is how devices come into the inventory, what the inventory
// hands out to them, what they tell of themselves, and how they leave it: the
// import of files, enrolment by token, by what a management system shares or by
// what hardware proves, client certificates and their renewal, the reports of
// agents, and retiring. It is the server side of agentapi; the other protocols of
// enrolment are in packages below it, and all come to its one policy.
//
// It checks and decides; it keeps nothing itself (the records are behind small
// interfaces) and judges nothing (that is posture's). Of HTTP only Agents knows.
package devices

import (
	"fmt"
	"strings"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/posture"
)

// Limits of an import file.
const (
	maxLine     = 64 << 10 // bytes, without the line's end
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
	case !agentapi.ValidFactName(fact):
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
	if problem := agentapi.CheckText(value); problem != "" {
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

// quote shows a value of the file in a message, shortened when it is long.
func quote(s string) string {
	const show = 40
	if len(s) > show {
		return fmt.Sprintf("%+q...", s[:show])
	}
	return fmt.Sprintf("%+q", s)
}
