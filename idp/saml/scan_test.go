package saml

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func scanReason(doc string, l limits) string {
	_, err := scan([]byte(doc), l)
	var b *BadRequest
	switch {
	case err == nil:
		return "scanned"
	case errors.As(err, &b):
		return b.Reason
	}
	return err.Error()
}

// TestScanRefuses has what the request vectors do not: documents that are none.
func TestScanRefuses(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		"":                                   "malformed",
		" ":                                  "malformed",
		"<a/>":                               "scanned",
		"<a>":                                "malformed",
		"</a>":                               "malformed",
		"<a></a></a>":                        "malformed",
		"<a></b>":                            "malformed",
		"<a:b xmlns:a='urn:x'></b>":          "malformed",
		"<a b=c/>":                           "malformed",
		"<a b/>":                             "malformed",
		"<a b='<'/>":                         "malformed",
		"<a>]]></a>":                         "malformed",
		"<a>&#0;</a>":                        "malformed",
		"<a>&#xFFFF;</a>":                    "malformed",
		"<a>&#55296;</a>":                    "malformed",
		"<a b='&#xD800;'/>":                  "malformed",
		"<a>\x01</a>":                        "malformed",
		"<![CDATA[]]><a/>":                   "trailing_bytes",
		"<![CDATA[ ]]><a/>":                  "trailing_bytes",
		"<a/><![CDATA[ ]]>":                  "trailing_bytes",
		"\ufeff<a/>":                         "trailing_bytes",
		"<a><!---></a>":                      "malformed",
		"<a><!----></a>":                     "comment",
		"<a/><?x?>":                          "processing_instruction",
		"<a/><?xml version='1.0'?>":          "processing_instruction",
		"<?xml?><a/>":                        "encoding",
		"<?xml version='1.1'?><a/>":          "malformed",
		"<?xml encoding='utf-8'?><a/>":       "encoding",
		"<?xml version='1.0' ?><a/>":         "scanned",
		"<a:/>":                              "undeclared_prefix",
		"<:a/>":                              "undeclared_prefix",
		"<a :b=''/>":                         "undeclared_prefix",
		"<a:b:c/>":                           "malformed",
		"<xmlns:a/>":                         "undeclared_prefix",
		"<a xmlns:xmlns='urn:x'/>":           "malformed",
		"<a xmlns:b=''/>":                    "malformed",
		"<a xmlns:xml='urn:x'/>":             "malformed",
		"<a xmlns:b='" + nsXML + "'/>":       "malformed",
		"<a xmlns='" + nsXMLNS + "'/>":       "malformed",
		"<a xmlns='" + nsXML + "'/>":         "malformed",
		"<a xmlns='urn:x'><b xmlns=''/></a>": "scanned",
		"<a xml:lang='en'/>":                 "scanned",
		"<a xml:id='x' xml:id='y'/>":         "duplicate_attribute",
		"<a xmlns:b='" + strings.Repeat("x", maxNamespace+1) + "'/>": "too_large",
		"<a/>\n\t\r ": "scanned",
	} {
		if got := scanReason(doc, requestLimits); got != want {
			t.Errorf("%.80q: got %s, want %s", doc, got, want)
		}
	}
}

// TestScanLimits tries each limit from both sides.
func TestScanLimits(t *testing.T) {
	t.Parallel()
	l := requestLimits
	attributes := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(" a" + strings.Repeat("x", i) + "=''")
		}
		return b.String()
	}
	nest := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	fill := func(n int) string { // n bytes, in runs that are short enough
		doc := "<a>" + strings.Repeat(strings.Repeat("x", 8000)+"<b/>", 8)
		return doc + strings.Repeat("y", n-len(doc)-len("</a>")) + "</a>"
	}
	for name, docs := range map[string][2]string{
		"bytes":      {fill(l.bytes), fill(l.bytes + 1)},
		"run":        {"<a>" + strings.Repeat("x", l.run-len("<a>")) + "</a>", "<a>" + strings.Repeat("x", l.run) + "</a>"},
		"depth":      {nest(l.depth), nest(l.depth + 1)},
		"elements":   {"<a>" + strings.Repeat("<b/>", l.elements-1) + "</a>", "<a>" + strings.Repeat("<b/>", l.elements) + "</a>"},
		"attributes": {"<a" + attributes(l.attributes) + "/>", "<a" + attributes(l.attributes+1) + "/>"},
		"total": {"<a>" + strings.Repeat("<b"+attributes(l.attributes)+"/>", l.total/l.attributes) + "</a>",
			"<a>" + strings.Repeat("<b"+attributes(l.attributes)+"/>", l.total/l.attributes) + "<b c=''/></a>"},
	} {
		if got := scanReason(docs[0], l); got != "scanned" {
			t.Errorf("%s at its limit: %s", name, got)
		}
		if got := scanReason(docs[1], l); got != "too_large" {
			t.Errorf("%s beyond its limit: %s", name, got)
		}
	}
}

// FuzzScan holds that whatever is scanned is what encoding/xml's own, namespace
// aware reading of the same bytes says. encoding/xml does not normalise white
// space in attribute values (XML 1.0, 3.3.3), so namespaces are compared with it
// folded.
func FuzzScan(f *testing.F) {
	for _, doc := range canonicalCases() {
		f.Add(doc)
	}
	f.Add("<a xmlns:p=\"urn:\tp\"><p:b xmlns='urn:\r\nq&#9;'/></a>")
	folded := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
	f.Fuzz(func(t *testing.T, doc string) {
		root, err := scan([]byte(doc), requestLimits)
		if err != nil {
			var b *BadRequest
			if !errors.As(err, &b) || b.Reason == "" || root != nil {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		var ours, theirs strings.Builder
		root.describe(&ours, folded.Replace)
		d := xml.NewDecoder(strings.NewReader(doc))
		depth := 0
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", doc, err)
			}
			switch token := token.(type) {
			case xml.StartElement:
				depth++
				theirs.WriteString("<{" + folded.Replace(token.Name.Space) + "}" + token.Name.Local)
			case xml.EndElement:
				depth--
				theirs.WriteString("/>")
			case xml.CharData:
				if depth > 0 {
					theirs.Write(token)
				}
			}
		}
		if ours.String() != theirs.String() {
			t.Fatalf("%q:\nours   %q\ntheirs %q", doc, ours.String(), theirs.String())
		}
	})
}

func (e *element) describe(b *strings.Builder, space func(string) string) {
	b.WriteString("<{" + space(e.space) + "}" + e.local)
	for _, n := range e.nodes {
		if n.element != nil {
			n.element.describe(b, space)
		}
		b.WriteString(n.text)
	}
	b.WriteString("/>")
}
