package idp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// The protocols, as decisions name them.
const (
	protocolSAML = "saml"
	protocolOIDC = "oidc"
)

// ContinuePath is what stands behind the path of a sign-in endpoint where it
// takes the form of a sign-in that waits for its user.
const ContinuePath = "/continue"

// Rechecker asks the agent of a device to report at once. It does not wait for
// the report.
type Rechecker interface {
	Recheck(ctx context.Context, deviceID string) error
}

// Explainer lets a sign-in wait while its user mends the device.
type Explainer struct {
	Tickets   *Tickets
	Inventory Inventory
	Rechecker Rechecker // nil: no agent can be asked
}

// The choices of the form.
const (
	choiceCheck    = "check"    // look at the device again
	choiceContinue = "continue" // answer as things are
	choiceAnswer   = "answer"   // the agent's, to its challenge
)

// waited is a request that waited for its user, who has now chosen.
type waited struct {
	waiting
	ticket string // as it was given out
	choice string
	answer string // for choiceAnswer
}

// resume reads the form of the page. It believes nothing but the seal: whose
// device is at the other end now is for the sign-in to find out.
func (e *Explainer) resume(r *http.Request, protocol string, now time.Time) (*waited, error) {
	refuse := func(reason string, err error) error {
		return &web.Error{Status: http.StatusBadRequest, Reason: reason, Err: err}
	}
	if e == nil {
		return nil, refuse("ticket", errors.New("nothing is explained here"))
	}
	body, err := readForm(r)
	if err != nil {
		return nil, badAuthorization(err)
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, refuse("malformed", err)
	}
	tickets, choices, answers := form["ticket"], form["choice"], form["answer"]
	if len(tickets) != 1 || len(choices) != 1 || len(answers) > 1 {
		return nil, refuse("malformed", errors.New("the form has not one ticket and one choice"))
	}
	w, err := e.Tickets.open(tickets[0], protocol, now)
	if err != nil {
		return nil, badTicket(err)
	}
	other := choiceCheck
	if w.DeviceID == "" {
		other = choiceAnswer
	}
	if choices[0] != choiceContinue && choices[0] != other || choices[0] == choiceAnswer && len(answers) == 0 {
		return nil, refuse("malformed", fmt.Errorf("choice %.20q is none of this page", choices[0]))
	}
	return &waited{waiting: *w, ticket: tickets[0], choice: choices[0], answer: strings.Join(answers, "")}, nil
}

// badTicket maps what is wrong with a ticket.
func badTicket(err error) error {
	reason := "ticket"
	if errors.Is(err, errTicketExpired) {
		reason = "ticket_expired"
	}
	return &web.Error{Status: http.StatusBadRequest, Reason: reason, Err: err}
}

// settle judges. Of a request that waited it makes sure that the same device is at
// the other end; if the user asks for it, the agent first reports again.
func (s *signIn) settle(ctx context.Context, e *Explainer, clock func() time.Time, judge func() error) error {
	if err := judge(); err != nil || !s.explained() {
		return err
	}
	if !s.rp.ExplainNoncompliant {
		// The claims of its answers do not outlast tickets any more.
		return &web.Error{Status: http.StatusBadRequest, Reason: "ticket_party", Err: fmt.Errorf("%q has nothing explained any more", s.rp.Name)}
	}
	if id := s.deviceID(); id != s.waited.DeviceID {
		return &web.Error{Status: http.StatusBadRequest, Reason: "ticket_device", Err: fmt.Errorf("ticket of device %q from %q", s.waited.DeviceID, id)}
	}
	if s.waited.choice != choiceCheck || !s.mendable() {
		return nil
	}
	end := web.Step(ctx, "wait for report")
	err := e.recheck(ctx, &s.who.device)
	end(err)
	if err != nil {
		return err
	}
	s.now = clock()
	return judge()
}

// deviceID is whose certificate is at the other end, also of one that does not
// count any more.
func (s *signIn) deviceID() string { return cmp.Or(s.who.device.ID, s.who.identity.DeviceID) }

// How long a page waits for the report that was asked for, and how often it looks.
const (
	recheckFor   = 5 * time.Second
	recheckEvery = 200 * time.Millisecond
)

