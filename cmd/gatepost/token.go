package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

type tokenCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	Create tokenCreate `cmd:"" help:"Make a token, with which one device enrols once, or with which others administer."`
	List   tokenList   `cmd:"" help:"List tokens: what they are for, and what became of them."`
	Revoke tokenRevoke `cmd:"" help:"Make a token useless."`
}

type tokenCreate struct {
	Kind     string        `enum:"enroll,api" required:"" placeholder:"enroll|api" help:"What the token is for: to enrol one device, once, or to administer by the API or from another machine."`
	Managed  bool          `help:"The device is managed from then on, for as long as its agent reports. Without this it is pending until an import names it or you approve it."`
	Device   string        `placeholder:"ID" help:"The device that it enrols; made if it is not in the inventory. Takes the place of an agent that is there."`
	Serial   string        `placeholder:"NUMBER" help:"Serial number that the hardware must have. Takes the place of an agent that is there."`
	Owner    string        `placeholder:"NAME" help:"Whose device it is from then on."`
	Name     string        `placeholder:"NAME" help:"For --kind api: stands in the log for whoever holds the token."`
	Role     string        `enum:",viewer,helpdesk,operator,admin" default:"" placeholder:"viewer|helpdesk|operator|admin" help:"For --kind api: what its holder may do. Each role may do all that those before it may."`
	Address  []string      `placeholder:"NETWORK" help:"For --kind api: count only from this address or network, such as 10.0.0.0/8; may be given again."`
	Lifetime time.Duration `help:"How long it can be used: 1m to 720h, by default 24h; for --kind api up to 8784h, by default 2160h. An API token that is not used for 720h ends then."`
	Note     string        `placeholder:"TEXT" help:"What it is for, for whoever lists tokens."`
	Count    int           `default:"1" help:"Make so many alike, for a roll-out."`
}

// maxTokens is how many tokens one command makes.
const maxTokens = 100_000

// Validate checks the flags.
func (c *tokenCreate) Validate() error {
	forAPI, forEnrolment := c.Name+c.Role != "" || len(c.Address) > 0, c.Managed || c.Device+c.Serial+c.Owner+c.Note != ""
	switch {
	case c.Kind == kindAPI && (forEnrolment || c.Count != 1):
		return errors.New("--kind api takes none of --managed, --device, --serial, --owner, --note and --count")
	case c.Kind == kindAPI && (c.Name == "" || c.Role == ""):
		return errors.New("--kind api needs --name and --role")
	case c.Kind != kindAPI && forAPI:
		return errors.New("--name, --role and --address are for --kind api")
	case c.Count < 1 || c.Count > maxTokens:
		return fmt.Errorf("--count %d is not from 1 to %d", c.Count, maxTokens)
	case c.Count > 1 && (c.Device != "" || c.Serial != ""):
		return errors.New("--count makes tokens for as many devices: leave out --device and --serial")
	}
	return nil
}

// Run makes the tokens. Each is printed once it can be used.
func (c *tokenCreate) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if c.Kind == kindAPI {
			return c.createAPIToken(e, client)
		}
		made := make([]admin.IssuedToken, 0, c.Count)
		progress := newProgress(e.stderr, time.Now)
		defer progress.clear()
		for range c.Count {
			t, err := client.CreateToken(e.ctx, admin.NewToken{
				Kind: c.Kind, Lifetime: lifetimeText(c.Lifetime), Managed: c.Managed, DeviceID: c.Device, Serial: c.Serial, Owner: c.Owner, Note: c.Note,
			})
			if err != nil {
				return fmt.Errorf("create token: %w", err)
			}
			made = append(made, t)
			if c.Count > 1 {
				progress.show("%d of %d tokens made", len(made), c.Count)
				if !e.json {
					fmt.Fprintln(e.stdout, t.Secret)
				}
			}
		}
		switch {
		case e.json && c.Count == 1:
			return printJSON(e.stdout, made[0])
		case e.json:
			return printJSON(e.stdout, made)
		case c.Count == 1:
			return printToken(e, client, &made[0])
		}
		return nil
	})
}

// kindAPI is the kind of token for the administration API.
const kindAPI = "api"

// lifetimeText is empty for what the server decides.
func lifetimeText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func (c *tokenCreate) createAPIToken(e *env, client *admin.Client) error {
	t, err := client.CreateAPIToken(e.ctx, admin.NewAPIToken{
		Name: c.Name, Role: posture.Role(c.Role), Addresses: c.Address, Lifetime: lifetimeText(c.Lifetime),
	})
	if err != nil {
		return fmt.Errorf("create token: %w", err)
	}
	if e.json {
		return printJSON(e.stdout, t)
	}
	status, err := client.Status(e.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, t.Secret)
	_, err = fmt.Fprintf(e.stderr, "It counts as %s until %s UTC, or until it was not used for 30 days; it is not shown again. With it in a file:\n  gatepost device list --server %s --token-file FILE\n",
		t.Role, second(t.ExpiresAt), status.Endpoints.Issuer)
	return err
}

