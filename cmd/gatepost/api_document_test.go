package main

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/agentapi"
	"gatepost.dev/events/ocsf/ocsftest"
	"gatepost.dev/posture"
)

// call is one request to the API that must succeed, and what of its answer later
// ones need.
type call struct {
	operation string // as in the document
	path      string // with values; empty: the operation's own
	body      any    // JSON; a []byte is a file
	headers   map[string]string
	status    int // 0: any success
	keep      func(answer []byte)
}

// TestAPIDocument uses every operation of the document with success, and judges
// requests and answers by it.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	w := newAPIWorld(t)
	receiver := newReceiver(t)
	var tag, token, apiToken, key string
	member := func(to *string, name string) func([]byte) {
		return func(answer []byte) {
			var v map[string]any
			if err := json.Unmarshal(answer, &v); err != nil || v[name] == nil {
				t.Fatalf("%s: %v", answer, err)
			}
			*to = v[name].(string)
		}
	}
	if err := w.records.Decide(t.Context(), posture.Decision{
		ID: "d1", Time: time.Now(), RelyingParty: "acme", Protocol: "saml", Subject: "ann", DeviceID: "mac-1", Outcome: posture.Refused, Reason: posture.NotManaged,
		Failures: []posture.Failure{{Rule: "disk", Why: "off", Severity: posture.Block}}, Quarantine: &posture.Quarantine{At: time.Now(), By: "soc", Why: "alert"},
		Shadow: &posture.Shadow{Policy: "next"}, Warnings: []posture.Reason{posture.OwnerMismatch},
	}, time.Now()); err != nil {
		t.Fatal(err)
	}
	done := map[string]bool{}
	run := func(calls ...call) {
		for _, c := range calls {
			method, template, _ := strings.Cut(c.operation, " ")
			path := cmp.Or(c.path, template)
			body, contentType := bodyOf(t, c.body)
			response, answer := w.askWith(t, method, admin.Prefix+path, contentType, body, c.headers)
			if response.StatusCode >= 400 || c.status != 0 && response.StatusCode != c.status {
				t.Fatalf("%s %s: %s %s", method, path, response.Status, answer)
			}
			w.check(t, admin.Prefix+template, response, body, answer)
			done[c.operation] = true
			if c.keep != nil {
				c.keep(answer)
			}
		}
	}
	run(
		call{operation: "POST devices/import", path: "devices/import?format=csv&source=mdm", body: []byte(testDevices)},
		call{operation: "GET devices", path: "devices?q=mac&owner=ANN@example.com&os=MACOS&managed=true&compliant=true&limit=1"},
		call{operation: "GET devices/{id}", path: "devices/mac-1"},
		call{operation: "PATCH devices/{id}", path: "devices/mac-1", body: admin.DeviceChange{Owner: new(string)}},
		call{operation: "POST devices/{id}/certificates", path: "devices/mac-1/certificates", body: map[string]string{"csr": newCSR(t)}, status: 201},
		call{operation: "GET devices/{id}", path: "devices/mac-1"},
		call{operation: "POST devices/{id}/approve", path: "devices/old-3/approve"},
		call{operation: "PUT devices/{id}/ek", path: "devices/old-3/ek", body: map[string]any{"ek": strings.Repeat("0a", 32), "by": "ann"}},
		call{operation: "GET devices/{id}", path: "devices/old-3"},
		call{operation: "DELETE devices/{id}/ek", path: "devices/old-3/ek"},
		call{operation: "POST actions/quarantine", body: map[string]any{"device": "mac-1", "for": "8h", "why": "alert 7"}},
		call{operation: "GET devices", path: "devices?state=quarantined"},
		call{operation: "POST actions/lift", body: map[string]any{"device": "mac-1"}},
		call{operation: "GET policies"},
		call{operation: "GET policies/explain", path: "policies/explain?device=mac-1"},
		call{operation: "POST policies/simulate", body: admin.SimulationRequest{Policies: "policies:\n  default:\n    rules:\n      - name: disk\n        require: facts.DiskEncrypted == \"true\"\n"}},
		call{operation: "GET decisions", path: "decisions?device=mac-1&outcome=refused&subject=ANN&relying_party=acme"},
		call{operation: "GET decisions", path: "decisions?last=5"},
		call{operation: "GET decisions/{id}", path: "decisions/d1"},
		call{operation: "POST tokens", body: admin.NewToken{Kind: "enroll", Managed: true, Lifetime: "1h"}, status: 201, keep: member(&token, "id")},
		call{operation: "GET tokens"},
		call{operation: "POST api-tokens", body: admin.NewAPIToken{Name: "ci", Role: posture.Viewer, Addresses: []string{"10.0.0.0/8", "::1"}}, status: 201, keep: member(&apiToken, "id")},
		call{operation: "GET api-tokens", path: "api-tokens?limit=2"},
		call{operation: "POST relying-parties", body: admin.NewRelyingParty{Name: "acme", Metadata: newOktaMetadata(t)}, status: 201},
		call{operation: "GET relying-parties"},
		call{operation: "POST clients", body: admin.NewOIDCClient{Name: "okta", RedirectURIs: []string{"https://acme.okta.com/oauth2/v1/authorize/callback"}}, status: 201},
		call{operation: "GET clients"},
		call{operation: "POST clients/{name}/rotate-secret", path: "clients/okta/rotate-secret", body: map[string]any{"overlap": "1h"}},
		call{operation: "POST keys/rotate", status: 201, keep: member(&key, "id")},
		call{operation: "GET keys"},
		call{operation: "GET status", keep: func([]byte) {
			waitFor(t, func() bool { // until something is in the log
				bounds, err := w.records.LogBounds(t.Context())
				return err == nil && len(bounds) == 1
			})
		}},
		call{operation: "POST webhooks", body: admin.NewWebhook{Name: "siem", URL: receiver.url, Events: []posture.EventKind{posture.DeviceRetired}}, status: 201},
		call{operation: "POST webhooks/{name}/verify", path: "webhooks/siem/verify"},
		call{operation: "GET webhooks"},
		call{operation: "GET webhooks/{name}/dead", path: "webhooks/siem/dead?limit=10"},
		call{operation: "POST webhooks/{name}/retry", path: "webhooks/siem/retry", body: map[string]any{}},
		call{operation: "DELETE webhooks/{name}", path: "webhooks/siem", status: 204},
		call{operation: "GET log", path: "log?limit=1000&node=main"},
		call{operation: "GET log", path: "log?last=2"},
		call{operation: "GET log/export"},
		call{operation: "GET log/verify"},
	)
	var secret string
	run(call{operation: "POST tokens", body: admin.NewToken{Kind: "enroll", DeviceID: "mac-1"}, keep: member(&secret, "secret")})
	enrolment, contentType := bodyOf(t, agentapi.EnrollRequest{Token: secret, CSR: newCSR(t), Device: agentapi.Device{OS: "macOS"}})
	if response, answer := w.askWith(t, "POST", agentapi.EnrollPath, contentType, enrolment, nil); response.StatusCode >= 300 {
		t.Fatalf("enrol: %s %s", response.Status, answer)
	}
	run(
		call{operation: "POST actions/recheck", body: map[string]any{"device": "mac-1"}},
		call{operation: "POST devices/{id}/release", path: "devices/mac-1/release", body: map[string]any{}},
		call{operation: "GET devices/{id}", path: "devices/mac-1"},
		call{operation: "POST actions/retire", body: map[string]any{"device": "mac-1", "why": "lost"}},
		call{operation: "POST keys/{id}/activate", path: "keys/" + key + "/activate", body: map[string]any{"force": true}},
		call{operation: "DELETE tokens/{id}", path: "tokens/" + token, status: 204},
		call{operation: "DELETE api-tokens/{id}", path: "api-tokens/" + apiToken, status: 204},
		call{operation: "DELETE relying-parties/{name}", path: "relying-parties/acme", status: 204},
		call{operation: "DELETE clients/{name}", path: "clients/okta", status: 204},
	)
	w.checkOCSF(t)
	// What is the same has the same tag, and what was read meanwhile is not
	// overwritten.
	response, _ := w.askWith(t, "GET", admin.Prefix+"devices/win-2", "", nil, nil)
	tag = response.Header.Get("ETag")
	if response, answer := w.askWith(t, "GET", admin.Prefix+"devices/win-2", "", nil, map[string]string{"If-None-Match": "W/" + tag}); response.StatusCode != 304 || len(answer) != 0 {
		t.Errorf("If-None-Match: %s %s", response.Status, answer)
	}
	owner := "ben"
	change, _ := bodyOf(t, admin.DeviceChange{Owner: &owner})
	for _, want := range []int{http.StatusOK, http.StatusPreconditionFailed} {
		response, answer := w.askWith(t, "PATCH", admin.Prefix+"devices/win-2", contentType, change, map[string]string{"If-Match": tag})
		if response.StatusCode != want {
			t.Errorf("If-Match: %s, want %d: %s", response.Status, want, answer)
		}
		w.check(t, admin.Prefix+"devices/{id}", response, change, answer)
		owner = "eve"
	}
	for template, item := range w.document.Paths.Map() {
		for method := range item.Operations() {
			if name := method + " " + strings.TrimPrefix(template, admin.Prefix); !done[name] {
				t.Errorf("%s was not tried", name)
			}
		}
	}
}

