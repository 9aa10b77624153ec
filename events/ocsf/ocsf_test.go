package ocsf_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"gatepost.dev/events/ocsf"
	"gatepost.dev/events/ocsf/ocsftest"
	"gatepost.dev/posture"
)

// readSchema reads the files once; nobody changes what it gives.
var readSchema = sync.OnceValues(func() (*ocsftest.Schema, error) { return ocsftest.Load("../../testdata/ocsf") })

func loadSchema(t testing.TB) *ocsftest.Schema {
	t.Helper()
	s, err := readSchema()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, what string, text []byte) {
	t.Helper()
	for _, fault := range loadSchema(t).Validate(text) {
		t.Errorf("%s: %s", what, fault)
	}
	if t.Failed() {
		t.Logf("%s: %.3000s", what, text)
	}
}

func TestExamplesAreValid(t *testing.T) {
	for name, x := range examples() {
		valid(t, name, x.marshal(t))
	}
}

// constants are the values of a type's constants in a file of the domain.
func constants(t *testing.T, file, typ string) (values []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../posture/"+file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == typ {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) < 2 {
		t.Fatalf("%s: found %d constants of %s: this test looks in the wrong place", file, len(values), typ)
	}
	return values
}

// TestEveryKind refuses a kind that came without a class, and shows that nothing
// but the kind has to be there.
func TestEveryKind(t *testing.T) {
	have := map[posture.EventKind]bool{}
	for _, x := range examples() {
		have[x.event.Kind] = true
	}
	for _, kind := range constants(t, "event.go", "EventKind") {
		if !have[posture.EventKind(kind)] {
			t.Errorf("there is no example of %q", kind)
		}
		for _, e := range []posture.Event{
			{Kind: posture.EventKind(kind)},
			{Kind: posture.EventKind(kind), ID: "1", Time: noon, Device: &posture.DeviceFacts{}, Change: &posture.Change{}, Failures: []posture.Failure{{}}},
			{Kind: posture.EventKind(kind), DeviceID: "d", Device: laptop(), Failures: failures(), Why: "w", By: "b", Detail: json.RawMessage(`[1]`)},
		} {
			for _, d := range []*posture.Decision{nil, {}, decision()} {
				x := example{e, d}
				text := x.marshal(t)
				valid(t, kind, text)
				if m := decoded(t, text); m["class_uid"] == 0.0 || m["activity_id"] == 0.0 && kind != string(posture.Changed) {
					t.Errorf("%s: class %v, activity %v", kind, m["class_uid"], m["activity_id"])
				}
			}
		}
	}
}

func TestEveryOutcomeAndReason(t *testing.T) {
	outcomes := append(constants(t, "posture.go", "Outcome"), "", "deferred")
	for _, reason := range append(constants(t, "judge.go", "Reason"), "", "invalid_scope") {
		for _, outcome := range outcomes {
			for _, protocol := range []string{"saml", "oidc", "", "ws-fed"} {
				d := decision()
				d.Outcome, d.Reason, d.Protocol = posture.Outcome(outcome), posture.Reason(reason), protocol
				x := example{posture.Event{ID: "1", Time: noon, Kind: posture.Decided}, d}
				text := x.marshal(t)
				what := fmt.Sprintf("%s %s by %q", outcome, reason, protocol)
				valid(t, what, text)
				m := decoded(t, text)
				code, _ := m["status_code"].(string)
				detail, _ := m["status_detail"].(string)
				if code != reason || (detail == "") != (reason == "") || reason != "invalid_scope" && reason != "" && detail == reason {
					t.Errorf("%s: status code %q, detail %q", what, code, detail)
				}
				want := map[string][2]float64{"asserted": {1, 1}, "refused": {2, 3}, "": {0, 1}, "deferred": {99, 1}}[outcome]
				if m["status_id"] != want[0] || m["severity_id"] != want[1] {
					t.Errorf("%s: status %v, severity %v, want %v", what, m["status_id"], m["severity_id"], want)
				}
			}
		}
	}
}

