package saml

import "gatepost.dev/contract"

// Bounds of what is taken over from a request, in bytes.
const (
	maxEntityID = 1024 // SAML metadata 2.2.1
	maxNameID   = 1024
	maxApp      = 1024
)

// formatEntity is the format of an Issuer that does not say otherwise (SAML core
// 8.3.6).
const formatEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

// parts are the children of an AuthnRequest, each nil when it is not there.
type parts struct {
	root                                                                      *element
	issuer, signature, extensions, subject, policy, conditions, context, rest *element
}

// split sorts the children of an AuthnRequest out (SAML core 3.2.1 and 3.4.1).
// The schema's order is not insisted on: the request that Okta's device posture
// data contract shows has its Subject after NameIDPolicy.
func split(root *element) (parts, error) {
	p := parts{root: root}
	if !root.is(nsProtocol, "AuthnRequest") {
		return p, bad("not_authnrequest", "root element %.80q in %.80q", root.local, root.space)
	}
	children, err := root.children()
	if err != nil {
		return p, err
	}
	for _, e := range children {
		var to **element
		switch {
		case e.is(nsAssertion, "Issuer"):
			to = &p.issuer
		case e.is(nsDSig, "Signature"):
			to = &p.signature
		case e.is(nsProtocol, "Extensions"):
			to = &p.extensions
		case e.is(nsAssertion, "Subject"):
			to = &p.subject
		case e.is(nsProtocol, "NameIDPolicy"):
			to = &p.policy
		case e.is(nsAssertion, "Conditions"):
			to = &p.conditions
		case e.is(nsProtocol, "RequestedAuthnContext"):
			to = &p.context
		case e.is(nsProtocol, "Scoping"):
			to = &p.rest // says whom else to ask; we never ask anybody (SAML core 3.4.1.2)
		default:
			return p, bad("unexpected_element", "element %.80q in %.80q", e.local, e.space)
		}
		if *to != nil {
			return p, bad("duplicate_element", "second %s", e.local)
		}
		*to = e
	}
	return p, nil
}

// readIssuer reads the Issuer, which the web browser SSO profile requires (SAML
// profiles 4.1.4.1).
func readIssuer(e *element) (string, error) {
	if e == nil {
		return "", bad("issuer_missing", "no Issuer")
	}
	if format, ok := e.attr("Format"); ok && format != formatEntity {
		return "", bad("issuer_invalid", "Issuer of format %.80q", format)
	}
	text, err := e.text()
	if err != nil {
		return "", err
	}
	text = trim(text)
	if text == "" || len(text) > maxEntityID {
		return "", bad("issuer_invalid", "Issuer of %d bytes", len(text))
	}
	return text, nil
}

// readElements reads what the children say into r. A *BadRequest means that they
// are not well formed; a status, that they ask for what we do not offer.
func (m *Message) readElements(r *Request, sp *ServiceProvider) (*StatusError, error) {
	if err := readExtensions(m.extensions, r); err != nil {
		return nil, err
	}
	subject, err := readSubject(m.subject, r)
	if err != nil {
		return nil, err
	}
	policy, err := readPolicy(m.policy, r, sp)
	if err != nil {
		return nil, err
	}
	class, context, err := readContext(m.context, sp.Use)
	r.Class = class
	if err != nil {
		return nil, err
	}
	return first(subject, policy, checkConditions(m.conditions), context), nil
}

// EmptyApp says which parts of the application context were there and empty: they
// are echoed too.
type EmptyApp struct{ InstanceID, Name bool }

// readExtensions reads the application context. The namespace of its elements is
// not documented, so any will do that is not SAML's own (SAML core 3.2.1 keeps
// those out of Extensions); the values are not trimmed, since Okta compares what
// comes back with what it sent.
func readExtensions(e *element, r *Request) error {
	if e == nil {
		return nil
	}
	children, err := e.children()
	if err != nil {
		return err
	}
	var seen [2]bool
	for _, c := range children {
		var to *string
		var i int
		switch {
		case c.space == nsProtocol || c.space == nsAssertion || c.space == nsMetadata:
			continue
		case c.local == contract.AppInstanceID:
			to, i = &r.App.InstanceID, 0
		case c.local == contract.AppName:
			to, i = &r.App.Name, 1
		default:
			continue
		}
		if seen[i] {
			return bad("duplicate_element", "second %s", c.local)
		}
		seen[i] = true
		if *to, err = c.text(); err != nil {
			return err
		}
		if len(*to) > maxApp {
			return bad("too_large", "%s of %d bytes", c.local, len(*to))
		}
	}
	r.EmptyApp = EmptyApp{seen[0] && r.App.InstanceID == "", seen[1] && r.App.Name == ""}
	return nil
}

// readSubject reads whom the request is about (SAML core 2.4.1 and 3.4.1).
func readSubject(e *element, r *Request) (*StatusError, error) {
	if e == nil {
		return nil, nil
	}
	children, err := e.children()
	if err != nil {
		return nil, err
	}
	unsupported := &StatusError{Code: StatusResponder, Sub: StatusRequestUnsupported, Message: "SUBJECT_NOT_SUPPORTED"}
	var unmet *StatusError
	identifiers, confirmations, bearer := 0, 0, false
	for _, c := range children {
		switch {
		case c.is(nsAssertion, "NameID"):
			identifiers++
			if r.Subject, err = readNameID(c); err != nil {
				return nil, err
			}
		case c.is(nsAssertion, "BaseID"), c.is(nsAssertion, "EncryptedID"):
			identifiers++
			unmet = unsupported
		case c.is(nsAssertion, "SubjectConfirmation"):
			confirmations++
			conditions, err := c.children()
			if err != nil {
				return nil, err
			}
			method, _ := c.attr("Method")
			bearer = bearer || method == confirmBearer && len(conditions) == 0
		default:
			return nil, bad("unexpected_element", "element %.80q in Subject", c.local)
		}
	}
	switch {
	case identifiers > 1:
		return nil, bad("duplicate_element", "second identifier in Subject")
	case identifiers+confirmations == 0:
		return nil, bad("malformed", "empty Subject")
	case confirmations > 0 && !bearer:
		// The assertion would have to be confirmable by one of these (SAML core
		// 3.3.4); ours are for any bearer, without further conditions.
		unmet = unsupported
	}
	return unmet, nil
}

const confirmBearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

func readNameID(e *element) (*NameID, error) {
	text, err := e.text()
	if err != nil {
		return nil, err
	}
	id := &NameID{Value: trim(text)}
	if id.Value == "" || len(id.Value) > maxNameID {
		return nil, bad("nameid_invalid", "NameID of %d bytes", len(id.Value))
	}
	id.Format, _ = e.attr("Format")
	id.NameQualifier, _ = e.attr("NameQualifier")
	id.SPNameQualifier, _ = e.attr("SPNameQualifier")
	return id, nil
}

// checkConditions refuses conditions on the assertion that is wanted. We may
// modify them (SAML core 3.4.1), but to answer with wider ones than were asked
// for would be the wrong side to err on, and no client sends any.
func checkConditions(e *element) *StatusError {
	if e == nil {
		return nil
	}
	return &StatusError{Code: StatusResponder, Sub: StatusRequestUnsupported, Message: "CONDITIONS_NOT_SUPPORTED"}
}
