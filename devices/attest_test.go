package devices_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// tpmMachine is a machine with a TPM.
type tpmMachine struct {
	*machine
	device *tpmkey.Device
	ek     *tpmkey.Endorsement
	ak     *tpmkey.Object
}

// newTPMWorld is a world that trusts an authority of TPMs, whose folder it gives.
func newTPMWorld(t *testing.T) (w *world, ca string) {
	t.Helper()
	w = newWorld(t)
	w.at = time.Now().Add(time.Minute) // certificates of swtpm begin when they are made
	return w, filepath.Join(t.TempDir(), "tpm-ca")
}

func (w *world) trust(ca string) {
	w.t.Helper()
	w.attests.Roots = x509.NewCertPool()
	for _, file := range []string{swtpmtest.RootFile(ca), swtpmtest.IssuerFile(ca)} {
		text, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		if !w.attests.Roots.AppendCertsFromPEM(text) {
			w.t.Fatalf("%s holds no certificate", file)
		}
	}
}

func (w *world) tpmMachine(serial, ca string) *tpmMachine {
	w.t.Helper()
	running, err := swtpmtest.Start(filepath.Join(w.t.TempDir(), "tpm-"+serial), ca)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	m := &tpmMachine{machine: w.machine(serial), device: &tpmkey.Device{Path: running.Path}}
	m.ek = must(m.device.Endorsement())
	m.ak = must(m.device.CreateAttestationKey())
	return m
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// request is what a challenge is asked for with.
func (m *tpmMachine) request(token string) agentapi.AttestRequest {
	return agentapi.AttestRequest{Token: token, EKCertificate: m.ek.Certificate, EK: m.ek.Public, AK: m.ak.Public}
}

// challenge asks for one; with no token, for a renewal.
func (m *tpmMachine) challenge(token string) *agentapi.AttestChallenge {
	m.w.t.Helper()
	path := agentapi.AttestPath
	if token == "" {
		path = agentapi.RenewAttestPath
	}
	var c agentapi.AttestChallenge
	if status, problem, _ := m.w.post(path, m.chain, marshal(m.w.t, m.request(token)), &c); status != http.StatusOK {
		m.w.t.Fatalf("challenge: %d %q", status, problem.Detail)
	}
	return &c
}

// evidence makes a key in the TPM and the evidence for it.
func (m *tpmMachine) evidence(c *agentapi.AttestChallenge) (csr string, e *agentapi.TPMEvidence) {
	m.w.t.Helper()
	secret := must(m.device.Activate(m.ek, m.ak, c.Credential, c.Encrypted))
	key := must(m.device.CreateKey())
	info, signature, err := m.device.Certify(m.ak, key, agentapi.TPMNonce(c.State, secret))
	if err != nil {
		m.w.t.Fatal(err)
	}
	return csrOf(must(m.device.Signer(key))), &agentapi.TPMEvidence{State: c.State, Secret: secret, Public: key.Public, Info: info, Signature: signature}
}

func csrOf(key crypto.Signer) string {
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// enrolWith enrols with the evidence.
func (m *tpmMachine) enrolWith(token, csr string, e *agentapi.TPMEvidence) (status int, code agentapi.Code) {
	m.w.t.Helper()
	m.answer = agentapi.Enrollment{}
	status, problem, _ := m.w.post(agentapi.EnrollPath, nil,
		marshal(m.w.t, agentapi.EnrollRequest{Token: token, CSR: csr, Device: m.hardware, TPM: e}), &m.answer)
	if status == http.StatusCreated {
		m.chain = []*x509.Certificate{parsePEM(m.w.t, m.answer.Certificate)}
	}
	return status, problem.Code
}

func (m *tpmMachine) enrolByTPM(token string) (status int, code agentapi.Code) {
	m.w.t.Helper()
	csr, e := m.evidence(m.challenge(token))
	return m.enrolWith(token, csr, e)
}

// rank is that of the machine's certificate, and why not a better one.
func (m *tpmMachine) rank() (posture.Rank, agentapi.NotAttested) {
	m.w.t.Helper()
	for _, c := range must(m.w.records.Certificates(m.w.t.Context(), m.answer.DeviceID)) {
		if c.KeyHash == certs.KeyHash(m.chain[0]) {
			return c.Rank, m.answer.NotAttested
		}
	}
	m.w.t.Fatal("the certificate is not recorded")
	return "", ""
}

func (m *tpmMachine) wantRank(what string, want posture.Rank, why agentapi.NotAttested) {
	m.w.t.Helper()
	if got, reason := m.rank(); got != want || reason != why {
		m.w.t.Errorf("%s: rank %q %q, want %q %q", what, got, reason, want, why)
	}
}

func (m *tpmMachine) mustEnrolByTPM(token string) {
	m.w.t.Helper()
	if status, code := m.enrolByTPM(token); status != http.StatusCreated {
		m.w.t.Fatalf("enrol: %d %q", status, code)
	}
}

func TestAttestedEnrolment(t *testing.T) {
	t.Parallel()
	w, ca := newTPMWorld(t)
	a := w.tpmMachine("PF3AAAA1", ca)
	w.trust(ca)
	a.mustEnrolByTPM(w.token(devices.NewToken{}))
	a.wantRank("enrolled", posture.RankAttested, "")
	d := w.device(a.answer.DeviceID)
	k := d.AttestedKey(certs.KeyHash(a.chain[0]))
	if d.EK == "" || d.EKPinnedBy != "" || d.EKClaimed != "" || k == nil || k.HardwareID != d.EK || k.Format != "tpm" || k.Pinned || k.Vendor != swtpmtest.Vendor {
		t.Fatalf("the inventory has %+v, %+v", d, k)
	}

	// The TPM that the inventory knows takes its device's place at once, whatever
	// serial number the machine claims; nothing is held.
	former := a.chain
	a.hardware.Serial = "PF3AAAA2"
	a.mustEnrolByTPM(w.token(devices.NewToken{}))
	if a.answer.DeviceID != d.ID || a.answer.State == agentapi.Held {
		t.Errorf("enrolled anew as %+v", a.answer)
	}
	a.wantRank("enrolled anew", posture.RankAttested, "")
	if status, _, _ := w.post(agentapi.RenewAttestPath, former, marshal(t, a.request("")), nil); status != http.StatusUnauthorized {
		t.Errorf("the former key: %d", status)
	}

	// It is no other device, whatever an administrator's token says.
	w.add(imported("other", "PF3BBBB1", "Dell"))
	token := w.token(devices.NewToken{DeviceID: "other"})
	if status, code := a.enrolByTPM(token); status != http.StatusForbidden || code != agentapi.CodeOtherTPM {
		t.Errorf("with the token of another device: %d %q", status, code)
	}
	if status, code := a.enrolByTPM(w.token(devices.NewToken{Serial: "PF3BBBB1"})); status != http.StatusForbidden {
		t.Errorf("with the token of another serial number: %d %q", status, code)
	}

	// Another machine that claims the serial number has another TPM: held, though
	// the first has no certificate left.
	b := w.tpmMachine("PF3AAAA3", ca)
	b.hardware.Serial = w.device(d.ID).Serial
	w.pass(100 * 24 * time.Hour)
	b.mustEnrolByTPM(w.token(devices.NewToken{}))
	if got := w.device(d.ID); b.answer.DeviceID != d.ID || b.answer.State != agentapi.Held || got.EK != d.EK {
		t.Errorf("a second machine: %+v; the inventory has %q", b.answer, got.EK)
	}
	if _, err := w.decider.Release(t.Context(), d.ID, devices.KeepNew); err != nil {
		t.Fatal(err)
	}
	if got := w.device(d.ID); got.EK == d.EK || got.EK == "" {
		t.Errorf("the key that was kept is of another TPM, and the inventory has %q", got.EK)
	}
}

// Whatever is wrong with the evidence, the token is good: the device enrols, and
// is not attested.
func TestNotAttested(t *testing.T) {
	t.Parallel()
	w, ca := newTPMWorld(t)
	a, b := w.tpmMachine("PF3AAAA1", ca), w.tpmMachine("PF3BBBB1", ca)
	w.trust(ca)
	for name, change := range map[string]func(e *agentapi.TPMEvidence, csr *string){
		"another secret": func(e *agentapi.TPMEvidence, _ *string) { e.Secret[0] ^= 1 },
		"another state":  func(e *agentapi.TPMEvidence, _ *string) { e.State[20] ^= 1 },
		"another nonce": func(e *agentapi.TPMEvidence, csr *string) {
			*csr = certifyAnew(a, e, agentapi.TPMNonce(e.State, []byte("another secret")))
		},
		"a secret that no TPM returned": func(e *agentapi.TPMEvidence, csr *string) {
			e.Secret = make([]byte, 32)
			*csr = certifyAnew(a, e, agentapi.TPMNonce(e.State, e.Secret))
		},
		"an old attestation": func(e *agentapi.TPMEvidence, _ *string) {
			_, old := a.evidence(a.challenge(w.token(devices.NewToken{})))
			e.Info, e.Signature, e.Public = old.Info, old.Signature, old.Public
		},
		"a challenge for another token": func(e *agentapi.TPMEvidence, csr *string) {
			*csr, *e = copied(a.evidence(a.challenge(w.token(devices.NewToken{}))))
		},
		"another TPM's attestation": func(e *agentapi.TPMEvidence, csr *string) {
			var other agentapi.TPMEvidence
			*csr, other = copied(b.evidence(b.challenge(w.token(devices.NewToken{}))))
			e.Info, e.Signature, e.Public = other.Info, other.Signature, other.Public
		},
		"a key outside the TPM": func(_ *agentapi.TPMEvidence, csr *string) { _, *csr = newCSR(t) },
		"too late":              func(*agentapi.TPMEvidence, *string) { w.pass(agentapi.AttestLife) },
		"rubbish": func(e *agentapi.TPMEvidence, _ *string) {
			*e = agentapi.TPMEvidence{State: []byte("x"), Secret: []byte("x"), Public: []byte("x"), Info: []byte("x"), Signature: []byte("x")}
		},
	} {
		token := w.token(devices.NewToken{DeviceID: "dev-1"})
		csr, e := a.evidence(a.challenge(token))
		change(e, &csr)
		if status, code := a.enrolWith(token, csr, e); status != http.StatusCreated {
			t.Errorf("%s: %d %q", name, status, code)
			continue
		}
		a.wantRank(name, posture.RankSoftware, agentapi.BadEvidence)
		if d := w.device("dev-1"); d.EK != "" || len(d.AttestedKeys) > 0 || d.EKClaimed != "" {
			t.Errorf("%s: the inventory has %+v", name, d)
		}
	}

	// Good evidence is good once.
	token := w.token(devices.NewToken{})
	csr, e := a.evidence(a.challenge(token))
	if status, code := a.enrolWith(token, csr, e); status != http.StatusCreated {
		t.Fatalf("%d %q", status, code)
	}
	a.wantRank("good", posture.RankAttested, "")
	for _, again := range []string{token, w.token(devices.NewToken{})} {
		if status, _ := a.enrolWith(again, csr, e); status == http.StatusCreated {
			t.Error("enrolled again with the same evidence")
		}
	}
}

// certifyAnew makes the evidence one for a new key with the nonce.
func certifyAnew(m *tpmMachine, e *agentapi.TPMEvidence, nonce []byte) (csr string) {
	m.w.t.Helper()
	key := must(m.device.CreateKey())
	info, signature, err := m.device.Certify(m.ak, key, nonce)
	if err != nil {
		m.w.t.Fatal(err)
	}
	e.Public, e.Info, e.Signature = key.Public, info, signature
	return csrOf(must(m.device.Signer(key)))
}

func copied(csr string, e *agentapi.TPMEvidence) (string, agentapi.TPMEvidence) { return csr, *e }

func TestChallengeRefused(t *testing.T) {
	t.Parallel()
	w, ca := newTPMWorld(t)
	a := w.tpmMachine("PF3AAAA1", ca)
	w.trust(ca)
	used := w.token(devices.NewToken{})
	a.mustEnrolByTPM(used)
	for name, v := range map[string]struct {
		change func(r *agentapi.AttestRequest)
		status int
		code   agentapi.Code
	}{
		"no token":       {func(r *agentapi.AttestRequest) { r.Token = "" }, http.StatusUnauthorized, agentapi.CodeToken},
		"a used token":   {func(r *agentapi.AttestRequest) { r.Token = used }, http.StatusUnauthorized, agentapi.CodeToken},
		"an open AK":     {func(r *agentapi.AttestRequest) { r.AK = must(a.device.CreateKey()).Public }, http.StatusUnprocessableEntity, agentapi.CodeAttestation},
		"no AK":          {func(r *agentapi.AttestRequest) { r.AK = nil }, http.StatusUnprocessableEntity, agentapi.CodeInvalid},
		"no EK":          {func(r *agentapi.AttestRequest) { r.EK = nil }, http.StatusUnprocessableEntity, agentapi.CodeInvalid},
		"rubbish for EK": {func(r *agentapi.AttestRequest) { r.EK, r.EKCertificate = []byte("x"), []byte("x") }, http.StatusUnprocessableEntity, agentapi.CodeAttestation},
	} {
		r := a.request(w.token(devices.NewToken{}))
		v.change(&r)
		if status, problem, _ := w.post(agentapi.AttestPath, nil, marshal(t, r), nil); status != v.status || problem.Code != v.code {
			t.Errorf("%s: %d %q, want %d %q", name, status, problem.Code, v.status, v.code)
		}
	}
	if status, problem, _ := w.post(agentapi.RenewAttestPath, nil, marshal(t, a.request("")), nil); status != http.StatusUnauthorized || problem.Code != agentapi.CodeCertificate {
		t.Errorf("for a renewal without a certificate: %d %q", status, problem.Code)
	}
}
