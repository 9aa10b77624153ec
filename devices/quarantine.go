package devices

import (
	"context"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// maxQuarantine bounds what is surely a slip; without an end there is no bound.
const maxQuarantine = 10 * 365 * 24 * time.Hour

// Order is a quarantine that somebody decides.
type Order struct {
	For     time.Duration // from now on; 0: until it is released
	By      string        // who decides it
	Why     string
	Shorten bool // let it end before the one that holds would
}

func (o *Order) check() error {
	switch {
	case o.For < 0 || o.For > maxQuarantine:
		return fmt.Errorf("%w: it cannot last %s; more than 0s and at most %s, or until it is released", ErrBadOrder, o.For, maxQuarantine)
	case o.Why == "":
		return fmt.Errorf("%w: it needs a reason", ErrBadOrder)
	case o.By == "":
		return fmt.Errorf("%w: it needs the name of who decides it", ErrBadOrder)
	}
	if problem := agentapi.CheckText(o.Why); problem != "" {
		return fmt.Errorf("%w: the reason: %s", ErrBadOrder, problem)
	}
	if problem := agentapi.CheckText(o.By); problem != "" {
		return fmt.Errorf("%w: who decides it: %s", ErrBadOrder, problem)
	}
	return nil
}

// Quarantine keeps devices out from now on. Where a quarantine holds already, the
// later end counts, with the words of the order that gave it, unless the order
// says to shorten.
func (a *Actor) Quarantine(ctx context.Context, t Target, order Order) ([]Outcome, error) {
	if err := order.check(); err != nil {
		return nil, err
	}
	return a.each(ctx, t, func(id string) (Outcome, error) {
		return a.update(ctx, id, func(d *posture.Device) (bool, error) {
			now := a.Now()
			q := posture.Quarantine{At: now, By: order.By, Why: order.Why}
			if order.For > 0 {
				q.Until = now.Add(order.For)
			}
			if held := d.Quarantine; held.Holds(now) {
				if q.Until.Equal(held.Until) || !order.Shorten && !endsLater(q.Until, held.Until) {
					return false, nil
				}
				q.At = held.At
			}
			d.Quarantine, d.UpdatedAt = &q, now
			return true, nil
		})
	})
}

// endsLater compares two ends, of which zero is never.
func endsLater(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}

// Lift ends the quarantine of devices, which stays on record as one that is
// over. It does nothing else: a suspicion goes on.
func (a *Actor) Lift(ctx context.Context, t Target) ([]Outcome, error) {
	return a.each(ctx, t, func(id string) (Outcome, error) {
		return a.update(ctx, id, func(d *posture.Device) (bool, error) {
			now := a.Now()
			if !d.Quarantine.Holds(now) {
				return false, nil
			}
			over := *d.Quarantine
			over.Until = now
			d.Quarantine, d.UpdatedAt = &over, now
			return true, nil
		})
	})
}
