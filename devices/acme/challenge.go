package acme

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"gatepost.dev/devices/attestation"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// NonceOfAuthorization is the nonce of the format tpm: the SHA-256 of the key
// authorization, so that the evidence is of use to one account only.
func NonceOfAuthorization(_, keyAuthorization string) []byte {
	sum := sha256.Sum256([]byte(keyAuthorization))
	return sum[:]
}

// NonceOfToken is the nonce of the format apple: the SHA-256 of the token.
func NonceOfToken(token, _ string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// statement is an attestation object (WebAuthn level 2 section 6.5.4) without
// authenticator data, which ACME has no use for.
type statement struct {
	Format    string          `cbor:"fmt"`
	Statement cbor.RawMessage `cbor:"attStmt"`
}

// response is the payload of a response to the challenge
// (draft-acme-device-attest section 5).
type response struct {
	AttObj string `json:"attObj"`
}

// object decodes the attestation object. What is not well formed as JSON or
// base64url is no response; all else is bad evidence, attestation.ErrEvidence.
func (r *response) object() (*statement, error) {
	if r.AttObj == "" {
		return nil, badRequest("the payload has no attObj")
	}
	// Apple's client pads, others do not.
	data, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(r.AttObj, "="))
	if err != nil {
		return nil, badRequest("attObj: %w", err)
	}
	o := new(statement)
	if err := attestation.Decode(data, o); err != nil {
		return nil, err
	}
	if o.Format == "" || len(o.Statement) == 0 {
		return nil, fmt.Errorf("%w: no fmt or no attStmt", attestation.ErrEvidence)
	}
	return o, nil
}

// errIdentifier says that the evidence proves another device than the order is
// for, or one that the inventory does not have in service.
var errIdentifier = errors.New("the identifier is not one of a device that the evidence proves")

// serveChallenge takes the evidence, once (RFC 8555 section 7.5.1).
func (s *Server) serveChallenge(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := s.order(c)
	if err != nil {
		return err
	}
	if len(c.payload) > 0 && o.State == pending {
		p, err := parsePayload[response](c.payload)
		if err != nil {
			return err
		}
		found, err := s.prove(c, o, p)
		problem, err := refusalOfEvidence(err)
		if err != nil {
			return err
		}
		o, err = s.advance(c, pending, func(o *order) {
			if o.State, o.Proven = ready, found; problem != nil {
				o.State, o.Problem = invalid, problemOf(problem)
			}
		})
		if err != nil {
			return err
		}
		if problem != nil {
			web.Annotate(r.Context(), slog.String("refused", problem.Reason), slog.String("why", problem.Err.Error()))
		}
	}
	w.Header().Add("Link", "<"+s.Issuer+pathAuthz+c.id+`>;rel="up"`)
	return web.WriteJSON(w, http.StatusOK, s.challengeOf(c.id, o))
}

// refusalOfEvidence is the problem that ends the order, if it is one; else the
// error is for the request alone.
func refusalOfEvidence(err error) (*web.Error, error) {
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, attestation.ErrEvidence):
		return refuse(http.StatusBadRequest, badAttestationStatement, "The attestation is not good: "+err.Error()+".", err), nil
	case errors.Is(err, errIdentifier):
		return refuse(http.StatusForbidden, rejectedIdentifier, "The identifier is not one of a device in the inventory that the attestation proves.", err), nil
	}
	return nil, err
}

// prove is what the evidence proves for the order. Errors: attestation.ErrEvidence
// and errIdentifier, which end the order; others do not.
func (s *Server) prove(c *call, o *order, r *response) (*proven, error) {
	object, err := r.object()
	if err != nil {
		return nil, err
	}
	format, taken := s.Formats[object.Format]
	if !taken {
		return nil, fmt.Errorf("%w: its format is not taken here", attestation.ErrEvidence)
	}
	result, err := format.Verifier.Verify(object.Statement, format.Nonce(o.Token, o.Token+"."+c.account), c.now)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(result.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: its key: %w", attestation.ErrEvidence, err)
	}
	device, err := s.device(c, o.Identifier, result)
	if err != nil {
		return nil, err
	}
	return &proven{At: c.now, Key: spki, Device: device, Attested: result.Attested}, nil
}

// device is the one device in service that the identifier names: by its ID, if
// the evidence is of the endorsement key that the inventory has for it, or by the
// serial number that the evidence vouches for.
func (s *Server) device(c *call, id string, result *attestation.Result) (string, error) {
	if !slices.Contains(result.Identifiers, id) {
		return "", fmt.Errorf("%w: it proves %.300q", errIdentifier, result.Identifiers)
	}
	hardware := &result.Attested
	d, err := s.Inventory.Device(c.ctx, id)
	switch {
	case err == nil && d.EK != "" && d.EK == hardware.HardwareID:
		if d.Retired() {
			return "", fmt.Errorf("%w: device %q is retired", errIdentifier, d.ID)
		}
		hardware.Pinned = d.EKPinnedBy != ""
		return d.ID, nil
	case err != nil && !errors.Is(err, posture.ErrNoDevice):
		return "", unavailable(err)
	}
	if hardware.Serial != id {
		return "", fmt.Errorf("%w: it is no serial number that hardware vouches for, and no device with this endorsement key", errIdentifier)
	}
	found, err := s.Inventory.DevicesBySerial(c.ctx, id)
	if err != nil {
		return "", unavailable(err)
	}
	found = slices.DeleteFunc(found, func(d posture.Device) bool { return d.Retired() })
	if len(found) != 1 {
		return "", fmt.Errorf("%w: %d devices have the serial number", errIdentifier, len(found))
	}
	return found[0].ID, nil
}
