package idp

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/idp/saml"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// SAML answers AuthnRequests (SAML profiles 4.1, web browser SSO).
type SAML struct {
	EntityID       string // of this provider
	SSOURL         string // where requests arrive, as metadata name it
	RelyingParties RelyingParties
	Inventory      Inventory
	Noter          Noter
	Recorder       Recorder
	Verifier       Verifier
	Forwarded      Forwarded                // nil: every browser connects to this server itself
	Keys           func() *certs.SigningKey // the key that signs now
	Explainer      *Explainer               // nil: nothing is explained
	Challenger     *Challenger              // nil: no agent is asked
	Now            func() time.Time
}

// MaxRequestBody bounds the body of a request, in bytes: 64 KiB of XML in base64,
// URL-encoded, with room for RelayState. No form of OpenID Connect may be larger
// than that. More would be read to be refused.
const MaxRequestBody = 128 << 10

// ServeSSO is the single sign-on endpoint, for both bindings.
func (s *SAML) ServeSSO(w http.ResponseWriter, r *http.Request) error {
	encoded, err := readSAML(r)
	if err != nil {
		return badRequest(err)
	}
	return s.serve(w, r, &waiting{Protocol: protocolSAML, Posted: r.Method == http.MethodPost, Request: encoded}, nil)
}

// ServeContinue is where the page of a sign-in that waits for its user posts to:
// SSOURL with ContinuePath behind it.
func (s *SAML) ServeContinue(w http.ResponseWriter, r *http.Request) error {
	waited, err := s.Explainer.resume(r, protocolSAML, s.Now())
	if err != nil {
		return err
	}
	return s.serve(w, r, &waited.waiting, waited)
}

// serve answers a request, which waited for its user unless waited is nil, or
// lets it wait.
func (s *SAML) serve(w http.ResponseWriter, r *http.Request, asked *waiting, waited *waited) error {
	now := s.Now()
	ctx := r.Context()
	message, err := decode(asked)
	if err != nil {
		return badRequest(err)
	}
	rp, err := s.RelyingParties.ByEntityID(ctx, message.Issuer())
	switch {
	case errors.Is(err, posture.ErrNoRelyingParty):
		return &web.Error{Status: http.StatusBadRequest, Reason: "unknown_relying_party", Err: err}
	case err != nil:
		return unavailable(fmt.Errorf("look up relying party: %w", err))
	}
	web.Annotate(ctx, slog.String("relying_party", rp.Name))

	begun, err := newSignIn(r, s.Forwarded, rp, now)
	if err != nil {
		return err
	}
	begun.waited = waited
	if err := begun.prove(ctx, r, s.Challenger); err != nil {
		return err
	}
	answering := answering{SAML: s, signIn: begun}
	request, err := message.Check(rp.SAML, s.SSOURL, begun.arrived())
	var status *saml.StatusError
	switch {
	case errors.As(err, &status):
		err = answering.refuseRequest(status)
	case err != nil:
		return badRequest(err)
	case request.ForceAuthn && !request.IsPassive && begun.proofOlder(0):
		// SAML core 3.4.1: the presenter authenticates anew. With IsPassive, which
		// goes before it, we have nothing to show and take what there is.
		return reconnect(w, r)
	default:
		if err = answering.judge(ctx, request); err != nil {
			return err
		}
		if !request.IsPassive && answering.challenges(s.Challenger, asked) {
			return answering.challenge(w, r, s.Challenger, asked, s.SSOURL)
		}
		if !request.IsPassive && answering.explains(s.Explainer, asked) {
			return answering.explain(w, r, s.Explainer, asked, s.SSOURL)
		}
		err = answering.answer(ctx)
	}
	if err != nil {
		return err
	}
	return answering.send(ctx, w)
}

