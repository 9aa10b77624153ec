package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// ClientRecords keeps the OpenID clients that administrators added; of their
// Origin it need not know.
type ClientRecords interface {
	Clients(ctx context.Context) ([]OIDCClient, error)
	AddClient(ctx context.Context, c OIDCClient) error // posture.ErrExists
	// UpdateClient writes what change makes of the client, and may call it again
	// for a newer one; posture.ErrNoRelyingParty.
	UpdateClient(ctx context.Context, name string, change func(c *OIDCClient) error) error
	RemoveClient(ctx context.Context, name string) error // posture.ErrNoRelyingParty
}

// Clients lists, adds and removes OpenID clients and changes their secrets. A
// secret is made here, stands in one answer and is kept as a hash:
//
//	GET    clients
//	POST   clients                       NewOIDCClient
//	DELETE clients/{name}
//	POST   clients/{name}/rotate-secret  {"overlap": "24h"}
type Clients struct {
	Records   ClientRecords
	File      func() []OIDCClient    // those of the configuration file, as it is now
	InFile    func(name string) bool // whether a relying party there, of whatever kind, has the name
	HasPolicy func(name string) bool // whether the configuration has the policy
	HasAlg    func(alg string) bool  // whether there are keys to sign ID tokens with it
	Now       func() time.Time       // for the end of secrets
}

// Operations are what the API serves by h.
func (h *Clients) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "clients", Role: posture.Viewer, Summary: "List OpenID clients.", Answer: typeOf[clientList](), serve: h.list},
		{Method: http.MethodPost, Path: "clients", Role: posture.Admin, Summary: "Register an OpenID client; a secret that is made is shown this once.",
			Body: typeOf[NewOIDCClient](), Answer: typeOf[IssuedSecret](), Created: true, Refusals: taken(http.StatusConflict, http.StatusUnprocessableEntity), serve: h.add},
		{Method: http.MethodDelete, Path: "clients/{name}", Role: posture.Admin, Summary: "Forget an OpenID client that was added.",
			Refusals: []int{http.StatusNotFound, http.StatusConflict}, serve: h.remove},
		{Method: http.MethodPost, Path: "clients/{name}/rotate-secret", Role: posture.Admin, Summary: "Give an OpenID client another secret, which is shown this once.",
			Body: typeOf[secretRotation](), Answer: typeOf[IssuedSecret](), Refusals: taken(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity), serve: h.rotate},
	}
}

func (h *Clients) list(w http.ResponseWriter, r *http.Request) error {
	stored, err := h.Records.Clients(r.Context())
	if err != nil {
		return fail(fmt.Errorf("list clients: %w", err))
	}
	all := make([]OIDCClient, 0, len(stored))
	for _, c := range h.File() {
		c.Origin = FromFile
		all = append(all, c)
	}
	now := h.Now()
	for _, c := range stored {
		c.Origin, c.Secrets = FromStore, live(c.Secrets, now)
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b OIDCClient) int { return cmp.Compare(a.Name, b.Name) })
	return web.WriteJSON(w, http.StatusOK, clientList{all})
}

func (h *Clients) add(w http.ResponseWriter, r *http.Request) error {
	var asked NewOIDCClient
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	if err := h.check(&asked); err != nil {
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "client", Public: err.Error(), Err: err}
	}
	if h.InFile(asked.Name) {
		return fail(fmt.Errorf("relying party %q: %w", asked.Name, posture.ErrExists))
	}
	for _, other := range h.File() {
		if other.ClientID == asked.ClientID {
			return fail(fmt.Errorf("client ID %q: %w, as client %q", asked.ClientID, posture.ErrExists, other.Name))
		}
	}
	issued := IssuedSecret{Client: OIDCClient{NewOIDCClient: asked, Origin: FromStore, AddedAt: h.Now()}}
	if asked.Secret == SecretHashed {
		issued.ClientSecret = oidc.NewSecret()
		issued.Client.Secrets = []ClientSecret{{Hash: oidc.HashSecret(issued.ClientSecret), AddedAt: issued.Client.AddedAt}}
	}
	if err := h.Records.AddClient(r.Context(), issued.Client); err != nil {
		return fail(err)
	}
	return web.WriteJSON(w, http.StatusCreated, issued)
}

func (h *Clients) remove(w http.ResponseWriter, r *http.Request) error {
	name, err := storedName(r, h.InFile, "remove it there")
	if err != nil {
		return err
	}
	if err := h.Records.RemoveClient(r.Context(), name); err != nil {
		return fail(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// How long a secret counts on behind its successor.
const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
)

func (r *secretRotation) overlap() (time.Duration, error) {
	if r.Overlap == "" {
		return defaultOverlap, nil
	}
	overlap, err := time.ParseDuration(r.Overlap)
	if err != nil || overlap < 0 || overlap > maxOverlap {
		text := fmt.Sprintf("overlap: %.80q is not from 0s to %dh", r.Overlap, int(maxOverlap.Hours()))
		return 0, &web.Error{Status: http.StatusUnprocessableEntity, Reason: "overlap", Public: text, Err: err}
	}
	return overlap, nil
}

// rotate gives a client another secret.
func (h *Clients) rotate(w http.ResponseWriter, r *http.Request) error {
	var asked secretRotation
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	overlap, err := asked.overlap()
	if err != nil {
		return err
	}
	name, err := storedName(r, h.InFile, "change its secret there")
	if err != nil {
		return err
	}
	now, secret := h.Now(), oidc.NewSecret()
	var issued IssuedSecret
	err = h.Records.UpdateClient(r.Context(), name, func(c *OIDCClient) error {
		if err := rotatable(c); err != nil {
			return err
		}
		issued = IssuedSecret{ClientSecret: secret}
		c.Secrets, issued.Dropped = rotated(c.Secrets, oidc.HashSecret(secret), now, overlap)
		issued.Client = *c
		return nil
	})
	if err != nil {
		return fail(err)
	}
	issued.Client.Origin = FromStore
	return web.WriteJSON(w, http.StatusOK, issued)
}

// rotatable refuses, with what to do instead, a client whose secret is not made
// here.
func rotatable(c *OIDCClient) error {
	switch c.Secret {
	case SecretInFile:
		return &web.Error{Status: http.StatusConflict, Reason: "secret_file", Public: fmt.Sprintf(
			"The secret of the client %q stands in the file %q: write a new one on its first line and leave the former on its second.", c.Name, c.SecretFile)}
	case SecretNone:
		return &web.Error{Status: http.StatusConflict, Reason: "no_secret", Public: fmt.Sprintf(
			"The client %q has no secret: it proves itself with its keys.", c.Name)}
	}
	return nil
}

// rotated adds a secret to those of a client, of which the last is the current
// one: that ends with the overlap, and any before it ends now. dropped counts
// these.
func rotated(secrets []ClientSecret, hash [32]byte, now time.Time, overlap time.Duration) (next []ClientSecret, dropped int) {
	if former := live(secrets, now); len(former) > 0 {
		dropped = len(former) - 1
		current := former[dropped]
		if overlap > 0 {
			current.ExpiresAt = now.Add(overlap)
			next = append(next, current)
		}
	}
	return append(next, ClientSecret{Hash: hash, AddedAt: now}), dropped
}

// live gives the secrets that count at now.
func live(secrets []ClientSecret, now time.Time) (living []ClientSecret) {
	for _, s := range secrets {
		if s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt) {
			living = append(living, s)
		}
	}
	return living
}
