package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"gatepost.dev/admin"
)

type keyCommand struct {
	List        keyList        `cmd:"" help:"List the published signing keys."`
	Rotate      keyRotate      `cmd:"" help:"Publish a next key, or with --activate let it sign."`
	Certificate keyCertificate `cmd:"" help:"Write a key's certificate, to upload it to Okta."`
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
	t := newTable(e.stdout, "ID", "STATE", "FROM", "UNTIL")
	for _, k := range keys {
		t.row(k.ID, k.State, day(k.NotBefore), day(k.NotAfter))
	}
	return t.flush()
}

type keyRotate struct {
	Activate string `placeholder:"ID" help:"Let this published key sign from now on (the second step)."`
}

// Run takes one step of a rotation.
func (c *keyRotate) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if c.Activate != "" {
			keys, err := client.ActivateKey(e.ctx, c.Activate)
			if err != nil {
				return fmt.Errorf("activate key %q: %w", c.Activate, err)
			}
			return printKeys(e, keys)
		}
		next, err := client.RotateKey(e.ctx)
		if problem := (*admin.Problem)(nil); errors.As(err, &problem) && problem.Status == http.StatusConflict {
			return fmt.Errorf("rotate keys: %w Once Okta holds its certificate: gatepost key rotate --activate ID", err)
		}
		if err != nil {
			return fmt.Errorf("rotate keys: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, next)
		}
		fmt.Fprintf(e.stdout, `Key %s is published; it does not sign yet. Now:
  1. gatepost key certificate %[1]s --out gatepost-%[1]s.crt
  2. Add that certificate to the identity provider in Okta, beside the present one.
  3. gatepost key rotate --activate %[1]s
`, next.ID)
		return nil
	})
}

type keyCertificate struct {
	ID  string `arg:"" optional:"" help:"The key; default: the one that signs."`
	Out string `type:"path" placeholder:"FILE" help:"File to write (Okta takes the ending .crt); default: standard output."`
}

// Run writes the certificate.
func (c *keyCertificate) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		keys, err := client.Keys(e.ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		for _, k := range keys { // the one that signs is first
			if c.ID != "" && k.ID != c.ID {
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
		return fmt.Errorf("no published key %q; \"gatepost key list\" lists them", c.ID)
	})
}