// TestMapping says what a SIEM engineer filters by.
func TestMapping(t *testing.T) {
	for name, want := range map[string]map[string]any{
		"decided": {"type_uid": 300201.0, "status": "Success", "auth_protocol": "SAML", "user.name": "ann@example.com", "user.uid": "ann@example.com",
			"device.uid": "mac-1", "src_endpoint.ip": "203.0.113.7", "src_endpoint.port": 51514.0, "service.name": "acme", "policy.name": "default",
			"certificate.serial_number": "1a2b3c", "action": "Allowed", "severity": "Informational", "is_mfa": nil, "time": 1795363200250.0,
			"metadata.correlation_uid": decision().ID, "unmapped.application.name": "Payroll", "is_alert": nil},
		"refused": {"type_uid": 300201.0, "status": "Failure", "auth_protocol": "OpenID", "status_code": "not_compliant", "action": "Denied",
			"severity": "Medium", "is_alert": true, "unmapped.shadow.policy": "next", "unmapped.failures.0.rule": "disk-encrypted",
			"device.is_compliant": false, "device.is_managed": true, "device.hw_info.serial_number": "C02XK1ZZJG5H", "unmapped.warnings.0": "owner_mismatch"},
		"told":     {"type_uid": 300201.0, "status": "Failure", "metadata.event_code": "sign_in.refused"},
		"enrolled": {"type_uid": 500101.0, "device.uid": "mac-1", "device.os.type_id": 300.0, "actor.user.name": "token 4e07"},
		"retired":  {"type_uid": 500199.0, "activity_name": "Retire", "status_detail": "sold"},
		"held":     {"type_uid": 500199.0, "activity_name": "Hold Import", "device.uid": nil, "severity": "Medium", "unmapped.detail.unmanaged": 412.0},
		"noncompliant": {"type_uid": 200301.0, "status": "New", "compliance.status": "Fail", "finding_info.uid": "gatepost:device:mac-1:compliance",
			"compliance.requirements.0": "disk-encrypted", "compliance.checks.0.status": "Fail", "compliance.checks.1.status": "Warning",
			"remediation.desc": "Turn on disk encryption.\nInstall the update.", "remediation.references.0": "https://help.example.com/disk",
			"resources.0.uid": "mac-1", "resources.0.type": "Device", "severity": "Medium", "device.is_compliant": false},
		"compliant": {"type_uid": 200303.0, "status": "Resolved", "compliance.status": "Pass", "finding_info.uid": "gatepost:device:mac-1:compliance",
			"remediation": nil, "device.is_compliant": true, "severity": "Informational"},
		"quarantined": {"type_uid": 200301.0, "status": "New", "finding_info.uid": "gatepost:device:mac-1:hold", "finding_info.desc": "reported lost", "unmapped.by": "bob"},
		"suspected":   {"type_uid": 200301.0, "status": "New", "finding_info.uid": "gatepost:device:mac-1:hold", "severity": "High"},
		"released":    {"type_uid": 200303.0, "status": "Resolved", "finding_info.uid": "gatepost:device:mac-1:hold", "compliance.status": "Pass"},
		"requested": {"type_uid": 600303.0, "status_id": 99.0, "status": "Requested", "status_code": nil, "http_response": nil, "api.response": nil,
			"actor.user.name": "bob", "actor.iam_role.name": "operator", "actor.user.programmatic_credentials.0.uid": "9f86d081",
			"src_endpoint.ip": "198.51.100.9", "metadata.correlation_uid": "req-77"},
		"changed": {"type_uid": 600303.0, "status": "Success", "status_code": "200", "http_response.code": 200.0, "api.operation": "POST /api/v1/actions/retire",
			"http_request.http_method": "POST", "http_request.url.path": "/api/v1/actions/retire", "http_request.url.query_string": "dry=false",
			"api.request.data.why": "sold", "metadata.correlation_uid": "req-77"},
		"expiring": {"type_uid": 200301.0, "status": "New", "compliance.status": "Warning", "finding_info.uid": "gatepost:key:the RS256 signing key k1 (active) ends at 2026-12-06T16:00:00Z", "device": nil},
		"new kind": {"type_uid": 99.0, "activity_name": "device.moved", "device.uid": "mac-1"},
	} {
		m := decoded(t, examples()[name].marshal(t))
		for path, value := range want {
			var steps []any
			for _, step := range strings.Split(path, ".") {
				if i, err := strconv.Atoi(step); err == nil {
					steps = append(steps, i)
				} else {
					steps = append(steps, step)
				}
			}
			if got := at(t, m, steps...); got != value {
				t.Errorf("%s: %s is %v, want %v", name, path, got, value)
			}
		}
	}
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		change     posture.Change
		typ        float64
		status     string
		code, from any
	}{
		{posture.Change{Operation: "POST /api/v1/clients", Status: 201, From: "::ffff:192.0.2.1"}, 600301, "Success", "201", "192.0.2.1"},
		{posture.Change{Operation: "POST /api/v1/keys/{id}/activate", Status: 403, From: "[2001:db8::1]:443"}, 600303, "Failure", "403", "2001:db8::1"},
		{posture.Change{Operation: "PATCH /api/v1/devices/{id}", Status: 204, From: "fe80::1%eth0"}, 600303, "Success", "204", "fe80::1"},
		{posture.Change{Operation: "DELETE /api/v1/clients/{name}", Status: 500}, 600304, "Failure", "500", nil},
		{posture.Change{Operation: "GET /api/v1/keys", Status: 304}, 600302, "Success", "304", nil},
		{posture.Change{Operation: "BREW /pot", Status: 0, From: "the kitchen"}, 600399, "Requested", nil, nil},
		{posture.Change{Operation: "", Status: 1 << 40, BodySize: 1 << 40, Path: "?", Body: json.RawMessage(`{`)}, 600300, "Unknown", "1099511627776", nil},
	} {
		x := example{posture.Event{ID: "1", Kind: posture.Changed, Change: &c.change}, nil}
		text := x.marshal(t)
		valid(t, c.change.Operation, text)
		m := decoded(t, text)
		if m["type_uid"] != c.typ || m["status"] != c.status || m["status_code"] != c.code || at(t, m, "src_endpoint", "ip") != c.from {
			t.Errorf("%s: got %s", c.change.Operation, text)
		}
	}
}

