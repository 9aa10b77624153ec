package devices_test

import (
	"crypto/x509"
	"net/http"
	"testing"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// renew renews with a key in the TPM.
func (m *tpmMachine) renew() agentapi.Renewal {
	m.w.t.Helper()
	csr, e := m.evidence(m.challenge(""))
	return m.renewWith(csr, e)
}

func (m *tpmMachine) renewWith(csr string, e *agentapi.TPMEvidence) (r agentapi.Renewal) {
	m.w.t.Helper()
	if status, problem, _ := m.w.post(agentapi.RenewPath, m.chain, marshal(m.w.t, agentapi.RenewRequest{CSR: csr, TPM: e}), &r); status != http.StatusCreated {
		m.w.t.Fatalf("renew: %d %q", status, problem.Detail)
	}
	m.chain, m.answer.NotAttested = []*x509.Certificate{parsePEM(m.w.t, r.Certificate)}, r.NotAttested
	return r
}

// A TPM that nobody vouches for counts from the moment an administrator does.
func TestPinnedTPM(t *testing.T) {
	t.Parallel()
	w, ca := newTPMWorld(t)
	a := w.tpmMachine("PF3AAAA1", "") // without a certificate
	b := w.tpmMachine("PF3BBBB1", ca) // by an authority that nobody trusts
	for _, m := range []*tpmMachine{a, b} {
		m.mustEnrolByTPM(w.token(devices.NewToken{}))
		m.wantRank("by nobody", posture.RankSoftware, agentapi.UnknownEK)
		if d := w.device(m.answer.DeviceID); d.EK != "" || d.EKClaimed == "" || len(d.AttestedKeys) > 0 {
			t.Errorf("the inventory has %+v", d)
		}
		m.renew()
		m.wantRank("renewed, by nobody", posture.RankSoftware, agentapi.UnknownEK)
	}
	id := a.answer.DeviceID
	pinned, err := w.decider.PinEK(t.Context(), id, devices.Pin{Claimed: true, By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	a.renew()
	a.wantRank("pinned", posture.RankAttested, "")
	d := w.device(id)
	if n := len(d.AttestedKeys); n == 0 || !d.AttestedKeys[n-1].Pinned || d.AttestedKeys[n-1].HardwareID != pinned.EK {
		t.Errorf("attested: %+v", d.AttestedKeys)
	}
	a.mustEnrolByTPM(w.token(devices.NewToken{}))
	if a.wantRank("pinned, enrolled anew", posture.RankAttested, ""); a.answer.DeviceID != id {
		t.Errorf("enrolled anew as %q, not %q", a.answer.DeviceID, id)
	}

	// Another TPM is not the pinned one, not even with an administrator's token.
	w.trust(ca)
	b.hardware.Serial = a.hardware.Serial
	b.mustEnrolByTPM(w.token(devices.NewToken{DeviceID: id}))
	b.wantRank("instead of the pinned one", posture.RankSoftware, agentapi.OtherEK)
	if d := w.device(id); d.EK != pinned.EK {
		t.Errorf("the pin became %q", d.EK)
	}
}

// Whoever copied a software key cannot make it one of his own TPM, and evidence
// renews nothing but what it was made for.
func TestRenewByAnotherTPM(t *testing.T) {
	t.Parallel()
	w, ca := newTPMWorld(t)
	a, thief := w.tpmMachine("PF3AAAA1", ca), w.tpmMachine("PF3BBBB1", ca)
	w.trust(ca)
	soft := w.machine("PF3CCCC1").mustEnrol(w.token(devices.NewToken{}))
	thief.chain, thief.answer = soft.chain, soft.answer
	thief.renew()
	thief.wantRank("a TPM on a software key", posture.RankSoftware, agentapi.UnknownEK)

	a.mustEnrolByTPM(w.token(devices.NewToken{}))
	thief.chain, thief.answer = a.chain, a.answer
	thief.renew()
	thief.wantRank("another TPM", posture.RankSoftware, agentapi.OtherEK)

	csr, e := a.evidence(a.challenge(""))
	a.renewWith(csr, e)
	a.wantRank("renewed", posture.RankAttested, "")
	_, other := newCSR(t)
	a.renewWith(other, e)
	a.wantRank("renewed with the evidence for another key", posture.RankSoftware, agentapi.BadEvidence)
	csr, e = a.evidence(a.challenge(w.token(devices.NewToken{})))
	a.renewWith(csr, e)
	a.wantRank("renewed with an enrolment's evidence", posture.RankSoftware, agentapi.BadEvidence)
	_, plain := newCSR(t)
	a.renewWith(plain, nil)
	a.wantRank("renewed without evidence", posture.RankSoftware, "")
}
