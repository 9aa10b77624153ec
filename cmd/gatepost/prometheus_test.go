package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scraper is a real Prometheus, as Debian has it.
type scraper struct {
	*background
	url    string
	client *http.Client
}

// alertRules are the rules that it evaluates.
const alertRules = "../../deploy/prometheus/alerts.yaml"

// startPrometheus starts one that scrapes the ops listener at the URL several
// times a second.
func startPrometheus(t *testing.T, ops string) *scraper {
	t.Helper()
	dir := t.TempDir()
	rules, err1 := filepath.Abs(alertRules)
	port, err2 := claimPort()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: { scrape_interval: 250ms, evaluation_interval: 250ms }
rule_files: [%q]
scrape_configs:
  - job_name: gatepost
    static_configs: [{ targets: [%q] }]
`, rules, strings.TrimPrefix(ops, "http://")))
	cmd := exec.Command("/usr/bin/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:"+port, "--log.level=warn")
	cmd.Dir = dir
	b, err := startBackground(cmd, filepath.Join(dir, "prometheus"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	p := &scraper{background: b, url: "http://127.0.0.1:" + port, client: webClient(nil, nil)}
	t.Cleanup(p.client.CloseIdleConnections)
	if err := p.until("Prometheus", func() bool { return p.get("/-/ready", nil) == nil }); err != nil {
		text, _ := os.ReadFile(b.stderr)
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// get reads the data of an answer of the API into to, unless that is nil.
func (p *scraper) get(path string, to any) error {
	resp, err := p.client.Get(p.url + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	if err != nil || to == nil {
		return err
	}
	answer := struct{ Data any }{to}
	return json.Unmarshal(body, &answer)
}

// sample is one element of a vector.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and value
}

// query evaluates an expression now.
func (p *scraper) query(expr string) ([]sample, error) {
	var data struct{ Result json.RawMessage }
	if err := p.get("/api/v1/query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	var result []sample
	if err := json.Unmarshal(data.Result, &result); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", expr, err, data.Result)
	}
	return result, nil
}

// wants waits until the expression has one sample, of that value.
func (p *scraper) wants(t *testing.T, expr, value string) {
	t.Helper()
	var last []sample
	err := p.until(expr, func() bool {
		var err error
		last, err = p.query(expr)
		return err == nil && len(last) == 1 && last[0].Value[1] == value
	})
	if err != nil {
		t.Errorf("%v: it has %v, want %s", err, last, value)
	}
}

// promtool runs a command of the program of that name.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	cmd := exec.Command("/usr/bin/promtool", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// TestAlertRules: the alerts are well formed, and fire when they should.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "rules", alertRules)
	promtool(t, nil, "test", "rules", "../../deploy/prometheus/alerts_test.yaml")
}
