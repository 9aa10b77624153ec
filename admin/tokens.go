package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// TokenMaker is devices.Tokens.
type TokenMaker interface {
	Create(ctx context.Context, n devices.NewToken) (secret string, t posture.Token, err error)
}

// TokenRecords keeps the tokens.
type TokenRecords interface {
	// Tokens gives up to limit tokens by hash from the one after after on.
	Tokens(ctx context.Context, after string, limit int) ([]posture.Token, error)
	RevokeToken(ctx context.Context, id string, at time.Time) (posture.Token, error) // posture.ErrNoToken
}

// Tokens makes, lists and revokes tokens for enrolment:
//
//	POST   tokens       {"kind", "lifetime", "managed", "device", "serial", "owner", "note"}
//	GET    tokens?after=&limit=
//	DELETE tokens/{id}
type Tokens struct {
	Maker   TokenMaker
	Records TokenRecords
	Now     func() time.Time
}

// Operations are what the API serves by h.
func (h *Tokens) Operations() []Operation {
	return []Operation{
		{Method: http.MethodPost, Path: "tokens", Role: posture.Operator, Summary: "Make a token with which one device enrols; its secret is shown this once.",
			Body: typeOf[NewToken](), Answer: typeOf[IssuedToken](), Created: true, Refusals: taken(http.StatusUnprocessableEntity), serve: h.create},
		{Method: http.MethodGet, Path: "tokens", Role: posture.Operator, Summary: "List tokens for enrolment.", Query: paging(), Answer: typeOf[TokenList](), serve: h.list},
		{Method: http.MethodDelete, Path: "tokens/{id}", Role: posture.Operator, Summary: "Make a token for enrolment useless.",
			Refusals: []int{http.StatusNotFound}, serve: h.revoke},
	}
}

func (h *Tokens) create(w http.ResponseWriter, r *http.Request) error {
	var asked NewToken
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	if asked.Kind != KindEnroll {
		return fail(fmt.Errorf("%w: kind %.40q; %q is the only one", devices.ErrBadToken, asked.Kind, KindEnroll))
	}
	n := devices.NewToken{Managed: asked.Managed, DeviceID: asked.DeviceID, Serial: asked.Serial, Owner: asked.Owner, Note: asked.Note}
	if asked.Lifetime != "" {
		var err error
		if n.Lifetime, err = time.ParseDuration(asked.Lifetime); err != nil || n.Lifetime <= 0 {
			return fail(fmt.Errorf("%w: lifetime %.40q; write it as 24h", devices.ErrBadToken, asked.Lifetime))
		}
	}
	secret, t, err := h.Maker.Create(r.Context(), n)
	if err != nil {
		return fail(err)
	}
	made(r.Context(), t.ID())
	return web.WriteJSON(w, http.StatusCreated, IssuedToken{Token: h.wire(&t), Secret: secret})
}

// wire is the token as it is shown.
func (h *Tokens) wire(t *posture.Token) Token {
	state := TokenUsable
	switch now := h.Now(); {
	case !t.UsedAt.IsZero():
		state = TokenUsed
	case !t.RevokedAt.IsZero():
		state = TokenRevoked
	case !now.Before(t.ExpiresAt):
		state = TokenExpired
	}
	return Token{
		ID: t.ID(), Kind: KindEnroll, State: state, Managed: t.Managed, DeviceID: t.DeviceID, Serial: t.Serial, Owner: t.Owner, Note: t.Note,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, UsedAt: t.UsedAt, UsedBy: t.UsedBy,
	}
}

func (h *Tokens) list(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := readPage(r)
	if err != nil {
		return err
	}
	found, err := h.Records.Tokens(r.Context(), after, limit+1)
	if err != nil {
		return fail(fmt.Errorf("list tokens: %w", err))
	}
	var list TokenList
	list.Tokens, list.Next = onePage(found, limit, h.wire, func(t *posture.Token) string { return t.Hash })
	return web.WriteJSON(w, http.StatusOK, list)
}

func (h *Tokens) revoke(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.Records.RevokeToken(r.Context(), r.PathValue("id"), h.Now()); err != nil {
		return fail(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Decider is devices.Decider.
type Decider interface {
	Approve(ctx context.Context, id string) (posture.Device, error)
	Release(ctx context.Context, id string, keep devices.Keep) (posture.Device, error)
}

// Enrollments decides on devices that enrolled:
//
//	POST devices/{id}/approve
//	POST devices/{id}/release  {"keep"}
type Enrollments struct {
	Decider Decider
}

// Operations are what the API serves by h.
func (h *Enrollments) Operations() []Operation {
	return []Operation{
		{Method: http.MethodPost, Path: "devices/{id}/approve", Role: posture.Operator, Summary: "Make a device managed that enrolled.",
			Answer: typeOf[posture.Device](), Refusals: []int{http.StatusNotFound, http.StatusConflict}, serve: h.approve},
		{Method: http.MethodPost, Path: "devices/{id}/release", Role: posture.Operator, Summary: "End the suspicion about a device, and decide between two keys.",
			Body: typeOf[release](), NoBodyToo: true, Answer: typeOf[posture.Device](), Refusals: taken(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity), serve: h.release},
	}
}

func (h *Enrollments) approve(w http.ResponseWriter, r *http.Request) error {
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	d, err := h.Decider.Approve(r.Context(), id)
	if err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusOK, d)
}

func (h *Enrollments) release(w http.ResponseWriter, r *http.Request) error {
	var asked release
	if err := readStep(r, &asked); err != nil {
		return err
	}
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	d, err := h.Decider.Release(r.Context(), id, devices.Keep(asked.Keep))
	if err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusOK, d)
}
