package idp

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// GrantRecorder makes a decision durable, with the answer that its relying party
// is going to fetch, and claims the request if it was a signed one, in one step.
// It returns posture.ErrReplayed for a request that was claimed before. A
// decision to refuse comes without a grant.
type GrantRecorder interface {
	Decide(ctx context.Context, d posture.Decision, claimUntil time.Time) error
	DecideGrant(ctx context.Context, d posture.Decision, claimUntil time.Time, g posture.Grant) error
}

// OIDC answers authorization requests (OpenID Connect core 3.1.2) by the
// authorization code flow.
type OIDC struct {
	Provider  *oidc.Provider
	Clients   Clients
	Inventory Inventory
	Recorder  GrantRecorder
	Verifier  Verifier
	Keys      func() []oidc.PublicKey // under which an id_token_hint may be signed
	Now       func() time.Time
}

// ServeAuthorize is the authorization endpoint, for GET and POST.
func (o *OIDC) ServeAuthorize(w http.ResponseWriter, r *http.Request) error {
	now := o.Now()
	ctx := r.Context()
	message, err := decodeAuthorization(r)
	if err != nil {
		return badAuthorization(err)
	}
	rp, err := o.Clients.ByClientID(ctx, message.ClientID())
	switch {
	case errors.Is(err, posture.ErrNoRelyingParty):
		return &web.Error{Status: http.StatusBadRequest, Reason: "unknown_client", Err: err}
	case err != nil:
		return unavailable(fmt.Errorf("look up client: %w", err))
	}
	web.Annotate(ctx, slog.String("relying_party", rp.Name))

	s := authorizing{OIDC: o, rp: rp, now: now, reference: web.Reference(ctx), remoteAddr: r.RemoteAddr}
	s.request, err = message.Check(rp.OIDC, o.Provider, now)
	var told *oidc.Error
	switch {
	case errors.As(err, &told) && s.request != nil:
		// Nothing was decided: the request itself is at fault.
		web.Annotate(ctx, slog.String("outcome", "error"), slog.String("oauth_error", told.Code), slog.String("fault", told.Error()))
		return s.reply(w, s.request.Refusal(o.Provider.Issuer, told), false)
	case err != nil:
		return badAuthorization(err)
	}
	var chain []*x509.Certificate
	if r.TLS != nil {
		chain = r.TLS.PeerCertificates
	}
	return s.answer(ctx, w, chain)
}

// decodeAuthorization reads the request by the way that its method implies
// (OpenID Connect core 3.1.2.1).
func decodeAuthorization(r *http.Request) (*oidc.Message, error) {
	switch r.Method {
	case http.MethodGet:
		return oidc.DecodeAuthorization(r.URL.RawQuery)
	case http.MethodPost:
		body, err := readForm(r)
		if err != nil {
			return nil, err
		}
		return oidc.DecodeAuthorization(body)
	}
	return nil, &oidc.BadRequest{Reason: "method", Err: fmt.Errorf("method %q is not served", r.Method)}
}

// readForm reads a body of form parameters. What is too large is web's to refuse.
func readForm(r *http.Request) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", &oidc.BadRequest{Reason: "content_type", Err: fmt.Errorf("body of type %q is no form", r.Header.Get("Content-Type"))}
	}
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

func badAuthorization(err error) error {
	if bad, ok := errors.AsType[*oidc.BadRequest](err); ok {
		return &web.Error{Status: http.StatusBadRequest, Reason: bad.Reason, Err: err}
	}
	return err
}

// authorizing is one authorization request on its way to an answer.
type authorizing struct {
	*OIDC
	rp         *RelyingParty
	now        time.Time
	reference  string
	remoteAddr string

	request  *oidc.Authorization
	decision posture.Decision
}

// answer judges the device behind chain, records the decision and sends the
// browser back with a code, or with an error. Nothing leaves before it is
// recorded.
func (s *authorizing) answer(ctx context.Context, w http.ResponseWriter, chain []*x509.Certificate) error {
	who, err := recognise(ctx, s.Verifier, s.Inventory, chain, s.now)
	if err != nil {
		return unavailable(err)
	}
	user, refusal := s.user(&who)
	verdict := who.verdict(s.rp.Policy, s.now)
	if s.rp.BindOwner {
		verdict = posture.BindOwner(verdict, &who.device, user)
	}
	s.decide(verdict, &who, user)
	if refusal == nil {
		refusal = s.refusal(verdict, user)
	}
	if refusal != nil {
		return s.refuse(ctx, w, refusal)
	}
	return s.grant(ctx, w, verdict, &who, user)
}

// user is whom the answer is about: the user that the request names, else the
// owner of the device; empty when nobody is known. We do not invent one.
func (s *authorizing) user(who *recognised) (string, *oidc.Error) {
	user := s.request.LoginHint
	if s.request.IDTokenHint != "" {
		hinted, err := oidc.VerifyIDTokenHint(s.request.IDTokenHint, s.Provider, s.rp.OIDC.ID, s.Keys(), s.now)
		if told, ok := errors.AsType[*oidc.Error](err); ok {
			return user, told
		}
		if user != "" && oidc.SubjectOf(user) != oidc.SubjectOf(hinted) {
			return user, &oidc.Error{Code: oidc.LoginRequired, Description: "the hints name two users", Reason: "hints_differ"}
		}
		user = hinted
	}
	if user == "" {
		user = who.device.Owner
	}
	return user, nil
}

