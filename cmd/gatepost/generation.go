package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/certs/revocation"
	"gatepost.dev/devices"
	"gatepost.dev/events/trail"
	"gatepost.dev/idp"
	"gatepost.dev/idp/saml"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// generation is everything that comes from the configuration and the files it
// names. It does not change: a reload makes a new one, and requests in hand
// finish with the one they began with.
type generation struct {
	config       *Config
	keyring      *certs.Keyring      // RSA: answers by SAML, and ID tokens
	es256        *certs.Keyring      // P-256: ID tokens; nil if none is configured
	trusted      []*x509.Certificate // authorities of the configuration
	authority    *certs.Authority
	tickets      *idp.Tickets
	logKey       ed25519.PrivateKey // signs the log's bounds
	challengeKey *ecdsa.PrivateKey  // of challenges to agents
	loopback     *agentapi.Loopback // what agents are told of them
	tpmKey       []byte             // seals challenges to TPMs
	tpmRoots     *x509.CertPool     // nil if none is configured
	revocation   *revocation.Verifier
	proxy        *certs.Proxy // nil if none is configured
	ra           *certs.RA    // nil: there is no SCEP
	challenges   []string     // of SCEP, that many devices share
	parties      *parties
	limiter      *web.Rates // of what agents ask
	acme         *acmeParts // nil: it is off
	acmeLimiter  *web.Rates
	sites        []certs.Site
	issuer       *http.ServeMux                        // serves the issuer's host
	device       *http.ServeMux                        // serves the device host
	admin        http.Handler                          // serves the administration API on the socket
	note         func(*posture.Device, time.Time) bool // noteJudgement
	operations   []admin.Operation
	api          http.Handler // serves it to those who show an API token
}

// newGeneration opens what the configuration names. former is the generation
// that it replaces, or nil.
func newGeneration(ctx context.Context, c *Config, records *store.Records, former *generation, p process, options *web.Options) (*generation, error) {
	if former == nil {
		former = &generation{}
	}
	g := &generation{config: c}
	var err error
	if g.keyring, err = openKeyring(former.keyring, c.Signing.Keys, certs.RS256); err != nil {
		return nil, err
	}
	if c.Signing.ES256Keys != "" {
		if g.es256, err = openKeyring(former.es256, c.Signing.ES256Keys, certs.ES256); err != nil {
			return nil, err
		}
	}
	if g.authority, err = certs.LoadAuthority(c.Devices.Authority.Certificate, c.Devices.Authority.Key); err != nil {
		return nil, err
	}
	if g.tickets, err = newTickets(g.authority); err != nil {
		return nil, err
	}
	if g.challengeKey, g.loopback, err = newLoopback(g.authority, c.Devices.AgentPort); err != nil {
		return nil, err
	}
	if g.logKey, err = newLogKey(g.authority); err != nil {
		return nil, err
	}
	if g.tpmKey, err = g.authority.DeriveKey(devices.ChallengePurpose, 32); err != nil {
		return nil, err
	}
	if g.tpmRoots, err = readRoots(c.Devices.Attestation.TPMRoots); err != nil {
		return nil, err
	}
	if g.acme, err = newACME(c, g.authority, g.tpmRoots, options.Now()); err != nil {
		return nil, err
	}
	verifier, err := newVerifier(c, g.authority)
	if err != nil {
		return nil, err
	}
	if g.trusted, err = readAuthorities(c); err != nil {
		return nil, err
	}
	if g.proxy, err = newProxy(c.Devices.Proxy); err != nil {
		return nil, err
	}
	if err := g.openSCEP(options); err != nil {
		return nil, err
	}
	if g.revocation, err = newRevocation(c, verifier, p, options); err != nil {
		return nil, err
	}
	if g.parties, err = newParties(c, records); err != nil {
		return nil, err
	}
	g.note = noteJudgement(g.parties.policies)
	if err := g.parties.checkStored(ctx, options.Log); err != nil {
		return nil, err
	}
	if g.sites, err = newSites(c, verifier.ClientCAs(), options.Now()); err != nil {
		return nil, err
	}
	if err := g.mountAPI(records, p, options); err != nil {
		return nil, err
	}
	g.mount(records, g.revocation, former, p, options)
	return g, nil
}

