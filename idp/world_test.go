package idp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/conform"
	"gatepost.dev/idp"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/idp/saml"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

const entityID = "https://posture.example.com/saml/metadata"

// world is a whole provider on a real store behind real TLS, and an Okta that
// trusts it.
type world struct {
	t         testing.TB
	provider  *idp.SAML
	party     *idp.RelyingParty
	records   *store.Records
	keyring   *certs.Keyring
	authority *certs.Authority
	okta      *conform.Okta
	ssoURL    string
	offset    atomic.Int64 // of the clock, nanoseconds
	requests  atomic.Int64
	logged    *lockedBuffer

	op        *oidc.Provider
	breakOIDC func(*idp.OIDC, *idp.Token, *idp.UserInfo) // before it serves; nil: nothing is broken
}

func (w *world) now() time.Time { return time.Now().UTC().Add(time.Duration(w.offset.Load())) }

// lockedBuffer keeps the log.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// wait waits until text is logged: the record of a request follows its answer.
func (b *lockedBuffer) wait(text string) bool {
	return strings.Contains(b.after(0, text), text)
}

// after gives what was logged after the first n bytes, when text is in it or will
// never be.
func (b *lockedBuffer) after(n int, text string) string {
	for range 500 {
		if strings.Contains(b.String()[n:], text) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return b.String()[n:]
}

var oktaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newWorld starts a provider; change may alter it before it serves.
func newWorld(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, logged: &lockedBuffer{}}
	db := must(bolt.Open(filepath.Join(dir, "gatepost.db"), bolt.Options{Create: true}))(t)
	t.Cleanup(func() { db.Close() })
	w.records = store.New(db)
	w.keyring = must(certs.CreateKeyring(filepath.Join(dir, "keys"), "posture.example.com", certs.Kind{Algorithm: certs.RS256, Bits: 2048}, w.now()))(t)
	w.authority = must(certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "Test device authority", w.now()))(t)
	verifier := must(certs.NewVerifier([]certs.TrustedAuthority{{Certificate: w.authority.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true}}))(t)

	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	w.ssoURL = "https://" + listener.Addr().String() + "/saml/sso"
	w.provider = &idp.SAML{
		EntityID: entityID, SSOURL: w.ssoURL, RelyingParties: w, Inventory: w.records, Noter: w.records, Recorder: w.records,
		Verifier: verifier, Keys: w.keyring.Signing, Now: w.now,
	}
	w.provider.Explainer = &idp.Explainer{Tickets: must(idp.NewTickets(must(w.authority.DeriveKey(idp.TicketPurpose, 32))(t)))(t), Inventory: w.records}
	w.makeOkta()
	sp := must(saml.ParseMetadata(w.okta.Metadata()))(t)
	w.party = &idp.RelyingParty{Name: "acme", SAML: sp, Policy: &posture.Policy{Name: "default"}}
	for _, c := range change {
		c(w)
	}
	w.serve(listener, verifier)
	return w
}

// makeOkta makes an Okta that reads the provider's metadata.
func (w *world) makeOkta() {
	var published []*x509.Certificate
	for _, k := range w.keyring.Published() {
		published = append(published, k.Certificate)
	}
	metadata := must(saml.ProviderMetadata(entityID, w.ssoURL, published, w.now()))(w.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "acme"}, NotBefore: w.now().Add(-time.Hour), NotAfter: w.now().AddDate(10, 0, 0)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, oktaKey().Public(), oktaKey()))(w.t)
	w.okta = must(conform.NewOkta(conform.OktaConfig{
		EntityID: "https://www.okta.com/saml2/service-provider/spacme", ACS: "https://acme.okta.com/sso/saml2/0oaacme",
		Key: oktaKey(), Certificate: must(x509.ParseCertificate(der))(w.t), IdPMetadata: metadata, Now: w.now,
	}))(w.t)
}

