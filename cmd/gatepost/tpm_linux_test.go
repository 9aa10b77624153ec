package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatepost.dev/admin"
	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// tpmRig is a demo with an agent on a machine that has a TPM.
type tpmRig struct {
	*commands
	tpm *swtpmtest.TPM
	ca  string // folder of the TPM's vendor
}

func startTPMRig(t *testing.T) *tpmRig {
	t.Helper()
	d := startTestDemo(t)
	r := &tpmRig{commands: &commands{t: t, d: d, agent: agentProgram(t), state: filepath.Join(t.TempDir(), "state")}, ca: filepath.Join(t.TempDir(), "ca")}
	var err error
	if r.tpm, err = swtpmtest.Start(filepath.Join(t.TempDir(), "tpm"), r.ca); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.tpm != nil {
			r.stopTPM()
		}
	})
	return r
}

func (r *tpmRig) stopTPM() {
	r.t.Helper()
	if err := r.tpm.Stop(); err != nil {
		r.t.Error(err)
	}
	r.tpm = nil
}

// trustVendor has the server trust the vendor of the TPM.
func (r *tpmRig) trustVendor() {
	r.t.Helper()
	text, err := os.ReadFile(r.d.configFile())
	if err != nil {
		r.t.Fatal(err)
	}
	attestation := fmt.Sprintf("devices:\n  agent_port: %d\n  attestation: { tpm_roots: [%q, %q] }\n",
		r.d.gatepost.current.Load().config.Devices.AgentPort, swtpmtest.RootFile(r.ca), swtpmtest.IssuerFile(r.ca))
	text = []byte(strings.NewReplacer(`"127.0.0.1:9090"`, `"127.0.0.1:0"`, "\ndevices:\n", "\n"+attestation).Replace(string(text)))
	if err := os.WriteFile(r.d.configFile(), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := r.d.gatepost.tryReload(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// enrol enrols the agent and gives the device's ID, and what was said.
func (r *tpmRig) enrol(args ...string) (id, out string) {
	r.t.Helper()
	token := r.gatepost("token", "create", "--kind", "enroll", "--managed", "--owner", "user@example.com")
	out = r.run(exitOK, token+"\n", append([]string{
		"enroll", "--server", r.d.issuer(), "--token", "-", "--ca", filepath.Join(r.d.dir, "data", "trial-ca.crt"), "--no-service", "--tpm", r.tpm.Path,
	}, args...)...)
	_, id, ok := strings.Cut(strings.SplitN(out, ".\n", 2)[0], "enrolled as ")
	if !ok {
		r.t.Fatalf("enroll: %s", out)
	}
	return id, out
}

// due makes it time to renew.
func (r *tpmRig) due() {
	r.t.Helper()
	path := filepath.Join(r.state, "agent.json")
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	var state map[string]any
	if err := json.Unmarshal(text, &state); err != nil {
		r.t.Fatal(err)
	}
	for _, name := range []string{"renew_at", "browser_renew_at"} {
		if _, is := state[name]; is {
			state[name] = "2026-01-01T00:00:00Z"
		}
	}
	if text, err = json.Marshal(state); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// ranks are those of the device's certificates of agents, the oldest first.
func (r *tpmRig) ranks(id string) (ranks []posture.Rank) {
	r.t.Helper()
	for _, c := range r.device(id).Certificates {
		if c.Agent {
			ranks = append(ranks, c.Rank)
		}
	}
	return ranks
}

func count(ranks []posture.Rank, rank posture.Rank) (n int) {
	for _, r := range ranks {
		if r == rank {
			n++
		}
	}
	return n
}

// TestTPMPinned: a TPM of which nobody knows who made it counts once an
// administrator pins it, and then a sign-in by the agent is by an attested key.
func TestTPMPinned(t *testing.T) {
	t.Parallel()
	r := startTPMRig(t)
	r.gatepost("org", "remove", "demo")
	if _, err := r.d.admin.AddRelyingParty(t.Context(), admin.NewRelyingParty{Name: "demo", Metadata: string(r.d.okta.Metadata()), AgentChallenge: true}); err != nil {
		t.Fatal(err)
	}
	id, out := r.enrol("--no-browser")
	if !strings.Contains(out, "but counts as one in a file: the server knows nobody who vouches for this TPM") {
		t.Errorf("enroll: %s", out)
	}
	claimed := r.device(id)
	if claimed.EK != "" || len(claimed.EKClaimed) != 64 || count(r.ranks(id), posture.RankSoftware) != 1 || len(claimed.Certificates) != 1 {
		t.Errorf("enrolled: EK %q, claimed %q, %v", claimed.EK, claimed.EKClaimed, r.ranks(id))
	}
	if out := r.gatepost("device", "show", id); !strings.Contains(out, "ek claimed") || !strings.Contains(out, claimed.EKClaimed) || !strings.Contains(out, "agent    software") {
		t.Errorf("device show: %s", out)
	}

	// Pinned, it counts from the next renewal on, and is nobody else's.
	if out := r.gatepost("device", "pin-ek", id, "--pending", "--by", "ann"); !strings.Contains(out, claimed.EKClaimed) {
		t.Errorf("pin: %s", out)
	}
	var stderr bytes.Buffer
	for want, args := range map[string][]string{
		"already known as another device's": {r.d.devices[0].ID, claimed.EKClaimed},
		"claims no TPM":                     {id, "--pending"},
		"write its 64 hexadecimal digits":   {id, "abc"},
		"no such device":                    {"nobody", claimed.EKClaimed},
		"no TPM is pinned":                  {r.d.devices[0].ID, "--remove"},
	} {
		stderr.Reset()
		status := run(t.Context(), append(append([]string{"device", "pin-ek"}, args...), "--config", r.d.configFile()), &bytes.Buffer{}, &stderr)
		if status != exitFailed || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: status %d: %s", args, status, &stderr)
		}
	}
	if log := r.gatepost("log", "list", "--json"); !strings.Contains(log, "devices/{id}/ek") {
		t.Errorf("the log: %s", log)
	}
	r.due()
	r.run(exitOK, "", "report", "--once")
	if out := r.run(exitOK, "", "status"); !strings.Contains(out, "which the server verified") {
		t.Errorf("status: %s", out)
	}
	pinned := r.device(id)
	if pinned.EK != claimed.EKClaimed || pinned.EKPinnedBy != "ann" || pinned.EKClaimed != "" || count(r.ranks(id), posture.RankAttested) != 1 {
		t.Errorf("pinned: EK %q by %q, claimed %q, %v", pinned.EK, pinned.EKPinnedBy, pinned.EKClaimed, r.ranks(id))
	}
	if len(pinned.AttestedKeys) != 1 || !pinned.AttestedKeys[0].Pinned {
		t.Errorf("attested keys: %+v", pinned.AttestedKeys)
	}

	// The key signs in.
	c := &challenged{commands: r.commands, id: id}
	c.startAgent()
	home := chromiumHome(t)
	trust(t, home, r.d)
	ctx := chromium(t, home, c.public()...)
	do(t, ctx, "asked", chromedp.Navigate(r.d.oktaURL()+"/"), chromedp.Click("#login-redirect"), chromedp.WaitVisible("#check"))
	do(t, ctx, "signed-in", chromedp.Click("#check"), chromedp.WaitVisible("#result"))
	if last := c.decided(); !strings.Contains(last, `"device":"`+id+`"`) || !strings.Contains(last, `"proof":{"method":"challenge","rank":"attested"}`) {
		t.Errorf("decided: %s: %s", last, textOf(t, ctx, "#result-why"))
	}

	// Taken back, it is as before.
	r.gatepost("device", "pin-ek", id, "--remove")
	if d := r.device(id); d.EK != "" || d.EKClaimed != claimed.EKClaimed || count(r.ranks(id), posture.RankAttested) != 0 {
		t.Errorf("unpinned: EK %q, claimed %q, %v", d.EK, d.EKClaimed, r.ranks(id))
	}
}

// TestTPMCertified: a TPM whose vendor is trusted counts at once; browsers get a
// key of their own; and a TPM that fails never has the key made elsewhere.
func TestTPMCertified(t *testing.T) {
	t.Parallel()
	r := startTPMRig(t)
	r.trustVendor()
	home := chromiumHome(t)
	id, out := r.enrol("--home", home)
	if os.Geteuid() == 0 {
		t.Cleanup(func() { os.Remove("/etc/chromium/policies/managed/gatepost-device.json") })
	}
	if !strings.Contains(out, "which the server verified") {
		t.Errorf("enroll: %s", out)
	}
	d := r.device(id)
	if d.EK == "" || d.EKPinnedBy != "" || len(d.AttestedKeys) != 1 || d.AttestedKeys[0].Vendor != swtpmtest.Vendor {
		t.Errorf("EK %q by %q, %+v", d.EK, d.EKPinnedBy, d.AttestedKeys)
	}
	if ranks := r.ranks(id); len(ranks) != 2 || count(ranks, posture.RankAttested) != 1 || count(ranks, posture.RankSoftware) != 1 {
		t.Errorf("ranks: %q", ranks)
	}
	if out, err := exec.CommandContext(t.Context(), "certutil", "-L", "-d", "sql:"+home+"/.pki/nssdb").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("gatepost")) {
		t.Errorf("the browser has no certificate: %v\n%s", err, out)
	}
	r.run(exitOK, "", "report", "--once")
	r.due()
	r.run(exitOK, "", "report", "--once")
	if ranks := r.ranks(id); len(ranks) != 4 || count(ranks, posture.RankAttested) != 2 || count(ranks, posture.RankSoftware) != 2 {
		t.Errorf("renewed: %q", ranks)
	}
	r.due()
	r.stopTPM()
	if out := r.run(exitFailed, "", "report", "--once"); !strings.Contains(out, "TPM") {
		t.Errorf("without the TPM: %s", out)
	}
	text, err := os.ReadFile(filepath.Join(r.state, "device.pem"))
	if err != nil || bytes.Contains(text, []byte("PRIVATE KEY")) || !bytes.Contains(text, []byte("TPM KEY")) {
		t.Errorf("%s, %v", text, err)
	}
	if ranks := r.ranks(id); len(ranks) != 4 {
		t.Errorf("without the TPM: %q", ranks)
	}
}

// TestTPMCopied sends a device's whole evidence again.
func TestTPMCopied(t *testing.T) {
	t.Parallel()
	r := startTPMRig(t)
	r.trustVendor()
	token := func() string { return r.gatepost("token", "create", "--kind", "enroll", "--managed") }
	first, second, third, fourth := token(), token(), token(), token()
	body := r.evidence(first)

	// Before the device itself enrols, with a token of the thief's.
	stolen := *body
	stolen.Token = second
	if e := r.post(agentapi.EnrollPath, &stolen, http.StatusCreated); e.NotAttested != agentapi.BadEvidence {
		t.Errorf("with another token: %+v", e)
	} else if got := r.ranks(e.DeviceID); count(got, posture.RankSoftware) != 1 || len(got) != 1 {
		t.Errorf("with another token: %q", got)
	}
	// The key is taken now: not even its owner has it certified.
	r.post(agentapi.EnrollPath, body, http.StatusConflict)

	// And for a key of the thief's.
	body = r.evidence(first)
	stolen = *body
	stolen.CSR, stolen.Token = newCSR(t), third
	if e := r.post(agentapi.EnrollPath, &stolen, http.StatusCreated); e.NotAttested != agentapi.BadEvidence {
		t.Errorf("for another key: %+v", e)
	}
	stolen.CSR, stolen.Token = newCSR(t), first
	if e := r.post(agentapi.EnrollPath, &stolen, http.StatusCreated); e.NotAttested != agentapi.BadEvidence {
		t.Errorf("for another key with its token: %+v", e)
	}

	// After it enrolled.
	body = r.evidence(fourth)
	e := r.post(agentapi.EnrollPath, body, http.StatusCreated)
	if e.NotAttested != "" || count(r.ranks(e.DeviceID), posture.RankAttested) != 1 {
		t.Errorf("the device itself: %+v", e)
	}
	stolen = *body
	stolen.Token = token()
	r.post(agentapi.EnrollPath, &stolen, http.StatusConflict)
	stolen.CSR = newCSR(t)
	if e := r.post(agentapi.EnrollPath, &stolen, http.StatusCreated); e.NotAttested != agentapi.BadEvidence {
		t.Errorf("for another key, later: %+v", e)
	}
}

// evidence is what an agent sends that enrols with the token.
func (r *tpmRig) evidence(token string) *agentapi.EnrollRequest {
	r.t.Helper()
	d := &tpmkey.Device{Path: r.tpm.Path}
	must := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	ek, err := d.Endorsement()
	must(err)
	ak, err := d.CreateAttestationKey()
	must(err)
	key, err := d.CreateKey()
	must(err)
	signer, err := d.Signer(key)
	must(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer)
	must(err)
	var c agentapi.AttestChallenge
	r.send(agentapi.AttestPath, &agentapi.AttestRequest{Token: token, EKCertificate: ek.Certificate, EK: ek.Public, AK: ak.Public}, http.StatusOK, &c)
	e := &agentapi.TPMEvidence{State: c.State, Public: key.Public}
	e.Secret, err = d.Activate(ek, ak, c.Credential, c.Encrypted)
	must(err)
	e.Info, e.Signature, err = d.Certify(ak, key, agentapi.TPMNonce(e.State, e.Secret))
	must(err)
	return &agentapi.EnrollRequest{
		Token: token, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), Device: agentapi.Device{OS: "Linux"}, TPM: e,
	}
}

func (r *tpmRig) post(path string, request *agentapi.EnrollRequest, status int) (e agentapi.Enrollment) {
	r.t.Helper()
	r.send(path, request, status, &e)
	return e
}

func (r *tpmRig) send(path string, request any, status int, into any) {
	r.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		r.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.d.roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Post(r.d.issuer()+path, "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil || response.StatusCode != status {
		r.t.Fatalf("%s: %s: %v %s", path, response.Status, err, &text)
	}
	if status < 300 {
		if err := json.Unmarshal(text.Bytes(), into); err != nil {
			r.t.Fatal(err)
		}
	}
}
