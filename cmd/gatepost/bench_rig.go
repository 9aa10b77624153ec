package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/conform"
)

// bench is a server, a fleet and a simulated Okta, each where it cannot take the
// others' time: server and fleet are processes of their own, and the fleet's
// yields to the others, since in life it is other machines.
type bench struct {
	*env
	dir      string
	progress *progress
	port     string
	roots    *x509.CertPool
	server   *exec.Cmd
	ops      string
	fleet    *child
	okta     *conform.Okta
	browser  *browser
}

func (b *bench) issuer() string    { return "https://localhost:" + b.port }
func (b *bench) deviceURL() string { return "https://127.0.0.1:" + b.port }
func (b *bench) data() string      { return filepath.Join(b.dir, "data") }
func (b *bench) config() string    { return filepath.Join(b.data(), "gatepost.yaml") }

// start makes an installation and serves it.
func (b *bench) start() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, b.port, _ = net.SplitHostPort(l.Addr().String()) // an address of net always has one
	l.Close()
	if _, err := initialize(&initCommand{Issuer: b.issuer(), DeviceURL: b.deviceURL(), Data: b.data(), TrialTLS: true}, time.Now()); err != nil {
		return err
	}
	text, err := os.ReadFile(b.config())
	if err != nil {
		return err
	}
	text = []byte(strings.NewReplacer(`":`+b.port+`"`, `"127.0.0.1:`+b.port+`"`, `"127.0.0.1:9090"`, `"127.0.0.1:0"`, "per_minute: 30", "per_minute: 6000").Replace(string(text)))
	if err := os.WriteFile(b.config(), text, 0o644); err != nil {
		return err
	}
	authorities, err := os.ReadFile(filepath.Join(b.data(), "trial-ca.crt"))
	if err != nil {
		return err
	}
	b.roots = x509.NewCertPool()
	b.roots.AppendCertsFromPEM(authorities)
	if err := b.serve(); err != nil {
		return err
	}
	return b.register()
}

// serve starts the server and waits until it serves.
func (b *bench) serve(flags ...string) error {
	var stdout io.Reader
	cmd, err := startChild(b.env, b.dir, "server", func(cmd *exec.Cmd) (err error) {
		stdout, err = cmd.StdoutPipe()
		return err
	}, append([]string{"serve", "--config", b.config()}, flags...)...)
	if err != nil {
		return err
	}
	b.server = cmd
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server did not start: %s", logTail(b.dir, "server"))
	}
	_, ops, _ := strings.Cut(line, "metrics on ")
	b.ops = strings.TrimSuffix(strings.TrimSpace(ops), ")")
	return nil
}

// restart stops the server and serves with other flags.
func (b *bench) restart(flags ...string) error {
	if err := b.stopServer(); err != nil {
		return err
	}
	return b.serve(flags...)
}

func (b *bench) stopServer() error {
	if b.server == nil {
		return nil
	}
	cmd := b.server
	b.server = nil
	return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait())
}

// stop ends what runs.
func (b *bench) stop() error {
	var faults []error
	if b.browser != nil {
		b.browser.close()
	}
	if b.fleet != nil {
		faults = append(faults, b.fleet.end.Close(), b.fleet.cmd.Wait())
	}
	return errors.Join(append(faults, b.stopServer())...)
}

// metric reads one value from the server.
func (b *bench) metric(name string) (float64, error) {
	response, err := http.Get(b.ops + "/metrics")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("the server has no metric %s", name)
}

// ask sends the fleet a request and reads its answer.
func (b *bench) ask(q fleetRequest) (a fleetAnswer, err error) {
	if err := b.fleet.in.Encode(q); err != nil {
		return a, err
	}
	if err := b.fleet.out.Decode(&a); err != nil {
		return a, fmt.Errorf("the fleet ended: %w: %s", err, logTail(b.dir, "fleet"))
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// enrol starts the fleet and enrols it.
func (b *bench) enrol(c *benchAgents, r *agentsResult) error {
	var in io.WriteCloser
	var out io.Reader
	cmd, err := startChild(b.env, b.dir, "fleet", func(cmd *exec.Cmd) (err error) {
		if in, err = cmd.StdinPipe(); err == nil {
			out, err = cmd.StdoutPipe()
		}
		return err
	}, "bench", "fleet", "--issuer", b.issuer(), "--socket", filepath.Join(b.data(), "gatepost.sock"), "--roots", filepath.Join(b.data(), "trial-ca.crt"))
	if err != nil {
		return err
	}
	b.fleet = &child{cmd: cmd, in: json.NewEncoder(in), out: json.NewDecoder(out), end: in}
	a, err := b.ask(fleetRequest{Do: "enrol", N: c.Devices})
	r.EnrollPerSec = a.PerSecond
	return err
}

// connect opens the fleet's connections.
func (b *bench) connect(r *agentsResult) error {
	a, err := b.ask(fleetRequest{Do: "connect"})
	if err != nil {
		return err
	}
	r.ConnectPerSec = a.PerSecond
	memory, err := b.metric("process_resident_memory_bytes")
	r.ServerMemory = max(r.ServerMemory, uint64(memory))
	return err
}

// lone measures the reports of one agent.
func (b *bench) lone(c *benchAgents) (latencies, error) {
	a, err := b.ask(fleetRequest{Do: "lone", Seconds: min(c.Duration, 3*time.Second).Seconds()})
	return a.Latency, err
}

// loadResult is what was measured of reports.
type loadResult struct {
	PerSecond float64   `json:"per_second"`
	Latency   latencies `json:"latency"`
	ServerCPU float64   `json:"server_cpu"` // microseconds a report
}

// load measures the reports of the fleet.
func (b *bench) load(c *benchAgents) (loadResult, error) {
	const cpu = "process_cpu_seconds_total"
	before, err := b.metric(cpu)
	if err != nil {
		return loadResult{}, err
	}
	a, err := b.ask(fleetRequest{Do: "load", N: c.AtOnce, Seconds: c.Duration.Seconds()})
	if err != nil {
		return loadResult{}, err
	}
	after, err := b.metric(cpu)
	if a.Latency.Count == 0 {
		return loadResult{}, errors.New("no report arrived")
	}
	return loadResult{PerSecond: a.PerSecond, Latency: a.Latency, ServerCPU: (after - before) * 1e6 / float64(a.Latency.Count)}, err
}

// tlsFor is how a client of the bench speaks TLS.
func tlsFor(roots *x509.CertPool, certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return config
}
