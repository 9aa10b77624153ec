package admin

import (
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// Device is a device of the inventory with what the default policy makes of it
// now.
type Device struct {
	posture.Device
	Verdict Verdict `json:"verdict"`
	// Certificates are those that the built-in authority issued; not in lists.
	Certificates []posture.Certificate `json:"certificates,omitempty"`
}

// Verdict is posture.Verdict.
type Verdict struct {
	Managed   bool              `json:"managed"`
	Compliant bool              `json:"compliant"`
	Reason    posture.Reason    `json:"reason,omitempty"`
	Failures  []posture.Failure `json:"failures,omitempty"`
}

// DeviceList is one page of devices, by ID. A page may hold fewer devices than
// were asked for, even none, and not be the last.
type DeviceList struct {
	Devices []Device `json:"devices"`
	Next    string   `json:"next,omitempty"` // for DeviceQuery.After; empty: this is the last page
}

// DeviceQuery asks for one page of devices.
type DeviceQuery struct {
	After   string // the ID behind which the page begins
	Limit   int    // 0: 100; at most 1000
	Owner   string // only the devices of this owner, exactly
	Managed *bool  // only those for which the default policy says so
}

// ImportOptions say how a file of devices is imported.
type ImportOptions struct {
	Format  devices.Format
	Source  string // who says what the file says; empty: "import"
	Replace bool   // make unmanaged what the source named before and now does not
}

// importLine is one line of the answer to an import. The last has the result or
// the problem, all others have the event.
type importLine struct {
	Event   *devices.Event  `json:"event,omitempty"`
	Result  *devices.Result `json:"result,omitempty"`
	Problem *Problem        `json:"problem,omitempty"`
}

type retirement struct {
	Reason string `json:"reason"`
}

type certificateRequest struct {
	CSR      string `json:"csr"`                // PKCS #10 in PEM; only its key is taken
	Lifetime string `json:"lifetime,omitempty"` // such as "720h"; empty: as configured
}

// IssuedCertificate is a client certificate for a device.
type IssuedCertificate struct {
	Certificate string    `json:"certificate"` // PEM
	Authority   string    `json:"authority"`   // PEM: the certificate of the authority that issued it
	Serial      string    `json:"serial"`      // lower-case hex
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// NewRelyingParty is what an administrator says of a relying party. The names
// and values are those of the configuration file.
type NewRelyingParty struct {
	Name             string `json:"name"`
	Metadata         string `json:"metadata"`                  // the service provider's, XML
	Policy           string `json:"policy,omitempty"`          // empty: "default"
	Sign             string `json:"sign,omitempty"`            // both (the default), assertion or response
	Encrypt          bool   `json:"encrypt"`                   // needs an encryption key in the metadata
	OnUnmanaged      string `json:"on_unmanaged,omitempty"`    // refuse (the default) or assert
	OnNoncompliant   string `json:"on_noncompliant,omitempty"` // assert (the default) or refuse
	AllowSHA1Digests bool   `json:"allow_sha1_digests"`
}

// RelyingParty is a registered relying party.
type RelyingParty struct {
	NewRelyingParty
	EntityID string    `json:"entity_id"`
	Origin   Origin    `json:"origin"`
	AddedAt  time.Time `json:"added_at,omitzero"` // not from the file
}

// Origin is where a relying party is registered.
type Origin string

// The origins.
const (
	FromFile  Origin = "file"  // in the configuration file: read-only here
	FromStore Origin = "store" // added by an administrator
)

type relyingPartyList struct {
	RelyingParties []RelyingParty `json:"relying_parties"`
}

// Key is a published signing key.
type Key struct {
	ID          string    `json:"id"`
	Algorithm   string    `json:"algorithm"`   // RS256 or ES256
	State       string    `json:"state"`       // signing, next or previous
	Certificate string    `json:"certificate"` // PEM
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

type keyList struct {
	Keys []Key `json:"keys"`
}

type keyRotation struct {
	Algorithm string `json:"algorithm,omitempty"` // empty: RS256
	Force     bool   `json:"force"`
}

type keyActivation struct {
	Force bool `json:"force"`
}

// DecisionList is one page of decisions, the oldest first.
type DecisionList struct {
	Decisions []posture.Decision `json:"decisions"`
	Next      string             `json:"next,omitempty"` // for DecisionQuery.After; empty: there are no more yet
}

// DecisionQuery asks for decisions: a page of those behind After, or the newest
// Last ones.
type DecisionQuery struct {
	After string // ID of a decision
	Limit int    // 0: 100; at most 1000
	Last  int    // instead of After and Limit; at most 1000
}

// decisionLine is one line of a stream of decisions: a decision, or as the last
// one why there are no more.
type decisionLine struct {
	*posture.Decision
	Problem *Problem `json:"problem,omitempty"`
}

// Status says how the server is.
type Status struct {
	Version   string         `json:"version"`
	StartedAt time.Time      `json:"started_at"`
	Uptime    int64          `json:"uptime_seconds"`
	Counts    map[string]int `json:"counts"` // by what is counted, such as "relying_parties"
}

// Problem is an answer that says what went wrong (RFC 9457).
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Reference string `json:"reference,omitempty"` // of the request, as in the server's log
}

func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if p.Status >= 500 && p.Reference != "" {
		text += " (reference " + p.Reference + ")"
	}
	return text
}
