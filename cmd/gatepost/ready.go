package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// readyCheck is something without which no sign-in can be answered.
type readyCheck struct {
	name string
	run  func(ctx context.Context) error
}

// readFor bounds a check that reads the store.
const readFor = 2 * time.Second

// readyChecks are all of them, in the order in which they are told.
func (o *ops) readyChecks() []readyCheck {
	return []readyCheck{
		{"running", func(context.Context) error {
			if o.stopping.Load() {
				return errors.New("the server is about to stop")
			}
			return nil
		}},
		{"store_read", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, readFor)
			defer cancel()
			_, err := o.records.Devices(ctx, "", 1)
			return err
		}},
		// A decision that cannot be recorded is not answered.
		{"store_write", func(ctx context.Context) error { return o.store.writable(ctx, o.records.Probe) }},
		{"signing_key", func(context.Context) error { return o.keyInDate() }},
	}
}

// keyInDate tells why the key that signs answers by SAML is none that a relying
// party believes, or nil. Those of ID tokens alone come without dates.
func (o *ops) keyInDate() error {
	g := o.current.Load()
	if g == nil {
		return errors.New("nothing is configured yet")
	}
	now, key := o.now(), g.keyring.Signing()
	switch c := key.Certificate; {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate of key %q is not valid before %s", key.ID, c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate of key %q expired at %s", key.ID, c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// serveReady tells whether a sign-in could be answered now: "ok", or 503 and the
// checks that fail, one a line.
func (o *ops) serveReady(w http.ResponseWriter, r *http.Request) {
	var failed []string
	for _, c := range o.readyChecks() {
		if err := c.run(r.Context()); err != nil {
			failed = append(failed, c.name+": "+oneLine(err))
		}
	}
	if len(failed) > 0 {
		http.Error(w, "not ready\n"+strings.Join(failed, "\n"), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// readyCollector makes metrics of the same checks.
type readyCollector struct {
	ops          *ops
	ready, check *prometheus.Desc
}

func newReadyCollector(o *ops) *readyCollector {
	return &readyCollector{
		ops:   o,
		ready: prometheus.NewDesc("gatepost_ready", "Whether a sign-in could be answered now: 1, or 0 where /readyz is 503.", nil, nil),
		check: prometheus.NewDesc("gatepost_ready_check", "Each check of /readyz: 1 when it passes, else 0.", []string{"check"}, nil),
	}
}

// Describe sends the metrics' descriptions.
func (c *readyCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.ready
	out <- c.check
}

// Collect runs the checks.
func (c *readyCollector) Collect(out chan<- prometheus.Metric) {
	ready := 1.0
	for _, check := range c.ops.readyChecks() {
		passes := 1.0
		if check.run(context.Background()) != nil {
			ready, passes = 0, 0
		}
		out <- prometheus.MustNewConstMetric(c.check, prometheus.GaugeValue, passes, check.name)
	}
	out <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, ready)
}
