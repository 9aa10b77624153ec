package scep

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	wire "github.com/smallstep/scep"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// MaxMessage is the length of the longest message, in bytes; real ones have three
// thousand.
const MaxMessage = 64 << 10

// capabilities are what is honoured (RFC 8894 section 3.5.2); SCEPStandard says the
// same as AES, POSTPKIOperation and SHA-256 together, to clients that know it.
const capabilities = "AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-512\nSCEPStandard\n"

// Records knows what was issued.
type Records interface {
	devices.IssuedCertificates
	// Transaction: posture.ErrNoTransaction.
	Transaction(ctx context.Context, id string) (posture.Transaction, error)
}

// Server answers SCEP messages.
type Server struct {
	RA        *certs.RA         // to whom clients encrypt, and who signs the answers
	Authority *x509.Certificate // that issues
	Enroller  *devices.Enroller
	Renewer   *devices.Renewer
	Verifier  devices.Verifier
	Records   Records
	Static    []string // challenges that many devices share; none: a challenge is a token
	Legacy    bool     // SHA-1, DES and triple DES are taken too
	Now       func() time.Time
}

// ServeSCEP answers GET and POST /scep (RFC 8894 section 4.1). What it refuses to
// who sent a message is said in a signed answer, with the status 200; an error of
// HTTP answers what is no message.
func (s *Server) ServeSCEP(w http.ResponseWriter, r *http.Request) error {
	// The parameter message of the first two names an authority; there is one.
	switch operation := r.URL.Query().Get("operation"); operation {
	case "GetCACaps":
		return write(w, "text/plain", []byte(capabilities))
	case "GetCACert":
		chain, err := wire.DegenerateCertificates([]*x509.Certificate{s.RA.Certificate, s.Authority})
		if err != nil {
			return fmt.Errorf("encode the certificates of the authority: %w", err)
		}
		return write(w, "application/x-x509-ca-ra-cert", chain)
	case "PKIOperation":
		data, err := read(r)
		if err != nil {
			return err
		}
		answer, err := s.operate(r.Context(), data)
		if err != nil {
			return err
		}
		return write(w, "application/x-pki-message", answer)
	default:
		return &web.Error{Status: http.StatusBadRequest, Reason: "operation", Public: "The parameter operation is none of GetCACaps, GetCACert and PKIOperation."}
	}
}

func write(w http.ResponseWriter, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write(body)
	return err
}

// read gives the message: the body of a POST, or in base64 the parameter of a GET.
func read(r *http.Request) ([]byte, error) {
	if r.Method == http.MethodPost {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read a SCEP message: %w", err)
		}
		return data, nil
	}
	text := strings.NewReplacer("\r", "", "\n", "", " ", "+").Replace(r.URL.Query().Get("message")) // some do not escape the plus
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, noMessage(fmt.Errorf("parameter message: %w", err))
	}
	if len(data) > MaxMessage {
		return nil, noMessage(fmt.Errorf("%d bytes", len(data)))
	}
	return data, nil
}

func noMessage(err error) *web.Error {
	return &web.Error{Status: http.StatusBadRequest, Reason: "scep_message", Public: "This is no SCEP message.", Err: err}
}

// operate gives the signed answer to a message.
func (s *Server) operate(ctx context.Context, data []byte) ([]byte, error) {
	m, err := parse(data)
	if err != nil {
		return nil, noMessage(err)
	}
	web.Annotate(ctx, slog.String("transaction", printable(m.transaction)), slog.String("message", printable(string(m.kind))))
	issued, err := s.enrol(ctx, m)
	if err == nil {
		return m.success(s.RA, issued)
	}
	why := refusalOf(err)
	if why == nil {
		return nil, &web.Error{Status: http.StatusServiceUnavailable, Reason: "unavailable",
			Public: "The records cannot be read or written now.", Err: err, RetryAfter: 5 * time.Second}
	}
	web.Refused(ctx, why.reason, why.err)
	return m.failure(s.RA, why.info)
}

// refusal is why nothing is issued.
type refusal struct {
	info   wire.FailInfo // all that the client is told (RFC 8894 section 3.2.1.4)
	reason string        // for the log and the counter
	err    error
}

func (r *refusal) Error() string { return r.reason + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(info wire.FailInfo, reason, format string, args ...any) error {
	return &refusal{info, reason, fmt.Errorf(format, args...)}
}

// refusalOf is what the client is told of the error; nil: it is not about the
// client.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	for _, f := range []struct {
		sentinel error
		reason   string
	}{
		{devices.ErrToken, "challenge"},
		{devices.ErrOtherDevice, "other_device"},
		{devices.ErrBadRequest, "bad_key"},
		{devices.ErrTooMany, "too_many"},
		{posture.ErrKeyInUse, "key_in_use"},
		{posture.ErrRetired, "retired"},
		{posture.ErrSuspected, "suspected"},
		{posture.ErrNoDevice, "unknown_device"},
		{posture.ErrExists, "transaction"},
	} {
		if errors.Is(err, f.sentinel) {
			return &refusal{wire.BadRequest, f.reason, err}
		}
	}
	return nil
}
