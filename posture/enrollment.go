package posture

import (
	"strings"
	"time"
	"unicode"
)

// Token lets one device enrol, once. Of its secret only the hash is kept.
type Token struct {
	Hash      string    `json:"hash"`              // lower-case hex SHA-256 of the secret
	Managed   bool      `json:"managed,omitempty"` // whoever enrols with it is managed
	DeviceID  string    `json:"device,omitempty"`  // the device that it enrols; empty: found by its hardware, or new
	Serial    string    `json:"serial,omitempty"`  // the serial number that the hardware must have
	Owner     string    `json:"owner,omitempty"`   // whose device it is from then on
	Note      string    `json:"note,omitempty"`    // what the administrator made it for
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	UsedAt    time.Time `json:"used_at,omitzero"`
	UsedBy    string    `json:"used_by,omitempty"` // the device that enrolled with it
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// TokenIDLen is the length of a token's ID.
const TokenIDLen = 16

// ID names the token to people: the beginning of its hash.
func (t *Token) ID() string { return t.Hash[:min(len(t.Hash), TokenIDLen)] }

// Usable tells whether a device can enrol with the token at now.
func (t *Token) Usable(now time.Time) bool {
	return t.UsedAt.IsZero() && t.RevokedAt.IsZero() && now.Before(t.ExpiresAt)
}

// Bound tells whether an administrator named the hardware that the token is
// for, and so decided that the holder of the token is that device.
func (t *Token) Bound() bool { return t.DeviceID != "" || t.Serial != "" }

// Hardware is what an agent claims of the machine that it runs on.
type Hardware struct {
	Serial string `json:"serial,omitempty"`
	Board  string `json:"board,omitempty"` // of the mainboard, such as its SMBIOS UUID
}

// Clues are what finds the record of hardware that asks to enrol.
type Clues struct {
	Serial string // its own word
	EK     string // of its TPM, as in Device, which it proved to have; empty: none
}

// Enrolling is what is known when a device asks to enrol, and what its
// enrolment changes.
type Enrolling struct {
	Token Token           // as it is; zero: there is none
	Known []KnownHardware // the devices that this may be: first the one that the token names, if it is there, then those with the serial number
	ByEK  *KnownHardware  // the device whose TPM it is; nil: none is known

	Device      Device        // as it shall be: one of Known by its ID, or a new one
	Certificate Certificate   // that is issued to it
	Revoked     []Certificate // of Known, as they shall be
	Suspected   []Device      // of Known, others than Device, as they shall be
	Transaction *Transaction  // to be kept with it; nil: none
}

// Transaction is an exchange of which the certificate is kept for a while, so that
// whoever did not get the answer can ask for it again.
type Transaction struct {
	ID          string    `json:"id"`          // lower-case hex SHA-256 of what the client named it
	Request     string    `json:"request"`     // lower-case hex SHA-256 of the certificate request
	Certificate []byte    `json:"certificate"` // DER
	Until       time.Time `json:"until"`
}

// Renewal is what goes with a certificate that renews another.
type Renewal struct {
	Transaction *Transaction // to be kept with it; nil: none
	SameKey     bool         // its key may be that of another certificate of the same device
	// Note changes the device in the same commit; nil: nothing does. It is called
	// again for a newer one, and its error is returned as it is. It leaves serial
	// number, TPM and standing alone.
	Note func(d *Device) error
}

// KnownHardware is a device with its certificates.
type KnownHardware struct {
	Device       Device
	Certificates []Certificate
}

// Enrolled is how an agent came to speak for a device.
type Enrolled struct {
	At       time.Time `json:"at"`
	Token    string    `json:"token"` // ID of the token
	Hardware Hardware  `json:"hardware,omitzero"`
}

// AgentState is how far the reports of a device's agent are.
type AgentState struct {
	Sequence   uint64    `json:"sequence"`
	Hash       string    `json:"hash,omitempty"` // of the last report; empty: none, or an administrator released the device since
	ObservedAt time.Time `json:"observed_at"`    // by the device's clock
	ReceivedAt time.Time `json:"received_at"`    // by ours
	BootID     string    `json:"boot_id,omitempty"`
	Boots      []string  `json:"boots,omitempty"` // earlier boots, the latest last

	// Evidence is what the agent handed in as attestations. Nobody has verified
	// it, so it is no part of any answer.
	Evidence []Attestation `json:"evidence,omitempty"`
}

// Suspicion says that there may be two of a device. It is refused until an
// administrator decides.
type Suspicion struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// EnrollmentSource says that a device is managed when it enrolled with a token
// that says so, or when an administrator approved its enrolment.
func EnrollmentSource() Source { return Source{Name: "enrollment", Kind: Enrollment} }

// AgentSource is the device's own agent.
func AgentSource() Source { return Source{Name: "agent", Kind: Agent} }

// Pending tells whether the device enrolled and no trusted source has yet said
// whether it is managed.
func (d *Device) Pending() bool {
	if d.Enrolled == nil {
		return false
	}
	for i := range d.Facts {
		if d.Facts[i].Name == FactManaged && d.Facts[i].Source.Kind.MaySayManaged() {
			return false
		}
	}
	return true
}

// Approve records that the device's enrolment makes it managed.
func (d *Device) Approve(at time.Time) {
	d.setFact(Fact{Name: FactManaged, Value: "true", Source: EnrollmentSource(), ObservedAt: at})
	d.UpdatedAt = at
}

// Release records that an administrator found nothing wrong with the device:
// what its agent says next is the beginning of a new history.
func (d *Device) Release(at time.Time) {
	d.Suspected, d.Contest, d.UpdatedAt = nil, nil, at
	if d.Agent != nil {
		d.Agent.Hash, d.Agent.BootID, d.Agent.Boots = "", "", nil
	}
}

// placeholders are what makers left in place of a serial number, folded.
const placeholders = "|to be filled by o.e.m.|system serial number|default string|not specified|not applicable|none|unknown|n/a|na|" +
	"invalid|serial|empty|chassis serial number|base board serial number|123456789|0123456789|"

// FoldSerial is the serial number in the form in which equal ones are equal
// texts. ok is false for one that many machines share, or that is too short to
// tell them apart.
func FoldSerial(serial string) (folded string, ok bool) {
	folded = strings.ToLower(strings.TrimFunc(serial, unicode.IsSpace))
	if len(folded) < 4 || strings.Contains(placeholders, "|"+folded+"|") || strings.Trim(folded, folded[:1]) == "" {
		return folded, false
	}
	return folded, true
}

// SameVendor tells whether two names of a maker may be the same: the first word
// decides, in any case, so that Dell is Dell Inc.; a name that is not known
// contradicts none.
func SameVendor(a, b string) bool {
	x, y := firstWord(a), firstWord(b)
	return x == "" || y == "" || x == y
}

func firstWord(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
