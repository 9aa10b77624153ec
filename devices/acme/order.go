package acme

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// permanentIdentifier is the one type of identifier that is certified here
// (draft-acme-device-attest section 3).
const permanentIdentifier = "permanent-identifier"

// maxIdentifier is in bytes.
const maxIdentifier = 128

// The states of an order (RFC 8555 section 7.1.6). Its authorization and challenge
// follow from it.
const (
	pending = "pending"
	ready   = "ready"
	valid   = "valid"
	invalid = "invalid"
)

// order is what is kept of one, with its one authorization and challenge.
type order struct {
	Account    string    `json:"account"`
	Identifier string    `json:"identifier"`
	Token      string    `json:"token"` // of the challenge
	State      string    `json:"state"`
	Expires    time.Time `json:"expires"`
	Problem    *problem  `json:"problem,omitempty"` // if it is invalid

	Proven *proven `json:"proven,omitempty"` // once the challenge is

	Certificate string `json:"certificate,omitempty"` // its chain in PEM, once it is issued
}

// proven is what the evidence proved.
type proven struct {
	At       time.Time           `json:"at"`
	Key      []byte              `json:"key"` // SubjectPublicKeyInfo, DER
	Device   string              `json:"device"`
	Attested posture.AttestedKey `json:"attested"`
}

// identifier is a member of an order (RFC 8555 section 7.1.3).
type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// newOrder is the payload of a request for an order.
type newOrder struct {
	Identifiers []identifier `json:"identifiers"`
	NotBefore   *time.Time   `json:"notBefore"`
	NotAfter    *time.Time   `json:"notAfter"`
}

// check gives the identifier.
func (n *newOrder) check() (string, error) {
	if len(n.Identifiers) != 1 {
		return "", badRequest("an order of %d identifiers, not one", len(n.Identifiers))
	}
	// Some clients send the year 1 for no time.
	for _, t := range []*time.Time{n.NotBefore, n.NotAfter} {
		if t != nil && !t.IsZero() {
			return "", badRequest("notBefore and notAfter are not taken: the server decides on the validity")
		}
	}
	id := n.Identifiers[0]
	if id.Type != permanentIdentifier {
		return "", refuse(http.StatusBadRequest, unsupportedIdentifier, "The identifier must be a permanent-identifier.", fmt.Errorf("type %.100q", id.Type))
	}
	if !plain(id.Value) {
		return "", refuse(http.StatusBadRequest, rejectedIdentifier, "The identifier is not 1 to 128 printable characters of ASCII.", fmt.Errorf("identifier %.200q", id.Value))
	}
	return id.Value, nil
}

// plain tells whether the text can be a device's ID or a serial number.
func plain(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return text != "" && len(text) <= maxIdentifier
}

// serveNewOrder makes an order (RFC 8555 section 7.4). Whether there is such a
// device is not told before it is proven.
func (s *Server) serveNewOrder(w http.ResponseWriter, _ *http.Request, c *call) error {
	p, err := parsePayload[newOrder](c.payload)
	if err != nil {
		return err
	}
	value, err := p.check()
	if err != nil {
		return err
	}
	id := rand.Text()
	o := &order{
		Account: c.account, Identifier: value, Token: rand.Text(), State: pending,
		Expires: c.now.Add(orderLife).UTC().Truncate(time.Second),
	}
	err = s.Records.UpdateACMERecord(c.ctx, recordOrder+id, func(a *posture.ACMERecord, exists bool) error {
		if exists {
			return fmt.Errorf("order %q is there already", id)
		}
		return o.into(a, o.Expires)
	})
	if err != nil {
		return orUnavailable(err)
	}
	return s.writeOrder(w, http.StatusCreated, id, o)
}

// into writes the order into its record.
func (o *order) into(a *posture.ACMERecord, until time.Time) (err error) {
	a.Value, err = json.Marshal(o)
	a.Until = until
	return err
}

// order is the one that the request is about, if it is its account's. Whose
// orders there are is not told.
func (s *Server) order(c *call) (*order, error) {
	o, err := load[order](c, s.Records, recordOrder+c.id)
	if err == nil && o.Account != c.account {
		err = fmt.Errorf("order of another account: %w", errGone)
	}
	if errors.Is(err, errGone) {
		return nil, refuse(http.StatusNotFound, malformed, "There is no such order, or not any more.", err)
	}
	return o, err
}

