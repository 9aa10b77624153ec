package acme

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// finalize is the payload of a request that ends an order (RFC 8555 section 7.4).
type finalize struct {
	CSR string `json:"csr"` // base64url of the DER
}

// key takes the key, and nothing else, from the certificate request.
func (f *finalize) key() (crypto.PublicKey, error) {
	der, err := base64.RawURLEncoding.Strict().DecodeString(f.CSR)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", devices.ErrBadRequest, err)
	}
	return devices.KeyOfRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// serveFinalize issues the certificate. The order is claimed in the commit that
// records the certificate, so there is one at most.
func (s *Server) serveFinalize(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := s.order(c)
	if err != nil {
		return err
	}
	if o.State != ready {
		return refuse(http.StatusForbidden, orderNotReady, "The order is "+o.State+", not ready.", nil)
	}
	p, err := parsePayload[finalize](c.payload)
	if err != nil {
		return err
	}
	key, err := p.key()
	if err == nil {
		err = o.Proven.isFor(key)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, badCSR, "The certificate request is not taken: "+err.Error()+".", err)
	}
	web.Annotate(r.Context(), slog.String("device", o.Proven.Device))
	issued, err := s.Enroller.Enroll(c.ctx, &devices.Applicant{
		Proven: o.Proven.Device, Attested: &o.Proven.Attested, Channel: posture.ByACME,
		Key:   func() (crypto.PublicKey, error) { return key, nil },
		Claim: posture.Claim{RelyingParty: claimantOrder, RequestID: c.id, Until: o.Expires},
	})
	refused, err := refusalToEnrol(err)
	if err != nil {
		return err
	}
	o, err = s.advance(c, ready, func(o *order) {
		if refused != nil {
			o.State, o.Problem = invalid, problemOf(refused)
			return
		}
		o.State = valid
		o.Certificate = string(certs.CertificatePEM(issued.Certificate)) + string(certs.CertificatePEM(s.Authority))
	})
	switch {
	case err != nil:
		return err
	case refused != nil:
		return refused
	}
	return s.writeOrder(w, http.StatusOK, c.id, o)
}

// isFor tells whether the key is the one that hardware vouched for.
func (p *proven) isFor(key crypto.PublicKey) error {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	if !bytes.Equal(spki, p.Key) {
		return fmt.Errorf("%w: its key is not the one that hardware vouched for", devices.ErrBadRequest)
	}
	return nil
}

// refusalToEnrol is the problem that ends the order, if it is one; else the error
// is for the request alone.
func refusalToEnrol(err error) (*web.Error, error) {
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, posture.ErrReplayed):
		// Of two requests at once this is the second: the order is the first one's.
		return nil, refuse(http.StatusForbidden, orderNotReady, "A certificate was issued for this order already. Make another order.", err)
	}
	for _, f := range []struct {
		sentinel error
		kind     kind
		public   string
	}{
		{posture.ErrKeyInUse, badCSR, "The key is in use already. Make a new one."},
		{devices.ErrBadRequest, badCSR, "The key is not taken."},
		{posture.ErrRetired, unauthorized, "The device was taken out of service."},
		{posture.ErrSuspected, unauthorized, "There may be two of this device. An administrator decides."},
		{posture.ErrNoDevice, unauthorized, "The device is not in the inventory."},
	} {
		if errors.Is(err, f.sentinel) {
			return refuse(http.StatusForbidden, f.kind, f.public, err), nil
		}
	}
	return nil, unavailable(fmt.Errorf("enrol: %w", err))
}
