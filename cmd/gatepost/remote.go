package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/events/webhook"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// remote says which server elsewhere is asked.
type remote struct {
	Server    string `env:"GATEPOST_SERVER" placeholder:"URL" help:"Ask this server, by its issuer, instead of the one that the configuration is of."`
	TokenFile string `env:"GATEPOST_TOKEN_FILE" placeholder:"FILE" help:"File with the API token for it, that only you can read (mode 0600); \"gatepost token create --kind api\" makes one."`
	ServerCA  string `env:"GATEPOST_SERVER_CA" placeholder:"FILE" help:"Certificates (PEM) of the authorities that its TLS certificate may be of, instead of the system's."`
}

// AfterApply tells the command which server is asked.
func (r *remote) AfterApply(e *env) error {
	e.remote = *r
	return nil
}

// client speaks to the server elsewhere.
func (r *remote) client() (*admin.Client, error) {
	if r.TokenFile == "" {
		return nil, errors.New("--server needs --token-file, a file with an API token")
	}
	secrets, err := readSecrets(r.TokenFile)
	if bad, ok := errors.AsType[*secretFileError](err); ok && !strings.HasPrefix(bad.problem, "has mode") {
		return nil, fmt.Errorf("API token: %s %s; write the token as \"gatepost token create --kind api\" printed it, and nothing else", quote(bad.path), bad.problem)
	}
	if err != nil {
		return nil, fmt.Errorf("API token: %w", err)
	}
	at, err := url.Parse(r.Server)
	if err != nil || at.Scheme != "https" || at.Host == "" || strings.Trim(at.Path, "/") != "" || at.RawQuery+at.Fragment != "" || at.User != nil {
		return nil, fmt.Errorf("--server %s is not such as https://posture.example.com", quote(r.Server))
	}
	var authorities *x509.CertPool
	if r.ServerCA != "" {
		text, err := os.ReadFile(r.ServerCA)
		if err != nil {
			return nil, err
		}
		if authorities = x509.NewCertPool(); !authorities.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", quote(r.ServerCA))
		}
	}
	return admin.NewTokenClient("https://"+at.Host, secrets[0], authorities), nil
}

// withServer runs do with a client of the administration API: of the server
// elsewhere, if one is named; of the running server, through its socket; or, when
// none runs, of the same API served within this process on the store itself.
func withServer(e *env, do func(*admin.Client) error) error {
	if e.remote.Server != "" {
		return withRemote(e, do)
	}
	c, running, err := findServer(e)
	switch {
	case err != nil:
		return err
	case running:
		return do(admin.NewSocketClient(c.SocketPath()))
	}
	return withoutServer(e, c, do)
}

// withRunningServer is withServer for what makes no sense without one.
func withRunningServer(e *env, do func(*admin.Client) error) error {
	if e.remote.Server != "" {
		return withRemote(e, do)
	}
	c, running, err := findServer(e)
	switch {
	case err != nil:
		return err
	case !running:
		return fmt.Errorf("no server runs on %s", c.DataDir())
	}
	return do(admin.NewSocketClient(c.SocketPath()))
}

func withRemote(e *env, do func(*admin.Client) error) error {
	client, err := e.remote.client()
	if err != nil {
		return err
	}
	return do(client)
}

// findServer reads the configuration and tells whether its server runs.
func findServer(e *env) (c *Config, running bool, err error) {
	c, faults := LoadConfig(e.config, os.LookupEnv)
	if c == nil {
		for _, f := range faults {
			fmt.Fprintln(e.stderr, f)
		}
		return nil, false, unusable(e.config, faults)
	}
	running, err = answers(c.SocketPath())
	return c, running, err
}

// answers tells whether a server listens on the socket.
func answers(path string) (bool, error) {
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return false, nil
	case errors.Is(err, os.ErrPermission):
		return false, fmt.Errorf("the server's socket %s is for its owner only; run this as the user that runs the server", path)
	}
	return false, fmt.Errorf("server's socket: %w", err)
}

// withoutServer serves the API on a socket of its own for the time of do.
func withoutServer(e *env, c *Config, do func(*admin.Client) error) (err error) {
	db, err := bolt.Open(c.StorePath(), bolt.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	records := store.New(db)
	if err := records.ResumeImports(e.ctx); err != nil {
		fmt.Fprintf(e.stderr, "gatepost: warning: an interrupted import is not finished: %v\n", err)
	}
	options := &web.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	background, stop := context.WithCancel(e.ctx)
	defer stop()
	g, err := newGeneration(e.ctx, c, records, nil, newProcess(time.Now, background.Done(), func(string) {}), options)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatepost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: g.admin, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Close()
		<-served
		err = errors.Join(err, records.Seal(e.ctx, g.logKey, webhook.Body))
	}()
	return do(admin.NewSocketClient(socket))
}
