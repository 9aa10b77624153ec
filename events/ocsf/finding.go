package ocsf

import (
	"slices"

	"gatepost.dev/posture"
)

// The activities of a finding, with where it then stands.
var (
	create   = label{1, "Create"}
	closed   = label{3, "Close"}
	isNew    = label{1, "New"}
	resolved = label{4, "Resolved"}
)

// What a compliance check comes to.
var (
	pass    = label{1, "Pass"}
	warning = label{2, "Warning"}
	fail    = label{3, "Fail"}
)

// standard is what devices and keys are held against.
const standard = "Gatepost device posture"

// view is how a kind of event looks as a finding.
type view struct {
	about    string // distinguishes the findings on one device
	control  string
	title    string
	opens    bool // else it closes the finding
	severity label
}

// Two findings are kept apart for a device, as either may stand without the other:
// that it fails its policy, and that an administrator's word is needed, be it in
// quarantine or suspected. The end of both of the latter is the same event.
func viewOf(kind posture.EventKind) view {
	const policy, hold = "compliance", "hold"
	const meets, trusted = "The device meets its policy", "Nobody holds the device back"
	switch kind {
	case posture.DeviceNoncompliant:
		return view{policy, meets, "Device does not meet its policy", true, medium}
	case posture.DeviceCompliant:
		return view{policy, meets, "Device meets its policy", false, informational}
	case posture.DeviceQuarantined:
		return view{hold, trusted, "Device is in quarantine", true, medium}
	case posture.DeviceSuspected:
		return view{hold, trusted, "There may be two of the device", true, high}
	}
	return view{hold, trusted, "Device is released", false, informational}
}

// deviceFinding is how a device stands, as Compliance Finding.
func (w *writer) deviceFinding() {
	e := w.event
	v := viewOf(e.Kind)
	w.finding(v, "device:"+w.text(e.DeviceID)+":"+v.about)
	w.Device = w.device()
	switch e.Kind {
	case posture.DeviceNoncompliant, posture.DeviceCompliant:
		compliant := e.Kind == posture.DeviceCompliant
		w.Device.Compliant = &compliant
	}
	w.Resources = []resource{{
		UID: w.Device.UID, Name: w.Device.Name, Type: "Device", RoleID: 3, Role: "Affected", Owner: w.Device.Owner,
	}}
	w.Message = w.join(": ", v.title, e.DeviceID, e.Why)
	w.keepRaw("detail", e.Detail)
}

// keyFinding is a key or certificate of Gatepost's that ends soon, as Compliance
// Finding: that keys are renewed in time is a demand on a resource like any other,
// and it stays open until somebody acts. It is no error of the application yet,
// which rules Application Error out, and no weakness in its code, which
// Application Security Posture Finding is for; cloud providers report certificates
// that must be renewed in this class too.
func (w *writer) keyFinding() {
	e := w.event
	v := view{"", "Signing keys and certificates are renewed in time", "A signing key or certificate ends soon", true, medium}
	w.finding(v, "key:"+w.text(e.Why)) // which names it and its end: it is told of more than once
	w.Compliance.StatusID, w.Compliance.Status = warning.id, warning.name
	w.Resources = []resource{{Name: w.or(e.Why, "unknown"), Type: "Key", RoleID: 3, Role: "Affected"}}
	if e.DeviceID != "" {
		w.Device = w.device()
	}
	w.Message = w.join(": ", v.title, e.Why)
	w.keepRaw("detail", e.Detail)
}

// finding is what all findings have.
func (w *writer) finding(v view, uid string) {
	e := w.event
	w.Severity = v.severity
	w.FindingInfo = &findingInfo{UID: "gatepost:" + uid, Title: v.title, Desc: w.text(e.Why), Types: []string{w.text(string(e.Kind))}}
	w.Compliance = &compliance{Standards: []string{standard}, Control: v.control, StatusID: pass.id, Status: pass.name}
	if v.opens {
		w.classify(complianceFinding, create)
		w.Status = isNew
		w.FindingInfo.Created = w.Time
		w.Compliance.StatusID, w.Compliance.Status = fail.id, fail.name
	} else {
		w.classify(complianceFinding, closed)
		w.Status = resolved
	}
	w.rules()
	w.keep("by", e.By)
}

// rules are those that failed, each as a check, and what the user can do.
func (w *writer) rules() {
	var rules, whys, helps, links []string
	failures := w.event.Failures
	for _, f := range failures[:w.first(len(failures))] {
		result := fail
		if !f.Blocks(w.event.Time) {
			result = warning
		}
		w.Compliance.Checks = append(w.Compliance.Checks, check{
			Name: w.or(f.Rule, "unknown"), Desc: w.text(f.Why), Standards: []string{standard}, StatusID: result.id, Status: result.name,
		})
		rules, whys = append(rules, f.Rule), append(whys, f.Why)
		helps, links = append(helps, f.Help), append(links, f.Link)
	}
	w.Compliance.Requirements, w.Compliance.Details = w.texts(rules), w.texts(whys)
	w.keepFailures("failures", failures) // with until when each does not block
	if slices.ContainsFunc(helps, func(s string) bool { return s != "" }) {
		w.Remediation = &remediation{Desc: w.join("\n", helps...), References: w.texts(links)}
	}
}
