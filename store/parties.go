package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// RelyingParty is a relying party that an administrator added: a SAML service
// provider, which has an EntityID, or an OpenID client, which has OIDC. What the
// words mean, and what is in the metadata, is for others to know.
type RelyingParty struct {
	Name           string      `json:"name"`
	EntityID       string      `json:"entity_id,omitempty"`
	Metadata       []byte      `json:"metadata,omitempty"` // as it was registered
	OIDC           *OIDCClient `json:"oidc,omitempty"`
	Use            string      `json:"use,omitempty"`
	Policy         string      `json:"policy"`
	Sign           string      `json:"sign,omitempty"`
	OnUnmanaged    string      `json:"on_unmanaged,omitempty"`
	OnNoncompliant string      `json:"on_noncompliant,omitempty"`
	AgentChallenge bool        `json:"agent_challenge,omitempty"`
	Attestation    bool        `json:"attestation,omitempty"`
	Encrypt        bool        `json:"encrypt,omitempty"`
	AllowSHA1      bool        `json:"allow_sha1,omitempty"`
	AddedAt        time.Time   `json:"added_at"`

	Applications []posture.AppPolicy `json:"applications,omitempty"` // in the order in which they are tried

	BindOwner posture.OwnerBinding `json:"bind_owner,omitempty"`
}

// OIDCClient is what is registered of an OpenID client.
type OIDCClient struct {
	ClientID             string         `json:"client_id"`
	RedirectURIs         []string       `json:"redirect_uris"`
	Secrets              []ClientSecret `json:"secrets,omitempty"`
	SecretFile           string         `json:"secret_file,omitempty"` // path of a file with the secret itself, instead of Secrets
	Keys                 []byte         `json:"keys,omitempty"`        // JWKS as it was registered
	RequirePKCE          bool           `json:"require_pkce,omitempty"`
	RequireRequestObject bool           `json:"require_request_object,omitempty"`
	OmitIss              bool           `json:"omit_iss,omitempty"`
	IDTokenAlg           string         `json:"id_token_alg,omitempty"`
}

