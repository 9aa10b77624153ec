package posture

import (
	"errors"
	"time"
)

// ErrNoACMERecord says that there is no such record of the ACME server.
var ErrNoACMERecord = errors.New("no such ACME record")

// ACMERecord is what the ACME server must remember between two requests: an
// account, an order, or a question to a TPM. What it says is the server's alone.
type ACMERecord struct {
	ID    string    `json:"id"`    // its kind and name, such as order/AB12
	Until time.Time `json:"until"` // when it may be forgotten
	Value []byte    `json:"value"`
}
