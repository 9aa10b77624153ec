package saml

import (
	"crypto/sha256"
	"fmt"
	"time"
	"unicode/utf8"
)

// Namespaces and algorithm identifiers that answers use.
const (
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsDSig      = "http://www.w3.org/2000/09/xmldsig#"
	nsXEnc      = "http://www.w3.org/2001/04/xmlenc#"
	nsXS        = "http://www.w3.org/2001/XMLSchema"
	nsXSI       = "http://www.w3.org/2001/XMLSchema-instance"
)

// writer appends XML that is already in exclusive canonical form (Exclusive XML
// Canonicalization 1.0, with Canonical XML 1.0 section 2.3 for the escapes): its
// callers write namespace declarations first, then attributes in the order of
// their names, declare a prefix where it is first used, and close every element
// with an end tag. What is written is then exactly what is hashed.
//
// The one exception is a declaration that stands in the document although
// canonical form drops it: undigested records where it lies.
type writer struct {
	b    []byte
	cuts []span
}

// span is a half-open range of offsets.
type span struct{ from, to int }

func (w *writer) raw(parts ...string) {
	for _, s := range parts {
		w.b = append(w.b, s...)
	}
}

// undigested writes s, which canonical form leaves out.
func (w *writer) undigested(s string) {
	from := len(w.b)
	w.b = append(w.b, s...)
	w.cuts = append(w.cuts, span{from, len(w.b)})
}

// escapes are the references that canonical form has for bytes; none: "".
type escapes [256]string

var (
	attrEscapes = escapes{'&': "&amp;", '<': "&lt;", '"': "&quot;", '\t': "&#x9;", '\n': "&#xA;", '\r': "&#xD;"}
	textEscapes = escapes{'&': "&amp;", '<': "&lt;", '>': "&gt;", '\r': "&#xD;"}
)

func (w *writer) escaped(s string, by *escapes) {
	last := 0
	for i := range len(s) {
		if esc := by[s[i]]; esc != "" {
			w.raw(s[last:i], esc)
			last = i + 1
		}
	}
	w.raw(s[last:])
}

// attr writes an attribute.
func (w *writer) attr(name, value string) {
	w.raw(" ", name, `="`)
	w.escaped(value, &attrEscapes)
	w.raw(`"`)
}

// optionalAttr writes an attribute unless its value is empty.
func (w *writer) optionalAttr(name, value string) {
	if value != "" {
		w.attr(name, value)
	}
}

// text writes character data.
func (w *writer) text(s string) { w.escaped(s, &textEscapes) }

// digest is the SHA-256 of the parts in turn, without what canonical form
// leaves out of them.
func digest(parts ...*writer) [sha256.Size]byte {
	h := sha256.New()
	for _, w := range parts {
		last := 0
		for _, c := range w.cuts {
			h.Write(w.b[last:c.from])
			last = c.to
		}
		h.Write(w.b[last:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// instant formats a time as SAML core 1.3.3 wants it: UTC, with "Z".
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// validText tells whether every character of s may stand in an XML 1.0 document
// (XML 1.0 section 2.2, production Char).
func validText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r == '\t', r == '\n', r == '\r':
		case r < 0x20, r == 0xFFFE, r == 0xFFFF:
			return false
		}
	}
	return true
}

// checkText names the first of the named values that cannot stand in XML.
func checkText(named ...string) error {
	for i := 0; i+1 < len(named); i += 2 {
		if !validText(named[i+1]) {
			return fmt.Errorf("%s %q has a character that XML cannot hold", named[i], named[i+1])
		}
	}
	return nil
}
