package acme_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	client "golang.org/x/crypto/acme"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/devices/acme"
	"gatepost.dev/devices/attestation/apple"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

var begin = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const serial = "C02ABCDEFGHI"

// site is the ACME server over HTTP on a real store, with a CA that plays Apple.
type site struct {
	t       *testing.T
	records *store.Records
	device  *certs.Authority
	url     string
	apple   *x509.Certificate
	key     *ecdsa.PrivateKey

	mu sync.Mutex
	at time.Time
}

func (w *site) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newSite(t *testing.T, perMinute int) *site {
	t.Helper()
	dir := t.TempDir()
	kv := must(bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{Create: true}))
	t.Cleanup(func() { kv.Close() })
	w := &site{t: t, records: store.New(kv), at: begin}
	w.device = must(certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Device CA", begin))
	w.key = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Apple"}, NotBefore: begin.Add(-time.Hour), NotAfter: begin.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	w.apple = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, w.key.Public(), w.key))))
	roots := x509.NewCertPool()
	roots.AddCert(w.apple)
	w.put("mac-1", serial)

	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	s := &acme.Server{
		Issuer: server.URL, Records: w.records, Inventory: w.records,
		Enroller: &devices.Enroller{
			Issuer: &devices.Issuer{Authority: w.device, Records: w.records, Now: w.now}, Records: w.records,
			Judge: func(d *posture.Device) posture.Verdict {
				return posture.Judge(&posture.Input{Device: d, Now: w.now()}, &posture.Policy{Name: "default"})
			},
		},
		Formats:   map[string]acme.Format{apple.Format: {Verifier: &apple.Verifier{Roots: roots}, Nonce: acme.NonceOfToken}},
		Authority: w.device.Certificate, Nonces: must(acme.NewNonces(make([]byte, 32))), Limiter: web.NewRates(perMinute), Now: w.now,
	}
	o := &web.Options{Log: slog.New(slog.DiscardHandler), Now: w.now, WriteError: acme.WriteProblem, MaxBody: acme.MaxBody}
	for _, e := range s.Endpoints() {
		mux.Handle(e.Route, web.Handle(e.Route, e.Serve, o))
	}
	return w
}

// put puts a device with the serial number into the inventory.
func (w *site) put(id, serial string) {
	w.t.Helper()
	_, err := w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.ID, d.Serial = id, serial
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// client is one that is not ours, with an account.
func (w *site) client() *client.Client {
	w.t.Helper()
	c := &client.Client{Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), DirectoryURL: w.url + "/acme/directory"}
	if _, err := c.Register(w.t.Context(), &client.Account{}, client.AcceptTOS); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// ordered is an order that waits for evidence.
type ordered struct {
	w         *site
	c         *client.Client
	order     *client.Order
	challenge *client.Challenge
}

func (w *site) order(c *client.Client, id string) *ordered {
	w.t.Helper()
	order, err := c.AuthorizeOrder(w.t.Context(), []client.AuthzID{{Type: "permanent-identifier", Value: id}})
	if err != nil {
		w.t.Fatal(err)
	}
	authz, err := c.GetAuthorization(w.t.Context(), order.AuthzURLs[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return &ordered{w: w, c: c, order: order, challenge: authz.Challenges[0]}
}

// evidence is an attestation object of the Mac with the serial number, for the
// token.
func (w *site) evidence(serial, token string, key *ecdsa.PrivateKey) []byte {
	nonce := sha256.Sum256([]byte(token))
	arc := func(a, b int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, a, b} }
	leaf := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: begin.Add(-time.Hour), NotAfter: begin.AddDate(1, 0, 0),
		ExtraExtensions: []pkix.Extension{{Id: arc(9, 1), Value: []byte(serial)}, {Id: arc(11, 1), Value: nonce[:]}},
	}, w.apple, key.Public(), w.key))
	return must(cbor.Marshal(map[string]any{"fmt": "apple", "attStmt": map[string]any{"x5c": [][]byte{leaf}}}))
}

// prove sends the evidence and returns the state of the challenge after it.
func (o *ordered) prove(object []byte) (state, problem string) {
	o.w.t.Helper()
	ch := *o.challenge
	ch.Payload = must(json.Marshal(map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)}))
	got, err := o.c.Accept(o.w.t.Context(), &ch)
	if err != nil {
		return "", err.Error()
	}
	if e, ok := got.Error.(*client.Error); ok {
		problem = e.ProblemType
	}
	return got.Status, problem
}

