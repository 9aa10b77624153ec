package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// standingClock moves only when it is told to.
type standingClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *standingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *standingClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// opSuite plays what the OpenID Foundation's conformance suite plays: the
// relying party, and the browser of somebody who is signed in, that is, of a
// device with its certificate. Addresses are taken from the discovery document.
type opSuite struct {
	clock    *standingClock // the server's
	config   string
	provider *oidc.Provider
	metadata opMetadata
	keys     jose.JSONWebKeySet

	device, nobody, backChannel *http.Client
	clientID, clientSecret      string
	signer                      jose.Signer // of request objects
	reconnected                 bool        // the last authorization request needed a new connection
}

// opMetadata is what the modules read of the discovery document.
type opMetadata struct {
	Issuer            string   `json:"issuer"`
	Authorize         string   `json:"authorization_endpoint"`
	Token             string   `json:"token_endpoint"`
	UserInfo          string   `json:"userinfo_endpoint"`
	KeySet            string   `json:"jwks_uri"`
	Scopes            []string `json:"scopes_supported"`
	ResponseTypes     []string `json:"response_types_supported"`
	GrantTypes        []string `json:"grant_types_supported"`
	ACRValues         []string `json:"acr_values_supported"`
	IDTokenAlgs       []string `json:"id_token_signing_alg_values_supported"`
	RequestObjectAlgs []string `json:"request_object_signing_alg_values_supported"`
	AuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
	Request           bool     `json:"request_parameter_supported"`
	RequestURI        *bool    `json:"request_uri_parameter_supported"`
}

const (
	suiteRedirectURI = "https://suite.example/test/a/gatepost/callback"
	suiteOwner       = "ann@example.com" // of the device
	suiteUser        = "buffy@localhost" // another one, by the suite's form of a login_hint
)

// newOPSuite starts a server with a device and a client that can do all that the
// plan asks of one.
func newOPSuite(t *testing.T) *opSuite {
	t.Helper()
	dir := t.TempDir()
	s := &opSuite{clock: &standingClock{at: time.Now().Truncate(time.Second)}, config: filepath.Join(dir, "gp", "gatepost.yaml")}
	issuer := s.serve(t, filepath.Join(dir, "gp"))

	devices, pem := filepath.Join(dir, "devices.csv"), filepath.Join(dir, "mac-1.pem")
	write(t, devices, testDevices)
	s.gatepost(t, "device", "import", devices)
	s.gatepost(t, "device", "certificate", "mac-1", "--out", pem)
	pair, err := tls.LoadX509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(readAll(t, filepath.Join(dir, "gp", "trial-ca.crt")))
	s.device, s.nobody, s.backChannel = webClient(&pair, roots), webClient(nil, roots), webClient(nil, roots)
	for _, c := range []*http.Client{s.device, s.nobody, s.backChannel} {
		t.Cleanup(c.CloseIdleConnections)
	}
	s.register(t, dir)
	s.discover(t, issuer)
	return s
}

// serve starts a server in dir, on the suite's clock, and returns its issuer.
func (s *opSuite) serve(t *testing.T, dir string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	issuer := "https://localhost:" + port
	command := &initCommand{Issuer: issuer, DeviceURL: "https://127.0.0.1:" + port, Data: dir, TrialTLS: true}
	if _, err := initialize(command, s.clock.now()); err != nil {
		t.Fatal(err)
	}
	c, faults := LoadConfig(s.config, os.LookupEnv)
	if c == nil {
		t.Fatal(faults)
	}
	c.Listen.Ops = "127.0.0.1:0"
	server, err := startServer(t.Context(), c, serverOptions{
		log: slog.New(slog.NewJSONHandler(io.Discard, nil)), now: s.clock.now, getenv: os.LookupEnv, configFile: s.config, listener: listener,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	return issuer
}

// gatepost runs a command, which must succeed, and returns what it printed.
func (s *opSuite) gatepost(t *testing.T, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), append(args, "-c", s.config), &stdout, &stderr); status != exitOK {
		t.Fatalf("gatepost %q: status %d\n%s", args, status, &stderr)
	}
	return stdout.Bytes()
}