// recheck has the device's agent report and waits for that a little. That it did
// not report is no error: what is known is judged then.
func (e *Explainer) recheck(ctx context.Context, d *posture.Device) error {
	if e.Rechecker == nil || d.Agent == nil {
		return nil
	}
	before := d.Agent.ReceivedAt
	if err := e.Rechecker.Recheck(ctx, d.ID); err != nil {
		web.Annotate(ctx, slog.String("recheck", err.Error()))
		return nil
	}
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for range recheckFor / recheckEvery {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := e.Inventory.Device(ctx, d.ID)
		switch {
		case err != nil:
			return unavailable(fmt.Errorf("wait for a report of device %q: %w", d.ID, err))
		case now.Agent != nil && now.Agent.ReceivedAt.After(before):
			web.Annotate(ctx, slog.String("recheck", "reported"))
			return nil
		}
	}
	web.Annotate(ctx, slog.String("recheck", "no report"))
	return nil
}

// mendable tells whether the answer would be that the device is not compliant, for
// reasons that its user can be told.
func (s *signIn) mendable() bool {
	v := &s.verdict
	refused := s.refusal() != "" && !(s.factor && v.Quarantine == nil) // a factor is refused for what can be mended
	if !v.Managed || v.Compliant || !v.Judged || refused {
		return false
	}
	for i := range v.Failures {
		if v.Failures[i].Blocks(s.now) {
			return true
		}
	}
	return false
}

// explains tells whether the user is to see what is wrong before it is answered.
func (s *signIn) explains(e *Explainer, asked *waiting) bool {
	chosen := s.waited != nil && s.waited.choice == choiceContinue
	return e != nil && s.rp.ExplainNoncompliant && !chosen && s.mendable() && len(asked.Request) <= maxWaiting
}

// explain shows the user what is wrong. Nothing is decided: the request is neither
// recorded nor claimed.
func (s *signIn) explain(w http.ResponseWriter, r *http.Request, e *Explainer, asked *waiting, endpoint string) error {
	ctx := r.Context()
	ticket, err := s.explainTicket(e, asked)
	if err != nil {
		return err
	}
	web.Annotate(ctx, slog.String("outcome", "explained"), slog.String("device", s.who.device.ID), slog.String("verdict", string(s.verdict.Reason)))
	d := &s.who.device
	page := templates.Explain{
		Language: templates.MatchLanguage(r.Header.Get("Accept-Language")), Action: endpoint + ContinuePath, Ticket: ticket,
		Device: strings.Join(strings.Fields(d.Vendor+" "+d.Model), " "), CheckedAt: s.now, Again: s.explained(),
		GoodUntil: asked.Arrived.Add(ticketLife), Reference: s.reference,
	}
	for i := range s.verdict.Failures {
		f := &s.verdict.Failures[i]
		said := templates.Failing{Why: cmp.Or(f.Why, f.Rule), Help: f.Help, Link: f.Link, Until: f.Until}
		if f.Blocks(s.now) {
			page.Blocking = append(page.Blocking, said)
		} else {
			page.Others = append(page.Others, said)
		}
	}
	return templates.Write(w, http.StatusOK, page)
}

// explained tells whether the user has seen what is wrong.
func (s *signIn) explained() bool { return s.waited != nil && s.waited.DeviceID != "" }

// explainTicket is the ticket that the request has for the page, or a new one.
func (s *signIn) explainTicket(e *Explainer, asked *waiting) (string, error) {
	if s.explained() {
		return s.waited.ticket, nil
	}
	if s.waited == nil {
		asked.ID, asked.Arrived = newID(), s.now
	}
	asked.DeviceID = s.who.device.ID
	if s.shown.method == posture.ByChallenge {
		asked.Proof, asked.Proven = s.shown.chain[0].Raw, s.proven
	}
	return e.Tickets.seal(asked)
}

// claimUntil is how long the request must stay claimed that could be accepted
// again until then: longer if meanwhile it may have been given a ticket.
func (s *signIn) claimUntil(accepted time.Time) time.Time {
	if !s.rp.ExplainNoncompliant && !s.rp.AgentChallenge {
		return accepted
	}
	if accepted.Before(s.now) { // there is none: it is the ticket that is claimed
		accepted = s.now
	}
	return accepted.Add(ticketLife)
}

// claimID is the ID by which the request is claimed: its own, else, if it waited,
// its ticket's.
func (s *signIn) claimID(requestID string) string {
	if requestID == "" && s.waited != nil {
		return "ticket " + s.waited.ID
	}
	return requestID
}