// refusal is what the relying party is told instead of a code, or nil.
func (s *authorizing) refusal(v posture.Verdict, user string) *oidc.Error {
	switch {
	case !v.Managed && !s.rp.AssertUnmanaged:
		// Without a certificate nobody is signed in here, which prompt=none asks
		// about (OpenID Connect core 3.1.2.6).
		code := oidc.AccessDenied
		if s.request.PromptNone && v.Reason == posture.NoCertificate {
			code = oidc.LoginRequired
		}
		return &oidc.Error{Code: code, Description: deviceNotManaged, Reason: string(v.Reason)}
	case v.Managed && !v.Compliant && s.rp.RefuseNoncompliant:
		return &oidc.Error{Code: oidc.AccessDenied, Description: deviceNotCompliant, Reason: string(v.Reason)}
	case user == "":
		code := oidc.AccessDenied
		if s.request.PromptNone {
			code = oidc.LoginRequired
		}
		return &oidc.Error{Code: code, Description: noSubject, Reason: "no_subject"}
	case !s.request.AllowsSubject(oidc.SubjectOf(user)):
		// OpenID Connect core 5.5.1: no answer about anybody else.
		return &oidc.Error{Code: oidc.LoginRequired, Description: "another user was asked for", Reason: "other_subject"}
	}
	return nil
}

// proofOfPossession is the authentication method of a client certificate: its key
// was proven, and where it is kept is not known (IANA registry of Authentication
// Method Reference Values).
const proofOfPossession = "pop"

// appContext is the application that the request is about, by whichever of its
// names it came.
func appContext(parameters []oidc.Parameter) posture.AppContext {
	var app posture.AppContext
	for _, p := range parameters {
		switch p.Name {
		case "app_instance_id", contract.AppInstanceID:
			app.InstanceID = cmp.Or(app.InstanceID, p.Value)
		case "app_name", contract.AppName:
			app.Name = cmp.Or(app.Name, p.Value)
		}
	}
	return app
}

// decide writes down everything of the decision but its outcome.
func (s *authorizing) decide(v posture.Verdict, who *recognised, user string) {
	s.decision = posture.Decision{
		ID:           s.reference,
		Time:         s.now,
		RelyingParty: s.rp.Name,
		Protocol:     "oidc",
		RequestID:    s.request.RequestID,
		Subject:      user,
		DeviceID:     who.device.ID,
		Authority:    who.identity.Authority,
		Certificate:  who.identity.Serial,
		App:          appContext(s.request.App),
		Policy:       s.rp.Policy.Name,
		Managed:      v.Managed,
		Compliant:    v.Compliant,
		Reason:       v.Reason,
		Failures:     v.Failures,
		RemoteAddr:   s.remoteAddr,
	}
}

func (s *authorizing) refuse(ctx context.Context, w http.ResponseWriter, e *oidc.Error) error {
	s.decision.Outcome = posture.Refused
	s.decision.Status = e.Code
	s.decision.AnswerID = s.reference
	if err := s.recorded(ctx, s.Recorder.Decide(ctx, s.decision, s.request.ClaimUntil)); err != nil {
		return err
	}
	return s.reply(w, s.request.Refusal(s.Provider.Issuer, e), true)
}

// grant keeps what was decided until the relying party fetches it by the code.
func (s *authorizing) grant(ctx context.Context, w http.ResponseWriter, v posture.Verdict, who *recognised, user string) error {
	g, code := oidc.NewGrant(s.request, s.now)
	g.User, g.Subject = user, oidc.SubjectOf(user)
	g.Device = oidc.DeviceContext{Managed: v.Managed, Compliant: v.Compliant, ExternalID: who.device.ID}
	if who.reason == "" {
		g.AMR = []string{proofOfPossession}
	}
	s.decision.Outcome = posture.Asserted
	s.decision.AnswerID = g.ID
	if err := g.Check(); err != nil { // rather now than when the code is spent
		return fmt.Errorf("grant to client %q: %w", s.rp.OIDC.ID, err)
	}
	kept := posture.Grant{ID: g.ID, Until: g.Until(), Value: g.Encode()}
	if err := s.recorded(ctx, s.Recorder.DecideGrant(ctx, s.decision, s.request.ClaimUntil, kept)); err != nil {
		return err
	}
	return s.reply(w, s.request.Success(s.Provider.Issuer, code), false)
}

// recorded maps the error of recording and notes what was decided.
func (s *authorizing) recorded(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, posture.ErrReplayed):
		return &web.Error{Status: http.StatusBadRequest, Reason: "replayed", Err: err}
	case err != nil:
		return unavailable(fmt.Errorf("record decision: %w", err))
	}
	annotate(ctx, &s.decision)
	return nil
}

// reply sends the browser back to the relying party.
func (s *authorizing) reply(w http.ResponseWriter, reply oidc.Reply, refused bool) error {
	if !reply.FormPost {
		// 303, so that a request that was posted is not posted again (RFC 9700
		// section 4.12).
		w.Header().Set("Location", reply.URL())
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	page := templates.Answer{Action: reply.RedirectURI, Refused: refused, Reference: s.reference}
	for _, f := range reply.Fields {
		page.Fields = append(page.Fields, templates.Field(f))
	}
	return templates.Write(w, http.StatusOK, page)
}
