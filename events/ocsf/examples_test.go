package ocsf_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"gatepost.dev/events/ocsf"
	"gatepost.dev/posture"
)

var product = ocsf.Product{Version: "1.4.0", Issuer: "https://posture.example.com"}

// example is an event as the log has it.
type example struct {
	event    posture.Event
	decision *posture.Decision
}

func (x *example) marshal(t testing.TB) []byte {
	t.Helper()
	text, err := ocsf.Marshal(&x.event, x.decision, product)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var noon = time.Date(2026, 11, 22, 16, 0, 0, 250e6, time.UTC)

func laptop() *posture.DeviceFacts {
	return &posture.DeviceFacts{
		Serial: "C02XK1ZZJG5H", Vendor: "Apple", Model: "Mac15,3", OS: "macOS", OSVersion: "15.5", Owner: "ann@example.com", Managed: true,
	}
}

func failures() []posture.Failure {
	return []posture.Failure{
		{Rule: "disk-encrypted", Why: "DiskEncrypted is false", Help: "Turn on disk encryption.", Link: "https://help.example.com/disk"},
		{Rule: "os-version", Why: "15.5 is below 15.6", Help: "Install the update.", Severity: posture.Warn, Until: noon.Add(72 * time.Hour)},
	}
}

func decision() *posture.Decision {
	return &posture.Decision{
		ID: "0199d0a1-7c2e-7f00-8000-000000000001", Time: noon, RelyingParty: "acme", Protocol: "saml", RequestID: "_8f1c", AnswerID: "_27ab",
		Subject: "ann@example.com", DeviceID: "mac-1", Authority: "5b1f0c8e", Certificate: "1a2b3c",
		App: posture.AppContext{InstanceID: "0oa1", Name: "Payroll"}, Policy: "default", Outcome: posture.Asserted,
		Managed: true, Compliant: true, RemoteAddr: "203.0.113.7:51514",
	}
}

// examples has at least one event of each kind.
func examples() map[string]*example {
	at := func(kind posture.EventKind) posture.Event {
		return posture.Event{Time: noon, Kind: kind, DeviceID: "mac-1", Device: laptop()}
	}
	all := map[string]*example{}
	decided := posture.Event{Time: noon, Kind: posture.Decided, DeviceID: "mac-1", Decision: decision().ID}
	all["decided"] = &example{decided, decision()}

	d := decision()
	d.Protocol, d.Outcome, d.Status, d.Reason = "oidc", posture.Refused, "access_denied", posture.NotCompliant
	d.Compliant, d.Failures, d.Warnings = false, failures(), []posture.Reason{posture.OwnerMismatch}
	d.Quarantine = &posture.Quarantine{At: noon.Add(-time.Hour), Until: noon.Add(time.Hour), By: "bob", Why: "lost"}
	d.Shadow = &posture.Shadow{Policy: "next", Managed: true, Reason: posture.NotCompliant, Failures: failures()}
	all["refused"] = &example{at(posture.Decided), d}
	all["refused"].event.Decision = d.ID
	all["told"] = &example{at(posture.SignInRefused), d}

	before := posture.Event{Time: noon, Kind: posture.Changed, By: "bob", Change: &posture.Change{
		Operation: "POST /api/v1/actions/retire", Path: "/api/v1/actions/retire?dry=false", Role: posture.Operator, Token: "9f86d081",
		From: "198.51.100.9", Reference: "req-77",
	}}
	all["requested"] = &example{before, nil}
	after := *before.Change
	after.Status, after.Body = 200, json.RawMessage(`{"devices":["mac-1"],"why":"sold"}`)
	after.BodyHash, after.BodySize = "6d9c", int64(len(after.Body))
	all["changed"] = &example{posture.Event{Time: noon.Add(time.Second), Kind: posture.Changed, By: "bob", Change: &after}, nil}

	for id, kind := range map[string]posture.EventKind{
		"enrolled": posture.DeviceEnrolled, "noncompliant": posture.DeviceNoncompliant, "compliant": posture.DeviceCompliant,
		"quarantined": posture.DeviceQuarantined, "released": posture.DeviceReleased, "retired": posture.DeviceRetired, "suspected": posture.DeviceSuspected,
	} {
		all[id] = &example{at(kind), nil}
	}
	all["enrolled"].event.By = "token 4e07"
	all["noncompliant"].event.Failures = failures()
	all["quarantined"].event.Why, all["quarantined"].event.By = "reported lost", "bob"
	all["suspected"].event.Why = "its sequence went back"
	all["retired"].event.Why = "sold"
	all["held"] = &example{posture.Event{Time: noon, Kind: posture.ImportHeld, Why: "412 of 900 devices", By: "bob",
		Detail: json.RawMessage(`{"source":"jamf","unmanaged":412,"of":900}`)}, nil}
	all["expiring"] = &example{posture.Event{Time: noon, Kind: posture.KeyExpiring, Why: "the RS256 signing key k1 (active) ends at 2026-12-06T16:00:00Z"}, nil}
	all["new kind"] = &example{at("device.moved"), nil}
	for name, x := range all { // IDs as the log gives them, but the same each time
		h := fnv.New64a()
		h.Write([]byte(name))
		x.event.ID = fmt.Sprintf("%016x%016x", x.event.Time.UnixNano(), h.Sum64())
	}
	return all
}

// byID is the example whose event has an ID, or nil.
func byID(id string) *example {
	for _, x := range examples() {
		if x.event.ID == id {
			return x
		}
	}
	return nil
}

// decoded is an event as a SIEM reads it.
func decoded(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

// at is what is at a path of names and indexes.
func at(t testing.TB, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[key]
		case int:
			list, _ := value.([]any)
			if key >= len(list) {
				return nil
			}
			value = list[key]
		}
	}
	return value
}
