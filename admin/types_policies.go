package admin

import (
	"errors"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// Errors of policies.
var (
	ErrNoPolicy    = errors.New("no such policy")
	ErrBadPolicies = errors.New("bad policies")
)

// PolicyList is all policies of the configuration, by name.
type PolicyList struct {
	Policies []Policy `json:"policies"`
}

// Policy is a policy of the configuration.
type Policy struct {
	Name          string       `json:"name"`
	ManagedMaxAge string       `json:"managed_max_age"` // such as "24h0m0s"
	Rules         []PolicyRule `json:"rules"`
	Emit          []string     `json:"emit,omitempty"`   // names of facts that answers carry
	Shadow        string       `json:"shadow,omitempty"` // the policy that is tried beside it
}

// PolicyRule is one rule of a policy.
type PolicyRule struct {
	Name    string `json:"name"`
	Require string `json:"require"` // as its author wrote it
}

// Explanation is why a policy judges a device as it does.
type Explanation struct {
	DeviceID   string              `json:"device"`
	Owner      string              `json:"owner,omitempty"`
	OS         string              `json:"os,omitempty"`
	OSVersion  string              `json:"os_version,omitempty"`
	Policy     string              `json:"policy"`
	App        posture.AppContext  `json:"app,omitzero"`
	Verdict    Verdict             `json:"verdict"`
	Quarantine *posture.Quarantine `json:"quarantine,omitempty"` // that holds
	Findings   []posture.Finding   `json:"findings"`             // of each rule, in the policy's order
}

// ExplainQuery says of which device and by which policy: that of the relying party
// for the application, or the one named (empty: "default").
type ExplainQuery struct {
	DeviceID     string
	Policy       string
	RelyingParty string
	App          posture.AppContext
}

// SimulationRequest asks what would change if a policy of the text were live.
type SimulationRequest struct {
	Policies string             `json:"policies"`          // a file with policies, as the configuration has them
	Policy   string             `json:"policy,omitempty"`  // the one of them that is tried; empty: "default"
	Against  string             `json:"against,omitempty"` // the live one that it is compared with; empty: of the same name
	App      posture.AppContext `json:"app,omitzero"`
}

// simulationLine is one line of the answer to a SimulationRequest.
type simulationLine struct {
	Done    int                 `json:"done,omitempty"`
	Total   int                 `json:"total,omitempty"`
	Result  *devices.Simulation `json:"result,omitempty"`
	Problem *Problem            `json:"problem,omitempty"`
}