func TestNoEvent(t *testing.T) {
	if _, err := ocsf.Marshal(nil, nil, product); err == nil {
		t.Error("no event was marshalled")
	}
}

// TestWithoutProduct shows that nothing is demanded of the caller.
func TestWithoutProduct(t *testing.T) {
	for _, p := range []ocsf.Product{{}, {Issuer: "::"}, {Issuer: "https://[2001:db8::1]:8443/x", Version: strings.Repeat("v", 9000)}} {
		text, err := ocsf.Marshal(&posture.Event{Kind: posture.Decided}, nil, p)
		if err != nil {
			t.Fatal(err)
		}
		valid(t, p.Issuer, text)
	}
}

// hostile are texts that break what joins or cuts strings.
func hostile() []string {
	return []string{
		"\x00\x01\x1b[31m\x7f\u0085", "\xff\xfe\xc0\x80", `"},{"class_uid":1`, "\r\n{}\n", "\u2028<script>&amp;", "\u202eevil",
		strings.Repeat("a", 10<<10), strings.Repeat("é", 5<<10), strings.Repeat("\xf0\x9f\x98", 4<<10), "\U0001F600" + strings.Repeat("\U0001F600", 1<<10), " ", "null",
	}
}

func TestHostileTexts(t *testing.T) {
	for _, s := range hostile() {
		for _, kind := range constants(t, "event.go", "EventKind") {
			x := filled(s)
			x.event.Kind = posture.EventKind(kind)
			text := x.marshal(t)
			valid(t, fmt.Sprintf("%s of %.20q", kind, s), text)
			if strings.ContainsAny(string(text), "\n\r") {
				t.Errorf("%s of %.20q: more than one line", kind, s)
			}
			m := decoded(t, text)
			if cut := at(t, m, "metadata", "is_truncated") == true; cut != (len(s) > 2<<10) {
				t.Errorf("%s of %.20q: truncated: %t", kind, s, cut)
			}
			if got := at(t, m, "metadata", "uid"); len(s) < 1<<10 && utf8.ValidString(s) && got != s {
				t.Errorf("%s: %q came out as %q", kind, s, got)
			}
		}
	}
}

// filled is an event with a text in every place that has one.
func filled(s string) *example {
	raw, _ := json.Marshal(s)
	f := make([]posture.Failure, 40)
	for i := range f[:2] {
		f[i] = posture.Failure{Rule: s, Why: s, Help: s, Link: s, Severity: posture.Severity(s)}
	}
	f = f[:2]
	e := posture.Event{
		ID: s, Time: noon, DeviceID: s, Why: s, By: s, Decision: s, Failures: f, Detail: raw,
		Device: &posture.DeviceFacts{Serial: s, Vendor: s, Model: s, OS: s, OSVersion: s, Owner: s},
		Change: &posture.Change{Operation: s, Path: s, Role: posture.Role(s), Token: s, From: s, Reference: s, Status: 200, Body: raw, BodyHash: s},
	}
	d := &posture.Decision{
		ID: s, RelyingParty: s, Protocol: s, RequestID: s, AnswerID: s, Subject: s, DeviceID: s, Authority: s, Certificate: s,
		App: posture.AppContext{InstanceID: s, Name: s}, Policy: s, Outcome: posture.Outcome(s), Status: s, Reason: posture.Reason(s),
		Warnings: []posture.Reason{posture.Reason(s)}, Failures: f, Quarantine: &posture.Quarantine{By: s, Why: s},
		Shadow: &posture.Shadow{Policy: s, Reason: posture.Reason(s), Failures: f}, RemoteAddr: s,
	}
	return &example{e, d}
}

