package admin

import (
	"time"

	"gatepost.dev/posture"
)

// KindEnroll is the kind of token that lets one device enrol.
const KindEnroll = "enroll"

// NewToken is what an administrator says of a token.
type NewToken struct {
	Kind     string `json:"kind"`               // KindEnroll
	Lifetime string `json:"lifetime,omitempty"` // such as "24h", the default
	Managed  bool   `json:"managed"`            // whoever enrols with it is managed
	DeviceID string `json:"device,omitempty"`   // the device that it enrols, which need not exist
	Serial   string `json:"serial,omitempty"`   // that the hardware must have
	Owner    string `json:"owner,omitempty"`    // of the device from then on
	Note     string `json:"note,omitempty"`
}

// TokenState is whether a token is of use.
type TokenState string

// The states of a token.
const (
	TokenUsable  TokenState = "usable"
	TokenUsed    TokenState = "used"
	TokenExpired TokenState = "expired"
	TokenRevoked TokenState = "revoked"
	TokenIdle    TokenState = "idle" // an API token that was not used for 30 days, which ended it
)

// Token is a token as it is kept: its secret cannot be told from it.
type Token struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	State     TokenState `json:"state"`
	Managed   bool       `json:"managed"`
	DeviceID  string     `json:"device,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	Owner     string     `json:"owner,omitempty"`
	Note      string     `json:"note,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    time.Time  `json:"used_at,omitzero"`
	UsedBy    string     `json:"used_by,omitempty"` // the device that enrolled with it
}

// IssuedToken is a token with its secret, which is shown this once.
type IssuedToken struct {
	Token
	Secret string `json:"secret"`
}

// TokenList is one page of tokens.
type TokenList struct {
	Tokens []Token `json:"tokens"`
	Next   string  `json:"next,omitempty"` // for after; empty: this is the last page
}

type release struct {
	Keep string `json:"keep,omitempty"` // "old" or "new"; needed when a second agent enrolled as the device
}

// NewAPIToken is what an administrator says of a token for this API.
type NewAPIToken struct {
	Name      string       `json:"name"` // stands in the log for whoever holds it
	Role      posture.Role `json:"role"`
	Addresses []string     `json:"addresses,omitempty"` // such as "10.0.0.0/8", from which it counts; none: from everywhere
	Lifetime  string       `json:"lifetime,omitempty"`  // such as "720h"; empty: 90 days
}

// APIToken is a token for this API as it is kept.
type APIToken struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Role      posture.Role `json:"role"`
	State     TokenState   `json:"state"`
	Addresses []string     `json:"addresses,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	CreatedBy string       `json:"created_by"`
	ExpiresAt time.Time    `json:"expires_at"`
	UsedAt    time.Time    `json:"used_at,omitzero"` // last, to within an hour
	UsedFrom  string       `json:"used_from,omitempty"`
}

// IssuedAPIToken is a token for this API with its secret, which is shown this
// once.
type IssuedAPIToken struct {
	APIToken
	Secret string `json:"secret"`
}

// APITokenList is one page of tokens for this API.
type APITokenList struct {
	Tokens []APIToken `json:"tokens"`
	Next   string     `json:"next,omitempty"`
}
