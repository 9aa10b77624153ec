package main

import (
	"fmt"

	"gatepost.dev/admin"
)

type clientShow struct {
	Name string `arg:"" help:"Its name."`
}

// Run shows the client with what Okta needs to know of this provider.
func (c *clientShow) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		clients, err := client.Clients(e.ctx)
		if err != nil {
			return fmt.Errorf("show client: %w", err)
		}
		for _, known := range clients {
			if known.Name != c.Name {
				continue
			}
			if e.json {
				return printJSON(e.stdout, known)
			}
			status, err := client.Status(e.ctx)
			if err != nil {
				return fmt.Errorf("show client: %w", err)
			}
			return printClient(e, &status.Endpoints, known)
		}
		return fmt.Errorf("no client %q; \"gatepost client list\" lists them", c.Name)
	})
}

func printClient(e *env, at *admin.Endpoints, c admin.OIDCClient) error {
	t := newTable(e.stdout, "name", c.Name)
	for _, uri := range c.RedirectURIs {
		t.row("redirect URI", uri)
	}
	switch c.Secret {
	case admin.SecretInFile:
		t.row("secret", "in "+c.SecretFile)
	case admin.SecretNone:
		t.row("secret", "none")
	}
	for i, s := range c.Secrets {
		switch {
		case !s.ExpiresAt.IsZero():
			t.row("former secret", "of "+second(s.AddedAt)+", counts until "+second(s.ExpiresAt)+" (UTC)")
		case i == len(c.Secrets)-1:
			t.row("secret", "of "+second(s.AddedAt)+" (UTC), kept as a hash")
		}
	}
	t.row("keys", yesNo(c.JWKS != ""))
	t.row("needs PKCE", yesNo(c.RequirePKCE))
	t.row("needs signed requests", yesNo(c.RequireRequestObject))
	t.row("iss parameter", yesNo(!c.OmitIss))
	t.row("ID tokens", c.IDTokenAlg)
	t.row("policy", c.Policy)
	showApplications(t, c.Applications)
	t.row("on unmanaged", c.OnUnmanaged)
	t.row("on noncompliant", c.OnNoncompliant)
	t.row("agent challenge", yesNo(c.AgentChallenge))
	t.row("bind owner", string(c.BindOwner))
	t.row("registered in", string(c.Origin))
	t.row("", "")
	t.row("enter in Okta:", "")
	t.row("Client ID", c.ClientID)
	t.row("Scopes", "openid email profile")
	t.row("Issuer", at.Issuer)
	t.row("Authorization endpoint", at.Authorize)
	t.row("Token endpoint", at.Token)
	t.row("JWKS endpoint", at.KeySet)
	t.row("Userinfo endpoint", at.UserInfo)
	return t.flush()
}
