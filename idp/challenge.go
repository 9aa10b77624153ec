package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// AskPath is what stands behind the path of a sign-in endpoint where a browser
// fetches a challenge for the agent on its device.
const AskPath = "/challenge"

// Challenger lets a device prove itself by its agent, for browsers that show no
// certificate. What the agent signs comes by way of the browser, never from the
// agent itself: nobody can have another's agent answer for his own browser.
//
// It keeps nothing: what waits is in the ticket that the browser has, bound to
// that browser by a cookie. Only that a challenge was answered is in the store.
type Challenger struct {
	Tickets *Tickets
	Claimer Claimer           // of challenges: each is answered once
	Key     *ecdsa.PrivateKey // that agents know
	Issuer  string            // as agents know it
	Agent   string            // where agents listen, an http URL of loopback without a path
	Now     func() time.Time
}

// browserCookie begins the name of the cookie that binds a ticket to its browser.
// Each ticket has its own, so that sign-ins in two tabs do not meet. Its prefix
// keeps other hosts of the domain from setting it (RFC 6265bis section 4.1.3.2).
const browserCookie = "__Host-gatepost-"

func cookieOf(w *waiting) string { return browserCookie + w.ID[max(0, len(w.ID)-16):] }

// challenges tells whether the agent on the device is to be asked who that is.
func (s *signIn) challenges(c *Challenger, asked *waiting) bool {
	return c != nil && s.rp.AgentChallenge && s.waited == nil && s.who.reason == posture.NoCertificate && len(asked.Request) <= maxWaiting &&
		s.policy.Takes(posture.Proof{Method: posture.ByChallenge, Rank: posture.RankAttested}) // the best that may come of it
}

// challenge shows the page from which the browser goes to the agent and back.
// Nothing is decided: the request is neither recorded nor claimed.
func (s *signIn) challenge(w http.ResponseWriter, r *http.Request, c *Challenger, asked *waiting, endpoint string) error {
	secret := rand.Text()
	asked.ID, asked.Arrived, asked.Browser = newID(), s.now, hashOf(secret)
	ticket, err := c.Tickets.seal(asked)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieOf(asked), Value: secret, Path: "/", MaxAge: int(ticketLife / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	web.Annotate(r.Context(), slog.String("outcome", "challenged"))
	return templates.Write(w, http.StatusOK, templates.Challenge{
		Language: templates.MatchLanguage(r.Header.Get("Accept-Language")), Ask: endpoint + AskPath, Action: endpoint + ContinuePath,
		Ticket: ticket, SignIn: asked.ID, Reference: s.reference,
	})
}

// ServeAsk sends the browser to the agent on its device, with a challenge for the
// sign-in that waits in the ticket.
func (c *Challenger) ServeAsk(protocol string) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readForm(r)
		if err != nil {
			return badAuthorization(err)
		}
		form, err := url.ParseQuery(body)
		if err != nil || len(form["ticket"]) != 1 {
			return &web.Error{Status: http.StatusBadRequest, Reason: "malformed", Err: errors.New("the form has not one ticket")}
		}
		now := c.Now()
		waits, err := c.Tickets.open(form["ticket"][0], protocol, now)
		if err != nil {
			return badTicket(err)
		}
		if err := sameBrowser(r, waits); err != nil {
			return err
		}
		asked := agentapi.Challenge{Issuer: c.Issuer, ID: newID(), SignIn: waits.ID, Expires: now.Add(agentapi.ChallengeLife)}
		request, err := asked.Sign(c.Key)
		if err != nil {
			return err
		}
		web.Annotate(r.Context(), slog.String("challenge", asked.ID))
		w.Header().Set("Location", c.Agent+agentapi.ChallengePath+"?request="+request) // a JWS needs no escapes
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
}

