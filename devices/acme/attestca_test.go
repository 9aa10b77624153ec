package acme

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/agent/tpmkey"
	"gatepost.dev/agent/tpmkey/swtpmtest"
	"gatepost.dev/certs"
	"gatepost.dev/devices/attestation/tpm"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// tpmWorld is an attestation authority, and a TPM that asks it.
type tpmWorld struct {
	*world
	ca   *AttestationCA
	tpm  *tpmkey.Device
	ek   *tpmkey.Endorsement
	ak   *tpmkey.Object
	hash string
}

func newTPMWorld(t *testing.T) *tpmWorld {
	t.Helper()
	dir := t.TempDir()
	vendor := filepath.Join(dir, "vendor")
	running, err := swtpmtest.Start(filepath.Join(dir, "tpm"), vendor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &tpmWorld{world: newWorld(t), tpm: &tpmkey.Device{Path: running.Path}}
	var err1, err2, err3 error
	w.ek, err1 = w.tpm.Endorsement()
	w.ak, err2 = w.tpm.CreateAttestationKey()
	authority, err3 := certs.OpenAttestationAuthority(dir, begin)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	ek, err := tpm.ParseEK(w.ek.Public)
	if err != nil {
		t.Fatal(err)
	}
	w.hash = ek.Hash
	w.offset.Store(int64(time.Since(begin))) // swtpm's certificates begin today
	w.ca = &AttestationCA{Authority: authority, Roots: rootsOf(t, vendor), Records: w.records, Inventory: w.records, Limiter: web.NewRates(10_000), Now: w.now}
	options := &web.Options{Log: slog.New(slog.DiscardHandler), Now: w.now, WriteError: WriteProblem, MaxBody: MaxBody}
	for _, e := range w.ca.Endpoints() {
		w.mux.Handle(e.Route, web.Handle(e.Route, e.Serve, options))
	}
	return w
}

func rootsOf(t *testing.T, vendor string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, file := range []string{swtpmtest.RootFile(vendor), swtpmtest.IssuerFile(vendor)} {
		text, err := os.ReadFile(file)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			t.Fatal(file, err)
		}
	}
	return pool
}

// ask posts the body as JSON, or a text as it is.
func (w *tpmWorld) ask(path string, body any) answer {
	w.t.Helper()
	text, ok := body.(string)
	if !ok {
		text = string(encode(w.t, body))
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, TPMPrefix+path, strings.NewReader(text)))
	a := answer{status: rec.Code, text: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.body)
	if kind, ok := a.body["type"].(string); ok {
		a.kind = strings.TrimPrefix(kind, namespace)
	}
	return a
}

// request is what the TPM's client asks with.
func (w *tpmWorld) request() *attestRequest {
	r := &attestRequest{EK: w.ek.Public, EKCerts: [][]byte{w.ek.Certificate}}
	r.Params.Public = w.ak.Public
	return r
}

