package acme

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/devices/attestation"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

var begin = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const issuer = "https://posture.example.com"

// world is an ACME server on a real store and a real authority, whose one format of
// evidence says what a test wants it to.
type world struct {
	t       *testing.T
	records *store.Records
	server  *Server
	mux     *http.ServeMux
	offset  atomic.Int64
}

func (w *world) now() time.Time { return begin.Add(time.Duration(w.offset.Load())) }

// said is evidence of the format that only tests have.
type said struct {
	Nonce       []byte   `cbor:"nonce"`
	Key         []byte   `cbor:"key"` // SubjectPublicKeyInfo
	Identifiers []string `cbor:"ids"`
	EK, Serial  string
}

type believing struct{}

func (believing) Verify(raw, nonce []byte, now time.Time) (*attestation.Result, error) {
	var s said
	if err := cbor.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", attestation.ErrEvidence, err)
	}
	if !bytes.Equal(s.Nonce, nonce) {
		return nil, fmt.Errorf("%w: another nonce", attestation.ErrEvidence)
	}
	key, err := x509.ParsePKIXPublicKey(s.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", attestation.ErrEvidence, err)
	}
	return &attestation.Result{Key: key, Identifiers: s.Identifiers, Attested: posture.AttestedKey{
		Format: "tpm", KeyHash: certs.KeyHash(&x509.Certificate{RawSubjectPublicKeyInfo: s.Key}), At: now, HardwareID: s.EK, Serial: s.Serial,
	}}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	kv, err1 := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{Create: true})
	authority, err2 := certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test Device CA", begin)
	nonces, err3 := NewNonces(make([]byte, 32))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kv.Close() })
	w := &world{t: t, records: store.New(kv), mux: http.NewServeMux()}
	w.server = &Server{
		Issuer: issuer, Records: w.records, Inventory: w.records, Authority: authority.Certificate, Nonces: nonces, Limiter: web.NewRates(10_000), Now: w.now,
		Formats: map[string]Format{"test": {Verifier: believing{}, Nonce: NonceOfAuthorization}},
		Enroller: &devices.Enroller{Issuer: &devices.Issuer{Authority: authority, Records: w.records, Now: w.now}, Records: w.records, Judge: func(d *posture.Device) posture.Verdict {
			return posture.Judge(&posture.Input{Device: d, Now: w.now()}, &posture.Policy{})
		}},
	}
	options := &web.Options{Log: slog.New(slog.DiscardHandler), Now: w.now, WriteError: WriteProblem, MaxBody: MaxBody}
	for _, e := range w.server.Endpoints() {
		w.mux.Handle(e.Route, web.Handle(e.Route, e.Serve, options))
	}
	return w
}

// device puts a device with a TPM and a serial number into the inventory.
func (w *world) device(id, ek, serial string) {
	w.t.Helper()
	_, err := w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.ID, d.EK, d.Serial = id, ek, serial
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) issued(id string) int {
	w.t.Helper()
	all, err := w.records.Certificates(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(all)
}

// client is an ACME client.
type client struct {
	w     *world
	key   crypto.Signer
	kid   string // empty: it has no account
	nonce string
	alg   jose.SignatureAlgorithm
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// answer is what came back.
type answer struct {
	status   int
	kind     string // of a problem, its last part
	location string
	body     map[string]any
	text     string
}

// serve makes a request, and keeps the nonce that comes with every answer.
func (c *client) serve(method, path, media, body string) answer {
	c.w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	rec := httptest.NewRecorder()
	c.w.mux.ServeHTTP(rec, r)
	if c.nonce = rec.Header().Get("Replay-Nonce"); c.nonce == "" {
		c.w.t.Errorf("%s %s: %d without a nonce", method, path, rec.Code)
	}
	a := answer{status: rec.Code, location: rec.Header().Get("Location"), text: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &a.body)
	if kind, ok := a.body["type"].(string); ok {
		a.kind = strings.TrimPrefix(kind, "urn:ietf:params:acme:error:")
	}
	return a
}

// jws signs a request; header may change what stands in it.
func (c *client) jws(url string, payload []byte, header func(o *jose.SignerOptions)) string {
	c.w.t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("url", url).WithHeader("nonce", c.nonce)
	key := jose.SigningKey{Algorithm: jose.ES256, Key: c.key}
	if c.alg != "" {
		key.Algorithm = c.alg
	}
	if c.kid != "" {
		key.Key = jose.JSONWebKey{Key: c.key, KeyID: c.kid}
	} else {
		o.EmbedJWK = true
	}
	if header != nil {
		header(o)
	}
	signer, err := jose.NewSigner(key, o)
	if err != nil {
		c.w.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return signed.FullSerialize()
}

// post asks for a resource; payload nil is POST-as-GET.
func (c *client) post(path string, payload any) answer {
	c.w.t.Helper()
	return c.serve(http.MethodPost, path, "application/jose+json", c.jws(issuer+path, encode(c.w.t, payload), nil))
}

func encode(t *testing.T, payload any) []byte {
	t.Helper()
	if payload == nil {
		return nil
	}
	data, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// client makes one with an account.
func (w *world) client() *client {
	w.t.Helper()
	c := &client{w: w, key: newKey(w.t)}
	c.serve(http.MethodGet, pathNewNonce, "", "")
	if a := c.post(pathNewAccount, map[string]any{"termsOfServiceAgreed": true}); a.status != http.StatusCreated || a.location == "" {
		w.t.Fatalf("account: %+v", a)
	} else {
		c.kid = a.location
	}
	return c
}

// order makes one, and gives its ID and the token of its challenge.
func (c *client) order(identifier string) (id, token string) {
	c.w.t.Helper()
	a := c.post(pathNewOrder, map[string]any{"identifiers": []map[string]string{{"type": "permanent-identifier", "value": identifier}}})
	id = strings.TrimPrefix(a.location, issuer+pathOrder)
	authz := c.post(pathAuthz+id, nil)
	challenges, _ := authz.body["challenges"].([]any)
	if a.status != http.StatusCreated || len(challenges) != 1 {
		c.w.t.Fatalf("order: %+v, %+v", a, authz)
	}
	ch, _ := challenges[0].(map[string]any)
	token, _ = ch["token"].(string)
	return id, token
}

// evidence is what the hardware says of the key for the order.
func (c *client) evidence(token string, key crypto.PublicKey, change func(s *said)) map[string]string {
	c.w.t.Helper()
	jwk := jose.JSONWebKey{Key: c.key.Public()}
	sum, err := thumbprint(&jwk)
	if err != nil {
		c.w.t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		c.w.t.Fatal(err)
	}
	s := said{Nonce: NonceOfAuthorization(token, token+"."+sum), Key: spki, Identifiers: []string{"mac-1", "C02ABC"}, EK: "ek-1"}
	if change != nil {
		change(&s)
	}
	return map[string]string{"attObj": c.object("test", s)}
}

func (c *client) object(format string, statement any) string {
	c.w.t.Helper()
	object, err := cbor.Marshal(map[string]any{"fmt": format, "attStmt": statement})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(object)
}

// finalize asks for the certificate of the key.
func (c *client) finalize(id string, key crypto.Signer) answer {
	c.w.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return c.post(pathOrder+id+"/finalize", map[string]string{"csr": base64.RawURLEncoding.EncodeToString(der)})
}
