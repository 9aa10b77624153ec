package devices

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// WaitFor is how long an agent waits for word at most, before it asks again.
const WaitFor = 50 * time.Second

// Waits is what the server needs to let agents wait for word.
type Waits struct {
	Notifier *Notifier
	Device   func(ctx context.Context, id string) (posture.Device, error) // posture.ErrNoDevice
	Stopping <-chan struct{}                                              // closed when the server stops
	For      time.Duration                                                // 0: WaitFor
}

// ServeWait answers GET /agent/v1/wait, over the device's certificate: at once
// when a report is asked for, else when one is, or with 204 when none was. What
// waits holds nothing but its connection.
func (a *Agents) ServeWait(w http.ResponseWriter, r *http.Request) error {
	id, err := a.device(r)
	if err != nil {
		return err
	}
	if r.ContentLength != 0 {
		// What is left of a body is read when this is answered, and below nothing
		// would end that.
		w.Header().Set("Connection", "close")
		return &web.Error{Status: http.StatusBadRequest, Reason: "body", Public: "This request has no body."}
	}
	// The server reads on to see whether the client goes away, which a limit on
	// reading would end too early.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("unbind the connection of device %q: %w", id, err)
	}
	asked, err := a.Waits.wait(r.Context(), id)
	if err != nil {
		return refusal(err)
	}
	if !asked {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return web.WriteJSON(w, http.StatusOK, agentapi.Word{Report: true})
}

// wait tells whether a report was asked for, as soon as one is. It ends early
// when the same device waits again, the client goes or the server stops.
func (s *Waits) wait(ctx context.Context, id string) (asked bool, err error) {
	waiter, cancel := s.Notifier.Wait(id)
	defer cancel()
	limit := s.For
	if limit == 0 {
		limit = WaitFor
	}
	ctx, end := context.WithTimeout(ctx, limit)
	defer end()
	for {
		// The record is looked at after the waiter is in its place: what is asked
		// between the two wakes it.
		d, err := s.Device(context.WithoutCancel(ctx), id)
		if err != nil {
			return false, err
		}
		if d.Suspected == nil && reportAsked(&d) {
			return true, nil
		}
		select {
		case <-waiter.Woken:
		case <-waiter.Replaced:
			return false, nil
		case <-s.Stopping:
			return false, nil
		case <-ctx.Done():
			return false, nil
		}
	}
}
