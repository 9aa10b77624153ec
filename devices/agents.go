package devices

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/certs"
	"gatepost.dev/devices/attestation"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Verifier turns the certificates that a client presented into an identity, or
// says why not.
type Verifier interface {
	Verify(chain []*x509.Certificate, now time.Time) (certs.Identity, error)
}

// IssuedCertificates knows the certificates of the device authority:
// posture.ErrNoCertificate.
type IssuedCertificates interface {
	Certificate(ctx context.Context, authority, serial string) (posture.Certificate, error)
}

// Agents serves the endpoints of agentapi. It reads, asks, and writes.
type Agents struct {
	Enroller *Enroller
	Renewer  *Renewer
	Reporter *Reporter
	Attester *Attester
	Limiter  *web.Rates
	Waits    *Waits

	Verifier  Verifier
	Issued    IssuedCertificates
	Chain     func(r *http.Request) ([]*x509.Certificate, error) // that the client presented; its error answers the request
	Authority *x509.Certificate                                  // handed out beside what it issued

	Loopback    *agentapi.Loopback
	DeviceURL   string        // where agents renew and report
	ReportEvery time.Duration // how often
	Now         func() time.Time
}

// ServeEnroll answers POST /agent/v1/enroll.
func (a *Agents) ServeEnroll(w http.ResponseWriter, r *http.Request) error {
	request, _, err := read(r, agentapi.ParseEnrollRequest)
	if err != nil {
		return err
	}
	applicant := &Applicant{
		Token: request.Token, Claimed: request.Device, Channel: posture.ByAgent,
		Key: func() (crypto.PublicKey, error) { return KeyOfRequest([]byte(request.CSR)) },
	}
	var why agentapi.NotAttested
	applicant.Attested, applicant.Uncertified, why = a.prove(r.Context(), request.TPM, forToken(request.Token))
	e, err := a.Enroller.Enroll(r.Context(), applicant)
	if err != nil {
		return refusal(err)
	}
	why = cmp.Or(why, e.NotAttested)
	annotateRank(r.Context(), e.Rank, why)
	web.Annotate(r.Context(), slog.String("device", e.Device.ID), slog.String("token", e.Token), slog.String("state", string(e.State)))
	answer := agentapi.Enrollment{
		DeviceID: e.Device.ID, State: e.State, Certificate: string(certs.CertificatePEM(e.Certificate)), Authority: string(certs.CertificatePEM(a.Authority)),
		DeviceURL: a.DeviceURL, ReportEvery: int(a.ReportEvery / time.Second), RenewAt: renewAt(e.Certificate), Loopback: a.Loopback,
		NotAttested: why,
	}
	if e.Device.Agent != nil {
		answer.Sequence = e.Device.Agent.Sequence
	}
	return web.WriteJSON(w, http.StatusCreated, answer)
}

// ServeRenew answers POST /agent/v1/renew, over the current certificate.
func (a *Agents) ServeRenew(w http.ResponseWriter, r *http.Request) error {
	id, err := a.device(r)
	if err != nil {
		return err
	}
	request, _, err := read(r, agentapi.ParseRenewRequest)
	if err != nil {
		return err
	}
	key, err := KeyOfRequest([]byte(request.CSR))
	if err != nil {
		return refusal(err)
	}
	renewing := &Renewing{Key: key, Channel: posture.ByAgent}
	var why agentapi.NotAttested
	renewing.Attested, renewing.Uncertified, why = a.prove(r.Context(), request.TPM, forDevice(id))
	cert, notBelieved, err := a.Renewer.Renew(r.Context(), id, renewing)
	if err != nil {
		return refusal(err)
	}
	why = cmp.Or(why, notBelieved)
	if request.TPM != nil {
		annotateRank(r.Context(), posture.RankAttested, why)
	}
	return web.WriteJSON(w, http.StatusCreated, agentapi.Renewal{
		Certificate: string(certs.CertificatePEM(cert)), Authority: string(certs.CertificatePEM(a.Authority)), RenewAt: renewAt(cert), Loopback: a.Loopback,
		NotAttested: why,
	})
}

// ServeReport answers POST /agent/v1/report, over the device's certificate.
func (a *Agents) ServeReport(w http.ResponseWriter, r *http.Request) error {
	id, err := a.device(r)
	if err != nil {
		return err
	}
	report, body, err := read(r, agentapi.ParseReport)
	if err != nil {
		return err
	}
	ignored, err := a.Reporter.Report(r.Context(), id, report, agentapi.Hash(body))
	if err != nil {
		return refusal(err)
	}
	web.Annotate(r.Context(), slog.Uint64("sequence", report.Sequence))
	if len(ignored) > 0 {
		web.Annotate(r.Context(), slog.Any("ignored", ignored))
	}
	return web.WriteJSON(w, http.StatusAccepted, agentapi.Accepted{
		Sequence: report.Sequence, ReportEvery: int(a.ReportEvery / time.Second), Ignored: ignored,
	})
}

// read reads the body of a request, and gives its bytes too.
func read[T any](r *http.Request, parse func(body []byte) (*T, error)) (request *T, body []byte, err error) {
	if body, err = web.ReadJSONBody(r, agentapi.MaxBody); err != nil {
		return nil, nil, err
	}
	if request, err = parse(body); err != nil {
		return nil, nil, refusal(err)
	}
	return request, body, nil
}

