package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/devices/acme"
	"gatepost.dev/devices/attestation/android"
	"gatepost.dev/devices/attestation/apple"
	"gatepost.dev/devices/attestation/tpm"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
)

// acmeParts is what the ACME server needs of files.
type acmeParts struct {
	nonces      *acme.Nonces
	attestation *certs.AttestationAuthority
	tpm         *x509.CertPool // of endorsement keys; nil: none
	apple       *x509.CertPool
	android     *android.Verifier // nil: there is no list of revoked keys
}

// newACME opens what the ACME server needs; nil when it is off.
func newACME(c *Config, authority *certs.Authority, tpmRoots *x509.CertPool, now time.Time) (*acmeParts, error) {
	if !c.Devices.ACME.Enabled {
		return nil, nil
	}
	key, err := authority.DeriveKey(acme.NoncePurpose, 32)
	if err != nil {
		return nil, err
	}
	p := &acmeParts{tpm: tpmRoots}
	if p.nonces, err = acme.NewNonces(key); err != nil {
		return nil, err
	}
	if p.attestation, err = certs.OpenAttestationAuthority(c.DataDir(), now); err != nil {
		return nil, err
	}
	if p.apple, err = readRoots(c.Devices.Attestation.AppleRoots); err != nil {
		return nil, err
	}
	if p.apple == nil {
		if p.apple, err = apple.Root(); err != nil {
			return nil, err
		}
	}
	p.android, err = newAndroid(c.Devices.Attestation.AndroidStatus)
	return p, err
}

// newAndroid judges evidence of Android devices by the list of revoked keys in the
// file; nil: there is no file.
func newAndroid(file string) (*android.Verifier, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	revoked, err := android.ParseStatus(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	roots, err := android.Roots()
	return &android.Verifier{Roots: roots, Revoked: revoked}, err
}

// acmeEndpoints are those of the ACME server and of its attestation authority.
func (g *generation) acmeEndpoints(records *store.Records, enroller *devices.Enroller, former *generation, options *web.Options) []endpoint {
	if g.acme == nil {
		return nil
	}
	g.acmeLimiter = former.acmeLimiter // as full as it is
	if perMinute := g.config.Devices.ACME.PerMinute; former.acmeLimiter == nil || former.config.Devices.ACME.PerMinute != perMinute {
		g.acmeLimiter = web.NewRates(perMinute)
	}
	certified := x509.NewCertPool()
	certified.AddCert(g.acme.attestation.Certificate)
	server := &acme.Server{
		Issuer: g.config.Issuer, Records: records, Inventory: records, Enroller: enroller,
		Formats: map[string]acme.Format{
			tpm.Format:   {Verifier: &tpm.Verifier{Roots: certified}, Nonce: acme.NonceOfAuthorization},
			apple.Format: {Verifier: &apple.Verifier{Roots: g.acme.apple}, Nonce: acme.NonceOfToken},
		},
		Authority: g.authority.Certificate, Nonces: g.acme.nonces, Limiter: g.acmeLimiter, Now: options.Now,
	}
	if g.acme.android != nil {
		server.Formats[android.Format] = acme.Format{Verifier: g.acme.android, Nonce: acme.NonceOfAuthorization}
	}
	attestation := &acme.AttestationCA{
		Authority: g.acme.attestation, Roots: g.acme.tpm, Records: records, Inventory: records, Limiter: g.acmeLimiter, Now: options.Now,
	}
	problems := *options
	problems.WriteError, problems.MaxBody = acme.WriteProblem, acme.MaxBody
	var all []endpoint
	for _, e := range append(server.Endpoints(), attestation.Endpoints()...) {
		all = append(all, endpoint{e.Route, e.Serve, &problems})
	}
	return all
}
