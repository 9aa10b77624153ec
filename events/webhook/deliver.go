package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatepost.dev/posture"
)

// Hook is a receiver.
type Hook struct {
	Name, Queue, URL string
	Key              []byte // of its secret
}

// Queue keeps what waits for each hook, in order.
type Queue interface {
	// First is what is to be delivered next; ok is false if nothing waits.
	First(ctx context.Context, queue string) (d posture.Delivery, ok bool, err error)
	Delivered(ctx context.Context, queue, id string) error
	// Failed keeps what became of a try.
	Failed(ctx context.Context, queue string, d posture.Delivery) error
	// GiveUp puts the delivery among the dead ones.
	GiveUp(ctx context.Context, queue string, d posture.Delivery) error
}

// How long an event is tried.
const (
	tryFor     = 24 * time.Hour
	refusedMax = 5 // tries of one that the receiver refuses as such
)

// pauses are how long is waited after each failed try; the last goes on.
var pauses = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}

// Deliverer delivers what waits for hooks.
type Deliverer struct {
	Queue  Queue
	Sender *Sender
	Now    func() time.Time
	// Tried is told what became of each try; err is nil if it was delivered.
	Tried func(hook Hook, d *posture.Delivery, err error)
}

// Deliver delivers what waits for the hook until nothing does, or something failed
// that is to be tried later: what comes behind it waits too, so that a receiver
// gets what happens to a device in order. An error is one of the queue's.
func (d *Deliverer) Deliver(ctx context.Context, hook Hook) error {
	for {
		next, ok, err := d.Queue.First(ctx, hook.Queue)
		if err != nil || !ok || d.Now().Before(next.NextTry) {
			return err
		}
		sent := d.Sender.Send(ctx, hook.URL, hook.Key, next.ID, next.Body, d.Now())
		if ctx.Err() != nil {
			return ctx.Err() // which says nothing of the receiver
		}
		d.Tried(hook, &next, sent)
		if sent == nil {
			if err := d.Queue.Delivered(ctx, hook.Queue, next.ID); err != nil {
				return err
			}
			continue
		}
		if dead := d.fail(&next, sent); dead {
			return d.Queue.GiveUp(ctx, hook.Queue, next)
		}
		return d.Queue.Failed(ctx, hook.Queue, next)
	}
}

// fail notes a failed try, and tells whether it was the last.
func (d *Deliverer) fail(next *posture.Delivery, sent error) (dead bool) {
	now := d.Now()
	next.NextTry = now.Add(pauses[min(next.Tries, len(pauses)-1)])
	next.Tries, next.Error = next.Tries+1, sent.Error()
	if refusal, ok := errors.AsType[*Refusal](sent); ok {
		if refusal.Status == http.StatusGone || refusal.final() && next.Tries >= refusedMax {
			return true
		}
	}
	return now.Sub(next.Since) >= tryFor
}
