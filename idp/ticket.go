package idp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// TicketPurpose is what the key of NewTickets is derived for.
const TicketPurpose = "gatepost ticket of a waiting sign-in, version 1"

// ticketLife is how long after its arrival a request that waits for its user can
// be answered.
const ticketLife = 15 * time.Minute

// maxWaiting bounds the request in a ticket, in bytes, so that the form that
// brings it back stays below MaxRequestBody. Okta's are a tenth of it.
const maxWaiting = 64 << 10

// Tickets seal the requests that wait for their users, so that the browser keeps
// them and this server need not.
type Tickets struct{ aead cipher.AEAD }

// NewTickets takes an AES-256 key, 32 bytes. Whoever has the same one opens what
// the other sealed.
func NewTickets(key []byte) (*Tickets, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("ticket key of %d bytes, not 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Tickets{aead}, err
}

// waiting is a request whose answer waits for its user.
type waiting struct {
	ID       string    `json:"id"`
	Protocol string    `json:"protocol"`          // as in a decision
	Posted   bool      `json:"posted"`            // by a form, else in a query string
	Request  []byte    `json:"request"`           // that form or query string, as it came
	Arrived  time.Time `json:"arrived"`           // first
	DeviceID string    `json:"device"`            // of the device that is to be mended; empty: its agent is to say who it is
	Browser  string    `json:"browser,omitempty"` // hash of the cookie of the browser whose agent is asked; empty: none is
	Proof    []byte    `json:"proof,omitempty"`   // certificate, DER, whose key that agent proved
	Proven   time.Time `json:"proven,omitzero"`   // when
}

// seal makes the ticket: base64url, without padding.
func (t *Tickets) seal(w *waiting) (string, error) {
	plain, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(t.aead.Seal(nil, nil, plain, nil)), nil
}

// errTicketExpired says that a ticket was genuine once.
var errTicketExpired = errors.New("ticket has expired")

// open gives what was sealed for the protocol, unless it is too old at now.
func (t *Tickets) open(ticket, protocol string, now time.Time) (*waiting, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(ticket)
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	plain, err := t.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	var w waiting
	if err := json.Unmarshal(plain, &w); err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	if w.Protocol != protocol {
		return nil, fmt.Errorf("ticket of protocol %q", w.Protocol)
	}
	if age := now.Sub(w.Arrived); age > ticketLife {
		return nil, fmt.Errorf("%w: the request arrived %s ago", errTicketExpired, age)
	}
	return &w, nil
}
