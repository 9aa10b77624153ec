package main

import (
	"context"
	"net/http"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
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
}

// adminHandler wires the administration API of a generation.
func (g *generation) adminHandler(records *store.Records, p process, options *web.Options) http.Handler {
	mux := http.NewServeMux()
	now := options.Now
	policy := g.parties.policies[defaultPolicy]
	hasPolicy := func(name string) bool { return g.parties.policies[name] != nil }
	for _, h := range []interface{ Mount(*http.ServeMux) }{
		&admin.Devices{
			Inventory: records,
			Judge: func(d *posture.Device) posture.Verdict {
				return posture.Judge(&posture.Input{Device: d, Now: now()}, policy)
			},
			Options: options,
		},
		&admin.Import{
			Importer: &devices.Importer{Begin: beginImport(records), Now: now},
			Options:  options,
		},
		&admin.Issuing{
			Issuer: &devices.Issuer{
				Authority: g.authority, Records: records, Lifetime: g.config.Devices.CertificateLifetime, Now: now,
			},
			Authority: g.authority.Certificate,
			Options:   options,
		},
		&admin.Actions{Actor: &devices.Actor{Records: records, Notifier: p.notifier, Now: now}, Options: options},
		&admin.Tokens{Maker: &devices.Tokens{Records: records, Now: now}, Records: records, Now: now, Options: options},
		&admin.Enrollments{Decider: &devices.Decider{Records: records, Now: now}, Options: options},
		&admin.RelyingParties{
			Records:   partyRecords{records},
			File:      g.parties.listFile,
			InFile:    g.parties.inFile,
			HasPolicy: hasPolicy,
			Now:       now,
			Options:   options,
		},
		&admin.Clients{
			Records:   readableClients{clientRecords{records}},
			File:      g.parties.listFileClients,
			InFile:    g.parties.inFile,
			HasPolicy: hasPolicy,
			HasAlg:    g.parties.hasAlg,
			Now:       now,
			Options:   options,
		},
		&admin.Policies{
			Inventory: records, Source: policySource{g.parties}, Simulator: &devices.Simulator{Inventory: records, Now: now}, Now: now, Options: options,
		},
		&admin.Keys{Rings: g.adminKeyrings, Now: now, Options: options},
		&admin.Decisions{Log: records, Stopping: p.stopping, Options: options},
		&admin.Overview{Version: version(), StartedAt: p.started, Now: now, Counts: g.counts(records), Options: options},
		&admin.NotFound{Options: options},
	} {
		h.Mount(mux)
	}
	return mux
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
