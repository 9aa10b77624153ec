package idp

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// signIn is one sign-in on its way to an answer, by whatever protocol.
type signIn struct {
	rp         *RelyingParty
	now        time.Time
	reference  string
	remoteAddr string
	shown      shown
	proven     time.Time // when it proved to have the key of shown: when it connected; behind a proxy, now
	connecting bool      // the request is what it connected for
	waited     *waited   // nil: the request did not wait for its user
	factor     bool      // nothing is asserted but a device that is managed and compliant

	policy   *posture.Policy // of the relying party, for the application
	who      recognised
	user     string // whom the answer is about; empty: nobody is known, and we do not invent one
	verdict  posture.Verdict
	decision posture.Decision
}

// shown are the certificates whose key is proved to be at the other end.
type shown struct {
	chain   []*x509.Certificate // the device's own first; none: there is no proof
	method  posture.Method
	proxied bool // a proxy says so
}

// Forwarded gives the certificates that a client presented to a proxy which ended
// its TLS, the client's own first; none if it presented none. It is false for a
// request that came from the client itself. Its error answers the request.
type Forwarded func(r *http.Request) (chain []*x509.Certificate, forwarded bool, err error)

func newSignIn(r *http.Request, forwarded Forwarded, rp *RelyingParty, now time.Time) (signIn, error) {
	s := signIn{rp: rp, now: now, reference: web.Reference(r.Context()), remoteAddr: r.RemoteAddr, proven: now, shown: shown{method: posture.ByCertificate}}
	if forwarded != nil {
		chain, ok, err := forwarded(r)
		if err != nil {
			return signIn{}, err
		}
		if ok {
			// The connection, and what was proven on it, is the proxy's; when the
			// client connected to that is not known.
			s.shown.chain, s.shown.proxied = chain, true
			return s, nil
		}
	}
	if r.TLS != nil {
		s.shown.chain = r.TLS.PeerCertificates
	}
	if at, first, ok := web.AcceptedAt(r.Context()); ok && len(s.shown.chain) > 0 {
		s.proven, s.connecting = at, first && now.Sub(at) <= connectWithin
	}
	return s, nil
}

// connectWithin is how long a browser may take from connecting to the request
// that it connected for; one that connected ahead of any request takes longer.
const connectWithin = 10 * time.Second

// proofOlder tells whether the device's proof is older than a request allows.
// What a browser connected for is never too old: it cannot be done any later.
func (s *signIn) proofOlder(than time.Duration) bool {
	return len(s.shown.chain) > 0 && !s.connecting && s.now.Sub(s.proven) > than
}

// judging is what a verdict takes: who proves to be a device, what is known of it,
// and where is noted what it fails.
type judging struct {
	verifier  Verifier
	inventory Inventory
	noter     Noter
}

// judge recognises the device and judges it for the application and for the user
// whom the request names, else for its owner.
func (s *signIn) judge(ctx context.Context, k judging, app posture.AppContext, named string) error {
	var err error
	if s.who, err = recognise(ctx, k.verifier, k.inventory, &s.shown, s.now); err != nil {
		return unavailable(err)
	}
	if s.user = named; s.user == "" {
		s.user = s.who.device.Owner
	}
	s.policy = s.rp.PolicyFor(app)
	end := web.Step(ctx, "judge")
	s.verdict = s.who.verdict(s.policy, app, s.now)
	end(nil)
	if err := s.note(ctx, k.noter, s.policy, &s.verdict); err != nil {
		return err
	}
	if shadow := s.policy.Shadow; shadow != nil && s.who.known {
		v := s.who.verdict(shadow, app, s.now)
		if err := s.note(ctx, k.noter, shadow, &v); err != nil {
			return err
		}
		s.decision.Shadow = shadowed(shadow, v)
	}
	if !s.rp.Shared[s.who.device.ID] {
		s.verdict = posture.BindOwner(s.verdict, &s.who.device, s.user, s.rp.BindOwner)
	}
	return nil
}

// note writes down which rules of the policy with a grace period the device fails
// now, if that is news: their time runs from here. Such rules do not look at the
// application.
func (s *signIn) note(ctx context.Context, noter Noter, p *posture.Policy, v *posture.Verdict) error {
	seen := s.who.device
	seen.Failing = slices.Clone(seen.Failing)
	if !seen.NoteFailures(p, v, s.now) {
		return nil
	}
	end := web.Step(ctx, "note failures")
	_, err := noter.UpdateDevice(ctx, seen.ID, func(d *posture.Device, exists bool) error {
		if !exists {
			return posture.ErrNoDevice
		}
		v := posture.Judge(&posture.Input{Device: d, Now: s.now}, p)
		d.NoteFailures(p, &v, s.now)
		return nil
	})
	end(err)
	if err != nil {
		return unavailable(fmt.Errorf("note what device %q fails: %w", seen.ID, err))
	}
	return nil
}

