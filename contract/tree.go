package contract

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	maxDepth    = 64
	maxElements = 10000
)

// node is one element: its name with its namespace, its attributes without
// namespace declarations, and its content.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*node
	text     []byte // all character data directly in it
}

// is tells whether the element has this name in this namespace.
func (n *node) is(space, local string) bool {
	return n.name.Local == local && n.name.Space == space
}

// attr returns the value of an attribute that is in no namespace.
func (n *node) attr(local string) (value string, found bool) {
	for _, a := range n.attrs {
		if a.Name.Space == "" && a.Name.Local == local {
			return a.Value, true
		}
	}
	return "", false
}

// attrsExcept returns the first attribute that is not one of names.
func (n *node) attrsExcept(names ...string) (name string, found bool) {
next:
	for _, a := range n.attrs {
		for _, want := range names {
			if a.Name.Space == "" && a.Name.Local == want {
				continue next
			}
		}
		return a.Name.Local, true
	}
	return "", false
}

// childrenNamed returns the children of this name and namespace.
func (n *node) childrenNamed(space, local string) []*node {
	var found []*node
	for _, c := range n.children {
		if c.is(space, local) {
			found = append(found, c)
		}
	}
	return found
}

// blank tells whether the element has no text but white space.
func (n *node) blank() bool { return len(bytes.Trim(n.text, " \t\r\n")) == 0 }

// WellFormed tells what keeps doc from being one well-formed element of a sane
// size (64 deep, 10,000 elements) without DOCTYPE, processing instructions,
// doubled attributes or undeclared prefixes; nil when nothing does.
func WellFormed(doc []byte) error {
	_, err := parseTree(doc)
	return err
}

// parseTree reads one element and everything in it. encoding/xml lets pass what
// is refused here: DOCTYPE, doubled attributes, undeclared prefixes, several
// roots and text around the root.
func parseTree(doc []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(doc))
	var root *node
	var open []*node
	for count := 0; ; {
		tok, err := dec.Token()
		if err == io.EOF {
			if root == nil {
				return nil, errors.New("there is no element")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if count++; count > maxElements || len(open) >= maxDepth {
				return nil, fmt.Errorf("more than %d elements, or deeper than %d", maxElements, maxDepth)
			}
			n, err := newNode(t)
			if err != nil {
				return nil, err
			}
			switch {
			case len(open) > 0:
				parent := open[len(open)-1]
				parent.children = append(parent.children, n)
			case root != nil:
				return nil, fmt.Errorf("a second root %q", t.Name.Local)
			default:
				root = n
			}
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				n := open[len(open)-1]
				n.text = append(n.text, t...)
			} else if len(bytes.Trim(t, " \t\r\n")) > 0 {
				return nil, errors.New("text outside of the root")
			}
		case xml.Directive:
			return nil, errors.New("a DOCTYPE")
		case xml.ProcInst:
			if t.Target != "xml" || root != nil {
				return nil, fmt.Errorf("the processing instruction %q", t.Target)
			}
		}
	}
}

// newNode checks a start tag and drops its namespace declarations.
func newNode(t xml.StartElement) (*node, error) {
	// An undeclared prefix is left in place of the namespace by encoding/xml;
	// every namespace that matters here is a URI and so has a colon.
	if t.Name.Space != "" && !strings.Contains(t.Name.Space, ":") {
		return nil, fmt.Errorf("the prefix %q is not declared", t.Name.Space)
	}
	n := &node{name: t.Name}
	seen := make(map[xml.Name]bool, len(t.Attr))
	for _, a := range t.Attr {
		if seen[a.Name] {
			return nil, fmt.Errorf("the attribute %q twice on %q", a.Name.Local, t.Name.Local)
		}
		seen[a.Name] = true
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		if a.Name.Space != "" && !strings.Contains(a.Name.Space, ":") {
			return nil, fmt.Errorf("the prefix %q is not declared", a.Name.Space)
		}
		n.attrs = append(n.attrs, xml.Attr{Name: a.Name, Value: strings.Clone(a.Value)})
	}
	return n, nil
}
