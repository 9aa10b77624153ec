package main

import (
	"fmt"
	"time"

	"gatepost.dev/agent"
	"gatepost.dev/agentapi"
)

type statusCommand struct{}

// status is what there is to say of an agent.
type status struct {
	DeviceID      string         `json:"device"`
	Server        string         `json:"server"`
	DeviceURL     string         `json:"device_url"`
	Enrolled      agentapi.State `json:"enrolled"`
	Sequence      uint64         `json:"sequence"`
	ReportedAt    time.Time      `json:"reported_at,omitzero"`
	Waiting       int            `json:"waiting"`
	Every         string         `json:"every"`
	CertificateTo time.Time      `json:"certificate_until,omitzero"`
	RenewAt       time.Time      `json:"renew_at"`
	Trouble       string         `json:"trouble,omitempty"`
	TPM           agent.TPM      `json:"tpm"`
	Challenges    string         `json:"challenges"` // where they are taken while the agent runs
	Browsers      []string       `json:"browsers"`
	NoBrowsers    string         `json:"browser_trouble,omitempty"`
	Service       string         `json:"service"`
}

func statusOf(e *env, a *agent.Agent, s *agent.State) status {
	out := status{
		DeviceID: s.DeviceID, Server: s.Server, DeviceURL: s.DeviceURL, Enrolled: s.Enrolled, Sequence: s.Sequence,
		ReportedAt: s.ReportedAt, Waiting: a.Waiting(), Every: s.Every.String(), RenewAt: s.RenewAt, Trouble: s.Trouble, TPM: s.TPM,
		Browsers: inBrowsers(e, s), NoBrowsers: s.BrowserTrouble, Service: serviceStatus(e),
	}
	out.Challenges = "none until the certificate is renewed"
	if s.Loopback != nil {
		out.Challenges = fmt.Sprintf("on 127.0.0.1:%d while the agent runs", s.Loopback.Port)
	}
	if c, err := a.Credential(); err == nil && c.Leaf != nil {
		out.CertificateTo = c.Leaf.NotAfter
	}
	return out
}

// Run says how the agent is; the exit status is 1 when it has trouble.
func (*statusCommand) Run(e *env) error {
	a := newAgent(e)
	s, err := a.State()
	if err != nil {
		return enrolledFirst(err)
	}
	st := statusOf(e, a, &s)
	if e.json {
		if err := printJSON(e.stdout, st); err != nil {
			return err
		}
	} else {
		rows := [][2]string{
			{"device", st.DeviceID}, {"server", st.Server}, {"device url", st.DeviceURL}, {"enrolled as", string(st.Enrolled)},
			{"last report", lastReport(&st)}, {"waiting", fmt.Sprint(st.Waiting)}, {"every", st.Every},
			{"certificate", "until " + second(st.CertificateTo) + ", renewed from " + second(st.RenewAt)},
			{"key", keyPlace(&st.TPM)}, {"challenges", st.Challenges},
		}
		rows = append(rows, [2]string{"service", st.Service})
		for _, where := range st.Browsers {
			rows = append(rows, [2]string{"browsers", where})
		}
		for _, r := range [][2]string{{"no browsers", st.NoBrowsers}, {"trouble", st.Trouble}} {
			if r[1] != "" {
				rows = append(rows, r)
			}
		}
		printRows(e.stdout, rows)
	}
	if st.Trouble != "" {
		return errSaid
	}
	return nil
}

// keyPlace says where the agent's key is, and what the server makes of that.
func keyPlace(t *agent.TPM) string {
	switch {
	case t.Trouble != "":
		return "in a file, as the TPM could not be used: " + t.Trouble
	case t.Path == "":
		return "in a file"
	case t.NotAttested == "":
		return "in the TPM at " + t.Path + ", which the server verified"
	}
	return "in the TPM at " + t.Path + ", but counts as one in a file: " + notAttested(t.NotAttested)
}

// notAttested says why the server does not take the TPM's word.
func notAttested(why agentapi.NotAttested) string {
	switch why {
	case agentapi.UnknownEK:
		return "the server knows nobody who vouches for this TPM; an administrator can, with \"gatepost device pin-ek\""
	case agentapi.OtherEK:
		return "the server knows another TPM of this device"
	case agentapi.BadEvidence:
		return "the server did not take what the TPM says; its log tells why"
	}
	return string(why)
}

func lastReport(s *status) string {
	if s.ReportedAt.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%d at %s", s.Sequence, second(s.ReportedAt))
}

func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
