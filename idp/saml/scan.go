package saml

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	nsXML   = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
)

// limits bound what a document may cost. A document within them is scanned in
// time and memory proportional to its size.
type limits struct {
	bytes      int // of the document
	run        int // bytes from one "<" to the next: a tag with the text after it
	depth      int // of elements in each other
	elements   int
	attributes int // of one element, namespace declarations among them
	total      int // attributes in all
	scope      int // namespace declarations in scope
	comments   bool
}

// requestLimits hold for whatever a browser may bring.
var requestLimits = limits{
	bytes: 64 << 10, run: 8 << 10, depth: 32, elements: 512, attributes: 32, total: 1024, scope: 64,
}

// maxNamespace bounds a namespace name. Canonical form repeats a declaration
// wherever its prefix comes into use, so a long one would be a multiplier.
const maxNamespace = 256

// scanner builds the tree of one document, token by token.
type scanner struct {
	limits
	root, current   *element
	scope           []binding
	depth, elements int
	total, texts    int
}

// declaration is an XML declaration as XML 1.0 section 2.8 has it, of a document
// in UTF-8.
var declaration = regexp.MustCompile(`^\s*version\s*=\s*(?:"1\.0"|'1\.0')` +
	`(?:\s+encoding\s*=\s*(?i:"utf-8"|'utf-8'))?` +
	`(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*$`)

// scan reads a document in one pass and refuses, with a *BadRequest, whatever
// has no place in a SAML message: a document type, processing instructions and
// comments, attributes given twice, prefixes not declared, a second root or
// anything else after the first, invalid UTF-8, another encoding, and anything
// beyond the limits.
//
// The tree that it returns is what signatures are verified over and what fields
// are read from; the bytes are not parsed again.
func scan(doc []byte, l limits) (*element, error) {
	if len(doc) > l.bytes {
		return nil, bad("too_large", "document is %d bytes, at most %d are read", len(doc), l.bytes)
	}
	if !utf8.Valid(doc) {
		return nil, bad("encoding", "document is not valid UTF-8")
	}
	s := scanner{limits: l}
	src := &runReader{Reader: bytes.NewReader(doc), limit: l.run}
	d := xml.NewDecoder(src)
	for {
		from := d.InputOffset()
		token, err := d.RawToken()
		switch {
		case err == io.EOF:
			if s.root == nil || s.current != nil {
				return nil, bad("malformed", "document ends too early")
			}
			return s.root, nil
		case errors.Is(err, errRun):
			return nil, bad("too_large", "more than %d bytes from one tag to the next", l.run)
		case err != nil:
			return nil, bad("malformed", "%.200s", err)
		}
		if err := s.token(token, doc[from:d.InputOffset()], from); err != nil {
			return nil, err
		}
	}
}

// token takes the next token, which was written as raw at the given offset.
func (s *scanner) token(t xml.Token, raw []byte, offset int64) error {
	switch t := t.(type) {
	case xml.StartElement:
		normalise(t.Attr, raw)
		return s.start(t)
	case xml.EndElement:
		return s.end(t.Name)
	case xml.CharData:
		if s.current != nil {
			return s.text(string(t))
		}
		// What is written counts here, not what it means: outside of the root
		// even a reference to a space is an error.
		if len(bytes.Trim(raw, " \t\r\n")) > 0 {
			return bad("trailing_bytes", "text outside of the root element")
		}
		return nil
	case xml.ProcInst:
		if t.Target != "xml" || offset != 0 {
			return bad("processing_instruction", "processing instruction %.40q", t.Target)
		}
		if !declaration.Match(t.Inst) {
			return bad("encoding", "XML declaration %.100q", t.Inst)
		}
		return nil
	case xml.Comment:
		if s.comments {
			return nil
		}
		return bad("comment", "comment in the document")
	case xml.Directive:
		return bad("doctype", "document type declaration")
	}
	return bad("malformed", "empty token")
}

func (s *scanner) start(t xml.StartElement) error {
	s.depth++
	s.elements++
	s.total += len(t.Attr)
	switch {
	case s.current == nil && s.root != nil:
		return bad("two_roots", "second root element")
	case s.depth > s.limits.depth:
		return bad("too_large", "elements more than %d deep", s.limits.depth)
	case s.elements > s.limits.elements:
		return bad("too_large", "more than %d elements", s.limits.elements)
	case len(t.Attr) > s.attributes || s.total > s.limits.total:
		return bad("too_large", "more than %d attributes in an element, or %d in all", s.attributes, s.limits.total)
	}
	e := &element{parent: s.current, prefix: t.Name.Space, local: t.Name.Local}
	for _, a := range t.Attr {
		if prefix, ok := declares(a.Name); ok {
			if err := s.declare(e, prefix, a.Value); err != nil {
				return err
			}
		}
	}
	var ok bool
	if e.space, ok = s.lookup(e.prefix); !ok || strings.Contains(e.local, ":") {
		return bad("undeclared_prefix", "element %.80q", e.prefix+":"+e.local)
	}
	if err := s.attribute(e, t.Attr); err != nil {
		return err
	}
	if s.current == nil {
		s.root = e
	} else {
		s.current.nodes = append(s.current.nodes, node{element: e})
	}
	s.current = e
	return nil
}

