package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost.dev/store"
)

// eventMetrics tell how far the log and the webhooks are behind.
type eventMetrics struct {
	deliveries *prometheus.CounterVec
	delays     prometheus.Collector
}

// What becomes of the tries to deliver an event to a webhook.
const (
	deliveryTaken  = "delivered"
	deliveryFailed = "failed"
)

func newEventMetrics(records *store.Records, now func() time.Time) *eventMetrics {
	m := &eventMetrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatepost_webhook_deliveries_total", Help: "Tries to deliver an event to a webhook, by result: delivered or failed.",
		}, []string{"result"}),
		delays: &delayCollector{
			records: records, now: now,
			log: prometheus.NewDesc("gatepost_log_delay_seconds",
				"How long the oldest event has waited to be written into the log; 0: none waits.", nil, nil),
			webhook: prometheus.NewDesc("gatepost_webhook_delay_seconds",
				"How long the oldest event has waited to be delivered to a webhook; 0: none waits.", nil, nil),
		},
	}
	m.deliveries.WithLabelValues(deliveryTaken)
	m.deliveries.WithLabelValues(deliveryFailed)
	return m
}

// delayCollector reads, at each scrape, what waits first in each queue.
type delayCollector struct {
	records      *store.Records
	now          func() time.Time
	log, webhook *prometheus.Desc
}

// Describe sends the metrics' descriptions.
func (c *delayCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.log
	out <- c.webhook
}

// Collect sends both, unless the store cannot be read, of which others tell.
func (c *delayCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectFor)
	defer cancel()
	since, err := c.records.OldestNoted(ctx)
	if err != nil {
		return
	}
	out <- prometheus.MustNewConstMetric(c.log, prometheus.GaugeValue, c.delay(since))
	hooks, err := c.records.Webhooks(ctx)
	if err != nil {
		return
	}
	longest := 0.0
	for _, w := range hooks {
		if d, waits, err := c.records.First(ctx, w.Queue()); err == nil && waits {
			longest = max(longest, c.delay(d.Since))
		}
	}
	out <- prometheus.MustNewConstMetric(c.webhook, prometheus.GaugeValue, longest)
}

func (c *delayCollector) delay(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, c.now().Sub(since).Seconds())
}
