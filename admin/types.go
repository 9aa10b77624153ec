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
	After  string // the ID behind which the page begins
	Limit  int    // 0: 100; at most 1000
	Search string // only devices with this in their ID, serial number, owner, vendor or model, in any case
	Owner  string // only the devices of this owner, in any case
	OS     string // only devices with this system, in any case
	State  DeviceState

	Managed, Compliant *bool // only those for which the default policy says so
}

// DeviceState is something about a device that an administrator may look for.
type DeviceState string

// The states of a device. One may be in several, or in none.
const (
	StateEnrolled    DeviceState = "enrolled"
	StatePending     DeviceState = "pending"
	StateQuarantined DeviceState = "quarantined"
	StateSuspected   DeviceState = "suspected"
	StateRetired     DeviceState = "retired"
)

// DeviceChange is what is to change of a device; what is not there stays.
type DeviceChange struct {
	Owner *string `json:"owner,omitempty"` // empty: nobody's
}

// ImportOptions say how a file of devices is imported.
type ImportOptions struct {
	Format  devices.Format
	Source  string // who says what the file says; empty: "import"
	Replace bool   // make unmanaged what the source named before and now does not
	Approve bool   // let it through however many devices it makes unmanaged
}

// importLine is one line of the answer to an import. The last has the result or
// the problem, all others have the event.
type importLine struct {
	Event   *devices.Event  `json:"event,omitempty"`
	Result  *devices.Result `json:"result,omitempty"`
	Problem *Problem        `json:"problem,omitempty"`
}

type certificateRequest struct {
	CSR      string `json:"csr"`                // PKCS #10 in PEM; only its key is taken
	Lifetime string `json:"lifetime,omitempty"` // such as "720h"; empty: as configured
	// Rank is what the administrator knows of the key: imported (made elsewhere and
	// brought to the device, the default), software (made on the device), hardware
	// (it cannot leave the device).
	Rank posture.Rank `json:"rank,omitempty"`
}

// IssuedCertificate is a client certificate for a device.
type IssuedCertificate struct {
	Certificate string    `json:"certificate"` // PEM
	Authority   string    `json:"authority"`   // PEM: the certificate of the authority that issued it
	Serial      string    `json:"serial"`      // lower-case hex
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// NewRelyingParty is what an administrator says of a SAML relying party. The names
// and values are those of the configuration file.
type NewRelyingParty struct {
	Name             string `json:"name"`
	Metadata         string `json:"metadata"`                  // the service provider's, XML
	Use              string `json:"use,omitempty"`             // posture (the default), factor or both
	Policy           string `json:"policy,omitempty"`          // empty: "default"
	Sign             string `json:"sign,omitempty"`            // both (the default), assertion or response
	Encrypt          bool   `json:"encrypt"`                   // needs an encryption key in the metadata
	OnUnmanaged      string `json:"on_unmanaged,omitempty"`    // refuse (the default) or assert
	OnNoncompliant   string `json:"on_noncompliant,omitempty"` // assert (the default), explain or refuse
	AllowSHA1Digests bool   `json:"allow_sha1_digests"`
	AgentChallenge   bool   `json:"agent_challenge"` // ask the agent on the device when the browser shows no certificate
	Attestation      bool   `json:"attestation"`     // answers say what hardware vouched for

	BindOwner    posture.OwnerBinding `json:"bind_owner,omitempty"`   // off (the default), warn or enforce
	Applications []posture.AppPolicy  `json:"applications,omitempty"` // with policies of their own; the first that matches counts
}

// RelyingParty is a registered SAML relying party.
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

// NewOIDCClient is what an administrator says of an OpenID client. The names and
// values are those of the configuration file where it has them.
type NewOIDCClient struct {
	Name                 string     `json:"name"`
	ClientID             string     `json:"client_id,omitempty"` // empty: one is made
	RedirectURIs         []string   `json:"redirect_uris"`
	Secret               SecretKind `json:"secret,omitempty"`      // empty: hashed
	SecretFile           string     `json:"secret_file,omitempty"` // absolute path, for SecretInFile
	JWKS                 string     `json:"jwks,omitempty"`        // public keys, RFC 7517; needed without a secret
	RequirePKCE          bool       `json:"require_pkce"`
	RequireRequestObject bool       `json:"require_request_object"` // needs keys, or SecretInFile
	OmitIss              bool       `json:"omit_iss"`               // answer without iss, RFC 9207
	IDTokenAlg           string     `json:"id_token_alg,omitempty"` // RS256 (the default) or ES256
	Policy               string     `json:"policy,omitempty"`       // empty: "default"
	OnUnmanaged          string     `json:"on_unmanaged,omitempty"` // refuse (the default) or assert
	OnNoncompliant       string     `json:"on_noncompliant,omitempty"`
	AgentChallenge       bool       `json:"agent_challenge"` // ask the agent on the device when the browser shows no certificate

	BindOwner    posture.OwnerBinding `json:"bind_owner,omitempty"`
	Applications []posture.AppPolicy  `json:"applications,omitempty"`
}

// SecretKind is where the secret of an OpenID client is.
type SecretKind string

// The kinds of secret.
const (
	SecretHashed SecretKind = "hashed" // made here, shown once and kept as a hash
	SecretInFile SecretKind = "file"   // in a file, by which requests that are signed with it can be checked
	SecretNone   SecretKind = "none"   // the client proves itself with its keys
)

// OIDCClient is a registered OpenID client.
type OIDCClient struct {
	NewOIDCClient
	Origin  Origin         `json:"origin"`
	AddedAt time.Time      `json:"added_at,omitzero"` // not from the file
	Secrets []ClientSecret `json:"secrets,omitempty"` // of SecretHashed: those that count, the current one last
}

// ClientSecret is what is known of a secret of an OpenID client.
type ClientSecret struct {
	Hash      [32]byte  `json:"-"` // for ClientRecords: oidc.HashSecret of it
	AddedAt   time.Time `json:"added_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
}

// IssuedSecret is an OpenID client with the secret that was made for it. This is
// the only time that the secret can be had.
type IssuedSecret struct {
	Client       OIDCClient `json:"client"`
	ClientSecret string     `json:"client_secret,omitempty"` // empty: none was made
	// Dropped is how many secrets ended at once although they had time left:
	// besides the new one only the one before it counts on.
	Dropped int `json:"dropped"`
}

type clientList struct {
	Clients []OIDCClient `json:"clients"`
}

type secretRotation struct {
	Overlap string `json:"overlap,omitempty"` // such as "72h"; empty: 24h
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

	// Only those of this relying party, device, subject and outcome; not with Last.
	RelyingParty, DeviceID, Subject string
	Outcome                         posture.Outcome
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
	Endpoints Endpoints      `json:"endpoints"`
	LogKey    string         `json:"log_key"` // that signs the log's bounds: Ed25519, lower-case hex
}

// Endpoints are what relying parties and agents need to know of the server.
type Endpoints struct {
	Issuer    string `json:"issuer"`    // of OpenID Connect; where agents enrol
	EntityID  string `json:"entity_id"` // of SAML
	SSO       string `json:"sso"`
	Authorize string `json:"authorize"`
	Token     string `json:"token"`
	KeySet    string `json:"jwks"`
	UserInfo  string `json:"userinfo"`
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
