package main

import (
	"fmt"
	"os"

	"gatepost.dev/admin"
)

type orgCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	Add    orgAdd    `cmd:"" help:"Let an organisation ask, by its SAML metadata."`
	List   orgList   `cmd:"" help:"List the organisations, those of the configuration among them."`
	Show   orgShow   `cmd:"" help:"Show one organisation and what to enter in Okta."`
	Remove orgRemove `cmd:"" help:"Forget an organisation that was added."`
}

type orgAdd struct {
	Name             string    `arg:"" help:"How commands, decisions and logs call it."`
	Metadata         string    `required:"" type:"existingfile" placeholder:"FILE" help:"Service provider metadata, downloaded from the identity provider that you made in Okta."`
	Use              string    `enum:"posture,factor,both" default:"posture" help:"What it takes answers for: posture (by Okta's data contract), factor (an IdP authenticator: managed and compliant devices only) or both (as each request asks)."`
	Policy           string    `default:"default" help:"Policy of the configuration that judges its devices."`
	Sign             string    `enum:"both,assertion,response" default:"both" help:"Which part of an answer is signed: ${enum}."`
	Encrypt          bool      `help:"Encrypt assertions to the key in the metadata."`
	OnUnmanaged      string    `enum:"refuse,assert" default:"refuse" help:"Answer for a device that is not managed: refuse (AuthnFailed) or assert (IsManaged false)."`
	OnNoncompliant   string    `enum:"assert,explain,refuse" default:"assert" help:"Answer for a managed device that is not compliant: assert (IsCompliant false), explain (show the user what is wrong, then assert) or refuse."`
	Application      []appFlag `placeholder:"APP=POLICY" sep:"none" help:"Policy of one of its applications, in place of --policy: by the ID of the app instance, or as name:NAME=POLICY. Repeat for more; the first that matches counts."`
	BindOwner        ownerFlag `help:"Take a device for not managed when the answer is about a user who is not its owner; --bind-owner=warn: only say so in the decision."`
	AgentChallenge   bool      `help:"Ask the agent on the device who it is when the browser shows no certificate."`
	Attestation      bool      `help:"Say in answers what hardware vouched for, as a signed Attestation."`
	AllowSHA1Digests bool      `name:"allow-sha1-digests" help:"Accept requests signed over a SHA-1 digest, as Okta sent them until December 2025."`
}

// Run adds the organisation.
func (c *orgAdd) Run(e *env) error {
	metadata, err := os.ReadFile(c.Metadata)
	if err != nil {
		return err
	}
	return withServer(e, func(client *admin.Client) error {
		rp, err := client.AddRelyingParty(e.ctx, admin.NewRelyingParty{
			Name: c.Name, Metadata: string(metadata), Use: c.Use, Policy: c.Policy, Sign: c.Sign, Encrypt: c.Encrypt,
			OnUnmanaged: c.OnUnmanaged, OnNoncompliant: c.OnNoncompliant, BindOwner: c.BindOwner.binding, Applications: appPolicies(c.Application), AllowSHA1Digests: c.AllowSHA1Digests,
			AgentChallenge: c.AgentChallenge, Attestation: c.Attestation,
		})
		if err != nil {
			return fmt.Errorf("add organisation %q: %w", c.Name, err)
		}
		if e.json {
			return printJSON(e.stdout, rp)
		}
		fmt.Fprintf(e.stdout, "%s may ask now, as %s\n", rp.Name, rp.EntityID)
		return nil
	})
}

type orgList struct{}

// Run lists the organisations.
func (*orgList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		parties, err := client.RelyingParties(e.ctx)
		if err != nil {
			return fmt.Errorf("list organisations: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, parties)
		}
		t := newTable(e.stdout, "NAME", "ENTITY ID", "POLICY", "SIGN", "ENCRYPT", "UNMANAGED", "NONCOMPLIANT", "OWNER", "FROM")
		for _, p := range parties {
			t.row(p.Name, p.EntityID, p.Policy, p.Sign, yesNo(p.Encrypt), p.OnUnmanaged, p.OnNoncompliant, string(p.BindOwner), string(p.Origin))
		}
		return t.flush()
	})
}

type orgShow struct {
	Name string `arg:"" help:"Its name."`
}

// Run shows the organisation with what Okta needs to know of this provider.
func (c *orgShow) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		parties, err := client.RelyingParties(e.ctx)
		if err != nil {
			return fmt.Errorf("show organisation: %w", err)
		}
		for _, p := range parties {
			if p.Name != c.Name {
				continue
			}
			if e.json {
				return printJSON(e.stdout, p)
			}
			status, err := client.Status(e.ctx)
			if err != nil {
				return fmt.Errorf("show organisation: %w", err)
			}
			t := newTable(e.stdout, "name", p.Name)
			t.row("entity ID", p.EntityID)
			t.row("use", p.Use)
			t.row("policy", p.Policy)
			showApplications(t, p.Applications)
			t.row("signed", p.Sign)
			t.row("encrypted", yesNo(p.Encrypt))
			t.row("on unmanaged", p.OnUnmanaged)
			t.row("on noncompliant", p.OnNoncompliant)
			t.row("bind owner", string(p.BindOwner))
			t.row("agent challenge", yesNo(p.AgentChallenge))
			t.row("attestation", yesNo(p.Attestation))
			t.row("SHA-1 digests", yesNo(p.AllowSHA1Digests))
			t.row("registered in", string(p.Origin))
			t.row("", "")
			t.row("enter in Okta:", "")
			t.row("IdP Issuer URI", status.Endpoints.EntityID)
			t.row("IdP Single Sign-On URL", status.Endpoints.SSO)
			t.row("Destination", status.Endpoints.SSO)
			t.row("IdP Signature Certificate", "gatepost key certificate --out gatepost.crt")
			return t.flush()
		}
		return fmt.Errorf("no organisation %q; \"gatepost org list\" lists them", c.Name)
	})
}

type orgRemove struct {
	Name string `arg:"" help:"Its name."`
}

// Run removes the organisation.
func (c *orgRemove) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if err := client.RemoveRelyingParty(e.ctx, c.Name); err != nil {
			return fmt.Errorf("remove organisation %q: %w", c.Name, err)
		}
		if e.json {
			return printJSON(e.stdout, map[string]string{"removed": c.Name})
		}
		fmt.Fprintf(e.stdout, "%s may not ask any more\n", c.Name)
		return nil
	})
}
