package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// ErrBadReason is a reason that cannot be recorded.
var ErrBadReason = errors.New("bad reason")

// Retirer takes devices out of service.
type Retirer struct {
	Records RetireRecords
	Now     func() time.Time
}

// RetireRecords marks a device as retired and revokes its certificates, durably:
// posture.ErrNoDevice. Retiring again changes nothing.
type RetireRecords interface {
	RetireDevice(ctx context.Context, id, reason string, at time.Time) (posture.Device, error)
}

// Retire takes the device out of service for good and revokes its certificates:
// once it returns, no sign-in from the device succeeds. The reason may be empty.
func (r *Retirer) Retire(ctx context.Context, id, reason string) (posture.Device, error) {
	if problem := agentapi.CheckText(reason); problem != "" {
		return posture.Device{}, fmt.Errorf("%w: %s", ErrBadReason, problem)
	}
	return r.Records.RetireDevice(ctx, id, reason, r.Now())
}
