package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
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
// device import, device certificate; and in Okta, adding the provider.
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
	if _, err := d.admin.AddRelyingParty(ctx, admin.NewRelyingParty{Name: "demo", Metadata: string(d.okta.Metadata())}); err != nil {
		return nil, fmt.Errorf("add organisation: %w", err)
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
	c.Listen.Ops = "127.0.0.1:0"
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

// demoLifetime is how long certificates are valid that the demo makes itself.
const demoLifetime = 30 * 24 * time.Hour

// makeOktaTLS makes the TLS certificate of the simulated Okta.
func (d *demo) makeOktaTLS() error {
	ca, certificate, key, err := certs.NewServerCertificate([]string{"localhost"}, d.now(), demoLifetime)
	if err != nil {
		return err
	}
	if d.oktaTLS, err = tls.X509KeyPair(certificate, key); err != nil {
		return err
	}
	d.roots.AppendCertsFromPEM(ca)
	return os.WriteFile(filepath.Join(d.dir, "okta-ca.crt"), ca, 0o644)
}

// startOkta gives the simulated Okta the provider's metadata, as it is served,
// and starts it.
func (d *demo) startOkta(ctx context.Context) error {
	key, certificate, err := makeOktaKey(d.now())
	if err != nil {
		return err
	}
	b, err := newBrowser(d.roots, nil)
	if err != nil {
		return err
	}
	defer b.close()
	metadata, err := b.load(ctx, step{url: d.issuer() + "/saml/metadata"})
	if err != nil {
		return err
	}
	d.okta, err = conform.NewOkta(conform.OktaConfig{
		EntityID: "https://www.okta.com/saml2/service-provider/spgatepostdemo", ACS: d.oktaURL() + "/sso/saml2/0oagatepostdemo",
		Key: key, Certificate: certificate, IdPMetadata: metadata.body, Now: d.now, Log: d.log,
	})
	if err != nil {
		return err
	}
	s := d.serve(d.okta.Handler())
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{d.oktaTLS}}
	go func() { d.ended(s.ServeTLS(d.listeners[1], "", "")) }()
	return nil
}

// makeOktaKey makes the key by which the simulated Okta signs its requests.
func makeOktaKey(now time.Time) (*rsa.PrivateKey, *x509.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Simulated Okta"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(demoLifetime),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return key, certificate, err
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
	if d.gatepost != nil {
		faults = append(faults, d.gatepost.stop())
	}
	d.listeners.close()
	if d.dir != "" {
		faults = append(faults, os.RemoveAll(d.dir))
	}
	return errors.Join(faults...)
}
