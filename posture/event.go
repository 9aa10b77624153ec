package posture

import (
	"encoding/json"
	"time"
)

// Event is something that happened and that is kept in the log.
type Event struct {
	ID   string    `json:"id"` // sorts by time
	Time time.Time `json:"time"`
	Kind EventKind `json:"kind"`

	DeviceID string       `json:"device,omitempty"`
	Device   *DeviceFacts `json:"device_facts,omitempty"` // as the device was then; nil: the event is of none
	Why      string       `json:"why,omitempty"`
	By       string       `json:"by,omitempty"` // who decided it; empty: nobody did
	Failures []Failure    `json:"failures,omitempty"`
	Change   *Change      `json:"change,omitempty"`   // of Changed: what was asked and what came of it
	Decision string       `json:"decision,omitempty"` // of Decided: its ID
	Outcome  Outcome      `json:"outcome,omitempty"`  // of Decided
	// Detail is, of ImportHeld {"source"}, and of KeyExpiring {"what", "not_after"}.
	Detail json.RawMessage `json:"detail,omitempty"`
}

// EventKind is what sort of thing happened.
type EventKind string

// The kinds of event.
const (
	Decided            EventKind = "decision"            // a sign-in was answered
	Changed            EventKind = "change"              // an administrator changed something, or tried to
	DeviceEnrolled     EventKind = "device.enrolled"     // an agent enrolled as the device
	DeviceNoncompliant EventKind = "device.noncompliant" // it was compliant before, or new
	DeviceCompliant    EventKind = "device.compliant"    // it was not before
	DeviceQuarantined  EventKind = "device.quarantined"  // an administrator keeps it out
	DeviceReleased     EventKind = "device.released"     // and does not any more, or found a suspicion wrong
	DeviceRetired      EventKind = "device.retired"      // it is out of service
	DeviceSuspected    EventKind = "device.suspected"    // there may be two of it
	ImportHeld         EventKind = "import.held"         // an import would have made too many devices unmanaged
	KeyExpiring        EventKind = "key.expiring"        // a signing key or certificate ends soon
	SignInRefused      EventKind = "sign_in.refused"     // for those who are told; the log has Decided
)

// DeviceFacts are what tells a device to people.
type DeviceFacts struct {
	Serial    string `json:"serial,omitempty"`
	Vendor    string `json:"vendor,omitempty"`
	Model     string `json:"model,omitempty"`
	OS        string `json:"os,omitempty"`
	OSVersion string `json:"os_version,omitempty"`
	Owner     string `json:"owner,omitempty"`
	Managed   bool   `json:"managed"` // some trusted source said so last
}

// Change is what somebody asked of the administration API.
type Change struct {
	Operation string          `json:"operation"` // such as "POST /api/v1/actions/retire"
	Path      string          `json:"path"`      // with its query
	Role      Role            `json:"role"`
	Token     string          `json:"token,omitempty"`  // ID of the API token; empty: the socket
	From      string          `json:"from,omitempty"`   // address
	Reference string          `json:"reference"`        // of the request, as in the server's log; the same in both events of a change
	Status    int             `json:"status,omitempty"` // that was answered; 0: this is what was recorded before anything was done
	Made      string          `json:"made,omitempty"`   // ID of what was made
	Body      json.RawMessage `json:"body,omitempty"`   // JSON that was sent, if it was taken for that
	BodyHash  string          `json:"body_sha256,omitempty"`
	BodySize  int64           `json:"body_bytes,omitempty"`
}

// Standing is what of a device an update may change with an event.
type Standing struct {
	enrolledAt         time.Time
	suspected, retired bool
	quarantine         *Quarantine
	compliance         *Compliance
}

// Standing is how the device stands now.
func (d *Device) Standing() Standing {
	s := Standing{suspected: d.Suspected != nil, retired: d.Retired(), compliance: d.Compliance}
	if d.Enrolled != nil {
		s.enrolledAt = d.Enrolled.At
	}
	if d.Quarantine != nil {
		q := *d.Quarantine // it may be changed in place
		s.quarantine = &q
	}
	return s
}

// Happened gives what of an update that was made at a time is an event, without
// an ID.
func (s Standing) Happened(d *Device, at time.Time) (events []Event) {
	add := func(kind EventKind, why, by string) {
		events = append(events, Event{Time: at, Kind: kind, DeviceID: d.ID, Device: d.facts(), Why: why, By: by})
	}
	if d.Enrolled != nil && !d.Enrolled.At.Equal(s.enrolledAt) {
		add(DeviceEnrolled, "", "token "+d.Enrolled.Token)
	}
	if d.Suspected != nil && !s.suspected {
		add(DeviceSuspected, d.Suspected.Why, "")
	}
	held, holds := s.quarantine.Holds(at), d.Quarantine.Holds(at)
	if holds && (!held || *s.quarantine != *d.Quarantine) {
		add(DeviceQuarantined, d.Quarantine.Why, d.Quarantine.By)
	}
	if held && !holds || s.suspected && d.Suspected == nil {
		add(DeviceReleased, "", "")
	}
	if d.Retired() && !s.retired {
		add(DeviceRetired, d.RetireReason, "")
	}
	if is, was := d.Compliance, s.compliance; is.compliant() != was.compliant() {
		kind := DeviceNoncompliant
		if is.Compliant {
			kind = DeviceCompliant
		}
		add(kind, string(is.Why), "")
		told := &events[len(events)-1]
		told.Time, told.Failures = is.Since, is.failures
	}
	return events
}

// Compliance is what the default policy made of a device, for those who are told
// when that changes. No answer is made of it.
type Compliance struct {
	Compliant bool      `json:"compliant"`
	Since     time.Time `json:"since"`
	Why       Reason    `json:"why,omitempty"`

	failures []Failure // of the verdict that was noted just now
}

// compliant tells what is known; where nothing is noted, nobody was told otherwise.
func (c *Compliance) compliant() bool { return c == nil || c.Compliant }

// NoteCompliance writes into the device what the verdict says of its compliance,
// and tells whether that is news.
func (d *Device) NoteCompliance(v *Verdict, now time.Time) (news bool) {
	if d.Retired() || d.Compliance.compliant() == v.Compliant {
		return false
	}
	d.Compliance = &Compliance{Compliant: v.Compliant, Since: now, Why: v.Reason, failures: v.Failures}
	return true
}

// facts are what tells the device to people.
func (d *Device) facts() *DeviceFacts {
	f := &DeviceFacts{Serial: d.Serial, Vendor: d.Vendor, Model: d.Model, OS: d.OS, OSVersion: d.OSVersion, Owner: d.Owner}
	var newest time.Time
	for i := range d.Facts {
		if fact := &d.Facts[i]; fact.Name == FactManaged && fact.Source.Kind.MaySayManaged() && !fact.ObservedAt.Before(newest) {
			newest, f.Managed = fact.ObservedAt, fact.Value == "true"
		}
	}
	return f
}
