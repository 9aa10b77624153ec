package saml

import "gatepost.dev/contract"

// readPolicy reads NameIDPolicy (SAML core 3.4.1.1). The formats taken are those
// that relying parties are known to ask for, not only those that we answer with:
// lasso asks for a transient one whatever it then accepts.
func readPolicy(e *element, r *Request, sp *ServiceProvider) (*StatusError, error) {
	if e == nil {
		return nil, nil
	}
	if _, err := e.boolean("AllowCreate"); err != nil {
		return nil, err
	}
	if children, err := e.children(); err != nil || len(children) > 0 {
		return nil, bad("malformed", "NameIDPolicy is not empty")
	}
	unmet := &StatusError{Code: StatusRequester, Sub: StatusInvalidNameIDPolicy, Message: "NAMEID_POLICY_NOT_SUPPORTED"}
	if q, ok := e.attr("SPNameQualifier"); ok && q != sp.EntityID {
		return unmet, nil // an affiliation's namespace (SAML core 3.4.1.1)
	}
	r.NameIDFormat, _ = e.attr("Format")
	switch r.NameIDFormat {
	case "", FormatUnspecified, FormatEmail, FormatPersistent, FormatTransient:
		return nil, nil
	}
	return unmet, nil
}

// readContext compares the authentication contexts asked for with the one that
// we offer (SAML core 3.3.2.2.1).
func readContext(e *element) (*StatusError, error) {
	if e == nil {
		return nil, nil
	}
	comparison, given := e.attr("Comparison")
	if !given {
		comparison = "exact"
	}
	offered, err := offersClass(e)
	if err != nil {
		return nil, err
	}
	switch comparison {
	case "exact", "minimum", "maximum":
		// With one class on offer these come to the same: it is as strong as
		// itself, and not comparable with any other.
	case "better":
		offered = false // nothing that we have is stronger
	default:
		return nil, bad("comparison_invalid", "Comparison %.80q", comparison)
	}
	if !offered {
		return &StatusError{Code: StatusResponder, Sub: StatusNoAuthnContext, Message: "CONTEXT_NOT_OFFERED"}, nil
	}
	return nil, nil
}

// offersClass tells whether a RequestedAuthnContext names the class that we
// offer. Declarations are never ours, whatever they refer to.
func offersClass(e *element) (offered bool, err error) {
	children, err := e.children()
	if err != nil {
		return false, err
	}
	classes, declarations := 0, 0
	for _, c := range children {
		text, err := c.text()
		if err != nil {
			return false, err
		}
		switch {
		case c.is(nsAssertion, "AuthnContextClassRef"):
			classes++
			offered = offered || trim(text) == contract.DevicePosture
		case c.is(nsAssertion, "AuthnContextDeclRef"):
			declarations++
		default:
			return false, bad("unexpected_element", "element %.80q in RequestedAuthnContext", c.local)
		}
	}
	if (classes == 0) == (declarations == 0) {
		return false, bad("malformed", "RequestedAuthnContext needs classes or declarations, and not both")
	}
	return offered, nil
}
