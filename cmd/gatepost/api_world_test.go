package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// apiWorld is a real server whose administration API is asked over TLS, and the
// document that it serves of it.
type apiWorld struct {
	*server
	dir, base string
	roots     *x509.CertPool
	document  *openapi3.T
	secrets   map[string]string // API tokens by what they are
	later     atomic.Int64      // how far the server's clock is ahead
	clients   sync.Map
}

// secretOf is a secret that the world knows the token of.
func secretOf(name string) string { return "gpa_" + strings.Repeat("a", 36-len(name)) + name }

func newAPIWorld(t *testing.T) *apiWorld {
	t.Helper()
	w := &apiWorld{dir: filepath.Join(t.TempDir(), "data"), secrets: map[string]string{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w.base = "https://localhost:" + port
	if _, err := initialize(&initCommand{Issuer: w.base, Data: w.dir, TrialTLS: true}, time.Now()); err != nil {
		t.Fatal(err)
	}
	c, faults := LoadConfig(filepath.Join(w.dir, "gatepost.yaml"), os.LookupEnv)
	if c == nil {
		t.Fatal(faults)
	}
	c.Listen.Ops = "127.0.0.1:0"
	w.server, err = startServer(t.Context(), c, serverOptions{
		log: slog.New(slog.DiscardHandler), now: func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }, getenv: os.LookupEnv, listener: listener, configFile: filepath.Join(w.dir, "gatepost.yaml"), sweepEvery: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.clients.Range(func(_, client any) bool {
			client.(*http.Client).CloseIdleConnections()
			return true
		})
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	ca, err := os.ReadFile(filepath.Join(w.dir, "trial-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AppendCertsFromPEM(ca)
	w.addTokens(t)
	w.readDocument(t)
	return w
}

// addTokens makes a token for each role, and one for each way not to count.
func (w *apiWorld) addTokens(t *testing.T) {
	t.Helper()
	now := time.Now()
	add := func(name string, role posture.Role, change func(t *posture.APIToken)) {
		w.addToken(t, name, role, change)
	}
	for _, role := range posture.Roles() {
		add(string(role), role, func(*posture.APIToken) {})
	}
	add("expired", posture.Admin, func(t *posture.APIToken) { t.ExpiresAt = now.Add(-time.Second) })
	add("revoked", posture.Admin, func(t *posture.APIToken) { t.RevokedAt = now })
	add("idle", posture.Admin, func(t *posture.APIToken) {
		t.CreatedAt, t.UsedAt = now.Add(-2*posture.MaxIdle), now.Add(-posture.MaxIdle)
	})
	add("away", posture.Admin, func(t *posture.APIToken) { t.Addresses = []string{"192.0.2.0/24"} })
	add("garbled", posture.Admin, func(t *posture.APIToken) { t.Addresses = []string{"everywhere"} })
}

func (w *apiWorld) addToken(t *testing.T, name string, role posture.Role, change func(t *posture.APIToken)) {
	t.Helper()
	now := time.Now()
	token := posture.APIToken{Hash: devices.HashToken(secretOf(name)), Name: name, Role: role, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour)}
	change(&token)
	if err := w.records.AddAPIToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	w.secrets[name] = secretOf(name)
}

func (w *apiWorld) readDocument(t *testing.T) {
	t.Helper()
	response, body := w.ask(t, 1, "GET", admin.Prefix+"openapi.json", "", "", nil)
	if response.StatusCode != http.StatusOK || response.Header.Get("ETag") == "" {
		t.Fatalf("openapi.json: %s", response.Status)
	}
	var err error
	if w.document, err = openapi3.NewLoader().LoadFromData(body); err != nil {
		t.Fatal(err)
	}
	if err := w.document.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request from the n-th address of this machine, each of which may
// show so many bad tokens only.
func (w *apiWorld) ask(t *testing.T, n int, method, path, authorization, contentType string, body []byte) (*http.Response, []byte) {
	t.Helper()
	return w.send(t, n, method, path, contentType, body, map[string]string{"Authorization": authorization})
}

// askWith asks as an administrator.
func (w *apiWorld) askWith(t *testing.T, method, path, contentType string, body []byte, headers map[string]string) (*http.Response, []byte) {
	t.Helper()
	all := map[string]string{"Authorization": "Bearer " + w.secrets["admin"]}
	maps.Copy(all, headers)
	return w.send(t, 1, method, path, contentType, body, all)
}

func (w *apiWorld) send(t *testing.T, n int, method, path, contentType string, body []byte, headers map[string]string) (*http.Response, []byte) {
	t.Helper()
	client := w.client(n)
	request, err := http.NewRequestWithContext(t.Context(), method, w.base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, answer
}

// client is the one that has the n-th address.
func (w *apiWorld) client(n int) *http.Client {
	if known, ok := w.clients.Load(n); ok {
		return known.(*http.Client)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(n>>8), byte(n)|1)}}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.roots},
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return dialer.DialContext(ctx, "tcp4", "127.0.0.1:"+port)
		},
	}}
	known, _ := w.clients.LoadOrStore(n, client)
	return known.(*http.Client)
}

// check judges a request and its answer by the document, as somebody else's
// library reads it. template is the path in the document.
func (w *apiWorld) check(t *testing.T, template string, response *http.Response, requestBody, answer []byte) {
	t.Helper()
	request := response.Request
	item := w.document.Paths.Value(template)
	operation := item.GetOperation(request.Method)
	parameters := map[string]string{}
	given := strings.Split(request.URL.Path, "/")
	for i, part := range strings.Split(template, "/") {
		if strings.HasPrefix(part, "{") {
			parameters[strings.Trim(part, "{}")] = given[i]
		}
	}
	request.Body = io.NopCloser(bytes.NewReader(requestBody))
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: parameters,
		Route:   &routers.Route{Spec: w.document, Path: template, PathItem: item, Method: request.Method, Operation: operation},
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if response.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("%s %s is taken and against the document: %v", request.Method, request.URL, err)
		}
	}
	documented := operation.Responses.Value(strconv.Itoa(response.StatusCode))
	if documented == nil {
		t.Errorf("%s %s: %d is not in the document", request.Method, template, response.StatusCode)
		return
	}
	if lines := documented.Value.Content.Get("application/x-ndjson"); lines != nil {
		w.checkLines(t, lines.Schema, answer)
		return
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(answer)),
		Options: input.Options,
	}); err != nil {
		t.Errorf("%s %s: %s is against the document: %v", request.Method, template, answer, err)
	}
}

func (w *apiWorld) checkLines(t *testing.T, schema *openapi3.SchemaRef, answer []byte) {
	t.Helper()
	for line := range bytes.Lines(answer) {
		var value any
		if err := json.Unmarshal(line, &value); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if err := w.document.ValidateSchemaJSON(schema.Value, value); err != nil {
			t.Errorf("%s is against the document: %v", line, err)
		}
	}
}
