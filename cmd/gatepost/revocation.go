package main

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost.dev/certs"
	"gatepost.dev/certs/revocation"
	"gatepost.dev/internal/web"
)

// newRevocation asks the authorities of the configuration; it reads nothing yet.
func newRevocation(c *Config, v *certs.Verifier, p process, options *web.Options) (*revocation.Verifier, error) {
	var authorities []revocation.Authority
	for _, a := range c.Devices.Authorities {
		certificate, err := readCertificate(a.Certificate)
		if err != nil {
			return nil, err
		}
		authorities = append(authorities, revocation.Authority{Certificate: certificate, Lists: a.CRL, OCSP: a.OCSP})
	}
	return revocation.New(v, authorities, revocation.Options{
		Dir: filepath.Join(c.DataDir(), "crl"), Log: options.Log, Now: options.Now, Client: revocation.NewClient(), Count: p.askedOCSP,
	})
}

// generations is the generation of this moment, with what runs beside it.
type generations struct {
	atomic.Pointer[generation]
	watching     sync.WaitGroup
	stopWatching context.CancelFunc // of the generation of this moment; nil before the first
}

// adopt serves g from now on. Its lists are read first, and kept fresh until the
// next one comes or background ends; one reload at a time.
func (s *generations) adopt(ctx, background context.Context, g *generation) {
	g.revocation.Load(ctx)
	s.Store(g)
	if s.stopWatching != nil {
		s.stopWatching()
	}
	var watched context.Context
	watched, s.stopWatching = context.WithCancel(background)
	s.watching.Go(func() { g.revocation.Run(watched) })
}

// lists are the revocation lists of the generation of this moment.
func (s *generations) lists() []revocation.Status {
	g := s.Load()
	if g == nil {
		return nil
	}
	return g.revocation.Lists()
}

// listCollector makes metrics of revocation lists.
type listCollector struct {
	lists                func() []revocation.Status
	this, next, revokeds *prometheus.Desc
}

func newListCollector(lists func() []revocation.Status) *listCollector {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"authority", "source"}, nil)
	}
	return &listCollector{
		lists:    lists,
		this:     describe("gatepost_crl_this_update_timestamp_seconds", "When the revocation list that counts was made; 0 without one."),
		next:     describe("gatepost_crl_next_update_timestamp_seconds", "Until when the revocation list that counts is good; 0 without one."),
		revokeds: describe("gatepost_crl_revoked_certificates", "Certificates on the revocation list that counts."),
	}
}

// Describe sends the metrics' descriptions.
func (c *listCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.this
	out <- c.next
	out <- c.revokeds
}

// Collect sends three metrics for each list.
func (c *listCollector) Collect(out chan<- prometheus.Metric) {
	seen := map[[2]string]bool{} // authorities may share a name
	for _, l := range c.lists() {
		labels := [2]string{l.Authority, l.Source}
		if seen[labels] {
			continue
		}
		seen[labels] = true
		send := func(d *prometheus.Desc, value float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels[:]...)
		}
		var this, next float64
		if !l.NextUpdate.IsZero() {
			this, next = float64(l.ThisUpdate.Unix()), float64(l.NextUpdate.Unix())
		}
		send(c.this, this)
		send(c.next, next)
		send(c.revokeds, float64(l.Entries))
	}
}

// askedOCSP counts a question by OCSP.
func (s *server) askedOCSP(result string) { s.ops.ocsp.WithLabelValues(result).Inc() }