// finalize asks for the certificate of the key.
func (o *ordered) finalize(key *ecdsa.PrivateKey) ([][]byte, error) {
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "of no importance"}}, key))
	chain, _, err := o.c.CreateOrderCert(o.w.t.Context(), o.order.FinalizeURL, csr, true)
	return chain, err
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// TestClientOfOthers goes the whole way with the client of golang.org/x/crypto.
func TestClientOfOthers(t *testing.T) {
	t.Parallel()
	w := newSite(t, 0)
	c := w.client()
	var former *x509.Certificate
	for range 2 {
		o, key := w.order(c, serial), newKey()
		if state, problem := o.prove(w.evidence(serial, o.challenge.Token, key)); state != "valid" {
			t.Fatalf("challenge %s: %s", state, problem)
		}
		chain, err := o.finalize(key)
		if err != nil || len(chain) != 2 {
			t.Fatalf("certificate: %v", err)
		}
		cert := must(x509.ParseCertificate(chain[0]))
		if !key.PublicKey.Equal(cert.PublicKey) || len(cert.URIs) != 1 || cert.URIs[0].String() != "urn:gatepost:device:mac-1" || cert.CheckSignatureFrom(w.device.Certificate) != nil {
			t.Errorf("certificate of %v %q", cert.URIs, cert.Subject)
		}
		recorded, err := w.records.Certificate(t.Context(), w.device.ID(), certs.Serial(cert))
		if err != nil || recorded.Rank != posture.RankAttested || recorded.Channel != posture.ByACME || !recorded.Live(w.now()) {
			t.Errorf("recorded %+v: %v", recorded, err)
		}
		d, err := w.records.Device(t.Context(), "mac-1")
		if k := d.AttestedKey(certs.KeyHash(cert)); err != nil || k == nil || k.Serial != serial || k.Format != "apple" || d.Enrolled != nil {
			t.Errorf("device %+v: %v", d, err)
		}
		if former != nil {
			if old, err := w.records.Certificate(t.Context(), w.device.ID(), certs.Serial(former)); err != nil || !old.Revoked() {
				t.Errorf("the former certificate: %+v, %v", old, err)
			}
		}
		former = cert
		if _, err := o.finalize(newKey()); err == nil {
			t.Error("a second certificate for one order")
		}
	}
}

// TestAppleRefused: what an Apple device proves for another order, another device or
// by another authority.
func TestAppleRefused(t *testing.T) {
	t.Parallel()
	w, stranger := newSite(t, 0), newSite(t, 0)
	c := w.client()
	first, key := w.order(c, serial), newKey()
	copied := w.evidence(serial, first.challenge.Token, key)
	if state, problem := first.prove(copied); state != "valid" {
		t.Fatal(problem)
	}
	const evidence, identifier = "urn:ietf:params:acme:error:badAttestationStatement", "urn:ietf:params:acme:error:rejectedIdentifier"
	for name, v := range map[string]struct {
		id      string
		object  func(token string) []byte
		problem string
	}{
		"wrong nonce":        {serial, func(string) []byte { return w.evidence(serial, "another", newKey()) }, evidence},
		"copied":             {serial, func(string) []byte { return copied }, evidence},
		"unknown root":       {serial, func(token string) []byte { return stranger.evidence(serial, token, newKey()) }, evidence},
		"another identifier": {"C02ANOTHER00", func(token string) []byte { return w.evidence(serial, token, newKey()) }, identifier},
		"the ID of a device": {"mac-1", func(token string) []byte { return w.evidence(serial, token, newKey()) }, identifier},
	} {
		o := w.order(c, v.id)
		if state, problem := o.prove(v.object(o.challenge.Token)); state != "invalid" || problem != v.problem {
			t.Errorf("%s: challenge %s: %s", name, state, problem)
		}
		if _, err := o.finalize(newKey()); err == nil {
			t.Errorf("%s: finalized", name)
		}
	}
	if _, err := first.finalize(newKey()); err == nil || !strings.Contains(err.Error(), "badCSR") {
		t.Errorf("finalized for another key: %v", err)
	}
}

func TestLimited(t *testing.T) {
	t.Parallel()
	w := newSite(t, 3)
	for i, want := range []int{200, 200, 200, http.StatusTooManyRequests} {
		resp, err := http.Get(w.url + "/acme/directory")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || want != 200 && (resp.Header.Get("Retry-After") == "" || resp.Header.Get("Replay-Nonce") == "") {
			t.Errorf("request %d: status %d, header %v", i, resp.StatusCode, resp.Header)
		}
	}
}
