package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"gatepost.dev/admin"
	"gatepost.dev/idp"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// parties are the relying parties: those of the configuration, and those that
// the commands added to the store.
type parties struct {
	policies map[string]*posture.Policy
	file     map[string]*idp.RelyingParty // by entity ID
	listed   []admin.RelyingParty         // those in the file, as the API shows them
	records  *store.Records

	// parsed holds what was made of the store's records, by entity ID. Each
	// request asks the store whether the record is still the same, so that a
	// change counts at once.
	parsed sync.Map // string -> *parsedParty
}

type parsedParty struct {
	rev   uint64
	party *idp.RelyingParty
}

func newParties(c *Config, records *store.Records) (*parties, error) {
	p := &parties{policies: newPolicies(c), file: map[string]*idp.RelyingParty{}, records: records}
	for i := range c.RelyingParties {
		r := &c.RelyingParties[i]
		metadata, err := os.ReadFile(r.SAML.Metadata)
		if err != nil {
			return nil, err
		}
		party, err := p.parse(store.RelyingParty{
			Name: r.Name, Metadata: metadata, Policy: r.Policy, Sign: r.Sign, Encrypt: r.Encrypt,
			OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, AllowSHA1: r.AllowSHA1Digests,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.SAML.Metadata, err)
		}
		p.file[party.SAML.EntityID] = party
		p.listed = append(p.listed, admin.RelyingParty{
			NewRelyingParty: admin.NewRelyingParty{
				Name: r.Name, Metadata: string(metadata), Policy: r.Policy, Sign: r.Sign, Encrypt: r.Encrypt,
				OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, AllowSHA1Digests: r.AllowSHA1Digests,
			},
			EntityID: party.SAML.EntityID, Origin: admin.FromFile,
		})
	}
	return p, nil
}

// parse makes a relying party of its record.
func (p *parties) parse(r store.RelyingParty) (*idp.RelyingParty, error) {
	sp, err := saml.ParseMetadata(r.Metadata)
	if err != nil {
		return nil, err
	}
	sp.AllowSHA1 = r.AllowSHA1
	policy := p.policies[r.Policy]
	if policy == nil {
		return nil, fmt.Errorf("policy %q: %w", r.Policy, errNoPolicy)
	}
	party := &idp.RelyingParty{
		Name: r.Name, SAML: sp, Policy: policy,
		AssertUnmanaged:    r.OnUnmanaged == "assert",
		RefuseNoncompliant: r.OnNoncompliant == "refuse",
	}
	switch r.Sign {
	case "assertion":
		party.Scope = saml.SignAssertion
	case "response":
		party.Scope = saml.SignResponse
	}
	if r.Encrypt {
		if party.Encrypt, err = saml.NewEncryptionKey(sp.Encryption); err != nil {
			return nil, err
		}
	}
	return party, nil
}

// ByEntityID implements idp.RelyingParties.
func (p *parties) ByEntityID(ctx context.Context, entityID string) (*idp.RelyingParty, error) {
	if party := p.file[entityID]; party != nil {
		return party, nil
	}
	rev, err := p.records.RelyingPartyRevision(ctx, entityID)
	if err != nil {
		if errors.Is(err, posture.ErrNoRelyingParty) {
			p.parsed.Delete(entityID)
		}
		return nil, err
	}
	if known, ok := p.parsed.Load(entityID); ok && known.(*parsedParty).rev == rev {
		return known.(*parsedParty).party, nil
	}
	record, rev, err := p.records.RelyingPartyByEntity(ctx, entityID)
	if err != nil {
		return nil, err
	}
	party, err := p.parse(record)
	if err != nil {
		return nil, fmt.Errorf("relying party %q: %w", record.Name, err)
	}
	p.parsed.Store(entityID, &parsedParty{rev, party})
	return party, nil
}

// listFile lists those of the configuration.
func (p *parties) listFile() []admin.RelyingParty { return p.listed }

func (p *parties) inFile(name string) bool {
	return slices.ContainsFunc(p.listed, func(r admin.RelyingParty) bool { return r.Name == name })
}

// checkStored refuses a configuration that an organisation in the store cannot
// work with.
func (p *parties) checkStored(ctx context.Context) error {
	stored, err := p.records.RelyingParties(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, r := range stored {
		party, err := p.parse(r)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("organisation %q, added by \"gatepost org add\": %w", r.Name, err))
		case p.inFile(r.Name), p.file[party.SAML.EntityID] != nil:
			faults = append(faults, fmt.Errorf("organisation %q is in the configuration and was added by \"gatepost org add\" too; remove one", r.Name))
		}
	}
	return errors.Join(faults...)
}
