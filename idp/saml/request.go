package saml

import (
	"strconv"
	"strings"
	"time"

	"gatepost.dev/posture"
)

// How far from our clock a request's IssueInstant may lie.
const (
	maxRequestAge   = 5 * time.Minute
	maxRequestAhead = time.Minute
)

// ClaimFor is how long a request's ID must stay claimed: for as long as the
// request could be accepted again.
const ClaimFor = maxRequestAge + maxRequestAhead

// Request is an AuthnRequest from a relying party that is believed (SAML core
// 3.4.1).
type Request struct {
	ID            string // an NCName of at most 256 characters
	Issuer        string // entity ID of the relying party
	ACS           string // where the answer goes: always a registered URL
	RelayState    string // to be echoed exactly, if HasRelayState
	HasRelayState bool
	IssueInstant  time.Time
	Subject       *NameID // nil: nobody was named
	NameIDFormat  string  // that NameIDPolicy asks for; may be empty
	Class         string  // authentication context class to answer with; empty beside a *StatusError for want of one
	ForceAuthn    bool
	IsPassive     bool
	App           posture.AppContext // verbatim
	EmptyApp      EmptyApp
	Signed        bool
	SHA1Digest    bool // signed, over a SHA-1 digest that AllowSHA1 let pass
}

// NameID names a user (SAML core 2.2.3). Value is without the white space around
// it and otherwise byte for byte what was received.
type NameID struct {
	Value, Format, NameQualifier, SPNameQualifier string
}

// Check verifies the message against the relying party that it claims to come
// from, at the endpoint (our URL) where it arrived, and returns the request. It
// returns a *BadRequest for a message that is not well formed, not for us, not
// of our time or not to be believed, and a *StatusError for one that is believed
// and asks for what we do not offer.
func (m *Message) Check(sp *ServiceProvider, endpoint string, now time.Time) (*Request, error) {
	if m.issuer != sp.EntityID {
		return nil, bad("issuer_mismatch", "message of %.200q checked against %q", m.issuer, sp.EntityID)
	}
	r := &Request{Issuer: m.issuer, RelayState: m.relayState, HasRelayState: m.hasRelayState}
	r.Signed = m.redirect != nil || m.signature != nil

	// What costs least comes first; what costs a public key operation, last.
	if err := m.readAttributes(r); err != nil {
		return nil, err
	}
	if err := m.checkDestination(endpoint, r.Signed); err != nil {
		return nil, err
	}
	if age := now.Sub(r.IssueInstant); age > maxRequestAge {
		return nil, bad("stale", "issued %s ago", age)
	} else if -age > maxRequestAhead {
		return nil, bad("future", "issued %s ahead of our clock", -age)
	}
	unmet, err := m.readElements(r, sp)
	if err != nil {
		return nil, err
	}
	if r.ACS, err = m.consumer(sp); err != nil {
		return nil, err
	}
	if err := m.believe(r, sp); err != nil {
		return nil, err
	}
	if status := first(m.checkVersion(), m.checkBinding(), unmet); status != nil {
		status.Request = r
		return nil, status
	}
	return r, nil
}

// first gives the first status of those that there are.
func first(statuses ...*StatusError) *StatusError {
	for _, s := range statuses {
		if s != nil {
			return s
		}
	}
	return nil
}

// readAttributes reads the attributes that stand for themselves (SAML core
// 3.2.1 and 3.4.1).
func (m *Message) readAttributes(r *Request) error {
	r.ID, _ = m.root.attr("ID")
	if !isNCName(r.ID) {
		return bad("id_invalid", "ID %.80q", r.ID)
	}
	var ok bool
	instant, _ := m.root.attr("IssueInstant")
	if r.IssueInstant, ok = parseInstant(instant); !ok {
		return bad("time_invalid", "IssueInstant %.80q", instant)
	}
	var err error
	if r.ForceAuthn, err = m.root.boolean("ForceAuthn"); err != nil {
		return err
	}
	if r.IsPassive, err = m.root.boolean("IsPassive"); err != nil {
		return err
	}
	version, _ := m.root.attr("Version")
	if _, _, ok := parseVersion(version); !ok {
		return bad("version_invalid", "Version %.80q", version)
	}
	return nil
}

// checkDestination wants a Destination to be the endpoint, and a signed message
// to have one: without it, what was signed for another could be passed on to us
// (SAML core 3.2.1; SAML bindings 3.4.5.2 and 3.5.5.2).
func (m *Message) checkDestination(endpoint string, signed bool) error {
	destination, ok := m.root.attr("Destination")
	switch {
	case !ok && signed:
		return bad("destination_missing", "signed, but without a Destination")
	case ok && destination != endpoint:
		return bad("destination_wrong", "Destination %.200q", destination)
	}
	return nil
}

// consumer resolves where the answer goes: to the registered endpoint that the
// request names by URL or by index, else to the default one (SAML core 3.4.1;
// SAML metadata 2.2.3).
func (m *Message) consumer(sp *ServiceProvider) (string, error) {
	location, byURL := m.root.attr("AssertionConsumerServiceURL")
	index, byIndex := m.root.attr("AssertionConsumerServiceIndex")
	binding, hasBinding := m.root.attr("ProtocolBinding")
	switch {
	case byIndex && (byURL || hasBinding):
		return "", bad("acs_ambiguous", "assertion consumer service named in two ways")
	case byIndex:
		n, err := strconv.ParseUint(index, 10, 16)
		if err != nil {
			return "", bad("acs_unknown", "AssertionConsumerServiceIndex %.80q", index)
		}
		for _, a := range sp.AssertionConsumers {
			if a.Index == int(n) {
				return a.URL, nil
			}
		}
		return "", bad("acs_unknown", "AssertionConsumerServiceIndex %d is not registered", n)
	case byURL && (!hasBinding || binding == BindingPost):
		for _, a := range sp.AssertionConsumers {
			if a.URL == location {
				return a.URL, nil
			}
		}
		return "", bad("acs_unknown", "AssertionConsumerServiceURL %.200q is not registered", location)
	}
	return sp.defaultConsumer()
}

// checkBinding refuses every binding but HTTP-POST for the answer (SAML profiles
// 4.1.4.1).
func (m *Message) checkBinding() *StatusError {
	if binding, ok := m.root.attr("ProtocolBinding"); ok && binding != BindingPost {
		return &StatusError{Code: StatusResponder, Sub: StatusUnsupportedBinding, Message: "BINDING_NOT_SUPPORTED"}
	}
	return nil
}

// checkVersion refuses every version but 2.0 (SAML core 4.1.3).
func (m *Message) checkVersion() *StatusError {
	v, _ := m.root.attr("Version")
	major, minor, _ := parseVersion(v)
	status := &StatusError{Code: StatusVersionMismatch, Message: "VERSION_NOT_SUPPORTED"}
	switch {
	case major < 2:
		status.Sub = StatusRequestVersionTooLow
	case major > 2 || minor > 0:
		status.Sub = StatusRequestVersionTooHigh
	default:
		return nil
	}
	return status
}

// parseVersion reads a version, "major.minor" (SAML core 4.1).
func parseVersion(s string) (major, minor uint64, ok bool) {
	a, b, found := strings.Cut(s, ".")
	major, errMajor := strconv.ParseUint(a, 10, 16)
	minor, errMinor := strconv.ParseUint(b, 10, 16)
	return major, minor, found && errMajor == nil && errMinor == nil
}