// openKeyring opens a folder of keys, in place of a former ring if there is one.
func openKeyring(former *certs.Keyring, dir, algorithm string) (*certs.Keyring, error) {
	if former != nil {
		return former.Reopen(dir)
	}
	return certs.OpenKeyring(dir, algorithm)
}

// newTickets seals with a key that every server with the built-in authority has,
// so that any of them takes what another sealed, also after a restart.
func newTickets(authority *certs.Authority) (*idp.Tickets, error) {
	key, err := authority.DeriveKey(idp.TicketPurpose, 32)
	if err != nil {
		return nil, err
	}
	return idp.NewTickets(key)
}

// newLogKey signs the log with a key that every server with the built-in
// authority has.
func newLogKey(authority *certs.Authority) (ed25519.PrivateKey, error) {
	seed, err := authority.DeriveKey(trail.Purpose, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// newVerifier trusts the built-in authority and those of the configuration.
func newVerifier(c *Config, builtIn *certs.Authority) (*certs.Verifier, error) {
	trusted := []certs.TrustedAuthority{{Certificate: builtIn.Certificate, IDFrom: certs.IDFromURI, BuiltIn: true}}
	for _, a := range c.Devices.Authorities {
		certificate, err := readCertificate(a.Certificate)
		if err != nil {
			return nil, err
		}
		if certificate.Equal(builtIn.Certificate) {
			continue // naming it is harmless: it is always there
		}
		trusted = append(trusted, certs.TrustedAuthority{Certificate: certificate, IDFrom: certs.IDFrom(a.IDFrom), BySerial: a.Match == matchSerial, Rank: a.Rank})
	}
	return certs.NewVerifier(trusted)
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: no certificate in PEM", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certificate, nil
}

// newSites gives each host its certificate: the first pair that covers it.
func newSites(c *Config, clientCAs *x509.CertPool, now time.Time) ([]certs.Site, error) {
	device := certs.Site{Host: c.DeviceHost(), AskClientCertificate: true, ClientCAs: clientCAs}
	sites := []*certs.Site{&device}
	if c.IssuerHost() != c.DeviceHost() {
		sites = append(sites, &certs.Site{Host: c.IssuerHost()})
	}
	for _, pair := range c.TLS {
		certificate, _, err := certs.LoadPair(pair.Cert, pair.Key, now)
		if err != nil {
			return nil, err
		}
		for _, s := range sites {
			if s.Certificate == nil && certificate.Leaf.VerifyHostname(s.Host) == nil {
				s.Certificate = certificate
			}
		}
	}
	var out []certs.Site
	for _, s := range sites {
		if s.Certificate == nil {
			return nil, fmt.Errorf("no certificate under tls covers %q", s.Host)
		}
		out = append(out, *s)
	}
	return out, nil
}

// samlMetadata reads a service provider's metadata for the checks of the
// configuration.
func samlMetadata(data []byte, now time.Time) (MetadataFacts, error) {
	sp, err := saml.ParseMetadata(data)
	if err != nil {
		return MetadataFacts{}, err
	}
	return MetadataFacts{EntityID: sp.EntityID, Encryptable: sp.Encryption != nil, Expired: sp.Expired(now)}, nil
}

// parsers open what a configuration names, as the server does.
func parsers() Parsers {
	return Parsers{
		Metadata: samlMetadata,
		Keyring: func(dir, algorithm string) error {
			_, err := certs.OpenKeyring(dir, algorithm)
			return err
		},
		Authority: func(certificate, key string) error {
			_, err := certs.LoadAuthority(certificate, key)
			return err
		},
	}
}

// errNoPolicy says that an organisation names a policy that is not configured.
var errNoPolicy = errors.New("no such policy in the configuration")