// declares tells whether an attribute is a namespace declaration, and of which
// prefix.
func declares(n xml.Name) (prefix string, ok bool) {
	if n.Space == "" && n.Local == "xmlns" {
		return "", true
	}
	return n.Local, n.Space == "xmlns"
}

// declare brings a namespace into scope (Namespaces in XML 1.0 sections 3 and
// 6; only the default namespace can be undone).
func (s *scanner) declare(e *element, prefix, space string) error {
	switch {
	case prefix == "xmlns", space == nsXMLNS, (prefix == "xml") != (space == nsXML), prefix != "" && space == "":
		return bad("malformed", "namespace declaration %.80q", prefix)
	case len(space) > maxNamespace:
		return bad("too_large", "namespace name of %d bytes", len(space))
	case len(s.scope) == s.limits.scope:
		return bad("too_large", "more than %d namespace declarations in scope", s.limits.scope)
	}
	for _, b := range e.declared {
		if b.prefix == prefix {
			return bad("duplicate_attribute", "namespace declaration %.80q", prefix)
		}
	}
	e.declared = append(e.declared, binding{prefix, space})
	s.scope = append(s.scope, binding{prefix, space})
	return nil
}

func (s *scanner) lookup(prefix string) (space string, ok bool) {
	for i := len(s.scope) - 1; i >= 0; i-- {
		if s.scope[i].prefix == prefix {
			return s.scope[i].space, true
		}
	}
	if prefix == "xml" {
		return nsXML, true
	}
	return "", prefix == ""
}

// attribute resolves the attributes of e and puts them in canonical order, by
// namespace and then by name, where one that is given twice meets itself.
func (s *scanner) attribute(e *element, attrs []xml.Attr) error {
	if len(attrs) > len(e.declared) {
		e.attrs = make([]attribute, 0, len(attrs)-len(e.declared))
	}
	for _, a := range attrs {
		if _, ok := declares(a.Name); ok {
			continue
		}
		space := ""
		if a.Name.Space != "" {
			var ok bool
			if space, ok = s.lookup(a.Name.Space); !ok {
				return bad("undeclared_prefix", "attribute %.80q", a.Name.Space+":"+a.Name.Local)
			}
		}
		if strings.Contains(a.Name.Local, ":") {
			return bad("undeclared_prefix", "attribute %.80q", a.Name.Local)
		}
		if err := checkReplaced(a.Value); err != nil {
			return err
		}
		e.attrs = append(e.attrs, attribute{a.Name.Space, a.Name.Local, space, a.Value})
	}
	slices.SortFunc(e.attrs, func(a, b attribute) int {
		return cmp.Or(cmp.Compare(a.space, b.space), cmp.Compare(a.local, b.local))
	})
	for i := 1; i < len(e.attrs); i++ {
		if a, b := &e.attrs[i-1], &e.attrs[i]; a.local == b.local && a.space == b.space {
			return bad("duplicate_attribute", "attribute %.80q", b.local)
		}
	}
	return nil
}

func (s *scanner) end(n xml.Name) error {
	e := s.current
	if e == nil || e.prefix != n.Space || e.local != n.Local {
		return bad("malformed", "end tag %.80q closes another element", n.Local)
	}
	s.scope = s.scope[:len(s.scope)-len(e.declared)]
	s.depth--
	s.current = e.parent
	return nil
}

// text takes a piece of text. CDATA sections can cut one text into many pieces,
// which cost far more than their bytes.
func (s *scanner) text(t string) error {
	if s.texts++; s.texts > 2*s.limits.elements {
		return bad("too_large", "more than %d pieces of text", 2*s.limits.elements)
	}
	if t != "" {
		s.current.nodes = append(s.current.nodes, node{text: t})
	}
	return checkReplaced(t)
}

// checkReplaced refuses U+FFFD: encoding/xml makes it of a reference to half a
// surrogate pair, which is not well formed, and nobody means to send it.
func checkReplaced(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return bad("malformed", "replacement character")
	}
	return nil
}

// runReader ends a document that has too many bytes between one "<" and the
// next. The decoder holds a whole tag, however many attributes it has, before it
// hands it over, so this cannot be seen from its tokens in time.
type runReader struct {
	*bytes.Reader
	limit, run int
}

var errRun = errors.New("run of bytes is too long")

func (r *runReader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if r.run++; b == '<' {
		r.run = 0
	} else if r.run > r.limit {
		return 0, errRun
	}
	return b, err
}
