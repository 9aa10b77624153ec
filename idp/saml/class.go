package saml

import (
	"slices"

	"gatepost.dev/contract"
)

// Use is what a relying party takes answers for.
type Use int

// The uses.
const (
	UsePosture Use = iota // the posture of the device, by Okta's contract
	UseFactor             // that the device is a good one, as a factor of a sign-in
	UseBoth               // whichever a request's authentication context asks for
)

// The authentication context classes that are true of a browser that proved its
// device's key in TLS (SAML authentication context 3.4.13 and 3.4.22), and the one
// that says nothing (3.4.25).
const (
	ClassX509        = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"
	ClassTLSClient   = "urn:oasis:names:tc:SAML:2.0:ac:classes:TLSClient"
	ClassUnspecified = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
)

var factorClasses = []string{ClassX509, ClassTLSClient, ClassUnspecified}

// weaker are the classes that a key proved in TLS is stronger than.
var weaker = []string{
	ClassUnspecified,
	"urn:oasis:names:tc:SAML:2.0:ac:classes:InternetProtocol",
	"urn:oasis:names:tc:SAML:2.0:ac:classes:InternetProtocolPassword",
	"urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
	"urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
	"urn:oasis:names:tc:SAML:2.0:ac:classes:PreviousSession",
}

// Factor tells whether the request is for a factor, not for a posture.
func (r *Request) Factor() bool { return r.Class != contract.DevicePosture }

// readContext chooses the class of the answer among those that are asked for,
// which stand in the order of preference (SAML core 3.3.2.2.1).
func readContext(e *element, use Use) (class string, unmet *StatusError, err error) {
	if e == nil {
		if use == UsePosture {
			return contract.DevicePosture, nil, nil
		}
		return ClassX509, nil, nil
	}
	comparison, given := e.attr("Comparison")
	if !given {
		comparison = "exact"
	}
	asked, err := readClasses(e)
	if err != nil {
		return "", nil, err
	}
	switch comparison {
	case "exact", "minimum", "maximum", "better":
	default:
		return "", nil, bad("comparison_invalid", "Comparison %.80q", comparison)
	}
	if class = chooseClass(asked, comparison, use); class == "" {
		return "", &StatusError{Code: StatusResponder, Sub: StatusNoAuthnContext, Message: "CONTEXT_NOT_OFFERED"}, nil
	}
	return class, nil, nil
}

// chooseClass gives the class to answer with; empty: none will do. A posture is as
// strong as itself, and not comparable with anything else.
func chooseClass(asked []string, comparison string, use Use) string {
	if comparison != "better" {
		for _, c := range asked {
			if c == contract.DevicePosture && use != UseFactor || use != UsePosture && slices.Contains(factorClasses, c) {
				return c
			}
		}
	}
	if use == UsePosture || comparison != "minimum" && comparison != "better" {
		return ""
	}
	surpasses := func(c string) bool { return slices.Contains(weaker, c) }
	// Minimum is content with more than any one; better has to be more than each.
	if comparison == "minimum" && slices.ContainsFunc(asked, surpasses) {
		return ClassX509
	}
	if comparison == "better" && len(asked) > 0 && !slices.ContainsFunc(asked, func(c string) bool { return !surpasses(c) }) {
		return ClassX509
	}
	return ""
}

// readClasses gives the classes that a RequestedAuthnContext names. Declarations
// are never ours, whatever they refer to.
func readClasses(e *element) (classes []string, err error) {
	children, err := e.children()
	if err != nil {
		return nil, err
	}
	declarations := 0
	for _, c := range children {
		text, err := c.text()
		if err != nil {
			return nil, err
		}
		switch {
		case c.is(nsAssertion, "AuthnContextClassRef"):
			classes = append(classes, trim(text))
		case c.is(nsAssertion, "AuthnContextDeclRef"):
			declarations++
		default:
			return nil, bad("unexpected_element", "element %.80q in RequestedAuthnContext", c.local)
		}
	}
	if (len(classes) == 0) == (declarations == 0) {
		return nil, bad("malformed", "RequestedAuthnContext needs classes or declarations, and not both")
	}
	return classes, nil
}
