package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// RelyingParty is a relying party that an administrator added. What the words
// mean, and what is in the metadata, is for others to know.
type RelyingParty struct {
	Name           string    `json:"name"`
	EntityID       string    `json:"entity_id"`
	Metadata       []byte    `json:"metadata"` // as it was registered
	Policy         string    `json:"policy"`
	Sign           string    `json:"sign,omitempty"`
	OnUnmanaged    string    `json:"on_unmanaged,omitempty"`
	OnNoncompliant string    `json:"on_noncompliant,omitempty"`
	Encrypt        bool      `json:"encrypt,omitempty"`
	AllowSHA1      bool      `json:"allow_sha1,omitempty"`
	AddedAt        time.Time `json:"added_at"`
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
	index, err := r.partyIndex(ctx, entityID)
	if err != nil {
		return p, Absent, err
	}
	p, _, err = r.relyingParty(ctx, string(index.Value))
	if err == nil && p.EntityID != entityID { // removed and made anew between the two reads
		return RelyingParty{}, Absent, fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, entityID)
	}
	return p, index.Rev, err
}

// RelyingPartyRevision tells, without reading the record, whether the relying
// party with that entity ID is still the one that was read with this revision:
// a record never changes, it is removed and added anew. The error is
// posture.ErrNoRelyingParty when there is none.
func (r *Records) RelyingPartyRevision(ctx context.Context, entityID string) (rev uint64, err error) {
	index, err := r.partyIndex(ctx, entityID)
	return index.Rev, err
}

// partyIndex reads the name under which the entity ID is registered.
func (r *Records) partyIndex(ctx context.Context, entityID string) (Entry, error) {
	e, err := r.kv.Get(ctx, partyOf(entityID))
	if errors.Is(err, ErrNoKey) {
		err = fmt.Errorf("%w: %q", posture.ErrNoRelyingParty, entityID)
	}
	return e, err
}

// RelyingParties returns all relying parties, by name.
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

// AddRelyingParty adds a relying party; posture.ErrExists when its name or its
// entity ID is taken.
func (r *Records) AddRelyingParty(ctx context.Context, p RelyingParty) error {
	if err := checkName("name of a relying party", p.Name); err != nil {
		return err
	}
	if p.EntityID == "" {
		return fmt.Errorf("relying party %q has no entity ID", p.Name)
	}
	put, err := putRecord(partyKey(p.Name), p, Absent)
	if err != nil {
		return err
	}
	err = r.kv.Commit(ctx, put, Op{Kind: Put, Key: partyOf(p.EntityID), Value: []byte(p.Name), Rev: Absent})
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("relying party %q or its entity ID %q: %w", p.Name, p.EntityID, posture.ErrExists)
	}
	return err
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
			Op{Kind: Delete, Key: partyOf(p.EntityID), Rev: Any})
	})
}
