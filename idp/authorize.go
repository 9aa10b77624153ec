package idp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
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
	Provider   *oidc.Provider
	Clients    Clients
	Inventory  Inventory
	Noter      Noter
	Recorder   GrantRecorder
	Verifier   Verifier
	Forwarded  Forwarded               // nil: every browser connects to this server itself
	Keys       func() []oidc.PublicKey // under which an id_token_hint may be signed
	Explainer  *Explainer              // nil: nothing is explained
	Challenger *Challenger             // nil: no agent is asked
	Now        func() time.Time
}

// ServeAuthorize is the authorization endpoint, for GET and POST.
func (o *OIDC) ServeAuthorize(w http.ResponseWriter, r *http.Request) error {
	encoded, err := readAuthorization(r)
	if err != nil {
		return badAuthorization(err)
	}
	return o.serve(w, r, &waiting{Protocol: protocolOIDC, Posted: r.Method == http.MethodPost, Request: []byte(encoded)}, nil)
}

// ServeContinue is where the page of a sign-in that waits for its user posts to:
// the authorization endpoint with ContinuePath behind it.
func (o *OIDC) ServeContinue(w http.ResponseWriter, r *http.Request) error {
	waited, err := o.Explainer.resume(r, protocolOIDC, o.Now())
	if err != nil {
		return err
	}
	return o.serve(w, r, &waited.waiting, waited)
}

// serve answers a request, which waited for its user unless waited is nil, or
// lets it wait.
func (o *OIDC) serve(w http.ResponseWriter, r *http.Request, asked *waiting, waited *waited) error {
	now := o.Now()
	ctx := r.Context()
	message, err := oidc.DecodeAuthorization(string(asked.Request))
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

	begun, err := newSignIn(r, o.Forwarded, rp, now)
	if err != nil {
		return err
	}
	begun.waited = waited
	if err := begun.prove(ctx, r, o.Challenger); err != nil {
		return err
	}
	s := authorizing{OIDC: o, signIn: begun}
	s.request, err = message.Check(rp.OIDC, o.Provider, s.arrived())
	var told *oidc.Error
	switch {
	case errors.As(err, &told) && s.request != nil:
		// Nothing was decided: the request itself is at fault.
		web.Annotate(ctx, slog.String("outcome", "error"))
		refused(ctx, told)
		return s.reply(w, s.request.Refusal(o.Provider.Issuer, told), templates.NotAnswered)
	case err != nil:
		return badAuthorization(err)
	}
	if age := s.request.MaxAge; age != nil && s.proofOlder(*age) {
		return reconnect(w, r)
	}
	return s.answer(w, r, asked)
}

// reconnect sends the browser to the same request on a new connection, where it
// proves its key again: this is what signing in anew is here (OpenID Connect core
// 3.1.2.1, max_age and prompt=login; SAML core 3.4.1, ForceAuthn). Nobody is asked
// for anything.
func reconnect(w http.ResponseWriter, r *http.Request) error {
	web.Annotate(r.Context(), slog.String("outcome", "reconnect"))
	w.Header().Set("Connection", "close")
	w.Header().Set("Location", r.URL.RequestURI())
	w.WriteHeader(http.StatusTemporaryRedirect) // a POST stays one: it holds no credentials
	return nil
}

