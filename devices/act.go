package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// Why nothing was done to devices.
var (
	ErrBadTarget = errors.New("say one device or one owner")
	ErrNoOwner   = errors.New("no device of this owner")
	ErrBadOrder  = errors.New("bad quarantine")
	ErrNoAgent   = errors.New("no agent of the device ever enrolled")
	ErrBadReason = errors.New("bad reason") // that cannot be recorded
)

// Target is what to act on: one device, or all that one user owns, in whatever
// case his name is written.
type Target struct {
	Device string `json:"device,omitempty"`
	Owner  string `json:"owner,omitempty"`
}

// Outcome is what became of one device.
type Outcome struct {
	Device     string              `json:"device"`
	Changed    bool                `json:"changed"`              // false: it was so before
	Skipped    string              `json:"skipped,omitempty"`    // why it was left alone, one of an owner's
	Suspected  string              `json:"suspected,omitempty"`  // why it is; an act changes nothing about that
	Contested  bool                `json:"contested,omitempty"`  // a second agent enrolled as it
	Quarantine *posture.Quarantine `json:"quarantine,omitempty"` // on record, which may be over
	RetiredAt  time.Time           `json:"retired_at,omitzero"`
	RecheckAt  time.Time           `json:"recheck_at,omitzero"`
}

// ActorRecords are the devices that an Actor changes, durably.
type ActorRecords interface {
	UpdateDevice(ctx context.Context, id string, change func(d *posture.Device, exists bool) error) (posture.Device, error)
	// Devices gives up to limit devices by ID from the one after after on.
	Devices(ctx context.Context, after string, limit int) ([]posture.Device, error)
	// RetireDevice marks a device as retired and revokes its certificates, durably:
	// posture.ErrNoDevice. Retiring again changes nothing.
	RetireDevice(ctx context.Context, id, reason string, at time.Time) (posture.Device, error)
}

// Actor does what an administrator decides about devices. Each act may be
// repeated, which changes nothing but finishes what an error interrupted.
type Actor struct {
	Records  ActorRecords
	Notifier *Notifier // nil: nobody waits here
	Now      func() time.Time
}

// errSame ends an update that would change nothing.
var errSame = errors.New("nothing to change")

// update changes one device that is there and in service. change tells whether
// it changed anything.
func (a *Actor) update(ctx context.Context, id string, change func(d *posture.Device) (changed bool, err error)) (Outcome, error) {
	var seen posture.Device
	written, err := a.Records.UpdateDevice(ctx, id, func(d *posture.Device, exists bool) error {
		switch {
		case !exists:
			return fmt.Errorf("%w: %q", posture.ErrNoDevice, id)
		case d.Retired():
			return fmt.Errorf("device %q: %w", id, posture.ErrRetired)
		}
		changed, err := change(d)
		if err == nil && !changed {
			seen, err = *d, errSame
		}
		return err
	})
	switch {
	case errors.Is(err, errSame):
		return outcomeOf(&seen, false), nil
	case err != nil:
		return Outcome{}, err
	}
	return outcomeOf(&written, true), nil
}

func outcomeOf(d *posture.Device, changed bool) Outcome {
	o := Outcome{Device: d.ID, Changed: changed, Contested: d.Contest != nil, Quarantine: d.Quarantine, RetiredAt: d.RetiredAt, RecheckAt: d.RecheckAt}
	if d.Suspected != nil {
		o.Suspected = d.Suspected.Why
	}
	return o
}

// ownerPage is how many devices are read at once to find those of an owner.
const ownerPage = 500

// each acts on the device, or on each of the owner's that act takes. An error
// ends it with what was done so far.
func (a *Actor) each(ctx context.Context, t Target, act func(id string) (Outcome, error)) ([]Outcome, error) {
	if (t.Device == "") == (t.Owner == "") {
		return nil, ErrBadTarget
	}
	if t.Device != "" {
		o, err := act(t.Device)
		if err != nil {
			return nil, err
		}
		return []Outcome{o}, nil
	}
	owner := posture.FoldUser(t.Owner)
	var done []Outcome
	for after := ""; ; {
		page, err := a.Records.Devices(ctx, after, ownerPage)
		if err != nil {
			return done, fmt.Errorf("find the devices of %q: %w", t.Owner, err)
		}
		for i := range page {
			after = page[i].ID
			if posture.FoldUser(page[i].Owner) != owner {
				continue
			}
			o, err := act(after)
			if errors.Is(err, posture.ErrRetired) || errors.Is(err, ErrNoAgent) {
				o, err = Outcome{Device: after, Skipped: why(err)}, nil
			}
			if err != nil {
				return done, fmt.Errorf("after %d of the devices of %q, which are done: %w", len(done), t.Owner, err)
			}
			done = append(done, o)
		}
		if len(page) < ownerPage {
			break
		}
	}
	if len(done) == 0 {
		return nil, fmt.Errorf("%w: %.64q", ErrNoOwner, t.Owner)
	}
	return done, nil
}

// why is an error for the one who reads of the device beside it.
func why(err error) string {
	if errors.Is(err, posture.ErrRetired) {
		return posture.ErrRetired.Error()
	}
	return ErrNoAgent.Error()
}

// Retire takes devices out of service for good and revokes their certificates: once
// it returns, no sign-in from them succeeds. The reason may be empty.
func (a *Actor) Retire(ctx context.Context, t Target, reason string) ([]Outcome, error) {
	if problem := agentapi.CheckText(reason); problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrBadReason, problem)
	}
	return a.each(ctx, t, func(id string) (Outcome, error) {
		now := a.Now()
		d, err := a.Records.RetireDevice(ctx, id, reason, now)
		if err != nil {
			return Outcome{}, err
		}
		return outcomeOf(&d, d.RetiredAt.Equal(now)), nil
	})
}
