package saml

import (
	"strings"
	"time"
)

// element is one element of a scanned document, its names resolved.
type element struct {
	parent               *element
	prefix, local, space string
	declared             []binding   // by this element itself
	attrs                []attribute // all but declarations, in canonical order
	nodes                []node      // in document order
}

// binding is a prefix and the namespace that it stands for; the default
// namespace has the prefix "".
type binding struct{ prefix, space string }

type attribute struct{ prefix, local, space, value string }

// node is an element or, when there is none, text.
type node struct {
	element *element
	text    string
}

// is tells whether the element has the given namespace and local name.
func (e *element) is(space, local string) bool { return e.local == local && e.space == space }

// attr gives an attribute that is in no namespace, as all of SAML's are.
func (e *element) attr(name string) (value string, ok bool) {
	for i := range e.attrs {
		if a := &e.attrs[i]; a.local == name && a.space == "" {
			return a.value, true
		}
	}
	return "", false
}

// children gives the child elements of an element that holds nothing else but
// white space.
func (e *element) children() ([]*element, error) {
	elements := make([]*element, 0, len(e.nodes))
	for _, n := range e.nodes {
		if n.element != nil {
			elements = append(elements, n.element)
		} else if trim(n.text) != "" {
			return nil, bad("malformed", "text in %s", e.local)
		}
	}
	return elements, nil
}

// text gives the text of an element that holds nothing else, all of it.
func (e *element) text() (string, error) {
	if len(e.nodes) == 1 && e.nodes[0].element == nil {
		return e.nodes[0].text, nil
	}
	var b strings.Builder
	for _, n := range e.nodes {
		if n.element != nil {
			return "", bad("malformed", "element %.80q in %.80q", n.element.local, e.local)
		}
		b.WriteString(n.text)
	}
	return b.String(), nil
}

// walk visits e and everything below it, in document order, until visit returns
// an error.
func (e *element) walk(visit func(*element) error) error {
	if err := visit(e); err != nil {
		return err
	}
	for _, n := range e.nodes {
		if n.element != nil {
			if err := n.element.walk(visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// trim takes away white space as XML has it (XML 1.0 section 2.3), which is less
// than Unicode has.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// boolean gives an attribute of type xs:boolean (XML Schema part 2, 3.2.2);
// one that is not there is false.
func (e *element) boolean(name string) (bool, error) {
	v, ok := e.attr(name)
	switch v {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	if ok {
		return false, bad("boolean_invalid", "%s is %.80q", name, v)
	}
	return false, nil
}

// instantShape is the shape of a time in UTC up to its fraction; time.Parse
// alone would take an hour of one digit or a comma.
const instantShape = "0000-00-00T00:00:00"

// parseInstant reads a time as SAML core 1.3.3 wants it: xs:dateTime in UTC.
func parseInstant(s string) (time.Time, bool) {
	if len(s) <= len(instantShape) || len(s) > len(instantShape)+len(".000000000Z") {
		return time.Time{}, false
	}
	for i := range instantShape {
		digit := s[i] >= '0' && s[i] <= '9'
		if instantShape[i] == '0' && !digit || instantShape[i] != '0' && s[i] != instantShape[i] {
			return time.Time{}, false
		}
	}
	if c := s[len(instantShape)]; c != '.' && c != 'Z' {
		return time.Time{}, false
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return t, err == nil
}

// maxID bounds an identifier (SAML core 1.3.4 sets none).
const maxID = 256

// isNCName tells whether s is an identifier as xs:ID has it (Namespaces in XML
// 1.0 section 3), of at most 256 ASCII characters. Nobody makes others, and
// these need no escape anywhere.
func isNCName(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}
