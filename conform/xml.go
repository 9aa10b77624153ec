package conform

import (
	"fmt"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// children returns the child elements of this namespace and name.
func children(el *etree.Element, space, tag string) []*etree.Element {
	var found []*etree.Element
	for _, c := range el.ChildElements() {
		if c.Tag == tag && c.NamespaceURI() == space {
			found = append(found, c)
		}
	}
	return found
}

// one returns the child of this namespace and name, of which there must be
// exactly one.
func one(el *etree.Element, space, tag string) (*etree.Element, error) {
	found := children(el, space, tag)
	if len(found) != 1 {
		return nil, fmt.Errorf("%s has %d of %s", el.Tag, len(found), tag)
	}
	return found[0], nil
}

// descend is one, several levels down.
func descend(el *etree.Element, space string, tags ...string) (*etree.Element, error) {
	for _, tag := range tags {
		next, err := one(el, space, tag)
		if err != nil {
			return nil, err
		}
		el = next
	}
	return el, nil
}

// attr returns the value of the attribute in no namespace, or "".
// etree's SelectAttr would take one of any namespace.
func attr(el *etree.Element, name string) string {
	for _, a := range el.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value
		}
	}
	return ""
}

// text returns all character data directly in el. etree's Text stops at the
// first comment, which is how a name gets cut short.
func text(el *etree.Element) string {
	var b strings.Builder
	for _, c := range el.Child {
		if data, ok := c.(*etree.CharData); ok {
			b.WriteString(data.Data)
		}
	}
	return b.String()
}

// allText returns the words anywhere below el.
func allText(el *etree.Element) string {
	words := strings.Fields(text(el))
	for _, c := range el.ChildElements() {
		words = append(words, strings.Fields(allText(c))...)
	}
	return strings.Join(words, " ")
}

// walk calls f for el and every element below it.
func walk(el *etree.Element, f func(*etree.Element)) {
	f(el)
	for _, c := range el.ChildElements() {
		walk(c, f)
	}
}

// detached returns a copy of el that carries the namespace declarations of its
// ancestors itself.
func detached(el *etree.Element) (*etree.Element, error) {
	ctx, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, fmt.Errorf("read the namespaces around %s: %w", el.Tag, err)
	}
	if ctx, err = ctx.SubContext(el); err != nil {
		return nil, fmt.Errorf("read the namespaces of %s: %w", el.Tag, err)
	}
	own, err := etreeutils.NSDetatch(ctx, el)
	if err != nil {
		return nil, fmt.Errorf("detach %s: %w", el.Tag, err)
	}
	return own, nil
}

// instant reads a time of SAML, which is in UTC (SAML core 1.3.3).
func instant(el *etree.Element, name string) (time.Time, error) {
	value := attr(el, name)
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || !strings.HasSuffix(value, "Z") {
		return time.Time{}, fmt.Errorf("%s of %s is %q, not a time in UTC", name, el.Tag, value)
	}
	return t, nil
}
