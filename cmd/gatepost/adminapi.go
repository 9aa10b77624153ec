package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
	"gatepost.dev/events/ocsf"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// process is what the administration API tells of the process itself, and what
// it counts.
type process struct {
	signIns   *signInMetrics // nil: nobody counts
	started   time.Time
	stopping  <-chan struct{}
	askedOCSP func(result string)
	gate      *web.Gate // sign-ins before reports
	notifier  *devices.Notifier
	apiRates  *web.Rates // of each API token
	strangers *web.Rates // of each address that shows none
}

// How often a minute the administration API serves one API token, and refuses an
// address that shows none in words.
const (
	apiRate      = 600
	strangerRate = 60
)

// newProcess is a process that began now.
func newProcess(now func() time.Time, stopping <-chan struct{}, askedOCSP func(result string)) process {
	return process{
		started: now(), stopping: stopping, askedOCSP: askedOCSP, gate: web.NewGate(now, web.GateLimits{}), notifier: &devices.Notifier{},
		apiRates: web.NewRates(apiRate), strangers: web.NewRates(strangerRate),
	}
}

// adminOperations wires the administration API of a generation.
func (g *generation) adminOperations(records *store.Records, p process, now func() time.Time) (all []admin.Operation) {
	policy := g.parties.policies[defaultPolicy]
	logKey := g.logKey.Public().(ed25519.PublicKey)
	hasPolicy := func(name string) bool { return g.parties.policies[name] != nil }
	for _, h := range []admin.Provider{
		&admin.Devices{
			Inventory: records,
			Judge: func(d *posture.Device) posture.Verdict {
				return posture.Judge(&posture.Input{Device: d, Now: now()}, policy)
			},
			Now: now,
		},
		&admin.Import{Importer: &devices.Importer{Begin: beginImport(records), Now: now}, Noter: records, Now: now},
		&admin.Issuing{
			Issuer: &devices.Issuer{
				Authority: g.authority, Records: records, Lifetime: g.config.Devices.CertificateLifetime, Now: now,
			},
			Authority: g.authority.Certificate,
		},
		&admin.Actions{Actor: &devices.Actor{Records: records, Notifier: p.notifier, Now: now}},
		&admin.Tokens{Maker: &devices.Tokens{Records: records, Now: now}, Records: records, Now: now},
		&admin.Enrollments{Decider: &devices.Decider{Records: records, Now: now}},
		&admin.Endorsements{Pinner: &devices.Decider{Records: records, Now: now}},
		&admin.RelyingParties{
			Records:   partyRecords{records},
			File:      g.parties.listFile,
			InFile:    g.parties.inFile,
			HasPolicy: hasPolicy,
			Now:       now,
		},
		&admin.Clients{
			Records:   readableClients{clientRecords{records}},
			File:      g.parties.listFileClients,
			InFile:    g.parties.inFile,
			HasPolicy: hasPolicy,
			HasAlg:    g.parties.hasAlg,
			Now:       now,
		},
		&admin.Policies{
			Inventory: records, Source: policySource{g.parties}, Simulator: &devices.Simulator{Inventory: records, Now: now}, Now: now,
		},
		&admin.Keys{Rings: g.adminKeyrings, Now: now},
		&admin.Decisions{Log: records, Stopping: p.stopping},
		&admin.Log{Records: records, Key: logKey, OCSF: g.ocsf},
		&admin.Webhooks{
			Records: webhookRecords{records}, Letters: records, Verify: newSender().Verify, Now: now,
			Key: func(salt string) ([]byte, error) { return webhookKey(g.authority, salt) },
		},
		&admin.APITokens{Records: records, Now: now},
		&admin.Overview{Version: version(), Endpoints: g.config.endpoints(), LogKey: logKey, StartedAt: p.started, Now: now, Counts: g.counts(records)},
	} {
		all = append(all, h.Operations()...)
	}
	return all
}

// endpoints are what others need to know of the server.
func (c *Config) endpoints() admin.Endpoints {
	p := c.Provider()
	return admin.Endpoints{
		Issuer: p.Issuer, EntityID: c.EntityID(), SSO: c.SSOURL(), Authorize: p.AuthorizeURL, Token: p.TokenURL, KeySet: p.JWKSURL, UserInfo: p.UserInfoURL,
	}
}

// ocsf is an event as SIEMs read it.
func (g *generation) ocsf(e *posture.Event, d *posture.Decision) ([]byte, error) {
	return ocsf.Marshal(e, d, ocsf.Product{Version: version(), Issuer: g.config.Issuer})
}

// mountAPI serves the administration API: on the socket to its owner, and on the
// issuer's host to those who show an API token.
func (g *generation) mountAPI(records *store.Records, p process, options *web.Options) error {
	api := admin.API{Operations: g.adminOperations(records, p, options.Now), Noter: records, Options: options}
	text, err := admin.Document(api.Operations, g.config.Issuer, version())
	if err != nil {
		return fmt.Errorf("describe the administration API: %w", err)
	}
	document := admin.ServeDocument(text, options)
	bearer := &admin.Bearer{Tokens: records, Rates: p.apiRates, Strangers: p.strangers, Now: options.Now}
	g.operations = api.Operations
	g.admin, g.api = api.Handler(admin.Local, document), api.Handler(bearer.Identify, document)
	return nil
}

// adminKeyrings are the rings of keys, RSA first.
func (g *generation) adminKeyrings() []admin.Keyring {
	if g.es256 == nil {
		return []admin.Keyring{g.keyring}
	}
	return []admin.Keyring{g.keyring, g.es256}
}

func (g *generation) counts(records *store.Records) func(context.Context) (map[string]int, error) {
	return func(ctx context.Context) (map[string]int, error) {
		stored, err := records.RelyingParties(ctx)
		keys := 0
		for _, ring := range g.adminKeyrings() {
			keys += len(ring.Published())
		}
		return map[string]int{
			"relying_parties": len(g.parties.file) + len(stored),
			"signing_keys":    keys,
		}, err
	}
}

// beginImport gives the importer what it needs of the store.
func beginImport(records *store.Records) func(context.Context, posture.Source, time.Time, bool) (devices.Staging, error) {
	return func(ctx context.Context, source posture.Source, at time.Time, replace bool) (devices.Staging, error) {
		im, err := records.BeginImport(ctx, source, at, replace)
		if err != nil {
			return nil, err
		}
		return staging{im}, nil
	}
}

// staging is store.Import with the result as devices names it.
type staging struct{ *store.Import }

func (s staging) Commit(ctx context.Context, progress func(done, total int)) (devices.Result, error) {
	r, err := s.Import.Commit(ctx, progress)
	return devices.Result(r), err
}
