package contract

import "bytes"

const nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"

// ParsePosture reads the posture extension out of a SAML Assertion, or out of
// its AuthnContext alone, as sent, and returns it with every requirement that
// it breaks. The posture is nil when the document is too broken to find the
// Device. It verifies no signature: doc is what a signature was found good for.
//
// It stands for device-posture.xsd, which it is stricter than in two points:
// attributes of the namespace xsi are refused, and so are the values that
// Posture.Check refuses.
func ParsePosture(doc []byte) (*Posture, []Finding) {
	root, err := parseTree(doc)
	if err != nil {
		return nil, []Finding{broken(wellFormed, "not well formed: %v", err)}
	}
	r := &reader{}
	context := r.authnContext(root)
	if context == nil {
		return nil, r.found
	}
	r.classRef(context)
	device := r.device(context)
	if device == nil {
		return nil, r.found
	}
	p := r.posture(device)
	return p, append(r.found, p.Check()...)
}

// reader walks the tree and gathers what it finds wrong.
type reader struct{ found []Finding }

func (r *reader) broken(requirement int, format string, args ...any) {
	r.found = append(r.found, broken(requirement, format, args...))
}

// authnContext finds the AuthnContext below the root, or nil.
func (r *reader) authnContext(root *node) *node {
	if root.is(nsAssertion, "AuthnContext") {
		return root
	}
	if !root.is(nsAssertion, "Assertion") {
		r.broken(authnContext, "the root is %q in %q, neither Assertion nor AuthnContext", root.name.Local, root.name.Space)
		return nil
	}
	statements := root.childrenNamed(nsAssertion, "AuthnStatement")
	if len(statements) != 1 {
		r.broken(authnContext, "the Assertion has %d AuthnStatements", len(statements))
		return nil
	}
	contexts := statements[0].childrenNamed(nsAssertion, "AuthnContext")
	if len(contexts) != 1 {
		r.broken(authnContext, "the AuthnStatement has %d AuthnContexts", len(contexts))
		return nil
	}
	return contexts[0]
}

// classRef checks the AuthnContextClassRef and what else the AuthnContext may
// hold (SAML core 2.7.2.2: class, declaration, authenticating authorities).
func (r *reader) classRef(context *node) {
	refs := context.childrenNamed(nsAssertion, "AuthnContextClassRef")
	switch {
	case len(refs) != 1:
		r.broken(classRef, "the AuthnContext has %d AuthnContextClassRefs", len(refs))
	case context.children[0] != refs[0]:
		r.broken(classRef, "%q stands before the AuthnContextClassRef", context.children[0].name.Local)
	case string(refs[0].text) != DevicePosture || len(refs[0].children) > 0:
		r.broken(classRef, "the AuthnContextClassRef is %q", refs[0].text)
	}
	for _, c := range context.children {
		switch {
		case c.name.Space == nsAssertion && (c.name.Local == "AuthnContextClassRef" ||
			c.name.Local == "AuthnContextDecl" || c.name.Local == "AuthenticatingAuthority"):
		default:
			r.broken(nothingElse, "%q in the AuthnContext", c.name.Local)
		}
	}
	r.noText(context)
}

// device goes down from the AuthnContext to the Device, or returns nil.
func (r *reader) device(context *node) *node {
	decls := context.childrenNamed(nsAssertion, "AuthnContextDecl")
	if len(decls) != 1 {
		r.broken(declPresent, "the AuthnContext has %d AuthnContextDecls", len(decls))
		return nil
	}
	if len(context.children) < 2 || context.children[1] != decls[0] {
		r.broken(declPresent, "the AuthnContextDecl does not stand right after the AuthnContextClassRef")
	}
	decl := r.only(decls[0], declaration, "AuthenticationContextDeclaration")
	if decl == nil {
		return nil
	}
	if method := r.one(decl, authnMethod, "AuthnMethod"); method != nil {
		if decl.children[0] != method {
			r.broken(authnMethod, "%q stands before the AuthnMethod", decl.children[0].name.Local)
		}
		r.nothingBut(method)
	}
	ext := r.one(decl, extension, "Extension")
	if ext == nil {
		return nil
	}
	if len(decl.children) < 2 || decl.children[1] != ext {
		r.broken(extension, "the Extension does not stand right after the AuthnMethod")
	}
	r.nothingBut(decl, "AuthnMethod", "Extension")
	return r.only(ext, deviceOnce, "Device")
}

