package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gatepost.dev/admin"
)

type clientCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	Add          clientAdd          `cmd:"" help:"Let an OpenID Connect client ask, and make its secret."`
	List         clientList         `cmd:"" help:"List the clients, those of the configuration among them."`
	Show         clientShow         `cmd:"" help:"Show one client and what to enter in Okta."`
	Remove       clientRemove       `cmd:"" help:"Forget a client that was added."`
	RotateSecret clientRotateSecret `cmd:"" help:"Make another secret; the former one counts on for a while."`
}

type clientAdd struct {
	Name                 string    `arg:"" help:"How commands, decisions and logs call it."`
	RedirectURI          []string  `required:"" sep:"none" placeholder:"URL" help:"Where answers may go, compared letter by letter; of Okta https://ORG/oauth2/v1/authorize/callback. May be given more than once."`
	ClientID             string    `placeholder:"ID" help:"What the client calls itself. Default: one is made."`
	JWKS                 string    `name:"jwks" type:"existingfile" placeholder:"FILE" help:"JWK Set with the client's public keys, for private_key_jwt and signed requests."`
	NoSecret             bool      `xor:"secret" help:"Make no secret: the client proves itself by the keys in --jwks."`
	SecretFile           string    `xor:"secret" type:"path" placeholder:"FILE" help:"Keep the secret in this file, which the server reads, instead of as a hash; made if it is not there. Requests signed by HS256 need it, as Okta's Terraform provider turns them on."`
	RequirePKCE          bool      `name:"require-pkce" help:"Refuse requests without a code challenge."`
	RequireRequestObject bool      `help:"Refuse requests that are not signed."`
	NoIss                bool      `help:"Answer without the iss parameter, for clients that take it for an error."`
	IDTokenAlg           string    `enum:"RS256,ES256" default:"RS256" help:"What ID tokens are signed with: ${enum}."`
	Policy               string    `default:"default" help:"Policy of the configuration that judges its devices."`
	OnUnmanaged          string    `enum:"refuse,assert" default:"refuse" help:"Answer for a device that is not managed: refuse (access_denied) or assert (managed false)."`
	OnNoncompliant       string    `enum:"assert,explain,refuse" default:"assert" help:"Answer for a managed device that is not compliant: assert (compliant false), explain (show the user what is wrong, then assert) or refuse."`
	Application          []appFlag `placeholder:"APP=POLICY" sep:"none" help:"Policy of one of its applications, in place of --policy: by the ID of the app instance, or as name:NAME=POLICY. Repeat for more; the first that matches counts."`
	AgentChallenge       bool      `help:"Ask the agent on the device who it is when the browser shows no certificate."`
	BindOwner            ownerFlag `help:"Take a device for not managed when the answer is about a user who is not its owner; --bind-owner=warn: only say so in the decision."`
}

// Validate checks the flags.
func (c *clientAdd) Validate() error {
	if c.NoSecret && c.JWKS == "" {
		return errors.New("--no-secret needs --jwks, or the client cannot prove itself")
	}
	return nil
}

// Run adds the client.
func (c *clientAdd) Run(e *env) error {
	n := admin.NewOIDCClient{
		Name: c.Name, ClientID: c.ClientID, RedirectURIs: c.RedirectURI, Secret: admin.SecretHashed,
		RequirePKCE: c.RequirePKCE, RequireRequestObject: c.RequireRequestObject, OmitIss: c.NoIss, IDTokenAlg: c.IDTokenAlg,
		Policy: c.Policy, OnUnmanaged: c.OnUnmanaged, OnNoncompliant: c.OnNoncompliant, BindOwner: c.BindOwner.binding, Applications: appPolicies(c.Application),
		AgentChallenge: c.AgentChallenge,
	}
	if c.JWKS != "" {
		keys, err := os.ReadFile(c.JWKS)
		switch {
		case err != nil:
			return err
		case len(keys) == 0: // which would say that there are none
			return fmt.Errorf("--jwks %s is empty", quote(c.JWKS))
		}
		n.JWKS = string(keys)
	}
	switch {
	case c.NoSecret:
		n.Secret = admin.SecretNone
	case c.SecretFile != "":
		n.Secret, n.SecretFile = admin.SecretInFile, c.SecretFile
	}
	return withServer(e, func(client *admin.Client) error {
		made, err := makeSecretFile(n.SecretFile)
		if err != nil {
			return fmt.Errorf("secret file: %w", err)
		}
		issued, err := client.AddClient(e.ctx, n)
		if err != nil {
			if made != "" {
				err = errors.Join(err, os.Remove(n.SecretFile)) // nobody knows it
			}
			return fmt.Errorf("add client %q: %w", c.Name, err)
		}
		if made != "" {
			issued.ClientSecret = made
		}
		if e.json {
			return printIssuedJSON(e, issued)
		}
		fmt.Fprintf(e.stdout, "%s may ask now.\n", issued.Client.Name)
		return printIssued(e, issued)
	})
}

