package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// ErrBadAPIToken is an API token that cannot be made.
var ErrBadAPIToken = errors.New("bad API token")

// apiTokenPrefix tells people, and scanners of leaked secrets, what it is.
const apiTokenPrefix = "gpa_"

// Lifetimes of an API token.
const (
	DefaultAPITokenLifetime = 90 * 24 * time.Hour
	minAPITokenLifetime     = time.Minute
	maxAPITokenLifetime     = 366 * 24 * time.Hour
	maxAddresses            = 64
)

// APITokenRecords keeps the API tokens.
type APITokenRecords interface {
	AddAPIToken(ctx context.Context, t posture.APIToken) error
	// APITokens gives up to limit tokens by hash from the one after after on.
	APITokens(ctx context.Context, after string, limit int) ([]posture.APIToken, error)
	RevokeAPIToken(ctx context.Context, id string, at time.Time) (posture.APIToken, error) // posture.ErrNoAPIToken
}

// APITokens makes, lists and revokes the tokens of this API:
//
//	POST   api-tokens       {"name", "role", "addresses", "lifetime"}
//	GET    api-tokens?after=&limit=
//	DELETE api-tokens/{id}
type APITokens struct {
	Records APITokenRecords
	Now     func() time.Time
}

// Operations are what the API serves by h.
func (h *APITokens) Operations() []Operation {
	return []Operation{
		{Method: http.MethodPost, Path: "api-tokens", Role: posture.Admin, Summary: "Make an API token; its secret is shown this once.",
			Body: typeOf[NewAPIToken](), Answer: typeOf[IssuedAPIToken](), Created: true, Refusals: taken(http.StatusConflict, http.StatusUnprocessableEntity), serve: h.create},
		{Method: http.MethodGet, Path: "api-tokens", Role: posture.Admin, Summary: "List API tokens.",
			Query: paging(), Answer: typeOf[APITokenList](), serve: h.list},
		{Method: http.MethodDelete, Path: "api-tokens/{id}", Role: posture.Admin, Summary: "Make an API token useless, at once and for ever.",
			Refusals: []int{http.StatusNotFound}, serve: h.revoke},
	}
}

func (h *APITokens) create(w http.ResponseWriter, r *http.Request) error {
	var asked NewAPIToken
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	lifetime, addresses, err := asked.check()
	if err != nil {
		return fail(err)
	}
	if err := h.free(r.Context(), asked.Name); err != nil {
		return fail(err)
	}
	secret, now := apiTokenPrefix+strings.ToLower(rand.Text() + rand.Text())[:36], h.Now()
	t := posture.APIToken{
		Hash: devices.HashToken(secret), Name: asked.Name, Role: asked.Role, Addresses: addresses,
		CreatedAt: now, CreatedBy: principalOf(r.Context()).Name, ExpiresAt: now.Add(lifetime),
	}
	if err := h.Records.AddAPIToken(r.Context(), t); err != nil {
		return fail(err)
	}
	made(r.Context(), t.ID())
	return web.WriteJSON(w, http.StatusCreated, IssuedAPIToken{APIToken: wireAPIToken(&t, now), Secret: secret})
}

// free refuses the name of another token that counts: the log would not tell whose
// a change is.
func (h *APITokens) free(ctx context.Context, name string) error {
	for after := ""; ; {
		page, err := h.Records.APITokens(ctx, after, maxLimit)
		if err != nil {
			return err
		}
		for i := range page {
			if after = page[i].Hash; page[i].Name == name && stateOf(&page[i], h.Now()) == TokenUsable {
				return fmt.Errorf("API token %q: %w", name, posture.ErrExists)
			}
		}
		if len(page) < maxLimit {
			return nil
		}
	}
}

func (n *NewAPIToken) check() (lifetime time.Duration, addresses []string, err error) {
	switch {
	case !namePattern.MatchString(n.Name):
		return 0, nil, fmt.Errorf("%w: name %.80q is not 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit", ErrBadAPIToken, n.Name)
	case !n.Role.May(posture.Viewer):
		return 0, nil, fmt.Errorf("%w: role %.40q is not one of %q", ErrBadAPIToken, n.Role, posture.Roles())
	case len(n.Addresses) > maxAddresses:
		return 0, nil, fmt.Errorf("%w: more than %d addresses", ErrBadAPIToken, maxAddresses)
	}
	for _, text := range n.Addresses {
		p, err := parsePrefix(text)
		if err != nil {
			return 0, nil, fmt.Errorf("%w: address %.60q; write it as 10.0.0.0/8 or 192.0.2.7", ErrBadAPIToken, text)
		}
		addresses = append(addresses, p.String())
	}
	lifetime = DefaultAPITokenLifetime
	if n.Lifetime != "" {
		if lifetime, err = time.ParseDuration(n.Lifetime); err != nil || lifetime < minAPITokenLifetime || lifetime > maxAPITokenLifetime {
			return 0, nil, fmt.Errorf("%w: lifetime %.40q; from %s to %s, written as 720h", ErrBadAPIToken, n.Lifetime, minAPITokenLifetime, maxAPITokenLifetime)
		}
	}
	return lifetime, addresses, nil
}

// parsePrefix reads a network or one address.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return addr.Prefix(addr.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Masked() != p || p.Addr().Is4In6() {
		return p, cmp.Or(err, errors.New("not a network"))
	}
	return p, nil
}

// stateOf is whether the token is of use at now.
func stateOf(t *posture.APIToken, now time.Time) TokenState {
	switch {
	case !t.RevokedAt.IsZero():
		return TokenRevoked
	case !now.Before(t.ExpiresAt):
		return TokenExpired
	case t.Idle(now):
		return TokenIdle
	}
	return TokenUsable
}

// wireAPIToken is the token as it is shown.
func wireAPIToken(t *posture.APIToken, now time.Time) APIToken {
	return APIToken{
		ID: t.ID(), Name: t.Name, Role: t.Role, State: stateOf(t, now), CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: t.ExpiresAt, UsedAt: t.UsedAt, UsedFrom: t.UsedFrom, Addresses: t.Addresses,
	}
}

func (h *APITokens) list(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := readPage(r)
	if err != nil {
		return err
	}
	found, err := h.Records.APITokens(r.Context(), after, limit+1)
	if err != nil {
		return fail(fmt.Errorf("list API tokens: %w", err))
	}
	var list APITokenList
	list.Tokens, list.Next = onePage(found, limit, func(t *posture.APIToken) APIToken { return wireAPIToken(t, h.Now()) },
		func(t *posture.APIToken) string { return t.Hash })
	return web.WriteJSON(w, http.StatusOK, list)
}

func (h *APITokens) revoke(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.Records.RevokeAPIToken(r.Context(), r.PathValue("id"), h.Now()); err != nil {
		return fail(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