func shadowed(p *posture.Policy, v posture.Verdict) *posture.Shadow {
	return &posture.Shadow{Policy: p.Name, Managed: v.Managed, Compliant: v.Compliant, Reason: v.Reason, Failures: v.Failures}
}

// arrived is when the request came, which is what its own times are held against.
func (s *signIn) arrived() time.Time {
	if s.waited != nil {
		return s.waited.Arrived
	}
	return s.now
}

// What relying parties are told of a refusal: StatusMessage by SAML,
// error_description by OpenID Connect. The contract names the first; the others
// are ours.
const (
	deviceNotManaged   = contract.DeviceNotManaged
	deviceNotCompliant = "DEVICE_NOT_COMPLIANT" // and the relying party wants it refused, or it is in quarantine
	noSubject          = "NO_SUBJECT"           // nobody was named and the inventory knows no owner
)

// refusal is why the relying party gets no assertion for this verdict and this
// user; empty: it gets it.
func (s *signIn) refusal() string {
	switch v := &s.verdict; {
	case !v.Managed && (s.factor || !s.rp.AssertUnmanaged || v.Quarantine != nil):
		return deviceNotManaged
	case v.Managed && !v.Compliant && (s.factor || s.rp.RefuseNoncompliant || v.Quarantine != nil):
		return deviceNotCompliant
	case s.user == "":
		return noSubject
	}
	return ""
}

// reason is why there is a refusal, for the decision and the log.
func (s *signIn) reason() posture.Reason {
	if s.refusal() == noSubject {
		return posture.NoSubject
	}
	return s.verdict.Reason
}

// notice is what the page of a refusal with that text tells the user.
func notice(refusal string) templates.Notice {
	switch refusal {
	case "":
		return templates.Checked
	case deviceNotManaged:
		return templates.NotManaged
	case deviceNotCompliant:
		return templates.NotCompliant
	}
	return templates.NotAnswered
}

// proof is by what the device was recognised; zero unless one was.
func (s *signIn) proof() posture.Proof {
	if !s.who.known {
		return posture.Proof{}
	}
	return s.who.proof
}

// decide writes down everything of the decision but its outcome and what is the
// protocol's.
func (s *signIn) decide(protocol, requestID string, app posture.AppContext) {
	s.decision = posture.Decision{
		ID:           s.reference,
		Time:         s.now,
		RelyingParty: s.rp.Name,
		Protocol:     protocol,
		RequestID:    requestID,
		Subject:      s.user,
		DeviceID:     cmp.Or(s.who.device.ID, s.who.identity.DeviceID), // of a certificate that does not count, whose it was
		Authority:    s.who.identity.Authority,
		Certificate:  s.who.identity.Serial,
		Proof:        s.proof(),
		App:          app,
		Policy:       cmp.Or(s.policy, s.rp.Policy).Name,
		Managed:      s.verdict.Managed,
		Compliant:    s.verdict.Compliant,
		Reason:       s.verdict.Reason,
		Failures:     s.verdict.Failures,
		Quarantine:   s.verdict.Quarantine,
		Warnings:     s.verdict.Warnings,
		Shadow:       s.decision.Shadow,
		RemoteAddr:   s.remoteAddr,
	}
}

// record has the decision made durable, maps what goes wrong with that, and puts
// what was decided into the request's log record.
func (s *signIn) record(ctx context.Context, decide func() error) error {
	end := web.Step(ctx, "record decision")
	err := decide()
	end(err)
	switch {
	case errors.Is(err, posture.ErrReplayed):
		return &web.Error{Status: http.StatusBadRequest, Reason: "replayed", Err: err}
	case err != nil:
		return unavailable(fmt.Errorf("record decision: %w", err))
	}
	d := &s.decision
	web.Annotate(ctx, slog.String("outcome", string(d.Outcome)), slog.String("device", d.DeviceID),
		slog.String("verdict", string(d.Reason)), slog.Bool("managed", d.Managed), slog.Bool("compliant", d.Compliant))
	if len(d.Warnings) > 0 {
		web.Annotate(ctx, slog.Any("warnings", d.Warnings))
	}
	return nil
}

func unavailable(err error) error {
	return &web.Error{Status: http.StatusServiceUnavailable, Reason: "unavailable", Err: err, RetryAfter: 5 * time.Second}
}
