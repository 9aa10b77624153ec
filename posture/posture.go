// Package posture is the domain: what a Device is, which Source said which Fact
// of it and when, what a Policy demands, and the Verdict that Judge gives.
//
// It is pure: no I/O, no clock, no logging, and nothing of SAML or OpenID
// Connect. Times come in as parameters.
package posture

import (
	"errors"
	"time"
)

// Names of the facts that say what the verdict is about. They are the names of
// Okta's contract; every other fact name is free.
const (
	FactManaged   = "IsManaged"
	FactCompliant = "IsCompliant"
)

// Sentinels that storage and callers share.
var (
	ErrNoDevice       = errors.New("no such device")
	ErrRetired        = errors.New("device is retired")
	ErrNoCertificate  = errors.New("no such certificate")
	ErrKeyInUse       = errors.New("key is already in use by another certificate")
	ErrEKInUse        = errors.New("TPM is already known as another device's")
	ErrNoRelyingParty = errors.New("no such relying party")
	ErrNoDecision     = errors.New("no such decision")
	ErrExists         = errors.New("already exists")
	ErrReplayed       = errors.New("request was answered before")
	ErrNoGrant        = errors.New("no such grant")
	ErrUnfinished     = errors.New("the import is taken, but not yet written to its end; that goes on by itself")
	ErrNoToken        = errors.New("no such token")
	ErrNoTransaction  = errors.New("no such transaction")
	ErrSuspected      = errors.New("there may be two of this device; an administrator decides")
)

// SourceKind is what sort of speaker a Source is; it decides what may be
// believed from it.
type SourceKind string

// The kinds of source, from the most to the least trusted.
const (
	Connector     SourceKind = "connector"     // pulled from a management system
	Administrator SourceKind = "administrator" // said by an administrator
	Enrollment    SourceKind = "enrollment"    // an administrator let the device enrol as managed
	Import        SourceKind = "import"        // a file that an administrator imported
	Agent         SourceKind = "agent"         // reported by the device itself
)

// MaySayManaged tells whether a source of this kind can make a device managed.
// A device can never do so for itself.
func (k SourceKind) MaySayManaged() bool {
	return k == Connector || k == Administrator || k == Enrollment || k == Import
}

// Source is who says a fact.
type Source struct {
	Name string     `json:"name"`
	Kind SourceKind `json:"kind"`
}

// Fact is one named value, with who said it, when, and how long it may be
// believed.
type Fact struct {
	Name       string        `json:"name"`
	Value      string        `json:"value"`
	Source     Source        `json:"source"`
	ObservedAt time.Time     `json:"observed_at"`
	MaxAge     time.Duration `json:"max_age,omitempty"` // 0: as long as the policy allows
}

// Attestation is evidence about the device, passed on by Type.
type Attestation struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Device is one piece of hardware.
type Device struct {
	ID           string        `json:"id"`
	Serial       string        `json:"serial,omitempty"`
	Vendor       string        `json:"vendor,omitempty"`
	Model        string        `json:"model,omitempty"`
	OS           string        `json:"os,omitempty"`
	OSVersion    string        `json:"os_version,omitempty"`
	Owner        string        `json:"owner,omitempty"`
	Facts        []Fact        `json:"facts,omitempty"` // by Name, then Source.Name; one for each pair
	Attestations []Attestation `json:"attestations,omitempty"`
	AttestedKeys []AttestedKey `json:"attested_keys,omitempty"` // the oldest first
	EK           string        `json:"ek,omitempty"`            // of its TPM, as AttestedKey.HardwareID; known once it enrolled with it, or an administrator pinned it
	EKPinnedBy   string        `json:"ek_pinned_by,omitempty"`  // that administrator; empty: an authority of TPMs certified it
	EKClaimed    string        `json:"ek_claimed,omitempty"`    // of the TPM that its agent proved to have, which nobody vouches for; a candidate for pinning
	CreatedAt    time.Time     `json:"created_at"`
	UpdatedAt    time.Time     `json:"updated_at"`
	RetiredAt    time.Time     `json:"retired_at,omitzero"`
	RetireReason string        `json:"retire_reason,omitempty"`

	Enrolled  *Enrolled   `json:"enrolled,omitempty"`  // nil: no agent ever did
	Contest   *Enrolled   `json:"contest,omitempty"`   // a second agent that enrolled as this device; its certificate is held. nil: none
	Agent     *AgentState `json:"agent,omitempty"`     // nil: no agent has reported
	Suspected *Suspicion  `json:"suspected,omitempty"` // nil: nothing is

	Quarantine *Quarantine `json:"quarantine,omitempty"` // may be over, also by a release; nil: there was none
	RecheckAt  time.Time   `json:"recheck_at,omitzero"`  // when a report was asked for; answered by any received since
	Failing    []Failing   `json:"failing,omitempty"`    // rules with a grace period
	Compliance *Compliance `json:"compliance,omitempty"` // as those who are told of changes know it; nil: compliant, as far as anybody looked
}

// Retired tells whether the device was taken out of service. A retired device
// stays in the inventory so that its ID and certificates cannot come back.
func (d *Device) Retired() bool { return !d.RetiredAt.IsZero() }

