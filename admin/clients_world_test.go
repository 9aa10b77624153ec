package admin

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// partyRecords is store.Records with relying parties as this package names them.
type partyRecords struct{ *store.Records }

func (p partyRecords) RelyingParties(ctx context.Context) (all []RelyingParty, err error) {
	stored, err := p.Records.RelyingParties(ctx)
	for _, r := range stored {
		if r.OIDC == nil {
			all = append(all, RelyingParty{NewRelyingParty: NewRelyingParty{Name: r.Name, Metadata: string(r.Metadata), BindOwner: r.BindOwner}, EntityID: r.EntityID})
		}
	}
	return all, err
}

func (p partyRecords) AddRelyingParty(ctx context.Context, rp RelyingParty) error {
	return p.Records.AddRelyingParty(ctx, store.RelyingParty{Name: rp.Name, EntityID: rp.EntityID, Metadata: []byte(rp.Metadata), BindOwner: rp.BindOwner})
}

func (p partyRecords) RemoveRelyingParty(ctx context.Context, name string) error {
	if r, err := p.RelyingParty(ctx, name); err == nil && r.OIDC != nil {
		return posture.ErrNoRelyingParty
	}
	return p.Records.RemoveRelyingParty(ctx, name)
}

// clientRecords is store.Records with clients as this package names them.
type clientRecords struct{ *store.Records }

func (c clientRecords) Clients(ctx context.Context) (all []OIDCClient, err error) {
	stored, err := c.RelyingParties(ctx)
	for _, r := range stored {
		if r.OIDC != nil {
			all = append(all, fromStore(r))
		}
	}
	return all, err
}

func (c clientRecords) AddClient(ctx context.Context, client OIDCClient) error {
	return c.AddRelyingParty(ctx, toStore(client))
}

func (c clientRecords) UpdateClient(ctx context.Context, name string, change func(*OIDCClient) error) error {
	return c.UpdateRelyingParty(ctx, name, func(r *store.RelyingParty) error {
		if r.OIDC == nil {
			return posture.ErrNoRelyingParty
		}
		client := fromStore(*r)
		if err := change(&client); err != nil {
			return err
		}
		*r = toStore(client)
		return nil
	})
}

func (c clientRecords) RemoveClient(ctx context.Context, name string) error {
	if r, err := c.RelyingParty(ctx, name); err == nil && r.OIDC == nil {
		return posture.ErrNoRelyingParty
	}
	return c.RemoveRelyingParty(ctx, name)
}

func toStore(c OIDCClient) store.RelyingParty {
	r := store.RelyingParty{
		Name: c.Name, Policy: c.Policy, OnUnmanaged: c.OnUnmanaged, OnNoncompliant: c.OnNoncompliant, BindOwner: c.BindOwner, AddedAt: c.AddedAt,
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

func fromStore(r store.RelyingParty) OIDCClient {
	c := OIDCClient{AddedAt: r.AddedAt, NewOIDCClient: NewOIDCClient{
		Name: r.Name, ClientID: r.OIDC.ClientID, RedirectURIs: r.OIDC.RedirectURIs, Secret: SecretNone, SecretFile: r.OIDC.SecretFile,
		JWKS: string(r.OIDC.Keys), RequirePKCE: r.OIDC.RequirePKCE, RequireRequestObject: r.OIDC.RequireRequestObject, OmitIss: r.OIDC.OmitIss,
		IDTokenAlg: r.OIDC.IDTokenAlg, Policy: r.Policy, OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, BindOwner: r.BindOwner,
	}}
	for _, s := range r.OIDC.Secrets {
		var hash [32]byte
		if _, err := hex.Decode(hash[:], []byte(s.Hash)); err != nil {
			panic(err)
		}
		c.Secrets = append(c.Secrets, ClientSecret{Hash: hash, AddedAt: s.AddedAt, ExpiresAt: s.ExpiresAt})
	}
	switch {
	case c.SecretFile != "":
		c.Secret = SecretInFile
	case len(c.Secrets) > 0:
		c.Secret = SecretHashed
	}
	return c
}

// parties is a server for both kinds of relying party over the real store, with
// a client of it. Its configuration file has the organisation "filed" and the
// client "filed-client".
type parties struct {
	*Client
	log     *records
	records *store.Records
	kv      store.KV
	db      string       // path of the store
	later   atomic.Int64 // nanoseconds that the clock is ahead of now
}

func newParties(t *testing.T) *parties {
	t.Helper()
	p := &parties{log: &records{}, db: filepath.Join(t.TempDir(), "db")}
	kv, err := bolt.Open(p.db, bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kv.Close(); err != nil {
			t.Error(err)
		}
	})
	p.kv, p.records = kv, store.New(kv)
	filed := []RelyingParty{{NewRelyingParty: NewRelyingParty{Name: "filed"}, EntityID: "https://filed"}}
	filedClients := []OIDCClient{{NewOIDCClient: NewOIDCClient{Name: "filed-client", ClientID: "filed-id"}}}
	inFile := func(name string) bool { return slices.Contains([]string{"filed", "filed-client"}, name) }
	hasPolicy := func(name string) bool { return slices.Contains([]string{"default", "strict"}, name) }
	h := apiOf(&web.Options{Log: slog.New(slog.NewJSONHandler(p.log, nil)), Now: clock},
		&RelyingParties{Records: partyRecords{p.records}, File: func() []RelyingParty { return filed },
			InFile: inFile, HasPolicy: hasPolicy, Now: clock},
		&Clients{Records: clientRecords{p.records}, File: func() []OIDCClient { return filedClients },
			InFile: inFile, HasPolicy: hasPolicy, HasAlg: func(alg string) bool { return alg == "RS256" },
			Now: func() time.Time { return now.Add(time.Duration(p.later.Load())) }},
	)
	p.Client = NewSocketClient(serve(t, h))
	return p
}

// ask sends a request as it is.
func (p *parties) ask(t *testing.T, method, path, contentType, body string) (*http.Response, string) {
	t.Helper()
	return (&world{Client: p.Client}).ask(t, method, path, contentType, body)
}

// addClient adds a client that must be taken.
func (p *parties) addClient(t *testing.T, n NewOIDCClient) IssuedSecret {
	t.Helper()
	issued, err := p.AddClient(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// hashes are the secrets of the client as the store has them, each with its
// time left at now: "hash" or "hash 24h0m0s".
func (p *parties) hashes(t *testing.T, name string) (all []string) {
	t.Helper()
	r, err := p.records.RelyingParty(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.OIDC.Secrets {
		text := s.Hash
		if !s.ExpiresAt.IsZero() {
			text = fmt.Sprintf("%s %v", s.Hash, s.ExpiresAt.Sub(now))
		}
		all = append(all, text)
	}
	return all
}
