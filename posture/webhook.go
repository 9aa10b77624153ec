package posture

import (
	"errors"
	"slices"
	"time"
)

// What there may not be.
var (
	ErrNoWebhook  = errors.New("no such webhook")
	ErrNoDelivery = errors.New("no such event is given up")
)

// Webhook is a receiver of events elsewhere. Its secret is made of its Salt, so
// that none is kept.
type Webhook struct {
	Name       string      `json:"name"`
	Salt       string      `json:"salt"`
	URL        string      `json:"url"`
	Events     []EventKind `json:"events,omitempty"` // none: all of Told
	CreatedAt  time.Time   `json:"created_at"`
	CreatedBy  string      `json:"created_by"`
	VerifiedAt time.Time   `json:"verified_at,omitzero"` // zero: it did not yet answer the challenge, and is told nothing
}

// Told are the kinds of event of which webhooks are told.
func Told() []EventKind {
	return []EventKind{
		DeviceEnrolled, DeviceNoncompliant, DeviceCompliant, DeviceQuarantined, DeviceReleased, DeviceRetired, DeviceSuspected,
		SignInRefused, ImportHeld, KeyExpiring,
	}
}

// ToldAs is the event as webhooks are told of it; ok is false if they are not.
func (e Event) ToldAs() (told Event, ok bool) {
	if e.Kind == Decided && e.Outcome == Refused {
		e.Kind = SignInRefused
	}
	return e, slices.Contains(Told(), e.Kind)
}

// Queue names what waits for the webhook, and for no other that once has its name.
func (w *Webhook) Queue() string { return w.Name + " " + w.Salt }

// Wants tells whether the webhook is told of events of the kind.
func (w *Webhook) Wants(kind EventKind) bool {
	return !w.VerifiedAt.IsZero() && (len(w.Events) == 0 || slices.Contains(w.Events, kind))
}

// Delivery is an event that waits to be delivered to a webhook, or was given up.
type Delivery struct {
	ID      string    `json:"id"`   // of the event
	Body    []byte    `json:"body"` // as it is sent
	Since   time.Time `json:"since"`
	Tries   int       `json:"tries,omitempty"` // that failed
	NextTry time.Time `json:"next_try,omitzero"`
	Error   string    `json:"error,omitempty"` // of the last try
}