// Certificate is what the inventory knows of one client certificate that the
// built-in device authority issued.
type Certificate struct {
	Authority    string    `json:"authority"` // lower-case hex SHA-256 of the issuer's SubjectPublicKeyInfo
	Serial       string    `json:"serial"`    // lower-case hex
	DeviceID     string    `json:"device"`
	KeyHash      string    `json:"key"` // lower-case hex SHA-256 of its SubjectPublicKeyInfo
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	RevokedAt    time.Time `json:"revoked_at,omitzero"`
	RevokeReason string    `json:"revoke_reason,omitempty"`
	Agent        bool      `json:"agent,omitempty"` // the device enrolled for it, by whatever channel, and keeps its key
	Channel      Channel   `json:"channel,omitempty"`
	Rank         Rank      `json:"rank,omitempty"` // see RankOf
	Held         bool      `json:"held,omitempty"` // counts for nothing until an administrator releases the device
}

// Live tells whether the certificate can prove a device at now.
func (c *Certificate) Live(now time.Time) bool {
	return !c.Revoked() && !c.Held && now.Before(c.NotAfter)
}

// Disproves tells why the certificate does not prove that whoever has the key is
// the device: the inventory knows another device or key for it, or it was
// revoked, or is held. Empty: it proves it.
func (c *Certificate) Disproves(deviceID, keyHash string) Reason {
	switch {
	case c.DeviceID != deviceID || c.KeyHash != keyHash:
		return UnknownDevice
	case c.Revoked():
		return RevokedCertificate
	case c.Held:
		return CloneSuspected
	}
	return ""
}

// Revoked tells whether the certificate was revoked.
func (c *Certificate) Revoked() bool { return !c.RevokedAt.IsZero() }

// AppContext is the application for which the relying party asks, as it named
// it; both parts are echoed verbatim, never trimmed.
type AppContext struct {
	InstanceID string `json:"instance_id,omitempty"`
	Name       string `json:"name,omitempty"`
}

// AppPolicy names the policy of an application. Of ID and Name, at least one is
// given, and what is given must be the application context's.
type AppPolicy struct {
	ID     string `json:"id,omitempty"`
	Name   string `json:"name,omitempty"`
	Policy string `json:"policy"`
}

// Is tells whether app is the application.
func (a *AppPolicy) Is(app AppContext) bool {
	return (a.ID != "" || a.Name != "") && (a.ID == "" || a.ID == app.InstanceID) && (a.Name == "" || a.Name == app.Name)
}

// Outcome is what was answered.
type Outcome string

// The outcomes of a decision.
const (
	Asserted Outcome = "asserted" // Success, with the posture of the device
	Refused  Outcome = "refused"  // a signed status without an assertion
)

// Decision is a verdict given to one request, recorded before its answer
// leaves.
type Decision struct {
	ID           string      `json:"id"` // sorts by time; the reference that pages show
	Time         time.Time   `json:"time"`
	RelyingParty string      `json:"relying_party"`
	Protocol     string      `json:"protocol"`             // "saml" or "oidc"
	RequestID    string      `json:"request_id,omitempty"` // as the relying party named it, or the ticket by which it waited for its user; none claims nothing
	AnswerID     string      `json:"answer_id"`            // ID of the Response, or of the Grant
	Subject      string      `json:"subject,omitempty"`    // the user that was answered for
	DeviceID     string      `json:"device,omitempty"`
	Authority    string      `json:"authority,omitempty"`   // of the client certificate, as in Certificate
	Certificate  string      `json:"certificate,omitempty"` // its serial, as in Certificate
	Proof        Proof       `json:"proof,omitzero"`        // by which the device was recognised; zero: it was not
	App          AppContext  `json:"app,omitzero"`
	Policy       string      `json:"policy,omitempty"`
	Outcome      Outcome     `json:"outcome"`
	Status       string      `json:"status,omitempty"` // of a refusal: its second-level status code, short form
	Managed      bool        `json:"managed"`
	Compliant    bool        `json:"compliant"`
	Reason       Reason      `json:"reason,omitempty"`   // why not managed, or why refused
	Warnings     []Reason    `json:"warnings,omitempty"` // as in Verdict
	Failures     []Failure   `json:"failures,omitempty"`
	Quarantine   *Quarantine `json:"quarantine,omitempty"` // as in Verdict
	Shadow       *Shadow     `json:"shadow,omitempty"`     // what the policy's shadow made of the device; nil: it has none
	RemoteAddr   string      `json:"remote_addr,omitempty"`
}

// Shadow is the verdict of a policy that is tried beside the one that counts.
type Shadow struct {
	Policy    string    `json:"policy"`
	Managed   bool      `json:"managed"`
	Compliant bool      `json:"compliant"`
	Reason    Reason    `json:"reason,omitempty"`
	Failures  []Failure `json:"failures,omitempty"`
}

// Grant is a decided answer that its relying party has yet to fetch.
type Grant struct {
	ID    string    // lower-case hex; the first eight digits are Until in Unix seconds, so that IDs sort by it
	Until time.Time // when it may be forgotten
	Value []byte    // the protocol's own
}

// Claim says that a relying party used a name once and for all, at least until
// a time.
type Claim struct {
	RelyingParty string
	RequestID    string
	Until        time.Time
}
