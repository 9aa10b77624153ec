package main

import (
	"fmt"
	"os"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
)

type keyCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	List        keyList        `cmd:"" help:"List the published signing keys."`
	Rotate      keyRotate      `cmd:"" help:"Publish a next key, or with --activate let it sign."`
	Certificate keyCertificate `cmd:"" help:"Write a key's certificate, to upload it to Okta."`
	Create      keyCreate      `cmd:"" help:"Make the first key, in a folder that the configuration names and that is new or empty."`
}

type keyList struct{}

// Run lists the keys.
func (*keyList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		keys, err := client.Keys(e.ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		return printKeys(e, keys)
	})
}

func printKeys(e *env, keys []admin.Key) error {
	if e.json {
		return printJSON(e.stdout, keys)
	}
	t := newTable(e.stdout, "ID", "STATE", "ALGORITHM", "FROM", "UNTIL")
	for _, k := range keys {
		t.row(k.ID, k.State, k.Algorithm, day(k.NotBefore), day(k.NotAfter))
	}
	return t.flush()
}

type keyRotate struct {
	Activate string `placeholder:"ID" help:"Let this published key sign from now on (the second step)."`
	Alg      string `enum:"RS256,ES256" default:"RS256" help:"Which keys: RS256 for SAML and most ID tokens, or ES256. An ID says it by itself."`
	Force    bool   `help:"Do it at once, although OpenID clients that keep the published keys may then refuse sign-ins, for five minutes at most."`
}

// Run takes one step of a rotation.
func (c *keyRotate) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if c.Activate != "" {
			keys, err := client.ActivateKey(e.ctx, c.Activate, c.Force)
			if err != nil {
				return fmt.Errorf("activate key %q: %w", c.Activate, err)
			}
			return printKeys(e, keys)
		}
		next, err := client.RotateKey(e.ctx, c.Alg, c.Force)
		if err != nil {
			return fmt.Errorf("rotate keys: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, next)
		}
		fmt.Fprintf(e.stdout, "Key %s is published; it does not sign yet. Now:\n", next.ID)
		if next.Algorithm == certs.RS256 {
			fmt.Fprintf(e.stdout, `  1. gatepost key certificate %s --out gatepost-%[1]s.crt
  2. Add that certificate to the SAML identity provider in Okta, beside the present one.
  3. `, next.ID)
		} else {
			fmt.Fprint(e.stdout, "  ")
		}
		fmt.Fprintf(e.stdout, "In %d minutes, when OpenID clients know it: gatepost key rotate --activate %s\n", int(certs.PublishFor.Minutes()), next.ID)
		return nil
	})
}

type keyCertificate struct {
	ID  string `arg:"" optional:"" help:"The key; default: the one that signs."`
	Alg string `enum:"RS256,ES256" default:"RS256" help:"The key that signs by RS256, or by ES256."`
	Out string `type:"path" placeholder:"FILE" help:"File to write (Okta takes the ending .crt); default: standard output."`
}

// Run writes the certificate.
func (c *keyCertificate) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		keys, err := client.Keys(e.ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		for _, k := range keys { // of each algorithm, the one that signs is first
			if c.ID != "" && k.ID != c.ID || c.ID == "" && k.Algorithm != c.Alg {
				continue
			}
			if e.json {
				return printJSON(e.stdout, k)
			}
			if c.Out == "" {
				_, err := fmt.Fprint(e.stdout, k.Certificate)
				return err
			}
			return os.WriteFile(c.Out, []byte(k.Certificate), 0o644)
		}
		if c.ID == "" {
			return fmt.Errorf("no published key signs by %s; \"gatepost key list\" lists them", c.Alg)
		}
		return fmt.Errorf("no published key %q; \"gatepost key list\" lists them", c.ID)
	})
}

type keyCreate struct {
	Alg string `enum:"RS256,ES256" default:"RS256" help:"RS256 keys, in the folder signing.keys, or ES256 keys, in signing.es256_keys."`
}

// Run makes a folder of keys. It needs no server, which could not start without
// the folder; one that runs reads it with the configuration.
func (c *keyCreate) Run(e *env) error {
	config, faults := LoadConfig(e.config, os.LookupEnv)
	if config == nil {
		for _, f := range faults {
			fmt.Fprintln(e.stderr, f)
		}
		return unusable(e.config, faults)
	}
	ring, err := createKeyring(config, c.Alg, time.Now())
	if err != nil {
		return err
	}
	key := ring.Signing()
	if e.json {
		return printJSON(e.stdout, map[string]string{"id": key.ID, "algorithm": key.Algorithm()})
	}
	fmt.Fprintf(e.stdout, "Key %s is made. A running server takes it up when it reads its configuration again (SIGHUP).\n", key.ID)
	return nil
}