// ServeAnswered is where the agent sends the browser back to. The page hands the
// answer, which is in the fragment, to the one that waits for it.
func (c *Challenger) ServeAnswered(w http.ResponseWriter, r *http.Request) error {
	return templates.Write(w, http.StatusOK, templates.Answered{
		Language: templates.MatchLanguage(r.Header.Get("Accept-Language")), Reference: web.Reference(r.Context()),
	})
}

// sameBrowser wants the cookie that the browser of the ticket was given.
func sameBrowser(r *http.Request, w *waiting) error {
	if cookies := r.CookiesNamed(cookieOf(w)); w.Browser != "" && len(cookies) == 1 &&
		subtle.ConstantTimeCompare([]byte(hashOf(cookies[0].Value)), []byte(w.Browser)) == 1 {
		return nil
	}
	return &web.Error{Status: http.StatusBadRequest, Reason: "ticket_browser", Err: errors.New("another browser than the one that the ticket was given to")}
}

// prove makes what the agent proved that of the sign-in. It is the answer itself,
// or what an earlier one proved to a sign-in that has waited since.
func (s *signIn) prove(ctx context.Context, r *http.Request, c *Challenger) error {
	switch {
	case s.waited == nil || s.waited.Browser == "":
		return nil
	case s.waited.Proof == nil && s.waited.choice != choiceAnswer:
		// No agent was there, and the user goes on without: whatever browser posts this,
		// nothing is proved by it.
		s.shown.chain = nil
		return nil
	case c == nil || !s.rp.AgentChallenge:
		// The claims of its answers do not outlast tickets any more.
		return &web.Error{Status: http.StatusBadRequest, Reason: "ticket_party", Err: fmt.Errorf("%q has no agent asked any more", s.rp.Name)}
	}
	if err := sameBrowser(r, &s.waited.waiting); err != nil {
		return err
	}
	if s.waited.Proof != nil {
		leaf, err := x509.ParseCertificate(s.waited.Proof)
		if err != nil {
			return fmt.Errorf("ticket: %w", err)
		}
		s.proved(leaf, s.waited.Proven)
		return nil
	}
	leaf, err := c.verify(ctx, s, s.waited.answer)
	if err != nil {
		return err
	}
	s.proved(leaf, s.now)
	return nil
}

// proved notes a proof by challenge. It cannot have been any later.
func (s *signIn) proved(leaf *x509.Certificate, at time.Time) {
	s.shown = shown{chain: []*x509.Certificate{leaf}, method: posture.ByChallenge}
	s.proven, s.connecting = at, true
}

// verify gives the certificate whose key answered the challenge that this sign-in
// was given, in time and for the first time. Whose certificate that is, and
// whether it counts, is for the sign-in to find out, as of one in TLS.
func (c *Challenger) verify(ctx context.Context, s *signIn, text string) (*x509.Certificate, error) {
	refuse := func(reason string, err error) error {
		return &web.Error{Status: http.StatusBadRequest, Reason: reason, Err: err}
	}
	answer, err := agentapi.ReadAnswer(text, c.Issuer)
	if err != nil {
		return nil, refuse("answer", err)
	}
	challenge, err := agentapi.ReadChallenge(answer.Challenge, c.Key.Public(), c.Issuer, s.now, false)
	switch {
	case err != nil:
		return nil, refuse("challenge", err)
	case challenge.SignIn != s.waited.ID:
		return nil, refuse("challenge_other", fmt.Errorf("answer for sign-in %q in %q", challenge.SignIn, s.waited.ID))
	}
	err = c.Claimer.Claim(ctx, posture.Claim{RelyingParty: s.rp.Name, RequestID: "challenge " + challenge.ID, Until: challenge.Expires})
	switch {
	case errors.Is(err, posture.ErrReplayed):
		return nil, refuse("replayed", err)
	case err != nil:
		return nil, unavailable(fmt.Errorf("claim challenge %q: %w", challenge.ID, err))
	}
	web.Annotate(ctx, slog.String("challenge", challenge.ID))
	return answer.Certificate, nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
