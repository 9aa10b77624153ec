package saml

import "strings"

// xmlSignature is what an enveloped ds:Signature says, in the one shape that
// SAML allows (SAML core 5.4).
type xmlSignature struct {
	info            *element
	infoPrefixes    []string // PrefixList of CanonicalizationMethod
	algorithm       string
	reference       string   // URI
	rootPrefixes    []string // PrefixList of the exclusive c14n transform
	digestAlgorithm string
	digest          []byte
	value           []byte
}

// checkIDs refuses a second signature, a signature anywhere but in the root, and
// an identifier given twice: what a Reference refers to must be beyond doubt, by
// whatever attribute others may take for an identifier.
func checkIDs(root *element) error {
	ids := make(map[string]bool, 4)
	signatures := 0
	return root.walk(func(e *element) error {
		for i := range e.attrs {
			if a := &e.attrs[i]; strings.EqualFold(a.local, "id") {
				if ids[a.value] {
					return bad("id_duplicate", "second element with ID %.80q", a.value)
				}
				ids[a.value] = true
			}
		}
		if !e.is(nsDSig, "Signature") {
			return nil
		}
		if signatures++; signatures > 1 {
			return bad("signature_duplicate", "second ds:Signature")
		}
		if e.parent != root {
			return bad("signature_misplaced", "ds:Signature is no child of the root")
		}
		return nil
	})
}

// readSignature reads a ds:Signature: one Reference, the transforms
// enveloped-signature and exclusive canonicalisation in this order, and no
// ds:Object. KeyInfo may be there and is not read.
func readSignature(e *element) (*xmlSignature, error) {
	children, err := sequence(e, "SignedInfo", "SignatureValue", "KeyInfo")
	if err != nil {
		return nil, err
	}
	s := &xmlSignature{info: children[0]}
	if s.value, err = decodeText(children[1]); err != nil {
		return nil, err
	}
	info, err := sequence(s.info, "CanonicalizationMethod", "SignatureMethod", "Reference")
	if err != nil {
		return nil, err
	}
	if len(info) != 3 {
		return nil, shape("SignedInfo without a Reference")
	}
	method, reference := info[1], info[2]
	if s.infoPrefixes, err = exclusive(info[0]); err != nil {
		return nil, err
	}
	// Without children: HMACOutputLength would be one.
	if _, err := sequence(method); err != nil {
		return nil, err
	}
	s.algorithm, _ = method.attr("Algorithm")
	return s, s.readReference(reference)
}

func (s *xmlSignature) readReference(e *element) error {
	children, err := sequence(e, "Transforms", "DigestMethod", "DigestValue")
	if err != nil {
		return err
	}
	if len(children) != 3 {
		return shape("Reference without a DigestValue")
	}
	transforms, err := sequence(children[0], "Transform", "Transform")
	if err != nil {
		return err
	}
	if len(transforms) != 2 {
		return shape("%d transforms, not two", len(transforms))
	}
	if a, _ := transforms[0].attr("Algorithm"); a != algEnveloped {
		return bad("signature_algorithm", "first Transform %.100q", a)
	}
	if _, err := sequence(transforms[0]); err != nil {
		return err
	}
	if s.rootPrefixes, err = exclusive(transforms[1]); err != nil {
		return err
	}
	if _, err := sequence(children[1]); err != nil {
		return err
	}
	s.reference, _ = e.attr("URI")
	s.digestAlgorithm, _ = children[1].attr("Algorithm")
	s.digest, err = decodeText(children[2])
	return err
}

// sequence gives the children of an element of a signature, which must be the
// named ones in this order; the last may be missing. The attributes must be
// those that we know.
func sequence(e *element, names ...string) ([]*element, error) {
	for i := range e.attrs {
		switch a := &e.attrs[i]; {
		case a.space == "" && (a.local == "Id" || a.local == "Algorithm" || a.local == "URI"):
		default:
			return nil, shape("attribute %.80q of %s", a.local, e.local)
		}
	}
	children, err := e.children()
	if err != nil {
		return nil, err
	}
	if len(children) > len(names) || len(children) < len(names)-1 {
		return nil, shape("%d elements in %s", len(children), e.local)
	}
	for i, c := range children {
		if !c.is(nsDSig, names[i]) {
			return nil, shape("element %.80q in %s", c.local, e.local)
		}
	}
	return children, nil
}

// maxPrefixes bounds a PrefixList; every element is looked through it.
const maxPrefixes = 16

// exclusive wants a CanonicalizationMethod or a Transform to be exclusive
// canonicalisation, and gives its PrefixList (Exclusive XML Canonicalization
// section 4).
func exclusive(e *element) ([]string, error) {
	if a, _ := e.attr("Algorithm"); a != algExcC14N {
		return nil, bad("signature_algorithm", "%s %.100q", e.local, a)
	}
	children, err := e.children()
	switch {
	case err != nil:
		return nil, err
	case len(children) == 0:
		return nil, nil
	case len(children) > 1 || !children[0].is(algExcC14N, "InclusiveNamespaces") || len(children[0].nodes) > 0:
		return nil, shape("%s holds more than InclusiveNamespaces", e.local)
	}
	list, _ := children[0].attr("PrefixList")
	prefixes := strings.Fields(list)
	if len(prefixes) > maxPrefixes {
		return nil, shape("PrefixList of %d prefixes", len(prefixes))
	}
	for i, p := range prefixes {
		if p == "#default" {
			prefixes[i] = ""
		}
	}
	return prefixes, nil
}

func shape(format string, args ...any) *BadRequest { return bad("signature_shape", format, args...) }