// printToken says what to do with the token.
func printToken(e *env, client *admin.Client, t *admin.IssuedToken) error {
	fmt.Fprintln(e.stdout, t.Secret)
	status, err := client.Status(e.ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stderr, "One device enrols with it, until %s UTC; it is not shown again. On the device:\n  gatepost-agent enroll --server %s --token %s\n",
		second(t.ExpiresAt), status.Endpoints.Issuer, t.Secret)
	return err
}

type tokenList struct {
	Kind string `enum:"enroll,api" default:"enroll" placeholder:"enroll|api" help:"Those to enrol with (default), or those for the API."`
	All  bool   `help:"Also those that are used, expired, idle or revoked."`
}

// Run lists tokens.
func (c *tokenList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if c.Kind == kindAPI {
			return c.listAPITokens(e, client)
		}
		found, err := allPages(func(after string) ([]admin.Token, string, error) {
			page, err := client.Tokens(e.ctx, after, 1000)
			return page.Tokens, page.Next, err
		}, func(t *admin.Token) bool { return c.All || t.State == admin.TokenUsable })
		if err != nil {
			return fmt.Errorf("list tokens: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, found)
		}
		t := newTable(e.stdout, "ID", "KIND", "STATE", "UNTIL", "MANAGED", "FOR", "OWNER", "USED BY", "NOTE")
		for _, token := range found {
			t.row(token.ID, token.Kind, string(token.State), second(token.ExpiresAt), yesNo(token.Managed), boundTo(&token),
				token.Owner, token.UsedBy, token.Note)
		}
		return t.flush()
	})
}

func (c *tokenList) listAPITokens(e *env, client *admin.Client) error {
	found, err := allPages(func(after string) ([]admin.APIToken, string, error) {
		page, err := client.APITokens(e.ctx, after, 1000)
		return page.Tokens, page.Next, err
	}, func(t *admin.APIToken) bool { return c.All || t.State == admin.TokenUsable })
	if err != nil {
		return fmt.Errorf("list tokens: %w", err)
	}
	if e.json {
		return printJSON(e.stdout, found)
	}
	t := newTable(e.stdout, "ID", "NAME", "ROLE", "STATE", "UNTIL", "FROM", "MADE BY", "LAST USED", "BY ADDRESS")
	for _, token := range found {
		t.row(token.ID, token.Name, string(token.Role), string(token.State), second(token.ExpiresAt), strings.Join(token.Addresses, ", "),
			token.CreatedBy, secondOrNever(token.UsedAt), token.UsedFrom)
	}
	return t.flush()
}

// allPages reads pages to the last, and keeps what is wanted.
func allPages[T any](read func(after string) (page []T, next string, err error), wanted func(*T) bool) ([]T, error) {
	found := []T{}
	for after := ""; ; {
		page, next, err := read(after)
		if err != nil {
			return nil, err
		}
		for i := range page {
			if wanted(&page[i]) {
				found = append(found, page[i])
			}
		}
		if after = next; after == "" {
			return found, nil
		}
	}
}

// boundTo is the hardware that the token is for.
func boundTo(t *admin.Token) string {
	var parts []string
	if t.DeviceID != "" {
		parts = append(parts, t.DeviceID)
	}
	if t.Serial != "" {
		parts = append(parts, "serial "+t.Serial)
	}
	return strings.Join(parts, ", ")
}

type tokenRevoke struct {
	Kind string `enum:"enroll,api" default:"enroll" placeholder:"enroll|api" help:"What the token is for: to enrol (default), or for the API."`
	ID   string `arg:"" help:"The token's ID, as the list shows it."`
}

// Run revokes the token.
func (c *tokenRevoke) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		revoke := client.RevokeToken
		if c.Kind == kindAPI {
			revoke = client.RevokeAPIToken
		}
		if err := revoke(e.ctx, c.ID); err != nil {
			if p, ok := errors.AsType[*admin.Problem](err); ok && p.Status == http.StatusNotFound && c.Kind != kindAPI {
				return fmt.Errorf("revoke token %q: %w (one for the API takes --kind api)", c.ID, err)
			}
			return fmt.Errorf("revoke token %q: %w", c.ID, err)
		}
		_, err := fmt.Fprintf(e.stdout, "%s is of no use any more\n", printable(c.ID))
		return err
	})
}
