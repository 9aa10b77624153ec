package admin

import "gatepost.dev/events/trail"

// LogPage is one page of the log of a node, the oldest entry first.
type LogPage struct {
	Nodes   []string      `json:"nodes,omitempty"` // that have a log
	Entries []trail.Entry `json:"entries"`
	Next    string        `json:"next,omitempty"` // for after; empty: there are no more yet
}

// exportLine is a line of an export of the log; one of OCSF is as that schema
// says.
type exportLine struct {
	Problem *Problem `json:"problem,omitempty"`
}

// verifyLine is one line of the answer to a verification. The last has the result
// or the problem.
type verifyLine struct {
	Done    uint64       `json:"done,omitempty"`
	Total   uint64       `json:"total,omitempty"`
	Result  *LogVerified `json:"result,omitempty"`
	Problem *Problem     `json:"problem,omitempty"`
}

// LogVerified is what a verification of the log found.
type LogVerified struct {
	trail.Verified
	Key    string         `json:"key"`              // that signs the bounds: Ed25519, lower-case hex
	Bounds []trail.Bounds `json:"bounds"`           // of each node; kept elsewhere they show later that nothing before was cut
	Faults []string       `json:"faults,omitempty"` // none: all is as it was written
}
