package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// traceCollector takes traces by OTLP, and keeps them.
type traceCollector struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []byte // all that came
	tokens  []string
	service string
	spans   []*tracepb.Span
}

func newTraceCollector(t *testing.T) *traceCollector {
	t.Helper()
	c := &traceCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/otlp/v1/traces" || proto.Unmarshal(body, &request) != nil {
			t.Errorf("collector: %s with %d bytes: %v", r.URL.Path, len(body), err)
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies = append(c.bodies, body...)
		c.tokens = append(c.tokens, r.Header.Get("X-Token"))
		for _, resource := range request.ResourceSpans {
			c.service = attributesOf(resource.Resource.Attributes)["service.name"]
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func attributesOf(list []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		value := kv.Value.GetStringValue()
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_IntValue:
			value = http.StatusText(int(v.IntValue))
		case *common.AnyValue_BoolValue:
			value = map[bool]string{true: "true", false: "false"}[v.BoolValue]
		}
		out[kv.Key] = value
	}
	return out
}

// roots are the spans of that name without a parent.
func (c *traceCollector) roots(name string) []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s *tracepb.Span) bool { return s.Name != name || len(s.ParentSpanId) > 0 })
}

// steps are the names of a span's children, by when they began.
func (c *traceCollector) steps(root *tracepb.Span) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := slices.SortedFunc(slices.Values(c.spans), func(a, b *tracepb.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	for _, s := range spans {
		if bytes.Equal(s.ParentSpanId, root.SpanId) && bytes.Equal(s.TraceId, root.TraceId) {
			names = append(names, s.Name)
		}
	}
	return names
}

// configureTracing appends the section to the configuration.
func (in *installation) configureTracing(t *testing.T, section string) {
	t.Helper()
	path := filepath.Join(in.dir, in.config)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text)+"\ntracing: "+section+"\n")
}

// signIn signs in with the certificate of a device, as Okta has it.
func (in *installation) signIn(t *testing.T, device string, flags ...string) {
	t.Helper()
	metadata, err := in.fetchMetadata()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(in.dir, "idp.xml"), string(metadata))
	args := append([]string{"sign-in", "okta", "idp.xml"}, flags...)
	if device != "" {
		args = append(args, "--cert", device+".pem")
	}
	cmd := exec.Command("okta", args...)
	cmd.Dir = in.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("okta %q: %v\n%s", args, err, out)
	}
}

const foreignTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// foreignRequest is a request that cannot be used, of somebody who wants it traced.
func (in *installation) foreignRequest(t *testing.T) {
	t.Helper()
	r, err := http.NewRequest("GET", strings.Replace(in.issuer, "localhost", "127.0.0.1", 1)+"/saml/sso?SAMLRequest=confidential", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Traceparent", "00-"+foreignTrace+"-00f067aa0ba902b7-01")
	r.Header.Set("Tracestate", "vendor=confidential")
	client := webClient(nil, nil)
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// TestTraces: a sign-in is one trace, with a span for each step, and nothing in it
// that is the user's.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := newTraceCollector(t)
	in := newInstallation(t)
	headers := filepath.Join(in.dir, "headers")
	if err := os.WriteFile(headers, []byte("X-Token: secret token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in.configureTracing(t, `{ endpoint: "`+c.URL+`/otlp", headers_file: "`+headers+`" }`)
	server := in.serve(t)
	in.signIn(t, "mac-1")
	in.signIn(t, "")
	rp := in.oidcParty(t, "acme-oidc")
	if _, err := rp.signIn(1); err != nil {
		t.Fatal(err)
	}
	in.foreignRequest(t)
	if err := server.stop(syscall.SIGTERM, 0); err != nil { // which sends what is left
		t.Fatal(err)
	}

	var good, refused, foreign *tracepb.Span
	for _, root := range c.roots("GET /saml/sso") {
		switch a := attributesOf(root.Attributes); {
		case a["gatepost.outcome"] == "asserted":
			good = root
		case a["gatepost.outcome"] == "refused":
			refused = root
		default:
			foreign = root
		}
	}
	if good == nil || refused == nil || foreign == nil {
		t.Fatalf("of three requests these are traced: %v", c.spans)
	}
	all := []string{"verify certificate", "look up device", "judge", "record decision", "sign answer"}
	for root, want := range map[*tracepb.Span][]string{good: all, refused: {all[0], all[2], all[3], all[4]}, foreign: nil} {
		if got := c.steps(root); !slices.Equal(got, want) {
			t.Errorf("steps %q, want %q", got, want)
		}
	}
	a := attributesOf(good.Attributes)
	for name, want := range map[string]string{
		"http.request.method": "GET", "http.route": "/saml/sso", "url.path": "/saml/sso", "url.scheme": "https", "network.protocol.version": "1.1",
		"http.response.status_code": "OK", "gatepost.relying_party": "acme", "gatepost.managed": "true", "gatepost.compliant": "true",
	} {
		if a[name] != want {
			t.Errorf("attribute %s is %q, want %q", name, a[name], want)
		}
	}
	if !strings.Contains(in.gatepost(t, "decisions", "--reference", a["gatepost.reference"], "--json"), `"mac-1"`) {
		t.Errorf("the reference %q leads to no decision", a["gatepost.reference"])
	}
	if good.Kind != tracepb.Span_SPAN_KIND_SERVER || c.service != "gatepost" || c.tokens[0] != "secret token" {
		t.Errorf("kind %v, service %q, header %q", good.Kind, c.service, c.tokens[0])
	}
	if a := attributesOf(foreign.Attributes); a["gatepost.reason"] == "" || hex.EncodeToString(foreign.TraceId) == foreignTrace ||
		len(foreign.Links) != 1 || hex.EncodeToString(foreign.Links[0].TraceId) != foreignTrace {
		t.Errorf("a request with a trace of its own: %v", foreign)
	}
	c.checkOIDC(t)
	for _, private := range []string{"example.com", "confidential", "SAMLRequest", "nonce-1", "state-1", "mac-1"} {
		if bytes.Contains(c.bodies, []byte(private)) {
			t.Errorf("the traces hold %q", private)
		}
	}
}

func (c *traceCollector) checkOIDC(t *testing.T) {
	t.Helper()
	for name, want := range map[string][]string{
		"GET /oidc/authorize": {"verify certificate", "look up device", "judge", "record decision"},
		"POST /oidc/token":    {"sign ID token"},
	} {
		roots := c.roots(name)
		if len(roots) != 1 {
			t.Errorf("%d traces of %s", len(roots), name)
			continue
		}
		if got := c.steps(roots[0]); !slices.Equal(got, want) {
			t.Errorf("steps of %s: %q, want %q", name, got, want)
		}
	}
	if roots := c.roots("GET /oidc/userinfo"); len(roots) > 0 {
		t.Errorf("what is no sign-in is traced")
	}
}

// TestTracesSampled: what is traced is for the configuration to say, not for who
// asks.
func TestTracesSampled(t *testing.T) {
	t.Parallel()
	c := newTraceCollector(t)
	in := newInstallation(t)
	in.configureTracing(t, `{ endpoint: "`+c.URL+`/otlp", sample: 0 }`)
	server := in.serve(t)
	in.foreignRequest(t)
	in.signIn(t, "mac-1")
	if err := server.stop(syscall.SIGTERM, 0); err != nil {
		t.Fatal(err)
	}
	if len(c.spans) > 0 {
		t.Errorf("traced although nothing is to be: %v", c.spans)
	}
}

// TestTracesUnanswered: a collector that takes connections and never answers
// fails no sign-in, and does not keep the server from stopping.
func TestTracesUnanswered(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	in := newInstallation(t)
	in.configureTracing(t, `{ endpoint: "http://`+dead.Addr().String()+`" }`)
	server := in.serve(t)
	in.signIn(t, "mac-1")
	began := time.Now()
	if err := server.stop(syscall.SIGTERM, 0); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > flushFor+10*time.Second {
		t.Errorf("the server took %s to stop", took)
	}
	if err := server.says(server.stderr, `"msg":"the last traces were not sent"`, 1); err != nil {
		t.Error(err)
	}
}

// A file of headers is a secret: whatever is wrong with it, nothing of it is said.
func TestTracingHeaders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "headers")
	for text, want := range map[string]string{
		"Authorization: Bearer abc\nX-Scope: a b\n": "",
		"":                              "has no header on line 1",
		"Authorization: Bearer abc\n\n": "has no header on line 2",
		"secret\n":                      "has no header on line 1",
		"X Y: secret\n":                 "has no header on line 1",
		"X: secret\r\n":                 "has no header on line 1",
		"X: " + strings.Repeat("s", maxSecretFile): "is larger than 4096 bytes",
	} {
		write(t, path, text)
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		headers, err := readHeaders(path)
		if want == "" {
			if err != nil || len(headers) != 2 || headers["Authorization"] != "Bearer abc" || headers["X-Scope"] != "a b" {
				t.Errorf("%q gives %v, %v", text, headers, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readHeaders(path); err == nil || !strings.Contains(err.Error(), "has mode 0644") {
		t.Errorf("a file for everybody: %v", err)
	}
}