// readAuthorization reads the request by the way that its method implies (OpenID
// Connect core 3.1.2.1), still encoded.
func readAuthorization(r *http.Request) (string, error) {
	switch r.Method {
	case http.MethodGet:
		return r.URL.RawQuery, nil
	case http.MethodPost:
		return readForm(r)
	}
	return "", &oidc.BadRequest{Reason: "method", Err: fmt.Errorf("method %q is not served", r.Method)}
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

// authorizing is an authorization request on its way to an answer.
type authorizing struct {
	*OIDC
	signIn
	request *oidc.Authorization
}

// answer judges the device, records the decision and sends the browser back with
// a code, or with an error, unless the request is to wait for its user. Nothing
// leaves before it is recorded.
func (s *authorizing) answer(w http.ResponseWriter, r *http.Request, asked *waiting) error {
	ctx, app := r.Context(), appContext(s.request.App)
	named, refusal := s.named()
	err := s.settle(ctx, s.Explainer, s.Now, func() error { return s.judge(ctx, judging{s.Verifier, s.Inventory, s.Noter}, app, named) })
	if err != nil {
		return err
	}
	if refusal == nil && !s.request.PromptNone && s.challenges(s.Challenger, asked) {
		return s.challenge(w, r, s.Challenger, asked, s.Provider.AuthorizeURL)
	}
	if refusal == nil {
		refusal = s.refusalError()
	}
	if refusal == nil && !s.request.PromptNone && s.explains(s.Explainer, asked) {
		return s.explain(w, r, s.Explainer, asked, s.Provider.AuthorizeURL)
	}
	s.decide(protocolOIDC, s.claimID(s.request.RequestID), app)
	if refusal != nil {
		return s.refuse(ctx, w, refusal)
	}
	return s.grant(ctx, w)
}

// named is the user whom the request names; empty: none.
func (s *authorizing) named() (string, *oidc.Error) {
	user := strings.TrimSpace(s.request.LoginHint)
	if s.request.IDTokenHint == "" {
		return user, nil
	}
	hinted, err := oidc.VerifyIDTokenHint(s.request.IDTokenHint, s.Provider, s.rp.OIDC.ID, s.Keys(), s.arrived())
	if told, ok := errors.AsType[*oidc.Error](err); ok {
		return user, told
	}
	if user != "" && oidc.SubjectOf(user) != oidc.SubjectOf(hinted) {
		return user, &oidc.Error{Code: oidc.LoginRequired, Description: "the hints name two users", Reason: "hints_differ"}
	}
	return hinted, nil
}

// refusalError is what the relying party is told instead of a code, or nil.
func (s *authorizing) refusalError() *oidc.Error {
	e := &oidc.Error{Code: oidc.AccessDenied, Description: s.refusal(), Reason: string(s.reason())}
	switch {
	case e.Description == "" && s.request.AllowsSubject(oidc.SubjectOf(s.user)):
		return nil
	case e.Description == "":
		// OpenID Connect core 5.5.1: no answer about anybody else.
		return &oidc.Error{Code: oidc.LoginRequired, Description: "another user was asked for", Reason: "other_subject"}
	case s.request.PromptNone && (e.Description == noSubject || s.verdict.Reason == posture.NoCertificate):
		// Nobody is signed in here, which prompt=none asks about (OpenID Connect
		// core 3.1.2.6).
		e.Code = oidc.LoginRequired
	}
	return e
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
		case contract.ClaimAppInstanceID, contract.AppInstanceID:
			app.InstanceID = cmp.Or(app.InstanceID, p.Value)
		case contract.ClaimAppName, contract.AppName:
			app.Name = cmp.Or(app.Name, p.Value)
		}
	}
	return app
}

func (s *authorizing) refuse(ctx context.Context, w http.ResponseWriter, e *oidc.Error) error {
	s.decision.Outcome = posture.Refused
	s.decision.Status = e.Code
	s.decision.Reason = posture.Reason(e.Reason)
	s.decision.AnswerID = s.reference
	until := s.claimUntil(s.request.ClaimUntil)
	if err := s.record(ctx, func() error { return s.Recorder.Decide(ctx, s.decision, until) }); err != nil {
		return err
	}
	refused(ctx, e)
	return s.reply(w, s.request.Refusal(s.Provider.Issuer, e), notice(e.Description))
}

// refused notes an error that the browser takes to the relying party.
func refused(ctx context.Context, e *oidc.Error) {
	web.Refused(ctx, cmp.Or(e.Reason, e.Code), e)
}

// grant keeps what was decided until the relying party fetches it by the code.
func (s *authorizing) grant(ctx context.Context, w http.ResponseWriter) error {
	g, code := oidc.NewGrant(s.request, s.now)
	g.AuthTime = s.proven
	g.User, g.Subject = s.user, oidc.SubjectOf(s.user)
	g.Device = oidc.DeviceContext{Managed: s.verdict.Managed, Compliant: s.verdict.Compliant, ExternalID: s.who.device.ID}
	if s.who.reason == "" {
		g.AMR = []string{proofOfPossession}
	}
	s.decision.Outcome = posture.Asserted
	s.decision.AnswerID = g.ID
	if err := g.Check(); err != nil { // rather now than when the code is spent
		return fmt.Errorf("grant to client %q: %w", s.rp.OIDC.ID, err)
	}
	kept := posture.Grant{ID: g.ID, Until: g.Until(), Value: g.Encode()}
	until := s.claimUntil(s.request.ClaimUntil)
	if err := s.record(ctx, func() error { return s.Recorder.DecideGrant(ctx, s.decision, until, kept) }); err != nil {
		return err
	}
	return s.reply(w, s.request.Success(s.Provider.Issuer, code), templates.Checked)
}

// reply sends the browser back to the relying party.
func (s *authorizing) reply(w http.ResponseWriter, reply oidc.Reply, notice templates.Notice) error {
	if !reply.FormPost {
		// 303, so that a request that was posted is not posted again (RFC 9700
		// section 4.12).
		w.Header().Set("Location", reply.URL())
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	page := templates.Answer{Action: reply.RedirectURI, Notice: notice, Reference: s.reference}
	for _, f := range reply.Fields {
		page.Fields = append(page.Fields, templates.Field(f))
	}
	return templates.Write(w, http.StatusOK, page)
}
