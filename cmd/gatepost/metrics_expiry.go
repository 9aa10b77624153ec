package main

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost.dev/certs"
	"gatepost.dev/idp"
)

// expiryCollector makes metrics of when the keys and certificates of the present
// generation expire.
type expiryCollector struct {
	current           *generations
	key, certificates *prometheus.Desc
}

func newExpiryCollector(current *generations) *expiryCollector {
	return &expiryCollector{
		current: current,
		key: prometheus.NewDesc("gatepost_signing_key_expiry_timestamp_seconds",
			"When the certificate of a signing key expires, by algorithm, ID and state (signing, next or previous).", []string{"kind", "id", "state"}, nil),
		certificates: prometheus.NewDesc("gatepost_certificate_expiry_timestamp_seconds",
			"When a certificate expires: tls (by host), device_authority, authority (by subject) or relying_party (the last one that signs its requests, by name).",
			[]string{"kind", "id"}, nil),
	}
}

// Describe sends the metrics' descriptions.
func (c *expiryCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.key
	out <- c.certificates
}

// collectFor bounds the reading of relying parties for one scrape.
const collectFor = 2 * time.Second

// Collect sends one metric for each key and certificate.
func (c *expiryCollector) Collect(out chan<- prometheus.Metric) {
	g := c.current.Load()
	if g == nil {
		return
	}
	for _, ring := range g.keyrings() {
		for _, k := range ring.Published() {
			out <- prometheus.MustNewConstMetric(c.key, prometheus.GaugeValue, timestamp(k.Certificate.NotAfter), k.Algorithm(), k.ID, string(k.State))
		}
	}
	expires := map[[2]string]time.Time{} // by kind and ID; of several of one name, the first
	note := func(kind, id string, at time.Time) {
		if other, known := expires[[2]string{kind, id}]; !known || at.Before(other) {
			expires[[2]string{kind, id}] = at
		}
	}
	for _, site := range g.sites {
		note("tls", site.Host, chainExpiry(&site))
	}
	note("device_authority", g.authority.Certificate.Subject.String(), g.authority.Certificate.NotAfter)
	for _, a := range g.trusted {
		note("authority", a.Subject.String(), a.NotAfter)
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectFor)
	defer cancel()
	g.parties.eachSAML(ctx, func(rp *idp.RelyingParty) {
		if len(rp.SAML.Keys) > 0 {
			note("relying_party", rp.Name, lastExpiry(rp.SAML.Keys))
		}
	})
	for labels, at := range expires {
		out <- prometheus.MustNewConstMetric(c.certificates, prometheus.GaugeValue, timestamp(at), labels[:]...)
	}
}

// chainExpiry is when the first certificate of a site's chain expires: without an
// intermediate one browsers trust its leaf no more.
func chainExpiry(site *certs.Site) time.Time {
	first := site.Certificate.Leaf.NotAfter
	for _, der := range site.Certificate.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil && c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// lastExpiry is when the last of the certificates expires: each stands for a key
// of which one is enough.
func lastExpiry(of []*x509.Certificate) time.Time {
	last := of[0].NotAfter
	for _, c := range of[1:] {
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last
}

// readAuthorities reads the certificates of the configured authorities.
func readAuthorities(c *Config) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, a := range c.Devices.Authorities {
		certificate, err := readCertificate(a.Certificate)
		if err != nil {
			return nil, err
		}
		out = append(out, certificate)
	}
	return out, nil
}

// eachSAML visits the relying parties that ask by SAML. One that cannot be read
// is left out: its own sign-ins say so.
func (p *parties) eachSAML(ctx context.Context, visit func(*idp.RelyingParty)) {
	for _, party := range p.entities.file {
		visit(party)
	}
	stored, err := p.records.RelyingParties(ctx)
	if err != nil {
		return
	}
	for i := range stored {
		if stored[i].EntityID == "" {
			continue
		}
		if party, err := p.ByEntityID(ctx, stored[i].EntityID); err == nil && !p.inFile(party.Name) {
			visit(party)
		}
	}
}