func bodyOf(t *testing.T, v any) (body []byte, contentType string) {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return nil, ""
	case []byte:
		return v, "application/octet-stream"
	}
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body, "application/json"
}

// newCSR is a certificate request for a new key.
func newCSR(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// newOktaMetadata is the metadata of an Okta with a key of its own.
func newOktaMetadata(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := oktaInit(dir); err != nil {
		t.Fatal(err)
	}
	metadata, err := os.ReadFile(filepath.Join(dir, "metadata.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(metadata)
}

// checkOCSF judges each event of a real export by the schema's own files.
func (w *apiWorld) checkOCSF(t *testing.T) {
	t.Helper()
	schema, err := ocsftest.Load("../../testdata/ocsf")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]bool{}
	waitFor(t, func() bool { // until the last of what happened is in the log
		_, answer := w.askWith(t, "GET", admin.Prefix+"log/export?format=ocsf", "", nil, nil)
		for line := range bytes.Lines(answer) {
			var event struct {
				Class string `json:"class_name"`
			}
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			classes[event.Class] = true
			for _, fault := range schema.Validate(line) {
				t.Errorf("%s: %s", line, fault)
			}
		}
		return len(classes) >= 4 || t.Failed()
	})
	for _, class := range []string{"Authentication", "Device Inventory Info", "Compliance Finding", "API Activity"} {
		if !classes[class] {
			t.Errorf("no event of class %s was exported", class)
		}
	}
}
