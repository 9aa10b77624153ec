package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/admin"
)

type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Make a token, with which one device enrols once."`
	List   tokenList   `cmd:"" help:"List tokens: what they are for, and what became of them."`
	Revoke tokenRevoke `cmd:"" help:"Make a token useless."`
}

type tokenCreate struct {
	Kind     string        `enum:"enroll" required:"" placeholder:"enroll" help:"What the token is for: ${enum}."`
	Managed  bool          `help:"The device is managed from then on, for as long as its agent reports. Without this it is pending until an import names it or you approve it."`
	Device   string        `placeholder:"ID" help:"The device that it enrols; made if it is not in the inventory. Takes the place of an agent that is there."`
	Serial   string        `placeholder:"NUMBER" help:"Serial number that the hardware must have. Takes the place of an agent that is there."`
	Owner    string        `placeholder:"NAME" help:"Whose device it is from then on."`
	Lifetime time.Duration `default:"24h" help:"How long it can be used: 1m to 720h."`
	Note     string        `placeholder:"TEXT" help:"What it is for, for whoever lists tokens."`
	Count    int           `default:"1" help:"Make so many alike, for a roll-out."`
}

// maxTokens is how many tokens one command makes.
const maxTokens = 100_000

// Validate checks the flags.
func (c *tokenCreate) Validate() error {
	switch {
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
		made := make([]admin.IssuedToken, 0, c.Count)
		progress := newProgress(e.stderr, time.Now)
		defer progress.clear()
		for range c.Count {
			t, err := client.CreateToken(e.ctx, admin.NewToken{
				Kind: c.Kind, Lifetime: c.Lifetime.String(), Managed: c.Managed, DeviceID: c.Device, Serial: c.Serial, Owner: c.Owner, Note: c.Note,
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
			return printToken(e, &made[0])
		}
		return nil
	})
}

// printToken says what to do with the token.
func printToken(e *env, t *admin.IssuedToken) error {
	fmt.Fprintln(e.stdout, t.Secret)
	c, _, err := findServer(e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stderr, "One device enrols with it, until %s UTC; it is not shown again. On the device:\n  gatepost-agent enroll --server %s --token %s\n",
		second(t.ExpiresAt), c.Issuer, t.Secret)
	return err
}

type tokenList struct {
	All bool `help:"Also those that are used, expired or revoked."`
}

// Run lists tokens.
func (c *tokenList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		found := []admin.Token{}
		for after := ""; ; {
			page, err := client.Tokens(e.ctx, after, 1000)
			if err != nil {
				return fmt.Errorf("list tokens: %w", err)
			}
			for _, t := range page.Tokens {
				if c.All || t.State == admin.TokenUsable {
					found = append(found, t)
				}
			}
			if after = page.Next; after == "" {
				break
			}
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
	ID string `arg:"" help:"The token's ID, as the list shows it."`
}

// Run revokes the token.
func (c *tokenRevoke) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if err := client.RevokeToken(e.ctx, c.ID); err != nil {
			return fmt.Errorf("revoke token %q: %w", c.ID, err)
		}
		_, err := fmt.Fprintf(e.stdout, "%s is of no use any more\n", printable(c.ID))
		return err
	})
}
