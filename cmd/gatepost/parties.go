package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"gatepost.dev/admin"
	"gatepost.dev/idp"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// parties are the relying parties: those of the configuration, and those that
// the commands added to the store.
type parties struct {
	policies map[string]*posture.Policy
	shared   map[string]bool              // devices, by ID
	es256    bool                         // there are keys for ES256
	file     map[string]*idp.RelyingParty // by name
	records  *store.Records

	entities found // by entity ID
	clients  found // by client ID

	// Those in the file as the API shows them.
	listedParties []admin.RelyingParty
	listedClients []admin.OIDCClient
}

// found are the relying parties of one protocol by what they call themselves.
type found struct {
	file map[string]*idp.RelyingParty

	// parsed holds what was made of the store's records. Each request asks the
	// store whether the record is still the same, so that a change counts at
	// once.
	parsed   sync.Map // string -> *parsedParty
	revision func(ctx context.Context, id string) (uint64, error)
	record   func(ctx context.Context, id string) (store.RelyingParty, uint64, error)
}

type parsedParty struct {
	rev   uint64
	party *idp.RelyingParty
}

func newParties(c *Config, records *store.Records) (*parties, error) {
	policies, err := newPolicies(c)
	if err != nil {
		return nil, err
	}
	p := &parties{
		policies: policies, shared: c.sharedDevices(), es256: c.Signing.ES256Keys != "", file: map[string]*idp.RelyingParty{}, records: records,
		entities: found{file: map[string]*idp.RelyingParty{}, revision: records.RelyingPartyRevision, record: records.RelyingPartyByEntity},
		clients:  found{file: map[string]*idp.RelyingParty{}, revision: records.ClientRevision, record: records.RelyingPartyByClient},
	}
	for i := range c.RelyingParties {
		r, err := c.RelyingParties[i].record()
		if err != nil {
			return nil, err
		}
		party, err := p.parse(r)
		if err != nil {
			return nil, fmt.Errorf("relying party %q: %w", r.Name, err)
		}
		p.file[r.Name] = party
		if party.OIDC != nil {
			p.clients.file[party.OIDC.ID] = party
			p.listedClients = append(p.listedClients, listedClient(r, admin.FromFile))
			continue
		}
		r.EntityID = party.SAML.EntityID
		p.entities.file[r.EntityID] = party
		p.listedParties = append(p.listedParties, listedParty(r, admin.FromFile))
	}
	return p, nil
}

// ByEntityID implements idp.RelyingParties.
func (p *parties) ByEntityID(ctx context.Context, entityID string) (*idp.RelyingParty, error) {
	return p.find(ctx, &p.entities, entityID)
}

// ByClientID implements idp.Clients.
func (p *parties) ByClientID(ctx context.Context, clientID string) (*idp.RelyingParty, error) {
	return p.find(ctx, &p.clients, clientID)
}

func (p *parties) find(ctx context.Context, in *found, id string) (*idp.RelyingParty, error) {
	if party := in.file[id]; party != nil {
		return party, nil
	}
	rev, err := in.revision(ctx, id)
	if err != nil {
		if errors.Is(err, posture.ErrNoRelyingParty) {
			in.parsed.Delete(id)
		}
		return nil, err
	}
	if known, ok := in.parsed.Load(id); ok && known.(*parsedParty).rev == rev {
		return known.(*parsedParty).party, nil
	}
	record, rev, err := in.record(ctx, id)
	if err != nil {
		return nil, err
	}
	party, err := p.parse(record)
	if err != nil {
		return nil, fmt.Errorf("relying party %q: %w", record.Name, err)
	}
	in.parsed.Store(id, &parsedParty{rev, party})
	return party, nil
}

// listFile lists the organisations of the configuration.
func (p *parties) listFile() []admin.RelyingParty { return p.listedParties }

// listFileClients lists the OpenID Connect clients of the configuration.
func (p *parties) listFileClients() []admin.OIDCClient { return p.listedClients }

// inFile tells whether the configuration has a relying party of that name.
func (p *parties) inFile(name string) bool { return p.file[name] != nil }

// hasAlg tells whether there are keys to sign ID tokens with.
func (p *parties) hasAlg(alg string) bool { return alg == oidc.RS256 || alg == oidc.ES256 && p.es256 }

// checkStored refuses a configuration that a relying party in the store cannot
// work with. A client whose file of secrets is lost must not keep all others
// from signing in: that is only logged, and each of its own requests fails.
func (p *parties) checkStored(ctx context.Context, log *slog.Logger) error {
	stored, err := p.records.RelyingParties(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, r := range stored {
		what, command := "organisation", "gatepost org add"
		if r.OIDC != nil {
			what, command = "client", "gatepost client add"
		}
		party, err := p.parse(r)
		switch {
		case errors.Is(err, errSecretFile):
			log.LogAttrs(ctx, slog.LevelWarn, "client cannot be used", slog.String("client", r.Name), slog.String("error", err.Error()))
		case err != nil:
			faults = append(faults, fmt.Errorf("%s %q, added by %q: %w", what, r.Name, command, err))
		case p.taken(party):
			faults = append(faults, fmt.Errorf("%s %q is in the configuration and was added by %q too; remove one", what, r.Name, command))
		}
	}
	return errors.Join(faults...)
}

// taken tells whether the configuration has the name, the entity ID or the
// client ID.
func (p *parties) taken(party *idp.RelyingParty) bool {
	if party.OIDC != nil && p.clients.file[party.OIDC.ID] != nil {
		return true
	}
	if party.SAML != nil && p.entities.file[party.SAML.EntityID] != nil {
		return true
	}
	return p.inFile(party.Name)
}
