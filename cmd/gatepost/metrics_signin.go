package main

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost.dev/idp"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// signInMetrics count what sign-ins came to. A nil one counts nothing.
type signInMetrics struct {
	now       func() time.Time
	decisions *prometheus.CounterVec
	reportAge prometheus.Histogram
}

func newSignInMetrics(now func() time.Time) *signInMetrics {
	const minute, hour, day = 60, 3600, 24 * 3600
	return &signInMetrics{
		now: now,
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_decisions_total",
			Help: "Decisions recorded, by relying party, outcome (asserted or refused), verdict on the device (compliant, noncompliant, unmanaged or none) and reason.",
		}, []string{"relying_party", "outcome", "verdict", "reason"}),
		reportAge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatepost_signin_report_age_seconds",
			Help:    "Age of the last report of a device's agent, each time a sign-in looks the device up.",
			Buckets: []float64{minute, 5 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 8 * hour, day, 3 * day, 7 * day, 30 * day},
		}),
	}
}

// decided counts a decision. Every label is one of few words: the name of a
// relying party that is registered, or a constant.
func (m *signInMetrics) decided(d *posture.Decision) {
	reason := string(d.Reason)
	if d.Outcome == posture.Refused {
		reason = cmp.Or(reason, d.Status)
	}
	m.decisions.WithLabelValues(d.RelyingParty, string(d.Outcome), verdictWord(d), reason).Inc()
}

// verdictWord is the verdict on the device; none: the request was refused before
// anybody looked at it.
func verdictWord(d *posture.Decision) string {
	switch {
	case d.Managed && d.Compliant:
		return "compliant"
	case d.Managed:
		return "noncompliant"
	case d.Reason != "":
		return "unmanaged"
	}
	return "none"
}

// recorder records decisions, and counts those that were.
func (m *signInMetrics) recorder(r *store.Records) idp.GrantRecorder {
	if m == nil {
		return r
	}
	return &countingRecorder{r, m}
}

type countingRecorder struct {
	records *store.Records
	metrics *signInMetrics
}

// Decide implements idp.Recorder.
func (r *countingRecorder) Decide(ctx context.Context, d posture.Decision, claimUntil time.Time) error {
	err := r.records.Decide(ctx, d, claimUntil)
	if err == nil {
		r.metrics.decided(&d)
	}
	return err
}

// DecideGrant implements idp.GrantRecorder.
func (r *countingRecorder) DecideGrant(ctx context.Context, d posture.Decision, claimUntil time.Time, g posture.Grant) error {
	err := r.records.DecideGrant(ctx, d, claimUntil, g)
	if err == nil {
		r.metrics.decided(&d)
	}
	return err
}

// inventory is what sign-ins look devices up in.
func (m *signInMetrics) inventory(r *store.Records) idp.Inventory {
	if m == nil {
		return r
	}
	return &agingInventory{r, m}
}

// agingInventory notes how old the last report of a device is that is looked up.
type agingInventory struct {
	*store.Records
	metrics *signInMetrics
}

// Device implements idp.Inventory.
func (i *agingInventory) Device(ctx context.Context, id string) (posture.Device, error) {
	d, err := i.Records.Device(ctx, id)
	if err == nil {
		i.metrics.lookedUp(&d)
	}
	return d, err
}

// DevicesBySerial implements idp.Inventory.
func (i *agingInventory) DevicesBySerial(ctx context.Context, serial string) ([]posture.Device, error) {
	found, err := i.Records.DevicesBySerial(ctx, serial)
	if err == nil && len(found) == 1 {
		i.metrics.lookedUp(&found[0])
	}
	return found, err
}

func (m *signInMetrics) lookedUp(d *posture.Device) {
	if d.Agent != nil {
		m.reportAge.Observe(max(0, m.now().Sub(d.Agent.ReceivedAt).Seconds()))
	}
}