// device is the one whose agent asks: it has proved the key of a certificate that
// the built-in authority issued and that still counts. How often it may ask is
// bounded.
func (a *Agents) device(r *http.Request) (id string, err error) {
	chain, err := a.Chain(r)
	if err != nil {
		return "", err
	}
	now := a.Now()
	identity, err := a.Verifier.Verify(chain, now)
	if err == nil && !identity.BuiltIn {
		err = errors.New("certificate of an authority that is not ours")
	}
	if err != nil {
		return "", refuse(http.StatusUnauthorized, agentapi.CodeCertificate, "The client certificate is not one of an enrolled device.", err)
	}
	web.Annotate(r.Context(), slog.String("device", identity.DeviceID))
	issued, err := a.Issued.Certificate(r.Context(), identity.Authority, identity.Serial)
	if err != nil && !errors.Is(err, posture.ErrNoCertificate) {
		return "", refusal(fmt.Errorf("look up certificate %q: %w", identity.Serial, err))
	}
	why := posture.UnknownDevice
	if err == nil {
		why = issued.Disproves(identity.DeviceID, identity.KeyHash)
	}
	switch why {
	case "":
	case posture.CloneSuspected:
		return "", refusal(fmt.Errorf("certificate %q is held: %w", identity.Serial, posture.ErrSuspected))
	default:
		return "", refuse(http.StatusUnauthorized, agentapi.CodeCertificate, "The client certificate does not count any more.", errors.New(string(why)))
	}
	if wait := a.Limiter.Allow(identity.DeviceID, now).Wait; wait > 0 {
		e := refuse(http.StatusTooManyRequests, agentapi.CodeTooOften, "This device asks too often.", nil)
		e.RetryAfter = wait
		return "", e
	}
	return identity.DeviceID, nil
}

func refuse(status int, code agentapi.Code, public string, err error) *web.Error {
	return &web.Error{Status: status, Reason: string(code), Public: public, Err: err}
}

// refusal maps what went wrong to what an agent may know of it.
func refusal(err error) *web.Error {
	if fault, ok := errors.AsType[*agentapi.Fault](err); ok {
		return refuse(http.StatusUnprocessableEntity, agentapi.CodeInvalid, "Not taken: "+fault.Error()+".", err)
	}
	if stale, ok := errors.AsType[*SequenceError](err); ok {
		return refuse(http.StatusConflict, agentapi.CodeSequence, "The sequence must be greater than the stored one, "+strconv.FormatUint(stale.Stored, 10)+".", err)
	}
	for _, f := range []struct {
		sentinel error
		status   int
		code     agentapi.Code
		public   string // empty: the error's own text
	}{
		{agentapi.ErrJSON, http.StatusBadRequest, agentapi.CodeJSON, ""},
		{ErrToken, http.StatusUnauthorized, agentapi.CodeToken, "The token is not valid: it is unknown, used, expired or revoked."},
		{ErrOtherTPM, http.StatusForbidden, agentapi.CodeOtherTPM, "The TPM is known as another device's."},
		{posture.ErrEKInUse, http.StatusForbidden, agentapi.CodeOtherTPM, "The TPM is known as another device's."},
		{attestation.ErrEvidence, http.StatusUnprocessableEntity, agentapi.CodeAttestation, ""},
		{ErrOtherDevice, http.StatusForbidden, agentapi.CodeTokenDevice, "The token is for another device."},
		{ErrReport, http.StatusUnprocessableEntity, agentapi.CodeInvalid, ""},
		{ErrBadRequest, http.StatusUnprocessableEntity, agentapi.CodeBadKey, ""},
		{ErrTooMany, http.StatusTooManyRequests, agentapi.CodeTooOften, "The device has too many certificates that are good still."},
		{posture.ErrKeyInUse, http.StatusConflict, agentapi.CodeKeyInUse, "The key is in use already. Make a new one."},
		{posture.ErrRetired, http.StatusForbidden, agentapi.CodeRetired, "The device was taken out of service."},
		{posture.ErrSuspected, http.StatusForbidden, agentapi.CodeSuspected, "There may be two of this device. An administrator decides."},
		{posture.ErrNoDevice, http.StatusForbidden, agentapi.CodeRetired, "The device is not in the inventory."},
	} {
		if errors.Is(err, f.sentinel) {
			public := f.public
			if public == "" {
				public = err.Error()
			}
			return refuse(f.status, f.code, public, err)
		}
	}
	return &web.Error{Status: http.StatusServiceUnavailable, Reason: "unavailable",
		Public: "The records cannot be read or written now.", Err: err, RetryAfter: 5 * time.Second}
}

// WriteProblem is the WriteError of agentapi's endpoints: a Problem.
func WriteProblem(w http.ResponseWriter, _ *http.Request, e *web.Error, reference string) {
	p := agentapi.Problem{
		Type: "about:blank", Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Public, Reference: reference,
	}
	if agentapi.Code(e.Reason).Known() {
		p.Code = agentapi.Code(e.Reason)
	}
	if stale, ok := errors.AsType[*SequenceError](e.Err); ok {
		p.Sequence = stale.Stored
	}
	// Strings and numbers always encode, and nobody is left to tell of a failed
	// write.
	_ = web.WriteProblem(w, e.Status, p)
}
