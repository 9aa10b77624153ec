package saml

import (
	"cmp"
	"io"
	"slices"
)

// canonical writes elements in the form that signatures are made over: Exclusive
// XML Canonicalization 1.0, without comments, of which a scanned document has
// none.
//
// It works on the scanned tree itself, with one stack of declarations, in time
// proportional to what it writes. goxmldsig copies its map of prefixes twice for
// every element, which a hostile document turns into megabytes; the tests hold
// the two, and xmlsec1, against each other.
type canonical struct {
	to       io.Writer
	without  *element // is left out, as the enveloped-signature transform asks
	prefixes []string // of InclusiveNamespaces' PrefixList; "" is the default namespace
	rendered []binding
	w        writer
}

// flushAt is how many bytes are kept before they are handed on.
const flushAt = 4 << 10

// write writes the apex of a document subset.
func (c *canonical) write(apex *element) error {
	if err := c.element(apex); err != nil {
		return err
	}
	return c.flush(0)
}

func (c *canonical) flush(above int) error {
	if len(c.w.b) <= above {
		return nil
	}
	_, err := c.to.Write(c.w.b)
	c.w.b = c.w.b[:0]
	return err
}

func (c *canonical) element(e *element) error {
	name := e.local
	if e.prefix != "" {
		name = e.prefix + ":" + e.local
	}
	mark := len(c.rendered)
	c.w.raw("<", name)
	c.namespaces(e)
	for i := range e.attrs {
		if a := &e.attrs[i]; a.prefix == "" {
			c.w.attr(a.local, a.value)
		} else {
			c.w.attr(a.prefix+":"+a.local, a.value)
		}
	}
	c.w.raw(">")
	for _, n := range e.nodes {
		switch n.element {
		case nil:
			c.w.text(n.text)
			if err := c.flush(flushAt); err != nil {
				return err
			}
		case c.without:
		default:
			if err := c.element(n.element); err != nil {
				return err
			}
		}
	}
	c.w.raw("</", name, ">")
	c.rendered = c.rendered[:mark]
	return c.flush(flushAt)
}

// namespaces writes the declarations of the prefixes that e visibly uses, and of
// those listed, as far as no ancestor in the output says the same (Exclusive XML
// Canonicalization section 3).
func (c *canonical) namespaces(e *element) {
	mark := len(c.rendered)
	c.render(e, e.prefix)
	for i := range e.attrs {
		if p := e.attrs[i].prefix; p != "" {
			c.render(e, p)
		}
	}
	for _, p := range c.prefixes {
		c.render(e, p)
	}
	added := c.rendered[mark:]
	slices.SortFunc(added, func(a, b binding) int { return cmp.Compare(a.prefix, b.prefix) })
	for _, b := range added {
		if b.prefix == "" {
			c.w.attr("xmlns", b.space)
		} else {
			c.w.attr("xmlns:"+b.prefix, b.space)
		}
	}
}

// render notes that prefix, as in scope at e, must be declared there.
func (c *canonical) render(e *element, prefix string) {
	if prefix == "xml" {
		return
	}
	space, ok := e.resolve(prefix)
	if !ok {
		return // listed, but not in scope here
	}
	for i := len(c.rendered) - 1; i >= 0; i-- {
		if c.rendered[i].prefix != prefix {
			continue
		}
		if c.rendered[i].space == space {
			return
		}
		break
	}
	// An empty default namespace is only written to undo another one.
	if prefix == "" && space == "" && !slices.ContainsFunc(c.rendered, func(b binding) bool { return b.prefix == "" }) {
		return
	}
	c.rendered = append(c.rendered, binding{prefix, space})
}

// resolve gives the namespace of a prefix that is in scope at e.
func (e *element) resolve(prefix string) (space string, ok bool) {
	for ; e != nil; e = e.parent {
		for _, b := range e.declared {
			if b.prefix == prefix {
				return b.space, true
			}
		}
	}
	return "", prefix == ""
}