// register registers the client. It says nothing of how ID tokens are to be
// signed.
func (s *opSuite) register(t *testing.T, dir string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "suite", Use: "sig"}
	s.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: private}, (&jose.SignerOptions{}).WithType("oauth-authz-req+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "suite.jwks")
	write(t, file, string(public))
	var added struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	out := s.gatepost(t, "client", "add", "suite", "--redirect-uri", suiteRedirectURI, "--jwks", file, "--json")
	if err := json.Unmarshal(out, &added); err != nil || added.ID == "" || added.Secret == "" {
		t.Fatalf("client add: %v\n%s", err, out)
	}
	s.clientID, s.clientSecret = added.ID, added.Secret
}

// discover reads the discovery document and the keys, and checks both as the
// suite does before each module.
func (s *opSuite) discover(t *testing.T, issuer string) {
	t.Helper()
	ctx := oidc.ClientContext(context.WithoutCancel(t.Context()), s.backChannel)
	var err error
	if s.provider, err = oidc.NewProvider(ctx, issuer); err != nil { // checks the issuer
		t.Fatal(err)
	}
	if err := s.provider.Claims(&s.metadata); err != nil {
		t.Fatal(err)
	}
	m := &s.metadata
	for _, address := range []string{m.Authorize, m.Token, m.UserInfo, m.KeySet} {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
			t.Errorf("the discovery document has the address %q: %v", address, err)
		}
	}
	wantWords(t, "response_types_supported", m.ResponseTypes, "code")
	wantWords(t, "token_endpoint_auth_methods_supported", m.AuthMethods, "client_secret_basic")
	wantWords(t, "id_token_signing_alg_values_supported", m.IDTokenAlgs, "RS256")

	answer := s.fetch(t, s.backChannel, http.MethodGet, m.KeySet, nil, nil)
	if err := json.Unmarshal(answer.body, &s.keys); err != nil || answer.status != http.StatusOK || len(s.keys.Keys) == 0 {
		t.Fatalf("keys: status %d, %v\n%s", answer.status, err, answer.body)
	}
	for _, k := range s.keys.Keys {
		if !k.Valid() || !k.IsPublic() || k.KeyID == "" || len(s.keys.Key(k.KeyID)) != 1 {
			t.Errorf("key %q is not a valid public one with an ID of its own", k.KeyID)
		}
	}
}

// opAnswer is what came back.
type opAnswer struct {
	status int
	header http.Header
	body   []byte
}

// fetch makes a request; a form is posted.
func (s *opSuite) fetch(t *testing.T, client *http.Client, method, address string, form url.Values, header http.Header) *opAnswer {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := &opAnswer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return a
}

// object reads the answer as a JSON object.
func (a *opAnswer) object(t *testing.T, status int) map[string]any {
	t.Helper()
	var o map[string]any
	err := json.Unmarshal(a.body, &o)
	if kind := a.header.Get("Content-Type"); kind != "application/json" {
		err = errors.Join(err, errors.New("its type is "+kind))
	}
	if err != nil || a.status != status {
		t.Fatalf("status %d, want a JSON object with %d: %v\n%s", a.status, status, err, a.body)
	}
	return o
}

// wantWords demands that a list has the words.
func wantWords(t *testing.T, what string, list []string, words ...string) {
	t.Helper()
	if missing := missingWords(list, words); len(missing) > 0 {
		t.Errorf("%s is %q: %q are missing", what, list, missing)
	}
}

func missingWords(list, words []string) (missing []string) {
	for _, w := range words {
		if !slices.Contains(list, w) {
			missing = append(missing, w)
		}
	}
	return missing
}