// ClientSecret is a secret of a client as it is kept: nobody can tell it from
// this.
type ClientSecret struct {
	Hash      string    `json:"hash"` // lower-case hex SHA-256
	AddedAt   time.Time `json:"added_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
}

// index is the key that leads from what the relying party calls itself to its
// name; empty if it calls itself nothing, or both.
func (p *RelyingParty) index() string {
	switch {
	case p.OIDC == nil && p.EntityID != "":
		return partyOf(p.EntityID)
	case p.OIDC != nil && p.OIDC.ClientID != "" && p.EntityID == "":
		return clientOf(p.OIDC.ClientID)
	}
	return ""
}

// RelyingParty returns the relying party, or posture.ErrNoRelyingParty.
func (r *Records) RelyingParty(ctx context.Context, name string) (RelyingParty, error) {
	p, _, err := r.relyingParty(ctx, name)
	return p, err
}

func (r *Records) relyingParty(ctx context.Context, name string) (RelyingParty, uint64, error) {
	return read[RelyingParty](ctx, r.kv, partyKey(name), posture.ErrNoRelyingParty)
}

// RelyingPartyByEntity returns the relying party with that entity ID, or
// posture.ErrNoRelyingParty. rev is that of RelyingPartyRevision: what was made
// of the record can be kept beside it.
func (r *Records) RelyingPartyByEntity(ctx context.Context, entityID string) (p RelyingParty, rev uint64, err error) {
	return r.partyBy(ctx, partyOf(entityID), entityID)
}

// RelyingPartyByClient is RelyingPartyByEntity for an OpenID client and its
// client ID. rev is that of ClientRevision.
func (r *Records) RelyingPartyByClient(ctx context.Context, clientID string) (p RelyingParty, rev uint64, err error) {
	return r.partyBy(ctx, clientOf(clientID), clientID)
}

// partyBy follows an index to its record. The index is read first: with a
// revision that is too old the record is only read once more.
func (r *Records) partyBy(ctx context.Context, index, id string) (p RelyingParty, rev uint64, err error) {
	e, err := r.partyIndex(ctx, index, id)
	if err != nil {
		return p, Absent, err
	}
	p, _, err = r.relyingParty(ctx, string(e.Value))
	if err == nil && p.index() != index { // removed and made anew between the two reads
		return RelyingParty{}, Absent, fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, id)
	}
	return p, e.Rev, err
}

// RelyingPartyRevision tells, without reading the record, whether the relying
// party with that entity ID is still the one that was read with this revision:
// whoever adds or changes a record writes its index too. The error is
// posture.ErrNoRelyingParty when there is none.
func (r *Records) RelyingPartyRevision(ctx context.Context, entityID string) (rev uint64, err error) {
	e, err := r.partyIndex(ctx, partyOf(entityID), entityID)
	return e.Rev, err
}

// ClientRevision is RelyingPartyRevision for an OpenID client and its client
// ID.
func (r *Records) ClientRevision(ctx context.Context, clientID string) (rev uint64, err error) {
	e, err := r.partyIndex(ctx, clientOf(clientID), clientID)
	return e.Rev, err
}

// partyIndex reads the name under which the ID is registered.
func (r *Records) partyIndex(ctx context.Context, index, id string) (Entry, error) {
	e, err := r.kv.Get(ctx, index)
	if errors.Is(err, ErrNoKey) {
		err = fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, id)
	}
	return e, err
}

// RelyingParties returns all relying parties, of both kinds, by name.
func (r *Records) RelyingParties(ctx context.Context) ([]RelyingParty, error) {
	const page = 100
	var all []RelyingParty
	for after := ""; ; after = all[len(all)-1].Name {
		some, err := list[RelyingParty](ctx, r.kv, partyPrefix, partyKey(after), page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
	}
}

// AddRelyingParty adds a relying party; posture.ErrExists when its name, its
// entity ID or its client ID is taken.
func (r *Records) AddRelyingParty(ctx context.Context, p RelyingParty) error {
	if err := checkName("name of a relying party", p.Name); err != nil {
		return err
	}
	what, id := "entity ID", p.EntityID
	if p.OIDC != nil {
		what, id = "client ID", p.OIDC.ClientID
		if err := checkName(what, id); err != nil {
			return fmt.Errorf("relying party %q: %w", p.Name, err)
		}
	}
	index := p.index()
	if index == "" {
		return fmt.Errorf("relying party %q needs either an entity ID or a client ID", p.Name)
	}
	put, err := putRecord(partyKey(p.Name), p, Absent)
	if err != nil {
		return err
	}
	err = r.kv.Commit(ctx, put, Op{Kind: Put, Key: index, Value: []byte(p.Name), Rev: Absent})
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("relying party %q or its %s %q: %w", p.Name, what, id, posture.ErrExists)
	}
	return err
}

// UpdateRelyingParty writes what change makes of the relying party, and its
// index with it; posture.ErrNoRelyingParty. change is called again when another
// change comes first; its error is returned and nothing written then. What a
// relying party is called, by us or by itself, cannot change.
func (r *Records) UpdateRelyingParty(ctx context.Context, name string, change func(p *RelyingParty) error) error {
	return retry(ctx, func() error {
		p, rev, err := r.relyingParty(ctx, name)
		if err != nil {
			return err
		}
		index := p.index()
		if err := change(&p); err != nil {
			return err
		}
		if p.Name != name || p.index() != index {
			return fmt.Errorf("relying party %q cannot be called otherwise", name)
		}
		put, err := putRecord(partyKey(name), p, rev)
		if err != nil {
			return err
		}
		return r.kv.Commit(ctx, put, Op{Kind: Put, Key: index, Value: []byte(name), Rev: Any})
	})
}

// RemoveRelyingParty removes the relying party, or returns
// posture.ErrNoRelyingParty.
func (r *Records) RemoveRelyingParty(ctx context.Context, name string) error {
	return retry(ctx, func() error {
		p, rev, err := r.relyingParty(ctx, name)
		if err != nil {
			return err
		}
		return r.kv.Commit(ctx,
			Op{Kind: Delete, Key: partyKey(name), Rev: rev},
			Op{Kind: Delete, Key: p.index(), Rev: Any})
	})
}
