package saml

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