// secret is what only the TPM finds in the answer.
func (w *tpmWorld) secret(a answer) []byte {
	w.t.Helper()
	var got attestAnswer
	if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.status != http.StatusOK {
		w.t.Fatalf("%+v: %v", a, err)
	}
	secret, err := w.tpm.Activate(w.ek, w.ak, got.Credential[2:], got.Secret[2:])
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// change changes the device in the inventory.
func (w *tpmWorld) change(id string, change func(d *posture.Device)) {
	w.t.Helper()
	if _, err := w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error { change(d); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// certified is the certificate of the attestation key, with the chain.
func (w *tpmWorld) certified() [][]byte {
	w.t.Helper()
	a := w.ask("/secret", map[string]any{"secret": w.secret(w.ask("/attest", w.request()))})
	var got struct {
		Chain [][]byte `json:"chain"`
	}
	if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.status != http.StatusOK || len(got.Chain) != 2 {
		w.t.Fatalf("%+v: %v", a, err)
	}
	return got.Chain
}

// TestAttestIsRefused: the attestation key of a TPM that the inventory does not know,
// or that nobody vouches for, is not even asked about.
func TestAttestIsRefused(t *testing.T) {
	t.Parallel()
	w := newTPMWorld(t)
	if a := w.ask("/attest", w.request()); a.status != http.StatusForbidden || a.kind != "unauthorized" {
		t.Errorf("a TPM that nobody knows: %+v", a)
	}
	w.device("mac-1", w.hash, "")
	stranger := newTPMWorld(t)
	for _, tt := range []struct {
		what, kind string
		change     func(r *attestRequest)
	}{
		{"no endorsement key", "badAttestationStatement", func(r *attestRequest) { r.EK = nil }},
		{"another endorsement key than is certified", "unauthorized", func(r *attestRequest) { r.EK = stranger.ek.Public }},
		{"no certificate and no pin", "badAttestationStatement", func(r *attestRequest) { r.EKCerts = nil }},
		{"a certificate of another TPM", "badAttestationStatement", func(r *attestRequest) { r.EKCerts = [][]byte{stranger.ek.Certificate} }},
		{"a certificate that is none", "badAttestationStatement", func(r *attestRequest) { r.EKCerts = [][]byte{{1, 2, 3}} }},
		{"many certificates", "badAttestationStatement", func(r *attestRequest) { r.EKCerts = slices.Repeat(r.EKCerts, maxEKCerts+1) }},
		{"no attestation key", "badAttestationStatement", func(r *attestRequest) { r.Params.Public = nil }},
		{"a key that signs what it is given", "badAttestationStatement", func(r *attestRequest) {
			key, err := w.tpm.CreateKey()
			if err != nil {
				t.Fatal(err)
			}
			r.Params.Public = key.Public
		}},
	} {
		r := w.request()
		tt.change(r)
		if a := w.ask("/attest", r); a.status != http.StatusForbidden || a.kind != tt.kind {
			t.Errorf("%s: %+v", tt.what, a)
		}
	}
	for _, text := range []string{"", "[]", `{"ek":1}`, `{"ek":"AA==","ek":"AA=="}`} {
		if a := w.ask("/attest", text); a.status != http.StatusBadRequest {
			t.Errorf("%s: %+v", text, a)
		}
	}
	w.change("mac-1", func(d *posture.Device) { d.Suspected = &posture.Suspicion{At: begin, Why: "two"} })
	if a := w.ask("/attest", w.request()); a.status != http.StatusForbidden {
		t.Errorf("a suspected device: %+v", a)
	}
	w.change("mac-1", func(d *posture.Device) { d.Suspected, d.RetiredAt = nil, begin })
	if a := w.ask("/attest", w.request()); a.status != http.StatusForbidden {
		t.Errorf("a retired device: %+v", a)
	}
	w.change("mac-1", func(d *posture.Device) { d.RetiredAt = time.Time{} })
	w.ca.Roots = nil
	if a := w.ask("/attest", w.request()); a.status != http.StatusForbidden || a.kind != "badAttestationStatement" {
		t.Errorf("no roots and no pin: %+v", a)
	}
	w.change("mac-1", func(d *posture.Device) { d.EKPinnedBy = "ann" })
	w.secret(w.ask("/attest", w.request())) // pinned, it is asked
	w.ca.Limiter = web.NewRates(1)
	w.ask("/attest", w.request())
	if a := w.ask("/attest", w.request()); a.status != http.StatusTooManyRequests || a.kind != "rateLimited" {
		t.Errorf("too many: %+v", a)
	}
}

// TestSecretIsRefused: a secret is good once, for a while, and only as a whole.
func TestSecretIsRefused(t *testing.T) {
	t.Parallel()
	w := newTPMWorld(t)
	w.device("mac-1", w.hash, "")
	secret := w.secret(w.ask("/attest", w.request()))
	try := func(secret []byte) answer { return w.ask("/secret", map[string]any{"secret": secret}) }
	wrong := slices.Clone(secret)
	wrong[0] ^= 1
	for what, guess := range map[string][]byte{"wrong": wrong, "none": {}, "cut": secret[:31]} {
		if a := try(guess); a.status != http.StatusForbidden || a.kind != "unauthorized" {
			t.Errorf("%s: %+v", what, a)
		}
	}
	if a := try(secret); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	if a := try(secret); a.status != http.StatusForbidden || a.kind != "unauthorized" {
		t.Errorf("twice: %+v", a)
	}
	secret = w.secret(w.ask("/attest", w.request()))
	w.offset.Add(int64(questionLife))
	if a := try(secret); a.status != http.StatusForbidden || a.kind != "unauthorized" {
		t.Errorf("late: %+v", a)
	}
}
