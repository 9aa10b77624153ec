package devices_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

var begin = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is the server side of agentapi on a real store and a real authority.
type world struct {
	t       *testing.T
	records *store.Records
	tokens  *devices.Tokens
	decider *devices.Decider
	actor   *devices.Actor
	attests *devices.Attester
	waits   *devices.Waits
	mux     *http.ServeMux

	mu  sync.Mutex
	at  time.Time
	log bytes.Buffer
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

type presentedKey struct{}

// perMinute is what the limiter of a world lets through.
const perMinute = 40

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	kv, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kv.Close() })
	w := &world{t: t, records: store.New(kv), at: begin, mux: http.NewServeMux()}
	authority, err := certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test Device CA", begin)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := certs.NewVerifier([]certs.TrustedAuthority{{Certificate: authority.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true}})
	if err != nil {
		t.Fatal(err)
	}
	w.tokens = &devices.Tokens{Records: w.records, Now: w.now}
	w.decider = &devices.Decider{Records: w.records, Now: w.now}
	w.actor = &devices.Actor{Records: w.records, Notifier: &devices.Notifier{}, Now: w.now}
	w.waits = &devices.Waits{Notifier: w.actor.Notifier, Device: w.records.Device}
	issuer := &devices.Issuer{Authority: authority, Records: w.records, Now: w.now}
	w.attests = &devices.Attester{Key: make([]byte, 32), Now: w.now}
	agents := &devices.Agents{
		Attester: w.attests,
		Enroller: &devices.Enroller{Issuer: issuer, Records: w.records, Judge: w.judge},
		Renewer:  &devices.Renewer{Issuer: issuer, Records: w.records},
		Reporter: &devices.Reporter{Records: w.records, Now: w.now},
		Limiter:  web.NewRates(perMinute),
		Waits:    w.waits,
		Verifier: verifier, Issued: w.records, Authority: authority.Certificate,
		Chain: func(r *http.Request) ([]*x509.Certificate, error) {
			chain, _ := r.Context().Value(presentedKey{}).([]*x509.Certificate)
			return chain, nil
		},
		DeviceURL: "https://device.example.com", ReportEvery: time.Hour, Now: w.now,
	}
	o := &web.Options{Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Now: w.now, WriteError: devices.WriteProblem, MaxBody: agentapi.MaxBody}
	for path, serve := range map[string]web.HandlerFunc{
		agentapi.EnrollPath: agents.ServeEnroll, agentapi.RenewPath: agents.ServeRenew, agentapi.ReportPath: agents.ServeReport,
		agentapi.AttestPath: agents.ServeAttest, agentapi.RenewAttestPath: agents.ServeRenewAttest,
	} {
		w.mux.Handle("POST "+path, web.Handle(path, serve, o))
	}
	w.mux.Handle("GET "+agentapi.WaitPath, web.Handle(agentapi.WaitPath, agents.ServeWait, o))
	return w
}

func (w *world) judge(d *posture.Device) posture.Verdict {
	return posture.Judge(&posture.Input{Device: d, Now: w.now()}, &posture.Policy{Name: "default"})
}

// token makes a token and gives its secret.
func (w *world) token(n devices.NewToken) string {
	w.t.Helper()
	secret, _, err := w.tokens.Create(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// machine is a device with an agent.
type machine struct {
	w        *world
	hardware agentapi.Device
	key      *ecdsa.PrivateKey
	chain    []*x509.Certificate // nil: not enrolled
	answer   agentapi.Enrollment
}

func (w *world) machine(serial string) *machine {
	return &machine{w: w, hardware: agentapi.Device{
		Vendor: "Dell Inc.", Model: "Latitude", OS: "Linux", OSVersion: "12", Serial: serial, HardwareID: "board-" + serial,
	}}
}

func newCSR(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func parsePEM(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no PEM: %.100q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// post sends a body and gives the status; into gets the answer, problem one that
// is no success.
func (w *world) post(path string, chain []*x509.Certificate, body string, into any) (status int, problem agentapi.Problem, header http.Header) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(context.WithValue(w.t.Context(), presentedKey{}, chain), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	if rec.Code/100 == 2 {
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
			w.t.Errorf("%s: %v in %.200q", path, err, rec.Body)
		}
		return rec.Code, problem, rec.Header()
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Status != rec.Code || problem.Reference == "" ||
		rec.Header().Get("Content-Type") != "application/problem+json" {
		w.t.Errorf("%s: %d is answered with %.300q: %v", path, rec.Code, rec.Body, err)
	}
	return rec.Code, problem, rec.Header()
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// enrol enrols the machine with a new key.
func (m *machine) enrol(token string) (status int, code agentapi.Code) {
	m.w.t.Helper()
	key, csr := newCSR(m.w.t)
	status, problem, _ := m.w.post(agentapi.EnrollPath, nil, marshal(m.w.t, agentapi.EnrollRequest{Token: token, CSR: csr, Device: m.hardware}), &m.answer)
	if status == http.StatusCreated {
		m.key, m.chain = key, []*x509.Certificate{parsePEM(m.w.t, m.answer.Certificate)}
	}
	return status, problem.Code
}

func (m *machine) mustEnrol(token string) *machine {
	m.w.t.Helper()
	if status, code := m.enrol(token); status != http.StatusCreated {
		m.w.t.Fatalf("enrol: %d %q", status, code)
	}
	return m
}

// said is a good report with a sequence.
func (m *machine) said(sequence uint64) *agentapi.Report {
	return &agentapi.Report{
		Sequence: sequence, ObservedAt: m.w.now(), BootID: "boot-1", Device: m.hardware,
		Facts: map[string]string{agentapi.FactDiskEncrypted: "true", agentapi.FactFirewallOn: "true"},
	}
}

// report sends a report.
func (m *machine) report(r *agentapi.Report) (status int, problem agentapi.Problem) {
	m.w.t.Helper()
	status, problem, _ = m.w.post(agentapi.ReportPath, m.chain, marshal(m.w.t, r), &agentapi.Accepted{})
	return status, problem
}

// want demands the status and the code of a report.
func (m *machine) want(what string, r *agentapi.Report, status int, code agentapi.Code) agentapi.Problem {
	m.w.t.Helper()
	got, problem := m.report(r)
	if got != status || problem.Code != code {
		m.w.t.Errorf("%s: %d %q %q, want %d %q", what, got, problem.Code, problem.Detail, status, code)
	}
	return problem
}

func (w *world) device(id string) posture.Device {
	w.t.Helper()
	d, err := w.records.Device(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) add(d posture.Device) {
	w.t.Helper()
	_, err := w.records.UpdateDevice(w.t.Context(), d.ID, func(to *posture.Device, _ bool) error { *to = d; return nil })
	if err != nil {
		w.t.Fatal(err)
	}
}

// imported is a device as a file with a managed column makes it.
func imported(id, serial, vendor string) posture.Device {
	var d posture.Device
	d.Apply(&posture.Report{DeviceID: id, Serial: serial, Vendor: vendor, Owner: "ann@example.com", Facts: map[string]string{posture.FactManaged: "true"}},
		posture.Source{Name: "import", Kind: posture.Import}, begin)
	return d
}
