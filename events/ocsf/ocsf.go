// Package ocsf says an event of the log in the words of the Open Cybersecurity
// Schema Framework, so that a SIEM understands it without a parser of its own.
//
// It is pure: an event in, JSON out. Who asks for it, and how it travels, is the
// caller's.
package ocsf

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"gatepost.dev/posture"
)

// SchemaVersion is the version of the schema that the events are of.
const SchemaVersion = "1.9.0-dev"

// name is the product's, and its vendor's.
const name = "Gatepost"

// Product is whose events they are.
type Product struct {
	Version string
	Issuer  string // URL
}

// hostname is where the issuer lives, or nothing.
func (p *Product) hostname() string {
	u, err := url.Parse(p.Issuer)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Marshal gives the event as one OCSF event, in one line without its end. d is the
// decision of a posture.Decided, whose event is but half a story without it.
//
// What comes from outside stands there as it came, but for bytes that are no UTF-8
// and for what is longer than a SIEM would take; metadata.is_truncated tells of
// the latter.
func Marshal(e *posture.Event, d *posture.Decision, p Product) ([]byte, error) {
	if e == nil {
		return nil, errors.New("there is no event")
	}
	w := writer{event: e, rest: map[string]any{}}
	w.Time = e.Time.UnixMilli()
	w.Status = statusUnknown
	w.Severity = informational
	w.write(d)
	w.Metadata = w.metadata(&p)
	w.Metadata.Truncated = w.cut // last: any text before may have been
	if len(w.rest) > 0 {
		w.Unmapped = w.rest
	}
	out, err := encode(w.flat())
	if err != nil {
		return nil, fmt.Errorf("encode event %q: %w", e.ID, err)
	}
	return out, nil
}

// writer makes the record of one event.
type writer struct {
	record
	event    *posture.Event
	related  string         // correlates with other events and with the server's log
	rest     map[string]any // what the schema has no place for
	profiles []string
	cut      bool // some text was longer than allowed
}

// write chooses the class, by what happened.
func (w *writer) write(d *posture.Decision) {
	switch w.event.Kind {
	case posture.Decided, posture.SignInRefused:
		w.signIn(d)
	case posture.Changed:
		w.change()
	case posture.DeviceEnrolled, posture.DeviceRetired, posture.ImportHeld:
		w.inventory()
	case posture.DeviceNoncompliant, posture.DeviceCompliant, posture.DeviceQuarantined,
		posture.DeviceReleased, posture.DeviceSuspected:
		w.deviceFinding()
	case posture.KeyExpiring:
		w.keyFinding()
	default:
		w.other()
	}
}

// other is for kinds that came after this package: an export that stopped at them
// would hide all that follows.
func (w *writer) other() {
	e := w.event
	kind := w.text(string(e.Kind))
	if kind == "" {
		w.classify(baseEvent, unknown)
	} else {
		w.classify(baseEvent, label{other, kind})
	}
	w.hostDevice(w.knownDevice())
	w.Message = w.join(": ", string(e.Kind), e.Why)
	w.keep("why", e.Why)
	w.keep("by", e.By)
	w.keepFailures("failures", e.Failures)
	w.keepRaw("detail", e.Detail)
}

func (w *writer) metadata(p *Product) metadata {
	hostname := w.text(p.hostname())
	return metadata{
		Version:      SchemaVersion,
		Product:      product{Name: name, Vendor: name, Version: w.text(p.Version), URL: w.text(p.Issuer)},
		Reporter:     reporter{Name: name, Hostname: hostname},
		Profiles:     w.profiles,
		UID:          w.text(w.event.ID),
		Code:         w.text(string(w.event.Kind)),
		Correlation:  w.text(w.related),
		OriginalTime: w.event.Time.UTC().Format(time.RFC3339Nano),
	}
}
