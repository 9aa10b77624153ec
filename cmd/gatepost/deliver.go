package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/events/webhook"
	"gatepost.dev/posture"
)

// deliverEvery is how often it is looked what waits for webhooks.
const deliverEvery = 500 * time.Millisecond

// webhookKey is the key of the secret of a webhook with this salt: the same on
// every server with the authority, and kept by none.
func webhookKey(authority *certs.Authority, salt string) ([]byte, error) {
	return authority.DeriveKey(webhook.Purpose+salt, 32)
}

// newSender sends to webhooks.
func newSender() *webhook.Sender {
	return &webhook.Sender{HTTP: webhook.NewClient(), UserAgent: "Gatepost/" + version()}
}

// deliver delivers events to webhooks, to each at its own pace.
func (s *server) deliver(ctx context.Context) {
	d := &webhook.Deliverer{Queue: s.records, Sender: newSender(), Now: s.now, Tried: s.tried}
	var busy sync.Map // queues of webhooks that are being delivered to
	var delivering sync.WaitGroup
	defer delivering.Wait()
	ticker := time.NewTicker(deliverEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		hooks, err := s.records.Webhooks(ctx)
		if err != nil {
			continue // whatever is wrong with the store is said by those who write
		}
		for _, w := range hooks {
			if w.VerifiedAt.IsZero() {
				continue
			}
			if _, is := busy.LoadOrStore(w.Queue(), true); is {
				continue
			}
			delivering.Go(func() {
				defer busy.Delete(w.Queue())
				s.deliverTo(ctx, d, w)
			})
		}
	}
}

func (s *server) deliverTo(ctx context.Context, d *webhook.Deliverer, w posture.Webhook) {
	key, err := webhookKey(s.current.Load().authority, w.Salt)
	if err == nil {
		err = d.Deliver(ctx, webhook.Hook{Name: w.Name, Queue: w.Queue(), URL: w.URL, Key: key})
	}
	if err != nil && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "webhook not delivered to", slog.String("webhook", w.Name), slog.String("error", err.Error()))
	}
}

// tried counts, and logs the first failure of each event.
func (s *server) tried(hook webhook.Hook, d *posture.Delivery, err error) {
	result := deliveryTaken
	if err != nil {
		result = deliveryFailed
	}
	s.ops.events.deliveries.WithLabelValues(result).Inc()
	if err != nil && d.Tries == 0 {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "a webhook did not take an event",
			slog.String("webhook", hook.Name), slog.String("event", d.ID), slog.String("error", err.Error()))
	}
}
