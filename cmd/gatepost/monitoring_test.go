package main

import (
	"crypto/x509"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatepost.dev/admin"
)

// TestMonitoring has a real Prometheus scrape a real server, and holds dashboard,
// alerts and documentation to what is there.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	in := newCompanyInstallation(t)
	in.ca.list(in.file("corp/corp.crl"))
	in.configure("crl: [../corp/corp.crl]")
	server := in.start()
	p := startPrometheus(t, in.ops)
	p.wants(t, `up{job="gatepost"}`, "1")
	p.wants(t, "gatepost_ready", "1")

	for range 3 {
		in.signIn(t, "mac-1")
	}
	in.signIn(t, "")
	in.foreignRequest(t)
	in.reportAndSignIn(t)
	for expr, want := range map[string]string{
		"sum(gatepost_decisions_total)": "5",
		`gatepost_decisions_total{relying_party="acme",outcome="asserted",verdict="compliant",reason=""}`:                 "3",
		`gatepost_decisions_total{relying_party="acme",outcome="asserted",verdict="noncompliant",reason="not_compliant"}`: "1",
		`gatepost_decisions_total{relying_party="acme",outcome="refused",verdict="unmanaged",reason="no_certificate"}`:    "1",
		`sum(gatepost_requests_total{route="GET /saml/sso",status="400"})`:                                                "1",
		`sum(gatepost_request_duration_seconds_count{route=~".* /saml/sso"})`:                                             "6",
		`gatepost_reports_total{result="accepted"}`:                                                                       "2",
		"gatepost_signin_report_age_seconds_count":                                                                        "1",
		`gatepost_signin_report_age_seconds_bucket{le="60.0"} or gatepost_signin_report_age_seconds_bucket{le="60"}`:      "1",
		"gatepost_devices": "3", // as they were counted at the start
		"count(gatepost_certificate_expiry_timestamp_seconds > time())":                  "5",
		`count(gatepost_signing_key_expiry_timestamp_seconds{state="signing"} > time())`: "2",
		"gatepost_store_size_bytes > bool 0":                                             "1",
		"time() - gatepost_store_last_commit_timestamp_seconds < bool 60":                "1",
		"gatepost_store_commit_failures_total":                                           "0",
	} {
		p.wants(t, expr, want)
	}

	scraped := in.metrics()
	promtool(t, []byte(scraped), "check", "metrics")
	checkNames(t, scraped)
	p.checkDashboard(t)
	p.checkAlerts(t)
	server.kill()
	p.wants(t, `up{job="gatepost"}`, "0")
}

// reportAndSignIn enrols a device, lets its agent report twice, and signs in with
// it.
func (in *companyInstallation) reportAndSignIn(t *testing.T) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(readAll(t, in.file("gp/trial-ca.crt")))
	fleet := newFleetHTTP(roots)
	defer fleet.CloseIdleConnections()
	m, err := enrolMember(t.Context(), admin.NewSocketClient(in.file("gp/gatepost.sock")), fleet, in.issuer, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.connect(t.Context(), roots); err != nil {
		t.Fatal(err)
	}
	defer m.conn.Close()
	for range 2 {
		if _, err := m.report(); err != nil {
			t.Fatal(err)
		}
	}
	browser := webClient(&m.certificate, nil)
	defer browser.CloseIdleConnections()
	if got := in.detail(browser); got != "" {
		t.Errorf("a device that enrolled is refused with %q", got)
	}
}

var ownMetric = regexp.MustCompile(`\bgatepost_[a-z_]+`)

// checkNames: what alerts and dashboard name is exported, and what is exported is
// documented.
func checkNames(t *testing.T, scraped string) {
	t.Helper()
	exported := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (gatepost_\w+) `).FindAllStringSubmatch(scraped, -1) {
		exported[m[1]] = true
	}
	if len(exported) < 20 {
		t.Fatalf("only %d metrics are exported", len(exported))
	}
	for _, file := range []string{"../../deploy/grafana/gatepost.json", alertRules, "../../docs/monitoring.md", "../../docs/operators-guide.md"} {
		for _, name := range ownMetric.FindAllString(string(readAll(t, file)), -1) {
			family := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				family = strings.TrimSuffix(family, suffix)
			}
			if !exported[name] && !exported[family] {
				t.Errorf("%s names %s, which is not exported", filepath.Base(file), name)
			}
		}
	}
	docs := string(readAll(t, "../../docs/monitoring.md"))
	for name := range exported {
		if strings.Count(docs, "\n| `"+name+"` |") != 1 {
			t.Errorf("docs/monitoring.md does not have a line for %s", name)
		}
	}
}

// quietPanels show nothing where nothing is wrong.
var quietPanels = []string{"Errors by route", "Checks that fail"}

// checkDashboard: every panel of the dashboard shows something.
func (p *scraper) checkDashboard(t *testing.T) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(readAll(t, "../../deploy/grafana/gatepost.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$job", ".*", "$relying_party", ".*")
	shown, ids := 0, map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels have the ID %d", panel.ID)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			shown++
			var got []sample
			var err error
			expr := fill.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("panel %q has a variable that nobody fills: %s", panel.Title, expr)
			}
			quiet := slices.Contains(quietPanels, panel.Title)
			waited := p.until(panel.Title, func() bool {
				got, err = p.query(expr)
				return err != nil || quiet || len(got) > 0
			})
			if err != nil || waited != nil {
				t.Errorf("panel %q: %v, %v", panel.Title, err, waited)
			}
		}
	}
	if shown < 20 {
		t.Errorf("the dashboard shows only %d things", shown)
	}
}

// checkAlerts: each alert can be evaluated, says what it should, has its section
// in the documentation and its test; of a good server none fires.
func (p *scraper) checkAlerts(t *testing.T) {
	t.Helper()
	type rule struct {
		Name, Health, LastError, State string
		Labels, Annotations            map[string]string
	}
	var found struct{ Groups []struct{ Rules []rule } }
	err := p.until("the rules", func() bool {
		err := p.get("/api/v1/rules", &found)
		return err == nil && len(found.Groups) == 1 &&
			!slices.ContainsFunc(found.Groups[0].Rules, func(r rule) bool { return r.Health == "unknown" })
	})
	if err != nil {
		t.Fatal(err)
	}
	docs, tests := string(readAll(t, "../../docs/monitoring.md")), string(readAll(t, "../../deploy/prometheus/alerts_test.yaml"))
	names := map[string]bool{}
	for _, r := range found.Groups[0].Rules {
		names[r.Name] = true
		if r.Health != "ok" || r.State == "firing" {
			t.Errorf("%s: %s, %s %s", r.Name, r.State, r.Health, r.LastError)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", r.Name, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] != "docs/monitoring.md#"+strings.ToLower(r.Name) {
			t.Errorf("%s has the annotations %v", r.Name, r.Annotations)
		}
		if !strings.Contains(docs, "\n### "+r.Name+"\n") || !strings.Contains(tests, r.Name) {
			t.Errorf("%s lacks a section of docs/monitoring.md, or a test", r.Name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Gatepost\w+)$`).FindAllStringSubmatch(docs, -1) {
		if !names[m[1]] {
			t.Errorf("docs/monitoring.md has %s, which is no alert", m[1])
		}
	}
	if len(names) < 10 {
		t.Errorf("only %d alerts", len(names))
	}
}
