package posture

import (
	"cmp"
	"slices"
	"time"
)

// Rank is how hard the proof of a device is to copy.
type Rank string

// The ranks, from the weakest.
const (
	RankProxy    Rank = "proxy"    // a proxy says which certificate it was shown
	RankImported Rank = "imported" // the key was made elsewhere and brought to the device
	RankSoftware Rank = "software" // the key was made on the device, where root can copy it
	RankHardware Rank = "hardware" // an administrator says that the authority certifies keys in hardware only
	RankAttested Rank = "attested" // hardware vouched for the key, and its word was verified
)

// Ranks are all ranks, the weakest first.
func Ranks() []Rank { return []Rank{RankProxy, RankImported, RankSoftware, RankHardware, RankAttested} }

// Valid tells whether the rank is one of Ranks.
func (r Rank) Valid() bool { return slices.Contains(Ranks(), r) }

// AtLeast tells whether a proof of this rank does where one of the other is
// demanded. A rank that is none does nowhere; none demanded, every one does.
func (r Rank) AtLeast(demanded Rank) bool {
	return demanded == "" || r.Valid() && slices.Index(Ranks(), r) >= slices.Index(Ranks(), demanded)
}

// Method is how a device proved which one it is.
type Method string

// The methods.
const (
	ByCertificate Method = "certificate" // its client certificate, in TLS
	ByChallenge   Method = "challenge"   // its agent signed a challenge that the browser carried
)

// Proof is by what a device was recognised at a sign-in.
type Proof struct {
	Method Method `json:"method"`
	Rank   Rank   `json:"rank"`
}

// Channel is the way by which a device got a certificate of the built-in
// authority.
type Channel string

// The channels. The empty one is an administrator, who had it issued.
const (
	ByAgent Channel = "agent" // gatepost-agent, with a token
	BySCEP  Channel = "scep"  // a management system, RFC 8894
	ByACME  Channel = "acme"  // device-attest-01
)

// AttestedKey is a key for which hardware vouched, as it was verified when the
// device enrolled.
type AttestedKey struct {
	Format     string    `json:"format"` // of the statement, as WebAuthn and ACME name it: tpm, apple, android-key
	KeyHash    string    `json:"key"`    // as in Certificate
	At         time.Time `json:"at"`
	HardwareID string    `json:"hardware,omitempty"` // of a TPM the lower-case hex SHA-256 of its endorsement key's SubjectPublicKeyInfo; of an Apple device its UDID, else its serial number; of an Android device its serial number
	Serial     string    `json:"serial,omitempty"`   // that the hardware vouches for; most say none
	Vendor     string    `json:"vendor,omitempty"`   // of the security hardware
	Model      string    `json:"model,omitempty"`
	Version    string    `json:"version,omitempty"` // of its firmware or system
	Pinned     bool      `json:"pinned,omitempty"`  // no authority certified the hardware: an administrator knows it
}

// maxAttestedKeys bounds what a device's record holds: more than certificates are
// good at once.
const maxAttestedKeys = 16

// NoteAttested records the key; of the former ones the oldest make room.
func (d *Device) NoteAttested(k AttestedKey) {
	d.AttestedKeys = slices.DeleteFunc(slices.Clone(d.AttestedKeys), func(old AttestedKey) bool { return old.KeyHash == k.KeyHash })
	d.AttestedKeys = append(d.AttestedKeys, k)
	if n := len(d.AttestedKeys) - maxAttestedKeys; n > 0 {
		d.AttestedKeys = slices.Delete(d.AttestedKeys, 0, n)
	}
}

// AttestedKey is what is known of the key with the hash; nil: nothing vouched for
// it.
func (d *Device) AttestedKey(keyHash string) *AttestedKey {
	for i := range d.AttestedKeys {
		if d.AttestedKeys[i].KeyHash == keyHash {
			return &d.AttestedKeys[i]
		}
	}
	return nil
}

// RankOf is the rank of a proof by the certificate: one of before there were
// ranks is as good as software.
func (c *Certificate) RankOf() Rank { return cmp.Or(c.Rank, RankSoftware) }