// printIssued prints a client ID with its secret, if one was made.
func printIssued(e *env, issued admin.IssuedSecret) error {
	t := newTable(e.stdout, "client ID", issued.Client.ClientID)
	if issued.ClientSecret != "" {
		t.row("client secret", issued.ClientSecret)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if issued.ClientSecret != "" {
		fmt.Fprintln(e.stdout, "The secret is not shown again: enter it in Okta now.")
	}
	if issued.Client.Secret == admin.SecretInFile {
		fmt.Fprintf(e.stdout, "The server reads the secret from %s; keep that file.\n", printable(issued.Client.SecretFile))
	}
	_, err := fmt.Fprintf(e.stdout, "\"gatepost client show %s\" says what else to enter there.\n", issued.Client.Name)
	return err
}

// printIssuedJSON prints the client, with its secret as client_secret.
func printIssuedJSON(e *env, issued admin.IssuedSecret) error {
	return printJSON(e.stdout, struct {
		admin.OIDCClient
		ClientSecret string `json:"client_secret,omitempty"`
		Dropped      int    `json:"dropped,omitempty"`
	}{issued.Client, issued.ClientSecret, issued.Dropped})
}

type clientList struct{}

// Run lists the clients.
func (*clientList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		clients, err := client.Clients(e.ctx)
		if err != nil {
			return fmt.Errorf("list clients: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, clients)
		}
		t := newTable(e.stdout, "NAME", "CLIENT ID", "PROOF", "ID TOKEN", "POLICY", "UNMANAGED", "NONCOMPLIANT", "OWNER", "FROM")
		for _, c := range clients {
			t.row(c.Name, c.ClientID, proof(c), c.IDTokenAlg, c.Policy, c.OnUnmanaged, c.OnNoncompliant, string(c.BindOwner), string(c.Origin))
		}
		return t.flush()
	})
}

// proof says by what a client proves itself.
func proof(c admin.OIDCClient) string {
	var by []string
	if c.Secret != admin.SecretNone {
		by = append(by, "secret")
	}
	if c.JWKS != "" {
		by = append(by, "keys")
	}
	return strings.Join(by, ", ")
}

type clientRemove struct {
	Name string `arg:"" help:"Its name."`
}

// Run removes the client.
func (c *clientRemove) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if err := client.RemoveClient(e.ctx, c.Name); err != nil {
			return fmt.Errorf("remove client %q: %w", c.Name, err)
		}
		if e.json {
			return printJSON(e.stdout, map[string]string{"removed": c.Name})
		}
		fmt.Fprintf(e.stdout, "%s may not ask any more\n", c.Name)
		return nil
	})
}

type clientRotateSecret struct {
	Name    string        `arg:"" help:"Its name."`
	Overlap time.Duration `default:"24h" help:"How long the former secret counts on, at most 720h; 0s: not at all."`
}

// Validate checks the flags.
func (c *clientRotateSecret) Validate() error {
	if c.Overlap < 0 {
		return fmt.Errorf("--overlap %s is negative", c.Overlap)
	}
	return nil
}

// Run makes another secret.
func (c *clientRotateSecret) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		issued, err := client.RotateClientSecret(e.ctx, c.Name, c.Overlap)
		if err != nil {
			return fmt.Errorf("rotate secret of client %q: %w", c.Name, err)
		}
		if e.json {
			return printIssuedJSON(e, issued)
		}
		if err := printIssued(e, issued); err != nil {
			return err
		}
		if n := len(issued.Client.Secrets); n > 1 {
			fmt.Fprintf(e.stdout, "The former secret counts until %s (UTC).\n", second(issued.Client.Secrets[n-2].ExpiresAt))
		} else {
			fmt.Fprintln(e.stdout, "The former secret does not count any more.")
		}
		if issued.Dropped > 0 {
			fmt.Fprintf(e.stdout, "%s before it, with time left, ended at once.\n", counted(issued.Dropped, "secret"))
		}
		return nil
	})
}
