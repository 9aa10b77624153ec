package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/conform"
)

// demo is Gatepost as an operator would have it, in a temporary folder, with a
// simulated Okta, devices, and a start page.
type demo struct {
	log       *slog.Logger
	now       func() time.Time
	scenarios []scenario

	dir       string // removed by stop
	listeners demoListeners
	gatepost  *server
	admin     *admin.Client
	okta      *conform.Okta
	oktaOIDC  *conform.OktaOIDC
	oktaHTTP  *http.Transport // to the token endpoint, without a certificate
	oktaTLS   tls.Certificate
	roots     *x509.CertPool // of the three TLS certificates
	devices   []demoDevice
	password  string // of the PKCS#12 files

	servers []*http.Server
	failed  chan error
}

func (d *demo) issuer() string     { return "https://localhost:" + d.listeners.port(0) }
func (d *demo) deviceURL() string  { return "https://127.0.0.1:" + d.listeners.port(0) }
func (d *demo) oktaURL() string    { return "https://localhost:" + d.listeners.port(1) }
func (d *demo) startPage() string  { return "http://127.0.0.1:" + d.listeners.port(2) }
func (d *demo) configFile() string { return filepath.Join(d.dir, "data", "gatepost.yaml") }

// startDemo does what an administrator does by commands: init, serve, org add,
// client add, device import, device certificate; and in Okta, adding the provider.
func startDemo(ctx context.Context, addr string, log *slog.Logger, now func() time.Time, scenarios []scenario) (_ *demo, err error) {
	d := &demo{log: log, now: now, scenarios: scenarios, roots: x509.NewCertPool(), failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	if d.listeners, err = listenDemo(addr); err != nil {
		return nil, err
	}
	if d.dir, err = os.MkdirTemp("", "gatepost-demo-"); err != nil {
		return nil, err
	}
	if err := d.startGatepost(ctx); err != nil {
		return nil, err
	}
	if err := d.makeOktaTLS(); err != nil {
		return nil, err
	}
	if err := d.startOkta(ctx); err != nil {
		return nil, fmt.Errorf("simulated Okta: %w", err)
	}
	if err := d.register(ctx); err != nil {
		return nil, err
	}
	if err := d.enrol(ctx); err != nil {
		return nil, err
	}
	pages := d.serve(d.pages())
	go func() { d.ended(pages.Serve(d.listeners[2])) }()
	return d, nil
}

// demoListeners are those of Gatepost, of the simulated Okta and of the start
// page.
type demoListeners [3]net.Listener

func (l *demoListeners) port(i int) string {
	_, port, _ := net.SplitHostPort(l[i].Addr().String()) // an address of net always has one
	return port
}

// listenDemo listens on addr and on the two ports after it; on any three if its
// port is 0.
func listenDemo(addr string) (l demoListeners, err error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return l, fmt.Errorf("--addr %q is not an address and a port, such as 127.0.0.1:8443", addr)
	}
	if host != "127.0.0.1" && host != "localhost" {
		return l, fmt.Errorf("--addr %q: only 127.0.0.1 will do: the demo's keys are known to everybody on this machine, "+
			"and its certificates are for 127.0.0.1 and localhost, which need no DNS", addr)
	}
	first, err := strconv.Atoi(portText)
	if err != nil || first < 0 || first > 65533 {
		return l, fmt.Errorf("--addr %q: the port is from 1 to 65533, or 0 for any", addr)
	}
	for i := range l {
		port := 0
		if first > 0 {
			port = first + i
		}
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l[i], err = net.Listen("tcp", at); err != nil {
			l.close()
			if errors.Is(err, syscall.EADDRINUSE) {
				return l, fmt.Errorf("%s is taken by another program; choose three other ports with --addr 127.0.0.1:PORT, or any with --addr 127.0.0.1:0", at)
			}
			return l, err
		}
	}
	return l, nil
}

func (l *demoListeners) close() {
	for _, listener := range l {
		if listener != nil {
			listener.Close() // again, where a server has closed it
		}
	}
}

// startGatepost makes a data folder as init does, and serves it as serve does.
func (d *demo) startGatepost(ctx context.Context) error {
	data := filepath.Join(d.dir, "data")
	if _, err := initialize(&initCommand{Issuer: d.issuer(), DeviceURL: d.deviceURL(), Data: data, TrialTLS: true}, d.now()); err != nil {
		return err
	}
	c, faults := LoadConfig(d.configFile(), os.LookupEnv)
	if c == nil {
		return fmt.Errorf("configuration of the demo: %v", faults)
	}
	var err error
	c.Listen.Ops = "127.0.0.1:0"
	if c.Devices.AgentPort, err = freeLoopbackPort(); err != nil { // the usual one may be a real agent's
		return err
	}
	authorities, err := os.ReadFile(filepath.Join(data, "trial-ca.crt"))
	if err != nil {
		return err
	}
	d.roots.AppendCertsFromPEM(authorities)
	d.gatepost, err = startServer(ctx, c, serverOptions{
		log: d.log, now: d.now, getenv: os.LookupEnv, configFile: d.configFile(), listener: d.listeners[0],
	})
	if err != nil {
		return err
	}
	d.admin = admin.NewSocketClient(c.SocketPath())
	return nil
}

// freeLoopbackPort is a port of loopback that nobody has now.
func freeLoopbackPort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// serve makes a server that stop will stop.
func (d *demo) serve(h http.Handler) *http.Server {
	s := &http.Server{
		Handler: h, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	d.servers = append(d.servers, s)
	return s
}

func (d *demo) ended(err error) {
	if !errors.Is(err, http.ErrServerClosed) {
		d.failed <- err
	}
}

// stop ends everything and removes the folder. It can be called at any time.
func (d *demo) stop() error {
	var faults []error
	for _, s := range d.servers {
		faults = append(faults, s.Close()) // nobody's work is lost
	}
	if d.oktaHTTP != nil {
		d.oktaHTTP.CloseIdleConnections()
	}
	if d.gatepost != nil {
		faults = append(faults, d.gatepost.stop())
	}
	d.listeners.close()
	if d.dir != "" {
		faults = append(faults, os.RemoveAll(d.dir))
	}
	return errors.Join(faults...)
}