// readSAML reads the parameters of the binding that the method implies, still
// encoded.
func readSAML(r *http.Request) ([]byte, error) {
	switch r.Method {
	case http.MethodGet:
		return []byte(r.URL.RawQuery), nil
	case http.MethodPost:
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return nil, &saml.BadRequest{Reason: "content_type", Err: fmt.Errorf("body of type %q is no form", r.Header.Get("Content-Type"))}
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, MaxRequestBody+1))
		if err != nil {
			return nil, err // which says itself whether it was too long or too slow
		}
		if len(body) > MaxRequestBody {
			return nil, &saml.BadRequest{Reason: "too_large", Err: errors.New("request body is too large")}
		}
		return body, nil
	}
	// A HEAD must not use a request up, and the mux lets it through with GET.
	return nil, &saml.BadRequest{Reason: "method", Err: fmt.Errorf("method %q is not served", r.Method)}
}

// decode decodes the message by the binding that it came by.
func decode(asked *waiting) (*saml.Message, error) {
	if asked.Posted {
		return saml.DecodePost(asked.Request)
	}
	return saml.DecodeRedirect(string(asked.Request))
}

// badRequest maps what is wrong with a request. An error of reading it is the
// adapter's to map.
func badRequest(err error) error {
	if bad, ok := errors.AsType[*saml.BadRequest](err); ok {
		return &web.Error{Status: http.StatusBadRequest, Reason: bad.Reason, Err: err}
	}
	return err
}

// newID makes an identifier for an answer: an NCName with 128 random bits (SAML
// core 1.3.4).
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return "_" + hex.EncodeToString(b[:])
}

// send records the decision, signs the answer and posts it by way of the
// browser. Nothing leaves before it is recorded.
func (s *answering) send(ctx context.Context, w http.ResponseWriter) error {
	if !templates.SurvivesForm(s.request.RelayState) {
		// It must come back exactly (SAML bindings 3.5.3), and a form would not.
		return &web.Error{Status: http.StatusBadRequest, Reason: "relay_state", Err: errors.New("a form cannot carry the RelayState")}
	}
	until := s.claimUntil(s.now.Add(saml.ClaimFor))
	if err := s.record(ctx, func() error { return s.Recorder.Decide(ctx, s.decision, until) }); err != nil {
		return err
	}
	if s.decision.Outcome == posture.Refused {
		web.Refused(ctx, cmp.Or(string(s.decision.Reason), s.decision.Status), nil)
	}
	if s.request.SHA1Digest {
		web.Annotate(ctx, slog.Bool("sha1_digest", true))
	}

	key := s.Keys()
	end := web.Step(ctx, "sign answer")
	response, err := s.prepared.Sign(ctx, &saml.Signer{Key: key, Certificate: key.Certificate})
	end(err)
	if err != nil {
		return unavailable(fmt.Errorf("sign answer: %w", err))
	}
	fields := []templates.Field{{Name: "SAMLResponse", Value: base64.StdEncoding.EncodeToString(response)}}
	if s.request.HasRelayState { // an empty one is sent back too
		fields = append(fields, templates.Field{Name: "RelayState", Value: s.request.RelayState})
	}
	return templates.Write(w, http.StatusOK, templates.Answer{
		Action: s.request.ACS, Fields: fields, Notice: s.notice, Reference: s.reference,
	})
}

// Metadata serves the provider's metadata.
type Metadata struct {
	EntityID, SSOURL string
	Keys             func() []*certs.SigningKey // published now
	Now              func() time.Time
}

// ServeMetadata writes the metadata document.
func (m *Metadata) ServeMetadata(w http.ResponseWriter, r *http.Request) error {
	var published []*x509.Certificate
	for _, k := range m.Keys() {
		published = append(published, k.Certificate)
	}
	document, err := saml.ProviderMetadata(m.EntityID, m.SSOURL, published, m.Now())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	w.Header().Set("Content-Disposition", `attachment; filename="gatepost-metadata.xml"`)
	_, err = w.Write(document)
	return err
}
