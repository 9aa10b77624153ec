package devices

import (
	"context"

	"gatepost.dev/posture"
)

// Recheck has the agents of devices report soon: what they are asked for is kept,
// and whoever waits here is woken. Asking again before the answer only wakes.
func (a *Actor) Recheck(ctx context.Context, t Target) ([]Outcome, error) {
	return a.each(ctx, t, func(id string) (Outcome, error) {
		o, err := a.update(ctx, id, func(d *posture.Device) (bool, error) {
			if d.Agent == nil && d.Enrolled == nil {
				return false, ErrNoAgent
			}
			if reportAsked(d) {
				return false, nil
			}
			d.RecheckAt = a.Now()
			return true, nil
		})
		if err == nil && a.Notifier != nil {
			a.Notifier.Wake(id)
		}
		return o, err
	})
}

// reportAsked tells whether a report was asked for and none was received since.
func reportAsked(d *posture.Device) bool {
	return !d.RecheckAt.IsZero() && (d.Agent == nil || !d.Agent.ReceivedAt.After(d.RecheckAt))
}

// Rechecker asks for the report of one device at a time.
type Rechecker struct{ Actor *Actor }

// Recheck has the device's agent report soon. Errors: posture.ErrNoDevice,
// posture.ErrRetired, ErrNoAgent.
func (r *Rechecker) Recheck(ctx context.Context, deviceID string) error {
	_, err := r.Actor.Recheck(ctx, Target{Device: deviceID})
	return err
}
