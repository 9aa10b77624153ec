package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/contract"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/posture"
)

func TestDemoOnce(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"demo", "--addr", "127.0.0.1:0", "--once"}, &stdout, &stderr); status != exitOK {
		t.Fatalf("status %d: %s%s", status, &stdout, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("said on standard error: %s", &stderr)
	}
	said := stdout.String()
	for want, times := range map[string]int{
		"   OK\n": 8, "WRONG": 0, "HTTP-Redirect, signed": 2, "HTTP-POST, signed": 2, "IsManaged true, IsCompliant true": 1,
		"IsManaged true, IsCompliant false": 1, "Responder / AuthnFailed": 4, contract.DeviceNotManaged: 8, "signed-in": 4,
		"Response and Assertion": 2, "Wiki (0oa": 2, "demo-macbook (Apple MacBook Pro, macOS 26.1)": 2, "ana@example.com": 7,
		"no_certificate": 4, "Start page": 0,
		"redirect, signed (RS256), with PKCE": 4, "ID token     signed (RS256)": 2, "access_denied": 4,
		"managed true, compliant true, externalId demo-macbook": 1, "managed true, compliant false, externalId demo-thinkpad": 1,
	} {
		if got := strings.Count(said, want); got != times {
			t.Errorf("%q is said %d times instead of %d", want, got, times)
		}
	}
	if !strings.HasSuffix(said, "\n8 sign-ins, 8 right outcomes\n") {
		t.Errorf("said in the end: %q", said[max(0, len(said)-200):])
	}
	if t.Failed() {
		t.Log(said)
	}
}

func TestDemoJSON(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"demo", "--addr=127.0.0.1:0", "--once", "--json"}, &stdout, &stderr); status != exitOK || stderr.Len() > 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	var r demoReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Right != 8 || r.Wrong != 0 || len(r.SignIns) != 8 || r.Try != nil {
		t.Fatalf("%+v", r)
	}
	bindings := map[conform.Binding]int{}
	seen := map[string]bool{}
	for _, a := range r.SignIns {
		if a.Protocol == "oidc" {
			checkOIDCAccount(t, a)
			continue
		}
		bindings[a.Request.Binding]++
		refused := a.Want.Decision == posture.Refused
		if !a.Right || a.Decision.RequestID != a.Request.ID || a.Decision.AnswerID != a.Response.ID || a.Decision.Subject != a.User ||
			!a.Request.Signed || !a.Response.ResponseSigned || a.Response.AssertionSigned == refused || a.Decision.App.Name != a.Request.App {
			t.Errorf("%+v", a)
		}
		if seen[a.Decision.ID] || seen[a.Request.ID] {
			t.Errorf("%s: IDs are used again", a.Scenario)
		}
		seen[a.Decision.ID], seen[a.Request.ID] = true, true
		if (a.Device == nil) != (a.Scenario == "no-certificate") || a.Device != nil && a.Decision.Certificate != a.Device.Serial {
			t.Errorf("%s: device %+v, decision %+v", a.Scenario, a.Device, a.Decision)
		}
	}
	if bindings[conform.Redirect] != 2 || bindings[conform.Post] != 2 {
		t.Errorf("bindings %v", bindings)
	}
}

func checkOIDCAccount(t *testing.T, a *account) {
	t.Helper()
	q, c := a.Authorization, a.Callback
	if !a.Right || a.Request != nil || a.Response != nil || a.Decision.RequestID != q.ID || a.Decision.Subject != a.User ||
		q.Signed != "RS256" || !q.PKCE || a.Decision.App.Name != q.App || a.Decision.App.InstanceID != q.AppID || c.State == "" || c.Issuer == "" {
		t.Errorf("%+v %+v %+v", a, q, c)
	}
	if a.Want.Decision == posture.Refused {
		if c.Code != "" || c.Error != "access_denied" || c.Description != contract.DeviceNotManaged || a.Tokens != nil {
			t.Errorf("%s: answered %+v, %+v", a.Scenario, c, a.Tokens)
		}
		return
	}
	if id, ok := oidc.GrantID(c.Code); !ok || id != a.Decision.AnswerID {
		t.Errorf("%s: the code is of grant %q, %q was decided", a.Scenario, id, a.Decision.AnswerID)
	}
	if m := a.Tokens; m.Algorithm != "RS256" || m.Subject != a.User || m.Device.Managed != a.Want.Managed || m.Device.Compliant != a.Want.Compliant ||
		m.Device.ExternalID != a.Device.ID || m.ACR != contract.DevicePosture || !slices.Equal(m.AMR, []string{"pop"}) || !json.Valid([]byte(m.UserInfo)) {
		t.Errorf("%s: %+v", a.Scenario, m)
	}
}

