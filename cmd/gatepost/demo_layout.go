package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// messageLine is a line of a message as it is shown. Marked lines are what the
// sign-in is about.
type messageLine struct {
	Text   string
	Marked bool
}

// telling are the elements whose lines are marked.
func telling(name string) bool {
	switch name {
	case "Status", "NameID", "Extension", "Extensions", "RequestedAuthnContext", "AttributeStatement":
		return true
	}
	return false
}

const (
	// longText is cut: keys and signatures say nothing to people.
	longText = 72
	// longLine is broken: an attribute a line, or a line for the text.
	longLine = 80
)

// layOut breaks a message into lines for people. What is inside a Signature is
// left out, and so is text beside elements, which SAML does not have.
func layOut(message string) ([]messageLine, error) {
	l := &layout{}
	d := xml.NewDecoder(strings.NewReader(message))
	for {
		// Raw, so that the prefixes are those of the message.
		token, err := d.RawToken()
		if err == io.EOF {
			return l.lines, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			l.start(t)
		case xml.EndElement:
			if l.depth == 0 {
				return nil, fmt.Errorf("%s ends and did not begin", prefixed(t.Name))
			}
			l.end(t)
		case xml.CharData:
			l.text += string(t)
		}
	}
}

// layout lays a message out, an element at a time.
type layout struct {
	lines  []messageLine
	depth  int
	marked int    // depth of the marked element; 0: none
	hidden int    // depth of the Signature; 0: not in one
	text   string // in the element that began last
	open   bool   // that element has no children so far
}

func (l *layout) start(t xml.StartElement) {
	l.depth++
	if l.hidden > 0 {
		return
	}
	if l.marked == 0 && telling(t.Name.Local) {
		l.marked = l.depth
	}
	tag := []string{"<" + prefixed(t.Name)}
	for _, a := range t.Attr {
		tag = append(tag, fmt.Sprintf(`%s="%s"`, prefixed(a.Name), xmlEscapes.Replace(a.Value)))
	}
	if line := strings.Join(tag, " "); len(line)+2*l.depth <= longLine {
		l.add(0, line+">")
	} else {
		l.add(0, tag[0])
		for _, attribute := range tag[1:] {
			l.add(2, attribute)
		}
		l.lines[len(l.lines)-1].Text += ">"
	}
	l.text, l.open = "", true
	if t.Name.Local == "Signature" {
		l.hidden, l.text = l.depth, "…"
	}
}

func (l *layout) end(t xml.EndElement) {
	defer func() { l.depth-- }()
	if l.hidden > 0 && l.depth > l.hidden {
		l.text = "…"
		return
	}
	last := &l.lines[len(l.lines)-1].Text
	text, closing := xmlEscapes.Replace(cut(strings.TrimSpace(l.text))), "</"+prefixed(t.Name)+">"
	switch {
	case !l.open:
		l.add(0, closing)
	case text == "":
		*last = strings.TrimSuffix(*last, ">") + "/>"
	case len(*last)+len(text)+len(closing) > longLine:
		l.add(1, text)
		l.add(0, closing)
	default:
		*last += text + closing
	}
	if l.marked == l.depth {
		l.marked = 0
	}
	l.text, l.open, l.hidden = "", false, 0
}

// add adds a line, so much deeper than its element.
func (l *layout) add(deeper int, text string) {
	l.lines = append(l.lines, messageLine{strings.Repeat("  ", l.depth-1+deeper) + text, l.marked > 0})
}

func prefixed(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// cut shortens long text.
func cut(text string) string {
	if runes := []rune(text); len(runes) > longText {
		return fmt.Sprintf("%s… (%d characters)", string(runes[:longText/2]), len(runes))
	}
	return text
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