// one returns the only child of this name in the posture namespace, or nil
// with a finding.
func (r *reader) one(parent *node, requirement int, local string) *node {
	found := parent.childrenNamed(DevicePosture, local)
	if len(found) == 1 {
		return found[0]
	}
	for _, c := range parent.children {
		if c.name.Local == local && c.name.Space != DevicePosture {
			r.broken(requirement, "%s is in the namespace %q", local, c.name.Space)
			return nil
		}
	}
	r.broken(requirement, "%s has %d of %s", parent.name.Local, len(found), local)
	return nil
}

// only is one for a parent that may hold nothing else.
func (r *reader) only(parent *node, requirement int, local string) *node {
	child := r.one(parent, requirement, local)
	if child != nil {
		r.nothingBut(parent, local)
	}
	return child
}

// nothingBut refuses all children but these of the posture namespace, and text.
func (r *reader) nothingBut(n *node, names ...string) {
next:
	for _, c := range n.children {
		for _, name := range names {
			if c.is(DevicePosture, name) {
				continue next
			}
		}
		r.broken(nothingElse, "%q of the namespace %q in %s", c.name.Local, c.name.Space, n.name.Local)
	}
	r.noText(n)
}

func (r *reader) noText(n *node) {
	if !n.blank() {
		r.broken(nothingElse, "text %q in %s", bytes.TrimSpace(n.text), n.name.Local)
	}
}

// posture reads the Device element (device-posture.xsd).
func (r *reader) posture(device *node) *Posture {
	p := &Posture{}
	for _, a := range []struct {
		name string
		to   *string
	}{
		{"ID", &p.Device.ID}, {"Vendor", &p.Device.Vendor}, {"Model", &p.Device.Model},
		{"OS", &p.Device.OS}, {"OSVersion", &p.Device.OSVersion},
	} {
		*a.to, _ = device.attr(a.name)
	}
	if name, found := device.attrsExcept("ID", "Vendor", "Model", "OS", "OSVersion"); found {
		r.broken(deviceAttributes, "the Device has the attribute %q", name)
	}
	posture := r.only(device, postureOnce, "Posture")
	if posture == nil {
		return p
	}
	if name, found := posture.attrsExcept(); found {
		r.broken(postureOnce, "the Posture has the attribute %q", name)
	}
	r.nothingBut(posture, "Fact", "Attestation")
	for _, c := range posture.children {
		switch {
		case c.is(DevicePosture, "Fact"):
			r.fact(p, c)
		case c.is(DevicePosture, "Attestation"):
			r.attestation(p, c)
		}
	}
	return p
}

// fact reads one Fact. Text in it is allowed by the schema and says nothing.
func (r *reader) fact(p *Posture, n *node) {
	name, named := n.attr("Name")
	value, valued := n.attr("Value")
	if !named || !valued {
		r.broken(factAttributes, "Fact %q lacks its Name or its Value", name)
	}
	if extra, found := n.attrsExcept("Name", "Value"); found {
		r.broken(factAttributes, "Fact %q has the attribute %q", name, extra)
	}
	if len(p.Attestations) > 0 {
		r.broken(factsFirst, "Fact %q stands behind an Attestation", name)
	}
	r.noElements(n)
	p.Facts = append(p.Facts, Fact{Name: name, Value: value})
}

func (r *reader) attestation(p *Posture, n *node) {
	kind, found := n.attr("Type")
	if !found {
		r.broken(attestationType, "an Attestation lacks its Type")
	}
	if extra, found := n.attrsExcept("Type"); found {
		r.broken(attestationType, "Attestation %q has the attribute %q", kind, extra)
	}
	r.noElements(n)
	p.Attestations = append(p.Attestations, Attestation{Type: kind, Value: string(n.text)})
}

func (r *reader) noElements(n *node) {
	if len(n.children) > 0 {
		r.broken(nothingElse, "%q in %s", n.children[0].name.Local, n.name.Local)
	}
}