// TestDemoFindsWrongOutcomes expects of each sign-in something else than what
// happens.
func TestDemoFindsWrongOutcomes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		base   int // index of the scenario that is changed
		change func(*scenario)
		said   string
	}{
		{0, func(s *scenario) { s.Want.Decision = posture.Refused }, `decision: "asserted" instead of "refused"`},
		{0, func(s *scenario) { s.Want.Managed = false }, `managed: "yes" instead of "no"`},
		{1, func(s *scenario) { s.Want.Compliant = true }, `compliant at Okta: "false" instead of "true"`},
		{1, func(s *scenario) { s.Want.Reason = "" }, `reason: "not_compliant" instead of ""`},
		{2, func(s *scenario) { s.Want.Reason = posture.Stale }, `detail of the answer: "not_managed" instead of "stale"`},
		{3, func(s *scenario) { s.Want.Okta = oktaSignedIn }, `Okta's outcome: "failed" instead of "signed-in"`},
		{0, func(s *scenario) { s.Device = "" }, `decision: "refused" instead of "asserted"`},
		{0, func(s *scenario) { s.Device = "demo-phone" }, `no device "demo-phone" in the demo`},
		{0, func(s *scenario) { s.Binding = "artifact" }, `status 400: "That did not work"`},
		{4, func(s *scenario) { s.Want.Compliant = false }, `compliant at Okta: "true" instead of "false"`},
		{5, func(s *scenario) { s.Device = "demo-tablet" }, `reason: "not_managed" instead of "not_compliant"`},
		{6, func(s *scenario) { s.Want.Reason = posture.Stale }, `reason: "not_managed" instead of "stale"`},
		{7, func(s *scenario) { s.Want.Decision = posture.Asserted }, `user of Okta: "" instead of "dora@example.com"`},
	}
	scenarios := demoScenarios()
	for _, c := range cases {
		s := demoScenarios()[c.base]
		c.change(&s)
		scenarios = append(scenarios, s)
	}
	var stdout, stderr bytes.Buffer
	e := &env{ctx: t.Context(), stdout: &stdout, stderr: &stderr}
	err := (&demoCommand{Addr: "127.0.0.1:0", Once: true}).run(e, scenarios)
	if err == nil || err.Error() != "13 of 21 sign-ins had a wrong outcome" {
		t.Errorf("error %v", err)
	}
	for _, c := range cases {
		if !strings.Contains(stdout.String(), c.said) {
			t.Errorf("not said: %s", c.said)
		}
	}
	if !strings.HasSuffix(stdout.String(), "21 sign-ins, 8 right outcomes, 13 WRONG\n") || stderr.Len() > 0 || t.Failed() {
		t.Errorf("%s%s", &stdout, &stderr)
	}
}

// TestDemoStays runs the demo until it is interrupted.
func TestDemoStays(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--json"}, stdout, &stderr)
		stdout.Close()
	}()
	var r demoReport
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		t.Fatal(err, <-ended, stderr.String())
	}
	if r.Right != 8 || r.Try == nil || len(r.Try.Certificates) != 3 || len(r.Try.Password) < 16 {
		t.Fatalf("%+v", r)
	}
	dir := filepath.Dir(r.Try.Certificates[0])
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", info, err)
	}
	for _, file := range slices.Concat(r.Try.Certificates, r.Try.Authorities) {
		if _, err := os.Stat(file); err != nil || !strings.HasPrefix(file, dir) {
			t.Errorf("%s: %v", file, err)
		}
	}
	select {
	case status := <-ended:
		t.Fatalf("did not stay: status %d: %s", status, &stderr)
	default:
	}
	interrupt()
	if status := <-ended; status != exitOK || stderr.Len() > 0 {
		t.Errorf("status %d: %s", status, &stderr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stdout, stderr bytes.Buffer
	if status := run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--once"}, &stdout, &stderr); status != exitFailed {
		t.Errorf("status %d: %s%s", status, &stdout, &stderr)
	}
}

func TestDemoAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for addr, want := range map[string]string{
		"0.0.0.0:8443":        "only 127.0.0.1 will do",
		":8443":               "only 127.0.0.1 will do",
		"192.0.2.1:8443":      "only 127.0.0.1 will do",
		"[::1]:8443":          "only 127.0.0.1 will do",
		"8443":                "not an address and a port",
		"127.0.0.1":           "not an address and a port",
		"127.0.0.1:https":     "port is from 1 to 65533",
		"127.0.0.1:65534":     "port is from 1 to 65533",
		"127.0.0.1:-1":        "port is from 1 to 65533",
		taken.Addr().String(): "is taken by another program; choose three other ports with --addr",
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"demo", "--once", "--addr", addr}, &stdout, &stderr)
		if status != exitFailed || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("%s: status %d: %s%s", addr, status, &stdout, &stderr)
		}
	}
}

func TestDemoNoticesADeadServer(t *testing.T) {
	t.Parallel()
	for i := range len(demoListeners{}) {
		d := startTestDemo(t)
		d.listeners[i].Close()
		if err := d.wait(t.Context()); err == nil {
			t.Errorf("listener %d is closed and nobody noticed", i)
		}
	}
}

// startTestDemo starts a demo for one test.
func startTestDemo(t *testing.T) *demo {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := startDemo(t.Context(), "localhost:0", log, time.Now, demoScenarios())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}
