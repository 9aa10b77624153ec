package idp

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/idp/eat"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
	"gatepost.dev/templates"
)

// answering is a SAML sign-in on its way to a signed answer.
type answering struct {
	*SAML
	signIn
	request  *saml.Request
	prepared *saml.Prepared
	notice   templates.Notice
}

// judge judges the device that the request is answered for.
func (s *answering) judge(ctx context.Context, request *saml.Request) error {
	s.request, s.factor = request, request.Factor()
	named := ""
	if request.Subject != nil {
		named = request.Subject.Value
	}
	return s.settle(ctx, s.Explainer, s.Now, func() error {
		return s.signIn.judge(ctx, judging{s.Verifier, s.Inventory, s.Noter}, request.App, named)
	})
}

// answer prepares what to say of the verdict.
func (s *answering) answer(ctx context.Context) error {
	s.decide(s.request)
	switch message := s.refusal(); message {
	case "":
		return s.assert(ctx)
	case noSubject: // SAML core 3.2.2.2
		s.decision.Reason = posture.NoSubject
		return s.refuse(saml.StatusResponder, saml.StatusUnknownPrincipal, message, "")
	default:
		return s.refuse(saml.StatusResponder, saml.StatusAuthnFailed, message, s.verdict.Reason)
	}
}

func (s *answering) decide(request *saml.Request) {
	s.signIn.decide(protocolSAML, request.ID, request.App)
	s.decision.AnswerID = newID()
}

func (s *answering) answerHead() saml.Answer {
	return saml.Answer{Issuer: s.EntityID, ID: s.decision.AnswerID, InResponseTo: s.request.ID, ACS: s.request.ACS, Now: s.now}
}

func (s *answering) assert(ctx context.Context) error {
	s.decision.Outcome = posture.Asserted
	a := saml.Assertion{
		Answer:       s.answerHead(),
		AssertionID:  newID(),
		SessionIndex: newID(),
		Audience:     s.rp.SAML.EntityID,
		NameID:       s.nameID(),
		App:          s.request.App,
		EmptyApp:     s.request.EmptyApp,
		Class:        s.request.Class,
		Scope:        s.rp.Scope,
		EncryptTo:    s.rp.Encrypt,
	}
	var err error
	if !s.factor {
		a.Posture = extension(&s.who.device, s.verdict, s.policy, s.now)
		if err = s.attest(ctx, &a.Posture); err != nil {
			return err
		}
	}
	if s.prepared, err = saml.PrepareAssertion(&a); err != nil {
		return fmt.Errorf("answer request %q: %w", s.request.ID, err)
	}
	return nil
}

// attest adds what hardware vouched for of the key by which the device was
// recognised, if the relying party wants it.
func (s *answering) attest(ctx context.Context, p *contract.Posture) error {
	attested := s.who.device.AttestedKey(s.who.identity.KeyHash)
	if !s.rp.Attestation || !s.verdict.Managed || attested == nil || s.who.proof.Rank != posture.RankAttested {
		return nil
	}
	key := s.Keys()
	result := eat.Result{Issuer: s.EntityID, Audience: s.rp.SAML.EntityID, DeviceID: s.who.device.ID, Request: s.request.ID, Key: attested}
	token, err := result.Sign(ctx, s.now, key.ID, key.Algorithm(), key)
	if err != nil {
		return unavailable(err)
	}
	p.Attestations = append(p.Attestations, contract.Attestation{Type: attested.Format, Value: token})
	return nil
}

// refuse prepares a signed status without an assertion.
func (s *answering) refuse(code, sub, message string, reason posture.Reason) error {
	s.decision.Outcome = posture.Refused
	s.notice = notice(message)
	s.decision.Status = sub[strings.LastIndexByte(sub, ':')+1:]
	var err error
	s.prepared, err = saml.PrepareRefusal(&saml.Refusal{
		Answer: s.answerHead(), Code: code, Sub: sub, Message: message, Reason: string(reason), Reference: s.reference,
	})
	if err != nil {
		return fmt.Errorf("refuse request %q: %w", s.request.ID, err)
	}
	return nil
}

// refuseRequest answers a request whose sender is believed but whose wish
// cannot be met. The device was not looked at.
func (s *answering) refuseRequest(status *saml.StatusError) error {
	s.request = status.Request
	s.decide(status.Request)
	return s.refuse(status.Code, status.Sub, status.Message, "")
}

// nameID is the user that the answer is about. One whom the request names is
// named again byte for byte, but for the white space around it (SAML core
// 3.4.1.4: a strong match).
func (s *answering) nameID() saml.NameID {
	id := saml.NameID{Format: saml.FormatUnspecified, NameQualifier: s.EntityID}
	switch asked := s.request.Subject; {
	case asked == nil:
	case asked.Format != "":
		id = *asked
	case asked.NameQualifier != "" || asked.SPNameQualifier != "":
		id.NameQualifier, id.SPNameQualifier = asked.NameQualifier, asked.SPNameQualifier
	}
	id.Value = s.user
	if s.request.NameIDFormat == saml.FormatEmail && strings.Contains(id.Value, "@") {
		id.Format = saml.FormatEmail
	}
	return id
}

// extension is the posture extension for a device, which is empty but for its
// verdict when the device is not known. The facts that the policy emits are those
// of a managed device that are fresh.
func extension(d *posture.Device, v posture.Verdict, p *posture.Policy, now time.Time) contract.Posture {
	e := contract.Posture{
		Device: contract.Device{ID: d.ID, Vendor: d.Vendor, Model: d.Model, OS: d.OS, OSVersion: d.OSVersion},
		Facts: []contract.Fact{
			{Name: contract.FactManaged, Value: word(v.Managed)},
			{Name: contract.FactCompliant, Value: word(v.Compliant)},
		},
		Attestations: attestations(d, v),
	}
	if v.Managed {
		for _, name := range p.Emit {
			if f := d.Fact(name, p.MaxAge(), now); f != nil {
				e.Facts = append(e.Facts, contract.Fact{Name: f.Name, Value: contract.Representable(f.Value)})
			}
		}
	}
	return e
}

// attestations are passed on for a managed device only: for any other they
// would lend weight to what is not believed.
func attestations(d *posture.Device, v posture.Verdict) []contract.Attestation {
	if !v.Managed || len(d.Attestations) == 0 {
		return nil
	}
	out := make([]contract.Attestation, len(d.Attestations))
	for i, a := range d.Attestations {
		out[i] = contract.Attestation{Type: a.Type, Value: a.Value}
	}
	return out
}

func word(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