func TestBounds(t *testing.T) {
	x := filled(strings.Repeat("x", 64<<10))
	for range 6 {
		x.event.Failures = append(x.event.Failures, x.event.Failures...)
	}
	x.decision.Failures, x.decision.Shadow.Failures = x.event.Failures, x.event.Failures
	for _, kind := range constants(t, "event.go", "EventKind") {
		x.event.Kind = posture.EventKind(kind)
		text := x.marshal(t)
		valid(t, kind, text)
		if len(text) > 1<<20 {
			t.Errorf("%s: %d bytes", kind, len(text))
		}
	}
}

// TestRaw shows that a value that is passed on is one value for every reader.
func TestRaw(t *testing.T) {
	for in, want := range map[string]any{
		`{"a":1,"a":2}`: map[string]any{"a": 2.0}, `"\ud800"`: "\ufffd", "\"\xff\"": "\ufffd", `[1] [2]`: "[1] [2]", `{`: "{", `null`: "null",
		`18446744073709551617`: 18446744073709551617.0, ` {"<": "&"} `: map[string]any{"<": "&"}, "": nil,
	} {
		x := example{posture.Event{Kind: posture.ImportHeld, Detail: json.RawMessage(in)}, nil}
		text := x.marshal(t)
		valid(t, in, text)
		if got := at(t, decoded(t, text), "unmapped", "detail"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

// TestDocumented holds the examples of the page to what is really written.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/ocsf.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```json\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("found %d examples: this test looks in the wrong place", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		shown := decoded(t, []byte(text))
		id, _ := at(t, shown, "metadata", "uid").(string)
		x := byID(id)
		if x == nil {
			t.Errorf("the page shows an event %q, of which there is no example", id)
			continue
		}
		if written := x.marshal(t); !reflect.DeepEqual(shown, decoded(t, written)) {
			t.Errorf("the page shows another event %q than is written: %s", id, written)
		}
	}
}

func FuzzMarshal(f *testing.F) {
	s := loadSchema(f)
	for _, text := range hostile() {
		f.Add(string(posture.Decided), text, "x", "203.0.113.7:1", []byte(text), int64(0), 200, uint8(1))
	}
	for _, kind := range []posture.EventKind{posture.Changed, posture.DeviceEnrolled, posture.DeviceNoncompliant, posture.KeyExpiring, posture.ImportHeld, "new"} {
		f.Add(string(kind), "POST /api/v1/clients", "iOS", "[fe80::1%eth0]:65535", []byte(`{"id":"k"}`), int64(1<<40), 403, uint8(200))
	}
	f.Fuzz(func(t *testing.T, kind, a, b, from string, raw []byte, seconds int64, status int, n uint8) {
		x := filled(a)
		x.event.Kind, x.event.ID, x.event.Detail, x.event.Time = posture.EventKind(kind), b, raw, time.Unix(seconds, int64(n))
		x.event.Device.OS, x.event.Device.Managed = b, n%2 == 0
		x.event.Change.From, x.event.Change.Body, x.event.Change.Status, x.event.Change.BodySize = from, raw, status, seconds
		x.event.Change.Path = b
		x.event.Failures = make([]posture.Failure, n)
		for i := range x.event.Failures {
			x.event.Failures[i] = posture.Failure{Rule: b, Help: a, Until: x.event.Time.Add(time.Duration(i))}
		}
		x.decision.RemoteAddr, x.decision.Protocol, x.decision.Reason = from, b, posture.Reason(b)
		if n%3 == 0 {
			x.decision = nil
		}
		if n%5 == 0 {
			x.event.Device, x.event.Change = nil, nil
		}
		text, err := ocsf.Marshal(&x.event, x.decision, ocsf.Product{Version: a, Issuer: b})
		if err != nil {
			t.Fatal(err)
		}
		if faults := s.Validate(text); len(faults) > 0 {
			t.Fatalf("%s\n%s", strings.Join(faults, "\n"), text)
		}
	})
}
