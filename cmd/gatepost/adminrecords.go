package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// partyRecords is store.Records with organisations as admin names them.
type partyRecords struct{ records *store.Records }

func (p partyRecords) RelyingParties(ctx context.Context) ([]admin.RelyingParty, error) {
	stored, err := p.records.RelyingParties(ctx)
	if err != nil {
		return nil, err
	}
	var all []admin.RelyingParty
	for _, r := range stored {
		if r.OIDC == nil {
			all = append(all, listedParty(r, admin.FromStore))
		}
	}
	return all, nil
}

func (p partyRecords) AddRelyingParty(ctx context.Context, r admin.RelyingParty) error {
	return p.records.AddRelyingParty(ctx, store.RelyingParty{
		Name: r.Name, EntityID: r.EntityID, Metadata: []byte(r.Metadata), Use: r.Use, Policy: r.Policy, Sign: r.Sign, Encrypt: r.Encrypt,
		OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, BindOwner: r.BindOwner, Applications: r.Applications, AllowSHA1: r.AllowSHA1Digests, AddedAt: r.AddedAt,
		AgentChallenge: r.AgentChallenge, Attestation: r.Attestation,
	})
}

func (p partyRecords) RemoveRelyingParty(ctx context.Context, name string) error {
	return removeParty(ctx, p.records, name, func(r *store.RelyingParty) bool { return r.OIDC == nil })
}

// removeParty removes the relying party of that name if it is of the right
// kind.
func removeParty(ctx context.Context, records *store.Records, name string, right func(r *store.RelyingParty) bool) error {
	r, err := records.RelyingParty(ctx, name)
	if err != nil {
		return err
	}
	if !right(&r) {
		return fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, name)
	}
	return records.RemoveRelyingParty(ctx, name)
}

// clientRecords is store.Records with OpenID Connect clients as admin names
// them.
type clientRecords struct{ records *store.Records }

func (c clientRecords) Clients(ctx context.Context) ([]admin.OIDCClient, error) {
	stored, err := c.records.RelyingParties(ctx)
	if err != nil {
		return nil, err
	}
	var all []admin.OIDCClient
	for i := range stored {
		if stored[i].OIDC == nil {
			continue
		}
		client, err := storedClient(&stored[i])
		if err != nil {
			return nil, err
		}
		all = append(all, client)
	}
	return all, nil
}

func (c clientRecords) AddClient(ctx context.Context, client admin.OIDCClient) error {
	return c.records.AddRelyingParty(ctx, clientRecord(&client))
}

func (c clientRecords) UpdateClient(ctx context.Context, name string, change func(*admin.OIDCClient) error) error {
	return c.records.UpdateRelyingParty(ctx, name, func(r *store.RelyingParty) error {
		if r.OIDC == nil {
			return fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, name)
		}
		client, err := storedClient(r)
		if err != nil {
			return err
		}
		if err := change(&client); err != nil {
			return err
		}
		*r = clientRecord(&client)
		return nil
	})
}

func (c clientRecords) RemoveClient(ctx context.Context, name string) error {
	return removeParty(ctx, c.records, name, func(r *store.RelyingParty) bool { return r.OIDC != nil })
}

// storedClient is a client of the store with the hashes of its secrets.
func storedClient(r *store.RelyingParty) (admin.OIDCClient, error) {
	client := listedClient(*r, admin.FromStore)
	for _, s := range r.OIDC.Secrets {
		hash, err := hex.DecodeString(s.Hash)
		if err != nil || len(hash) != sha256.Size {
			return client, fmt.Errorf("%w: hash of a secret of %q", store.ErrDamaged, r.Name)
		}
		client.Secret = admin.SecretHashed
		client.Secrets = append(client.Secrets, admin.ClientSecret{Hash: [sha256.Size]byte(hash), AddedAt: s.AddedAt, ExpiresAt: s.ExpiresAt})
	}
	return client, nil
}

// clientRecord is the reverse of storedClient.
func clientRecord(c *admin.OIDCClient) store.RelyingParty {
	r := store.RelyingParty{
		Name: c.Name, Policy: c.Policy, OnUnmanaged: c.OnUnmanaged, OnNoncompliant: c.OnNoncompliant, BindOwner: c.BindOwner, Applications: c.Applications, AddedAt: c.AddedAt,
		AgentChallenge: c.AgentChallenge,
		OIDC: &store.OIDCClient{
			ClientID: c.ClientID, RedirectURIs: c.RedirectURIs, SecretFile: c.SecretFile, Keys: []byte(c.JWKS),
			RequirePKCE: c.RequirePKCE, RequireRequestObject: c.RequireRequestObject, OmitIss: c.OmitIss, IDTokenAlg: c.IDTokenAlg,
		},
	}
	for _, s := range c.Secrets {
		r.OIDC.Secrets = append(r.OIDC.Secrets, store.ClientSecret{Hash: hex.EncodeToString(s.Hash[:]), AddedAt: s.AddedAt, ExpiresAt: s.ExpiresAt})
	}
	return r
}

// webhookRecords is store.Records with errors as admin names them.
type webhookRecords struct{ *store.Records }

func (w webhookRecords) AddWebhook(ctx context.Context, hook posture.Webhook) error {
	err := w.Records.AddWebhook(ctx, hook)
	if errors.Is(err, store.ErrTooMany) {
		return fmt.Errorf("%w: %w", admin.ErrTooMany, err)
	}
	return err
}