func (w *world) serve(listener net.Listener, verifier *certs.Verifier) {
	_, certPEM, keyPEM, err := certs.NewServerCertificate([]string{"127.0.0.1"}, w.now(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	pair := must(tls.X509KeyPair(certPEM, keyPEM))(w.t)
	sites := must(certs.NewSites([]certs.Site{{Host: "127.0.0.1", Certificate: &pair, AskClientCertificate: true, ClientCAs: verifier.ClientCAs()}}))(w.t)
	mux := http.NewServeMux()
	options := &web.Options{Log: slog.New(slog.NewJSONHandler(w.logged, nil)), Now: w.now, MaxBody: idp.MaxRequestBody, NewReference: w.reference}
	mux.Handle("GET /saml/sso", web.Handle("GET /saml/sso", w.provider.ServeSSO, options))
	mux.Handle("POST /saml/sso", web.Handle("POST /saml/sso", w.provider.ServeSSO, options))
	challenger := &idp.Challenger{
		Tickets: w.provider.Explainer.Tickets, Claimer: w.records, Key: must(w.authority.DeriveSigner("challenges"))(w.t),
		Issuer: issuerURL, Agent: agentURL, Now: w.now,
	}
	w.provider.Challenger = challenger
	mux.Handle("POST /saml/sso/challenge", web.Handle("POST /saml/sso/challenge", challenger.ServeAsk("saml"), options))
	mux.Handle("POST /saml/sso/continue", web.Handle("POST /saml/sso/continue", w.provider.ServeContinue, options))
	w.serveOIDC(mux, verifier, listener.Addr().String())
	server := &http.Server{Handler: mux, TLSConfig: certs.NewTLSConfig(sites), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ConnContext: web.Accepted(w.now)}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeTLS(listener, "", "") }()
	w.t.Cleanup(func() { server.Close(); <-done })
}

// ByEntityID implements idp.RelyingParties.
func (w *world) ByEntityID(_ context.Context, entityID string) (*idp.RelyingParty, error) {
	if entityID != w.party.SAML.EntityID {
		return nil, fmt.Errorf("%q: %w", entityID, posture.ErrNoRelyingParty)
	}
	return w.party, nil
}

// device puts a device into the inventory.
func (w *world) device(id string, facts map[string]string) {
	w.t.Helper()
	must(w.records.UpdateDevice(w.t.Context(), id, func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{DeviceID: id, Vendor: "Apple", Model: "Mac15,3", OS: "macOS", OSVersion: "15.5", Owner: "owner@example.com", Facts: facts},
			posture.Source{Name: "import", Kind: posture.Import}, w.now())
		return nil
	}))(w.t)
}

var managed = map[string]string{posture.FactManaged: "true", posture.FactCompliant: "true"}

// certificate issues a certificate that the inventory knows.
func (w *world) certificate(id string, lifetime time.Duration) *tls.Certificate {
	w.t.Helper()
	c, cert := w.unrecorded(w.authority, id, lifetime)
	err := w.records.AddCertificate(w.t.Context(), posture.Certificate{
		Authority: w.authority.ID(), Serial: certs.Serial(cert), DeviceID: id, KeyHash: certs.KeyHash(cert), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// unrecorded issues a certificate that only its signature speaks for.
func (w *world) unrecorded(a *certs.Authority, id string, lifetime time.Duration) (*tls.Certificate, *x509.Certificate) {
	w.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(w.t)
	cert := must(a.Issue(id, key.Public(), w.now(), lifetime))(w.t)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, cert
}

// browser is a client that presents the certificate, whatever the server wants.
func browser(c *tls.Certificate) *http.Client {
	config := &tls.Config{InsecureSkipVerify: true} // the server's certificate is not what is tested
	if c != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// page is what the provider answered.
type page struct {
	status                  int
	body                    string
	action, response, relay string
}

var (
	actionPattern = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	valuePattern  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// send brings a request to the provider.
func (w *world) send(client *http.Client, r *conform.AuthnRequest) page {
	w.t.Helper()
	var resp *http.Response
	var err error
	if r.URL != "" {
		resp, err = client.Get(r.URL)
	} else {
		form := url.Values{"SAMLRequest": {r.Form.SAMLRequest}}
		if r.Form.RelayState != "" {
			form.Set("RelayState", r.Form.RelayState)
		}
		resp, err = client.PostForm(r.Form.Action, form)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return readPage(w.t, resp)
}

func readPage(t testing.TB, resp *http.Response) page {
	t.Helper()
	body := string(must(io.ReadAll(resp.Body))(t))
	p := page{status: resp.StatusCode, body: body}
	if m := actionPattern.FindStringSubmatch(body); m != nil {
		p.action = html.UnescapeString(m[1])
	}
	for _, m := range valuePattern.FindAllStringSubmatch(body, -1) {
		switch m[1] {
		case "SAMLResponse":
			p.response = html.UnescapeString(m[2])
		case "RelayState":
			p.relay = html.UnescapeString(m[2])
		}
	}
	return p
}

// signIn sends a request and lets Okta judge the answer.
func (w *world) signIn(client *http.Client, o conform.RequestOptions) *conform.SignIn {
	w.t.Helper()
	p := w.send(client, must(w.okta.Request(o))(w.t))
	if p.status != http.StatusOK {
		w.t.Fatalf("status %d: %s\n%s", p.status, p.body, w.logged)
	}
	in, err := w.okta.Receive(p.response, p.relay)
	if err != nil {
		xml, _ := base64.StdEncoding.DecodeString(p.response)
		w.t.Fatalf("Okta rejects the answer: %v\n%s", err, xml)
	}
	return in
}

// reference names requests in their order, also within one millisecond, which the
// product's own does not: the tests ask for the last decision.
func (w *world) reference() string {
	return fmt.Sprintf("%s%016x", web.NewReference(w.now())[:10], w.requests.Add(1))
}

// lastDecision is the newest one.
func (w *world) lastDecision() posture.Decision {
	w.t.Helper()
	last := must(w.records.LastDecisions(w.t.Context(), 1))(w.t)
	if len(last) != 1 {
		w.t.Fatal("no decision was recorded")
	}
	return last[0]
}
