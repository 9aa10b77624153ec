package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/posture"
)

// maxWebhooks is how many there may be: each event is written for each of them, in
// one commit with its entry of the log.
const maxWebhooks = 20

// ErrTooMany says that there are as many of something as there may be.
var ErrTooMany = errors.New("too many")

// Webhooks are all webhooks, by name.
func (r *Records) Webhooks(ctx context.Context) ([]posture.Webhook, error) {
	return list[posture.Webhook](ctx, r.kv, webhookPrefix, "", maxWebhooks+1)
}

// AddWebhook adds a webhook: posture.ErrExists if the name is another's,
// ErrTooMany.
func (r *Records) AddWebhook(ctx context.Context, w posture.Webhook) error {
	known, err := r.Webhooks(ctx)
	if err != nil {
		return err
	}
	if len(known) >= maxWebhooks {
		return fmt.Errorf("%w: there are %d webhooks", ErrTooMany, len(known))
	}
	put, err := putRecord(webhookKey(w.Name), w, Absent)
	if err != nil {
		return err
	}
	if err = r.kv.Commit(ctx, put); errors.Is(err, ErrConflict) {
		return fmt.Errorf("webhook %q: %w", w.Name, posture.ErrExists)
	}
	return err
}

// VerifyWebhook notes that the webhook answered its challenge:
// posture.ErrNoWebhook.
func (r *Records) VerifyWebhook(ctx context.Context, name string, at time.Time) (w posture.Webhook, err error) {
	err = retry(ctx, func() error {
		var rev uint64
		if w, rev, err = read[posture.Webhook](ctx, r.kv, webhookKey(name), posture.ErrNoWebhook); err != nil {
			return err
		}
		w.VerifiedAt = at
		put, err := putRecord(webhookKey(name), w, rev)
		if err != nil {
			return err
		}
		return r.kv.Commit(ctx, put)
	})
	return w, err
}

// RemoveWebhook removes the webhook with all that waits for it:
// posture.ErrNoWebhook.
func (r *Records) RemoveWebhook(ctx context.Context, name string) error {
	w, _, err := read[posture.Webhook](ctx, r.kv, webhookKey(name), posture.ErrNoWebhook)
	if err != nil {
		return err
	}
	if err := r.kv.Commit(ctx, Op{Kind: Delete, Key: webhookKey(name), Rev: Any}); err != nil {
		return err
	}
	for _, prefix := range []string{queueOf(w.Queue()), deadOf(w.Queue())} {
		for {
			page, err := r.kv.Scan(ctx, prefix, "", MaxOps)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			var ops []Op
			for _, e := range page {
				ops = append(ops, Op{Kind: Delete, Key: e.Key, Rev: Any})
			}
			if err := r.kv.Commit(ctx, ops...); err != nil {
				return err
			}
		}
	}
	return nil
}

// First is what is to be delivered next of what waits under posture.Webhook.Queue;
// ok is false if nothing does.
func (r *Records) First(ctx context.Context, queue string) (d posture.Delivery, ok bool, err error) {
	page, err := list[posture.Delivery](ctx, r.kv, queueOf(queue), "", 1)
	if err != nil || len(page) == 0 {
		return d, false, err
	}
	return page[0], true, nil
}

// Delivered forgets what was delivered.
func (r *Records) Delivered(ctx context.Context, queue, id string) error {
	return r.kv.Commit(ctx, Op{Kind: Delete, Key: queueOf(queue) + id, Rev: Any})
}

// Failed keeps what became of a try, unless the webhook was removed meanwhile.
func (r *Records) Failed(ctx context.Context, queue string, d posture.Delivery) error {
	return r.requeue(ctx, queueOf(queue)+d.ID, queueOf(queue)+d.ID, func(kept *posture.Delivery) { *kept = d })
}

// GiveUp puts the delivery among the dead ones.
func (r *Records) GiveUp(ctx context.Context, queue string, d posture.Delivery) error {
	return r.requeue(ctx, queueOf(queue)+d.ID, deadOf(queue)+d.ID, func(kept *posture.Delivery) { *kept = d })
}

// RetryDead has a dead delivery tried again, as if it were new:
// posture.ErrNoDelivery.
func (r *Records) RetryDead(ctx context.Context, queue, id string, at time.Time) error {
	return r.requeue(ctx, deadOf(queue)+id, queueOf(queue)+id, func(kept *posture.Delivery) {
		kept.Since, kept.Tries, kept.NextTry = at, 0, time.Time{}
	})
}

// requeue changes a delivery and moves it from one key to another, or the same.
func (r *Records) requeue(ctx context.Context, from, to string, change func(*posture.Delivery)) error {
	return retry(ctx, func() error {
		d, rev, err := read[posture.Delivery](ctx, r.kv, from, posture.ErrNoDelivery)
		if errors.Is(err, posture.ErrNoDelivery) {
			return posture.ErrNoDelivery // its key says nothing to anybody
		}
		if err != nil {
			return err
		}
		change(&d)
		put, err := putRecord(to, d, Any)
		if err != nil {
			return err
		}
		if from == to {
			put.Rev = rev
			return r.kv.Commit(ctx, put)
		}
		return r.kv.Commit(ctx, Op{Kind: Delete, Key: from, Rev: rev}, put)
	})
}

// Dead returns up to limit deliveries to the webhook that were given up, the
// oldest first, from the one after after on.
func (r *Records) Dead(ctx context.Context, queue, after string, limit int) ([]posture.Delivery, error) {
	return list[posture.Delivery](ctx, r.kv, deadOf(queue), deadOf(queue)+after, limit)
}

// deliveries are the operations by which those of the webhooks that want to know
// of the event are told.
func deliveries(hooks []posture.Webhook, e posture.Event, body func(*posture.Event) ([]byte, error)) (ops []Op, err error) {
	told, ok := e.ToldAs()
	if !ok {
		return nil, nil
	}
	for i := range hooks {
		if !hooks[i].Wants(told.Kind) {
			continue
		}
		text, err := body(&told)
		if err != nil {
			return nil, fmt.Errorf("tell of event %q: %w", e.ID, err)
		}
		put, err := putRecord(queueOf(hooks[i].Queue())+e.ID, posture.Delivery{ID: e.ID, Body: text, Since: e.Time}, Any)
		if err != nil {
			return nil, err
		}
		ops = append(ops, put)
	}
	return ops, nil
}
