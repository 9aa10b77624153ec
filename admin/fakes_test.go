package admin

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

var now = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// memory is all records, in memory. With err set nothing works any more.
type memory struct {
	mu        sync.Mutex
	err       error
	devices   map[string]posture.Device
	certs     []posture.Certificate
	decisions map[string]posture.Decision
	parties   map[string]RelyingParty
	scans     int // calls of Devices
}

func newMemory() *memory {
	return &memory{devices: map[string]posture.Device{}, decisions: map[string]posture.Decision{}, parties: map[string]RelyingParty{}}
}

func (m *memory) lock() func() {
	m.mu.Lock()
	return m.mu.Unlock
}

func (m *memory) break_(err error) {
	defer m.lock()()
	m.err = err
}

func (m *memory) Device(_ context.Context, id string) (posture.Device, error) {
	defer m.lock()()
	d, ok := m.devices[id]
	if !ok && m.err == nil {
		return d, fmt.Errorf("%w: %q", posture.ErrNoDevice, id)
	}
	return d, m.err
}

func page[T any](all map[string]T, after string, limit int) (found []T) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key > after && len(found) < limit {
			found = append(found, all[key])
		}
	}
	return found
}

func (m *memory) Devices(_ context.Context, after string, limit int) ([]posture.Device, error) {
	defer m.lock()()
	m.scans++
	return page(m.devices, after, limit), m.err
}

func (m *memory) Certificates(_ context.Context, deviceID string) (found []posture.Certificate, err error) {
	defer m.lock()()
	for _, c := range m.certs {
		if c.DeviceID == deviceID {
			found = append(found, c)
		}
	}
	return found, m.err
}

func (m *memory) AddCertificate(_ context.Context, c posture.Certificate) error {
	defer m.lock()()
	for _, other := range m.certs {
		if other.KeyHash == c.KeyHash {
			return posture.ErrKeyInUse
		}
	}
	if m.err == nil {
		m.certs = append(m.certs, c)
	}
	return m.err
}

func (m *memory) RetireDevice(_ context.Context, id, reason string, at time.Time) (posture.Device, error) {
	defer m.lock()()
	d, ok := m.devices[id]
	if !ok {
		return d, cmp.Or(m.err, fmt.Errorf("%w: %q", posture.ErrNoDevice, id))
	}
	if m.err == nil {
		d.RetiredAt, d.RetireReason = at, reason
		m.devices[id] = d
	}
	return d, m.err
}

func (m *memory) UpdateDevice(_ context.Context, id string, change func(d *posture.Device, exists bool) error) (posture.Device, error) {
	defer m.lock()()
	d, exists := m.devices[id]
	if err := errors.Join(m.err, change(&d, exists)); err != nil {
		return posture.Device{}, err
	}
	m.devices[id] = d
	return d, nil
}

func (m *memory) decide(d posture.Decision) {
	defer m.lock()()
	m.decisions[d.ID] = d
}

func (m *memory) Decision(_ context.Context, id string) (posture.Decision, error) {
	defer m.lock()()
	d, ok := m.decisions[id]
	if !ok && m.err == nil {
		return d, fmt.Errorf("%w: %q", posture.ErrNoDecision, id)
	}
	return d, m.err
}

func (m *memory) Decisions(_ context.Context, after string, limit int) ([]posture.Decision, error) {
	defer m.lock()()
	return page(m.decisions, after, limit), m.err
}

func (m *memory) LastDecisions(_ context.Context, n int) ([]posture.Decision, error) {
	defer m.lock()()
	all := page(m.decisions, "", len(m.decisions))
	return all[max(0, len(all)-n):], m.err
}

func (m *memory) RelyingParties(context.Context) ([]RelyingParty, error) {
	defer m.lock()()
	return page(m.parties, "", len(m.parties)), m.err
}

func (m *memory) AddRelyingParty(_ context.Context, rp RelyingParty) error {
	defer m.lock()()
	if m.err == nil {
		m.parties[rp.Name] = rp
	}
	return m.err
}

func (m *memory) RemoveRelyingParty(_ context.Context, name string) error {
	defer m.lock()()
	if _, ok := m.parties[name]; !ok {
		return fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, name)
	}
	delete(m.parties, name)
	return m.err
}

// staging is an import into memory.
type staging struct {
	m      *memory
	source posture.Source
	at     time.Time
	rows   []posture.Report
}

func (m *memory) begin(_ context.Context, source posture.Source, at time.Time, _ bool) (devices.Staging, error) {
	defer m.lock()()
	return &staging{m: m, source: source, at: at}, m.err
}

