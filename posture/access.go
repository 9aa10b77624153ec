package posture

import (
	"errors"
	"slices"
	"time"
)

// ErrNoAPIToken says that there is no such token for the administration API.
var ErrNoAPIToken = errors.New("no such API token")

// Role is what somebody may do who administers.
type Role string

// The roles, each of which may do all that those before it may.
const (
	Viewer   Role = "viewer"   // read everything but tokens
	Helpdesk Role = "helpdesk" // quarantine and release devices, ask them for reports
	Operator Role = "operator" // change devices, and let them enrol
	Admin    Role = "admin"    // relying parties, signing keys and API tokens too
)

var roles = []Role{Viewer, Helpdesk, Operator, Admin}

// Roles are all roles, from the least to the most powerful.
func Roles() []Role { return slices.Clone(roles) }

// May tells whether the role suffices where least is asked for. What is no role
// suffices nowhere and is never sufficed.
func (r Role) May(least Role) bool {
	asked := slices.Index(roles, least)
	return asked >= 0 && slices.Index(roles, r) >= asked
}

// APIToken lets its holder administer. Of its secret only the hash is kept.
type APIToken struct {
	Hash      string    `json:"hash"` // lower-case hex SHA-256 of the secret
	Name      string    `json:"name"` // stands in the log for whoever holds it
	Role      Role      `json:"role"`
	Addresses []string  `json:"addresses,omitempty"` // networks such as "10.0.0.0/8", from which it counts; none: from everywhere
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at"`
	UsedAt    time.Time `json:"used_at,omitzero"` // last, to within an hour
	UsedFrom  string    `json:"used_from,omitempty"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// ID names the token to people: the beginning of its hash.
func (t *APIToken) ID() string { return t.Hash[:min(len(t.Hash), TokenIDLen)] }

// MaxIdle is how long an API token lives without being used.
const MaxIdle = 30 * 24 * time.Hour

// Idle tells whether the token was not used for MaxIdle.
func (t *APIToken) Idle(now time.Time) bool {
	last := t.CreatedAt
	if t.UsedAt.After(last) {
		last = t.UsedAt
	}
	return now.Sub(last) >= MaxIdle
}
