package idp

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

// signIn is one request on its way to an answer.
type signIn struct {
	*SAML
	rp         *RelyingParty
	now        time.Time
	reference  string
	remoteAddr string

	request  *saml.Request
	decision posture.Decision
	prepared *saml.Prepared
}

// answer judges the device behind chain and prepares what to say of it.
func (s *signIn) answer(ctx context.Context, request *saml.Request, chain []*x509.Certificate) error {
	s.request = request
	who, err := recognise(ctx, s.Verifier, s.Inventory, chain, s.now)
	if err != nil {
		return unavailable(err)
	}
	nameID, named := s.nameID(&who)
	verdict := who.verdict(s.rp.Policy, s.now)
	if s.rp.BindOwner {
		verdict = posture.BindOwner(verdict, &who.device, nameID.Value)
	}
	s.decide(verdict, &who)
	s.decision.Subject = nameID.Value
	switch {
	case !verdict.Managed && !s.rp.AssertUnmanaged:
		return s.refuse(saml.StatusResponder, saml.StatusAuthnFailed, deviceNotManaged, verdict.Reason)
	case verdict.Managed && !verdict.Compliant && s.rp.RefuseNoncompliant:
		return s.refuse(saml.StatusResponder, saml.StatusAuthnFailed, deviceNotCompliant, verdict.Reason)
	case !named:
		// Nobody was named and the inventory knows no owner: we do not invent a
		// user (SAML core 3.2.2.2, UnknownPrincipal).
		return s.refuse(saml.StatusResponder, saml.StatusUnknownPrincipal, noSubject, "")
	}
	return s.assert(nameID, verdict, &who)
}

// decide writes down everything of the decision but its outcome.
func (s *signIn) decide(v posture.Verdict, who *recognised) {
	s.decision = posture.Decision{
		ID:           s.reference,
		Time:         s.now,
		RelyingParty: s.rp.Name,
		Protocol:     "saml",
		RequestID:    s.request.ID,
		AnswerID:     newID(),
		DeviceID:     who.device.ID,
		Authority:    who.identity.Authority,
		Certificate:  who.identity.Serial,
		App:          s.request.App,
		Policy:       s.rp.Policy.Name,
		Managed:      v.Managed,
		Compliant:    v.Compliant,
		Reason:       v.Reason,
		Failures:     v.Failures,
		RemoteAddr:   s.remoteAddr,
	}
}

func (s *signIn) answerHead() saml.Answer {
	return saml.Answer{Issuer: s.EntityID, ID: s.decision.AnswerID, InResponseTo: s.request.ID, ACS: s.request.ACS, Now: s.now}
}

func (s *signIn) assert(nameID saml.NameID, v posture.Verdict, who *recognised) error {
	s.decision.Outcome = posture.Asserted
	a := saml.Assertion{
		Answer:       s.answerHead(),
		AssertionID:  newID(),
		SessionIndex: newID(),
		Audience:     s.rp.SAML.EntityID,
		NameID:       nameID,
		App:          s.request.App,
		Posture:      extension(&who.device, v),
		Scope:        s.rp.Scope,
		EncryptTo:    s.rp.Encrypt,
	}
	var err error
	if s.prepared, err = saml.PrepareAssertion(&a); err != nil {
		return fmt.Errorf("answer request %q: %w", s.request.ID, err)
	}
	return nil
}

// refuse prepares a signed status without an assertion.
func (s *signIn) refuse(code, sub, message string, reason posture.Reason) error {
	s.decision.Outcome = posture.Refused
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
func (s *signIn) refuseRequest(status *saml.StatusError) error {
	s.request = status.Request
	s.decide(posture.Verdict{}, &recognised{})
	return s.refuse(status.Code, status.Sub, status.Message, "")
}

// nameID is the user that the answer is about: the one whom the request names,
// byte for byte but for the white space around it (SAML core 3.4.1.4: a strong
// match), else the owner of the device.
func (s *signIn) nameID(who *recognised) (saml.NameID, bool) {
	id := saml.NameID{Format: saml.FormatUnspecified, NameQualifier: s.EntityID}
	if asked := s.request.Subject; asked != nil {
		if asked.Format != "" {
			id = *asked
		}
		id.Value = asked.Value
	} else {
		id.Value = who.device.Owner
	}
	if s.request.NameIDFormat == saml.FormatEmail && strings.Contains(id.Value, "@") {
		id.Format = saml.FormatEmail
	}
	return id, id.Value != ""
}

// extension is the posture extension for a device, which is empty but for its
// verdict when the device is not known.
func extension(d *posture.Device, v posture.Verdict) contract.Posture {
	return contract.Posture{
		Device: contract.Device{ID: d.ID, Vendor: d.Vendor, Model: d.Model, OS: d.OS, OSVersion: d.OSVersion},
		Facts: []contract.Fact{
			{Name: contract.FactManaged, Value: word(v.Managed)},
			{Name: contract.FactCompliant, Value: word(v.Compliant)},
		},
		Attestations: attestations(d, v),
	}
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
