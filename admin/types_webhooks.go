package admin

import (
	"encoding/json"
	"time"

	"gatepost.dev/posture"
)

// NewWebhook is what an administrator says of a receiver of events.
type NewWebhook struct {
	Name   string              `json:"name"`
	URL    string              `json:"url"`              // https, or http on the server's machine
	Events []posture.EventKind `json:"events,omitempty"` // none: all that webhooks are told of
}

// Webhook is a receiver of events.
type Webhook struct {
	Name       string              `json:"name"`
	URL        string              `json:"url"`
	Events     []posture.EventKind `json:"events"`
	CreatedAt  time.Time           `json:"created_at"`
	CreatedBy  string              `json:"created_by"`
	VerifiedAt time.Time           `json:"verified_at,omitzero"` // not there: it did not answer the challenge, and is told nothing

	WaitingSince time.Time `json:"waiting_since,omitzero"` // when the event happened that is delivered next; not there: none waits
	Tries        int       `json:"tries,omitempty"`        // of that one, which failed
	LastError    string    `json:"last_error,omitempty"`
}

// IssuedWebhook is a webhook with its secret, which is shown this once.
type IssuedWebhook struct {
	Webhook
	Secret     string `json:"secret"`
	Unverified string `json:"unverified,omitempty"` // why it did not answer the challenge; it is told nothing until it does
}

type webhookList struct {
	Webhooks []Webhook `json:"webhooks"`
}

// DeadLetter is an event that could not be delivered and was given up.
type DeadLetter struct {
	ID    string          `json:"id"` // of the event
	Since time.Time       `json:"since"`
	Tries int             `json:"tries"`
	Error string          `json:"error"` // of the last try
	Body  json.RawMessage `json:"body"`
}

// DeadLetterList is one page of dead letters.
type DeadLetterList struct {
	Letters []DeadLetter `json:"letters"`
	Next    string       `json:"next,omitempty"` // for after; empty: this is the last page
}

type retryRequest struct {
	IDs []string `json:"ids,omitempty"` // none: all
}

// Retried says how many deliveries are tried again.
type Retried struct {
	Deliveries int `json:"deliveries"`
}
