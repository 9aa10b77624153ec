package saml

import (
	"errors"
	"fmt"
)

// nsStatus is the namespace of the element that a StatusDetail holds: the SAML
// schema wants elements there, never bare text (SAML core 3.2.2.4).
const nsStatus = "urn:gatepost:saml:status"

// Refusal is an answer with another status than Success, and no assertion.
type Refusal struct {
	Answer
	Code      string // top-level status code: one of Requester, Responder, VersionMismatch
	Sub       string // second-level status code; may be empty
	Message   string // StatusMessage, from a fixed list; may be empty
	Reason    string // names why, in StatusDetail; may be empty
	Reference string // finds the decision in the log; may be empty
}

// PrepareRefusal checks a refusal and writes it down for signing.
func PrepareRefusal(r *Refusal) (*Prepared, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("prepare refusal: %w", err)
	}
	p := &Prepared{id: r.ID, scope: SignResponse}
	r.Answer.write(&p.start)
	w := &p.status
	w.raw(`<samlp:Status><samlp:StatusCode`)
	w.attr("Value", r.Code)
	w.raw(`>`)
	if r.Sub != "" {
		w.raw(`<samlp:StatusCode`)
		w.attr("Value", r.Sub)
		w.raw(`></samlp:StatusCode>`)
	}
	w.raw(`</samlp:StatusCode>`)
	if r.Message != "" {
		w.raw(`<samlp:StatusMessage>`)
		w.text(r.Message)
		w.raw(`</samlp:StatusMessage>`)
	}
	if r.Reason != "" {
		w.raw(`<samlp:StatusDetail><gp:Reason xmlns:gp="` + nsStatus + `"`)
		w.optionalAttr("Reference", r.Reference)
		w.raw(`>`)
		w.text(r.Reason)
		w.raw(`</gp:Reason></samlp:StatusDetail>`)
	}
	w.raw(`</samlp:Status>`)
	return p, nil
}

func (r *Refusal) check() error {
	if err := r.Answer.check(); err != nil {
		return err
	}
	switch r.Code {
	case StatusRequester, StatusResponder, StatusVersionMismatch:
	case StatusSuccess:
		return errors.New("a refusal cannot say Success")
	default:
		return fmt.Errorf("%q is no top-level status code (SAML core 3.2.2.2)", r.Code)
	}
	return checkText("second-level status code", r.Sub, "status message", r.Message, "reason", r.Reason, "reference", r.Reference)
}