func (s *staging) Stage(_ context.Context, reports []posture.Report) error {
	defer s.m.lock()()
	s.rows = append(s.rows, reports...)
	return s.m.err
}

func (s *staging) Losses(context.Context) (lost, managed int, err error) { return 0, 0, s.m.err }

func (s *staging) Abort(context.Context) error { return nil }

func (s *staging) Commit(_ context.Context, progress func(done, total int)) (result devices.Result, err error) {
	defer s.m.lock()()
	for _, row := range s.rows {
		d, exists := s.m.devices[row.DeviceID]
		if exists {
			result.Updated++
		} else {
			result.Created++
		}
		d.Apply(&row, s.source, s.at)
		s.m.devices[row.DeviceID] = d
	}
	progress(len(s.rows), len(s.rows))
	return result, s.m.err
}

// world is a server of the API over a socket, with a client of it and what lies
// behind it.
type world struct {
	*Client
	*memory
	rings     []Keyring
	authority *certs.Authority
	file      []RelyingParty // of the configuration
	later     time.Duration  // how much later than clock the keys' clock is
	stop      chan struct{}
	log       *records
}

// records is where the server logs to.
type records struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (w *world) now() time.Time { return clock().Add(w.later) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{memory: newMemory(), stop: make(chan struct{}), log: &records{}}
	dir := t.TempDir()
	var err error
	if w.authority, err = certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test authority", now); err != nil {
		t.Fatal(err)
	}
	h := apiOf(&web.Options{Log: slog.New(slog.NewJSONHandler(w.log, nil)), Now: clock},
		&Devices{Inventory: w.memory, Now: clock, Judge: func(d *posture.Device) posture.Verdict {
			return posture.Judge(&posture.Input{Device: d, Now: now}, &posture.Policy{Name: "default"})
		}},
		&Actions{Actor: &devices.Actor{Records: w.memory, Now: clock}},
		&Issuing{
			Issuer:    &devices.Issuer{Authority: w.authority, Records: w.memory, Now: clock},
			Authority: w.authority.Certificate},
		&Import{Importer: &devices.Importer{Begin: w.begin, Now: clock}, Noter: &noter{}, Now: clock},
		&RelyingParties{Records: w.memory, File: func() []RelyingParty { return w.file },
			InFile: func(name string) bool {
				return slices.ContainsFunc(w.file, func(rp RelyingParty) bool { return rp.Name == name })
			},
			HasPolicy: func(name string) bool { return name == "default" || name == "strict" }, Now: clock},
		&Keys{Rings: func() []Keyring { return w.rings }, Now: w.now},
		&Decisions{Log: w.memory, Interval: time.Millisecond, Stopping: w.stop},
		&Overview{Version: "1.2.3", StartedAt: now.Add(-time.Hour), Now: clock,
			Counts: func(context.Context) (map[string]int, error) {
				return map[string]int{"relying_parties": 2}, w.memory.err
			}},
	)
	w.Client = NewSocketClient(serve(t, h))
	return w
}

// apiOf is the API with what the providers have, for whoever asks.
func apiOf(o *web.Options, providers ...Provider) http.Handler {
	a := API{Options: o, Noter: &noter{}}
	for _, p := range providers {
		a.Operations = append(a.Operations, p.Operations()...)
	}
	return a.Handler(Local, http.NotFoundHandler())
}

// serve serves h on a socket until the test ends, and gives its path.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatepost") // t.TempDir would be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("a handler goes on after its client has gone: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	return path
}

// ask sends a request as it is, and gives the answer.
func (w *world) ask(t *testing.T, method, path, contentType, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.Base+Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := w.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// newCSR makes a certificate request in PEM.
func newCSR(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "anything"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// metadata of a service provider, with its encryption key if there is one.
func metadata(entityID, attributes string, encryption *x509.Certificate) string {
	key := ""
	if encryption != nil {
		block := strings.Split(strings.TrimSpace(string(certs.CertificatePEM(encryption))), "\n")
		key = `<md:KeyDescriptor use="encryption"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>` +
			strings.Join(block[1:len(block)-1], "") + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`
	}
	return `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="` + entityID + `"` + attributes + `>` +
		`<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">` + key +
		`<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://acme.okta.com/sso" index="0"/>` +
		`</md:SPSSODescriptor></md:EntityDescriptor>`
}

// noter keeps what is noted. With err set nothing can be.
type noter struct {
	mu    sync.Mutex
	err   error
	noted []posture.Event
}

func (n *noter) Note(_ context.Context, e posture.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.noted = append(n.noted, e)
	}
	return n.err
}
