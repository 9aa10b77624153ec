package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/store/bolt"
)

type initCommand struct {
	Issuer    string `required:"" placeholder:"URL" help:"Public URL of this provider, such as https://posture.example.com. Okta stores it: choose it to last."`
	DeviceURL string `placeholder:"URL" help:"URL where browsers prove their device, on a host of its own. Default: the issuer."`
	Data      string `required:"" placeholder:"DIR" type:"path" help:"Folder to make everything in; new or empty."`
	TrialTLS  bool   `name:"trial-tls" help:"Also make TLS certificates of an authority that no browser knows, to try things out."`
}

// rsaBits is the size of new RSA keys: every service provider takes it, and a
// signature costs a third of one by 3072 bits.
const rsaBits = 2048

// createKeyring makes the folder that the configuration names for keys of the
// algorithm, with the first key.
func createKeyring(c *Config, algorithm string, now time.Time) (*certs.Keyring, error) {
	dir, kind := c.Signing.Keys, certs.Kind{Algorithm: algorithm, Bits: rsaBits}
	if algorithm == certs.ES256 {
		dir, kind.Bits = c.Signing.ES256Keys, 0
	}
	if dir == "" {
		return nil, fmt.Errorf("%s names no folder for %s keys: write one under signing as es256_keys", c.file, algorithm)
	}
	return certs.CreateKeyring(dir, c.IssuerHost(), kind, now)
}

// Run makes the folder.
func (c *initCommand) Run(e *env) error {
	files, err := initialize(c, time.Now())
	if err != nil {
		return err
	}
	config := filepath.Join(c.Data, "gatepost.yaml")
	if e.json {
		return printJSON(e.stdout, map[string]string{"data": c.Data, "config": config})
	}
	fmt.Fprintf(e.stdout, "Made in %s:\n", c.Data)
	for _, f := range files {
		fmt.Fprintf(e.stdout, "  %-14s %s\n", f[0], f[1])
	}
	step := 0
	next := func(text string) { step++; fmt.Fprintf(e.stdout, "  %d. %s\n", step, text) }
	fmt.Fprintln(e.stdout, "\nNext:")
	if !c.TrialTLS {
		next("Put the TLS certificates that gatepost.yaml names (tls.crt, tls.key, ...) into the folder.")
	}
	next("gatepost check --config " + config)
	next("gatepost serve --config " + config)
	next("gatepost org add NAME --metadata FILE --config " + config + "   (the metadata of the identity provider that you make in Okta)")
	fmt.Fprintln(e.stdout, "     or, by OpenID Connect: gatepost client add NAME --redirect-uri URL --config "+config)
	next("gatepost device import FILE --config " + config)
	return nil
}

// initialize makes the folder and returns its files, each with what it is.
func initialize(c *initCommand, now time.Time) ([][2]string, error) {
	text := InitialConfig(c.Issuer, c.DeviceURL)
	config, err := checkInitial(text, c.Data)
	if err != nil {
		return nil, err
	}
	if err := makeEmpty(c.Data); err != nil {
		return nil, err
	}
	for _, algorithm := range []string{certs.RS256, certs.ES256} {
		if _, err := createKeyring(config, algorithm, now); err != nil {
			return nil, err
		}
	}
	authority := config.Devices.Authority
	if _, err := certs.CreateAuthority(authority.Certificate, authority.Key, "Gatepost device authority of "+config.IssuerHost(), now); err != nil {
		return nil, err
	}
	db, err := bolt.Open(config.StorePath(), bolt.Options{Create: true})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	files := [][2]string{
		{"gatepost.yaml", "the configuration, with a comment on every key"},
		{"keys/", "the key that signs answers; whoever has it can say any device is managed"},
		{"es256-keys/", "the same for ID tokens by ES256"},
		{"device-ca.*", "the authority that issues device certificates"},
		{"gatepost.db", "the store: devices, decisions, organisations"},
	}
	if c.TrialTLS {
		if err := makeTrialTLS(config, c.Data, now); err != nil {
			return nil, err
		}
		files = append(files, [2]string{"*tls.crt/.key", "TLS certificates for trials, signed by trial-ca.crt"})
	}
	// Last, so that a folder with a configuration is a whole one.
	return files, os.WriteFile(filepath.Join(c.Data, "gatepost.yaml"), text, 0o644)
}

// createStore makes the configured store unless its file is there; what is
// wrong with the configuration is left to whoever loads it next.
func createStore(e *env) error {
	c, _ := LoadConfig(e.config, os.LookupEnv)
	if c == nil {
		return nil
	}
	db, err := bolt.Open(c.StorePath(), bolt.Options{Create: true})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "gatepost: made a new store, without devices: %s\n", c.StorePath())
	return db.Close()
}

// checkInitial finds the faults of the URLs before anything is made.
func checkInitial(text []byte, dir string) (*Config, error) {
	f := newFindings("gatepost.yaml")
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := parseConfig(f, text, dir, os.LookupEnv)
	var faults []error
	for _, fault := range f.sorted() {
		if !fault.Warning {
			faults = append(faults, fmt.Errorf("%s: %s", fault.Path, fault.Problem+"; "+fault.Instead))
		}
	}
	return c, errors.Join(faults...)
}

// makeEmpty makes the folder, for its owner only, or takes one that is empty.
func makeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; nothing was changed. Name a new folder", dir)
	}
	return os.Chmod(dir, 0o700)
}

// trialLifetime is how long TLS certificates for trials are valid.
const trialLifetime = 90 * 24 * time.Hour

// makeTrialTLS makes a certificate for each host, all of one authority.
func makeTrialTLS(c *Config, dir string, now time.Time) error {
	hosts := []string{c.IssuerHost()}
	if c.DeviceHost() != c.IssuerHost() {
		hosts = append(hosts, c.DeviceHost())
	}
	var cas []byte
	for i, host := range hosts {
		ca, cert, key, err := certs.NewServerCertificate([]string{host}, now, trialLifetime)
		if err != nil {
			return err
		}
		cas = append(cas, ca...)
		if err := errors.Join(os.WriteFile(c.TLS[i].Cert, cert, 0o644), os.WriteFile(c.TLS[i].Key, key, 0o600)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "trial-ca.crt"), cas, 0o644)
}