// advance changes an order that is in the state; if it is in another meanwhile, it
// is left so. Either way it is returned as it is.
func (s *Server) advance(c *call, from string, change func(o *order)) (*order, error) {
	var o *order
	err := s.Records.UpdateACMERecord(c.ctx, recordOrder+c.id, func(a *posture.ACMERecord, exists bool) error {
		o = new(order)
		if !exists {
			return errGone
		}
		if err := json.Unmarshal(a.Value, o); err != nil {
			return err
		}
		if o.State != from {
			return nil
		}
		change(o)
		until := o.Expires
		if o.State == valid {
			until = c.now.Add(certificateLife)
		}
		return o.into(a, until)
	})
	if err != nil {
		return nil, orUnavailable(err)
	}
	return o, nil
}

// orUnavailable is an error for the client as it is, and any other as one of the
// store.
func orUnavailable(err error) error {
	if e, ok := errors.AsType[*web.Error](err); ok {
		return e
	}
	return unavailable(err)
}

func (s *Server) serveOrder(w http.ResponseWriter, _ *http.Request, c *call) error {
	if err := c.readOnly(); err != nil {
		return err
	}
	o, err := s.order(c)
	if err != nil {
		return err
	}
	return s.writeOrder(w, http.StatusOK, c.id, o)
}

// writeOrder writes an order object (RFC 8555 section 7.1.3).
func (s *Server) writeOrder(w http.ResponseWriter, status int, id string, o *order) error {
	w.Header().Set("Location", s.Issuer+pathOrder+id)
	answer := struct {
		Status         string       `json:"status"`
		Expires        time.Time    `json:"expires"`
		Identifiers    []identifier `json:"identifiers"`
		Error          *problem     `json:"error,omitempty"`
		Authorizations []string     `json:"authorizations"`
		Finalize       string       `json:"finalize"`
		Certificate    string       `json:"certificate,omitempty"`
	}{
		Status: o.State, Expires: o.Expires, Identifiers: []identifier{{permanentIdentifier, o.Identifier}}, Error: o.Problem,
		Authorizations: []string{s.Issuer + pathAuthz + id}, Finalize: s.Issuer + pathOrder + id + "/finalize",
	}
	if o.State == valid {
		answer.Certificate = s.Issuer + pathCertificate + id
	}
	return web.WriteJSON(w, status, answer)
}

// authorized is the state of the order's authorization and challenge (RFC 8555
// section 7.1.6).
func (o *order) authorized() string {
	switch {
	case o.Proven != nil:
		return valid
	case o.State == pending:
		return pending
	}
	return invalid
}

// challenge is the object of RFC 8555 section 8.
type challenge struct {
	Type      string     `json:"type"`
	URL       string     `json:"url"`
	Status    string     `json:"status"`
	Validated *time.Time `json:"validated,omitempty"`
	Error     *problem   `json:"error,omitempty"`
	Token     string     `json:"token"`
}

func (s *Server) challengeOf(id string, o *order) challenge {
	ch := challenge{Type: "device-attest-01", URL: s.Issuer + pathChallenge + id, Status: o.authorized(), Token: o.Token}
	if o.Proven != nil {
		ch.Validated = &o.Proven.At
	} else {
		ch.Error = o.Problem
	}
	return ch
}

// serveAuthorization shows the order's authorization (RFC 8555 section 7.5).
func (s *Server) serveAuthorization(w http.ResponseWriter, _ *http.Request, c *call) error {
	if err := c.readOnly(); err != nil {
		return err
	}
	o, err := s.order(c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Identifier identifier  `json:"identifier"`
		Status     string      `json:"status"`
		Expires    time.Time   `json:"expires"`
		Challenges []challenge `json:"challenges"`
	}{identifier{permanentIdentifier, o.Identifier}, o.authorized(), o.Expires, []challenge{s.challengeOf(c.id, o)}})
}

// serveCertificate hands the certificate out (RFC 8555 section 7.4.2).
func (s *Server) serveCertificate(w http.ResponseWriter, _ *http.Request, c *call) error {
	if err := c.readOnly(); err != nil {
		return err
	}
	o, err := s.order(c)
	if err != nil {
		return err
	}
	if o.State != valid {
		return refuse(http.StatusNotFound, malformed, "The order has no certificate.", nil)
	}
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	_, err = w.Write([]byte(o.Certificate))
	return err
}
