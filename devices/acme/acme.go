// Package acme is an ACME server (RFC 8555) for one purpose: a device whose
// hardware vouches for a key gets a certificate for it, by the challenge
// device-attest-01 (draft-acme-device-attest) and for one permanent-identifier
// (RFC 4043). An account gives no right to anything; the evidence does.
//
// It verifies no evidence itself and decides on no enrolment: both are handed in.
// What it must remember is in the store, so that any server goes on where another
// stopped.
package acme

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/devices/attestation"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Prefix begins the paths of all endpoints.
const Prefix = "/acme"

// MaxBody is in bytes: the largest attestations have a tenth of it.
const MaxBody = 64 << 10

// Lifetimes of what is remembered.
const (
	accountLife     = 7 * 24 * time.Hour
	orderLife       = time.Hour
	certificateLife = 24 * time.Hour // after it was issued, to fetch it
)

// Records keeps what must be remembered.
type Records interface {
	// ACMERecord and TakeACMERecord: posture.ErrNoACMERecord.
	ACMERecord(ctx context.Context, id string) (posture.ACMERecord, error)
	UpdateACMERecord(ctx context.Context, id string, change func(a *posture.ACMERecord, exists bool) error) error
	TakeACMERecord(ctx context.Context, id string) (posture.ACMERecord, error)
	// Claim: posture.ErrReplayed.
	Claim(ctx context.Context, c posture.Claim) error
}

// Inventory knows the devices.
type Inventory interface {
	// Device: posture.ErrNoDevice.
	Device(ctx context.Context, id string) (posture.Device, error)
	DevicesBySerial(ctx context.Context, serial string) ([]posture.Device, error)
}

// Enroller decides who gets a certificate.
type Enroller interface {
	Enroll(ctx context.Context, a *devices.Applicant) (*devices.Enrolled, error)
}

// Format is a format of attestation statements that is taken.
type Format struct {
	Verifier attestation.Verifier
	// Nonce is what the evidence must carry, of the challenge's token and of the key
	// authorization (RFC 8555 section 8.1).
	Nonce func(token, keyAuthorization string) []byte
}

// Server serves the endpoints.
type Server struct {
	Issuer    string // the URL before Prefix
	Records   Records
	Inventory Inventory
	Enroller  Enroller
	Formats   map[string]Format // by the name that WebAuthn gives them
	Authority *x509.Certificate // handed out behind what it issued
	Nonces    *Nonces
	Limiter   *web.Rates // by address
	Now       func() time.Time
}

// Endpoint is a route, a pattern of http.ServeMux, with what serves it.
type Endpoint struct {
	Route string
	Serve web.HandlerFunc
}

// Paths of the resources, below Prefix.
const (
	pathDirectory   = Prefix + "/directory"
	pathNewNonce    = Prefix + "/new-nonce"
	pathNewAccount  = Prefix + "/new-account"
	pathNewOrder    = Prefix + "/new-order"
	pathKeyChange   = Prefix + "/key-change"
	pathRevoke      = Prefix + "/revoke-cert"
	pathAccount     = Prefix + "/account/"
	pathOrder       = Prefix + "/order/"
	pathAuthz       = Prefix + "/authz/"
	pathChallenge   = Prefix + "/challenge/"
	pathCertificate = Prefix + "/certificate/"
)

// Endpoints are all of them. Errors are to be written with WriteProblem, and
// bodies limited to MaxBody.
func (s *Server) Endpoints() []Endpoint {
	return []Endpoint{
		{"GET " + pathDirectory, s.limited(s.serveDirectory)},
		{"GET " + pathNewNonce, s.limited(s.serveNonce)},
		{"POST " + pathNewAccount, s.signed(byJWK, s.serveNewAccount)},
		{"POST " + pathAccount + "{id}", s.signed(byAccount, s.serveAccount)},
		{"POST " + pathNewOrder, s.signed(byAccount, s.serveNewOrder)},
		{"POST " + pathOrder + "{id}", s.signed(byAccount, s.serveOrder)},
		{"POST " + pathOrder + "{id}/finalize", s.signed(byAccount, s.serveFinalize)},
		{"POST " + pathAuthz + "{id}", s.signed(byAccount, s.serveAuthorization)},
		{"POST " + pathChallenge + "{id}", s.signed(byAccount, s.serveChallenge)},
		{"POST " + pathCertificate + "{id}", s.signed(byAccount, s.serveCertificate)},
		{"POST " + pathKeyChange, s.signed(byEither, serveRefused)},
		{"POST " + pathRevoke, s.signed(byEither, serveRefused)},
	}
}

// serveDirectory answers with the directory (RFC 8555 section 7.1.1).
func (s *Server) serveDirectory(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, map[string]any{
		"newNonce": s.Issuer + pathNewNonce, "newAccount": s.Issuer + pathNewAccount, "newOrder": s.Issuer + pathNewOrder,
		"revokeCert": s.Issuer + pathRevoke, "keyChange": s.Issuer + pathKeyChange,
		"meta": map[string]any{"externalAccountRequired": false},
	})
}

// serveNonce answers with a nonce (RFC 8555 section 7.2), which limited has
// written.
func (s *Server) serveNonce(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// serveRefused answers what this server does not do: certificates are revoked by
// the administrator, and an account is not worth a change of its key.
func serveRefused(http.ResponseWriter, *http.Request, *call) error {
	return refuse(http.StatusForbidden, unauthorized, "This server does not do that. Certificates are revoked by its administrator; for another account key make another account.", nil)
}
