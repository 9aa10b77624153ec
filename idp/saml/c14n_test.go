package saml

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// canonicalCases are documents in which canonical form has something to decide.
func canonicalCases() map[string]string {
	return map[string]string{
		"plain":              `<a><b/></a>`,
		"attributes":         `<a z="1" a="2" xmlns:p="urn:p" xmlns:b="urn:b" p:c="3" b:c="4" xml:lang="en"><b/></a>`,
		"unused":             `<a xmlns:u="urn:u" xmlns:p="urn:p"><p:b u:c="x"><u:c/><p:d/></p:b></a>`,
		"redeclared":         `<p:a xmlns:p="urn:1"><p:b xmlns:p="urn:2"><p:c xmlns:p="urn:1"/></p:b><p:d xmlns:p="urn:1"/></p:a>`,
		"default":            `<a xmlns="urn:1"><b xmlns=""><c xmlns="urn:1"/></b><d/></a>`,
		"default undone":     `<p:a xmlns:p="urn:p" xmlns="urn:1"><b xmlns=""/><c/></p:a>`,
		"siblings":           `<a xmlns:p="urn:p"><p:b/><p:b/><c><p:b><p:b/></p:b></c></a>`,
		"text":               "<a>&lt;&amp;&gt;\"'&#13;\n\t]]&gt;<![CDATA[<&>]]>\u00e9\U0001F600</a>",
		"attribute text":     `<a b="&lt;&amp;>&quot;'&#13;&#10;&#9;` + "\u00e9\U0001F600" + `"/>`,
		"attribute layout":   "<a b='\t&#9;\n&#10;\r&#13;\r\n&#13;&#10;\n\r' c = \"\u00e9&#xe9;'\t&amp;'\n\U0001F600&#x1F600;\r\n&#xD;>\"\n\td=''/>",
		"end tags":           `<a><b></b ><c/>` + "\r\n" + `</a>`,
		"attribute prefix":   `<a xmlns:p="urn:p" xmlns:q="urn:p" q:x="1" p:y="2"><b p:x="3"/></a>`,
		"by namespace":       `<a xmlns:p="urn:z" xmlns:q="urn:a"><b p:x="1" q:x="2" y="3"/></a>`,
		"xml declared":       `<a xmlns:xml="http://www.w3.org/XML/1998/namespace" xml:space="preserve"><b/></a>`,
		"declaration in doc": `<?xml version="1.0"?><a> <b> </b> </a>`,
	}
}

func canonicalText(t testing.TB, doc string, prefixes ...string) (string, bool) {
	t.Helper()
	root, err := scan([]byte(doc), requestLimits)
	if err != nil {
		return "", false
	}
	var b bytes.Buffer
	if err := (&canonical{to: &b, prefixes: prefixes}).write(root); err != nil {
		t.Fatal(err)
	}
	return b.String(), true
}

// TestCanonicalAsLibxml2 compares with the implementation that most relying
// parties sign with.
func TestCanonicalAsLibxml2(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatal("xmllint (Debian: libxml2-utils) is needed as the second opinion on canonical form:", err)
	}
	for name, doc := range canonicalCases() {
		file := filepath.Join(t.TempDir(), "in.xml")
		if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := exec.Command("xmllint", "--nonet", "--exc-c14n", file).Output()
		if err != nil {
			t.Fatalf("%s: xmllint: %v", name, err)
		}
		got, ok := canonicalText(t, doc)
		if !ok {
			t.Fatalf("%s: not scanned", name)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
		}
	}
}

var layoutInQuotes = regexp.MustCompile(`=\s*("[^"<]*[\t\r\n]|'[^'<]*[\t\r\n])`)

// goxmldsigErrs tells of a document in which goxmldsig is known to differ from
// libxml2 and the standard: it writes xmlns="" where there is nothing to undo,
// orders attributes by prefixes that were declared further up, or by "xml", and
// keeps line breaks that stand in attributes as themselves.
func goxmldsigErrs(doc string) bool {
	root, err := scan([]byte(doc), requestLimits)
	if err != nil || strings.Contains(doc, "xmlns=") || layoutInQuotes.MatchString(doc) {
		return true
	}
	errPrefixed := errors.New("two attributes with prefixes")
	return root.walk(func(e *element) error {
		if n := len(e.attrs); n > 1 && e.attrs[n-2].prefix != "" {
			return errPrefixed
		}
		return nil
	}) != nil
}

// TestCanonicalAsGoXMLDSig compares with goxmldsig, with and without a
// PrefixList.
func TestCanonicalAsGoXMLDSig(t *testing.T) {
	t.Parallel()
	for name, doc := range canonicalCases() {
		if goxmldsigErrs(doc) {
			continue
		}
		for _, list := range []string{"", "p u xml missing"} {
			got, ok := canonicalText(t, doc, strings.Fields(list)...)
			if !ok {
				t.Fatalf("%s: not scanned", name)
			}
			if want := goxmldsigText(t, doc, list); got != want {
				t.Errorf("%s with %q:\ngot  %q\nwant %q", name, list, got, want)
			}
		}
	}
}

func goxmldsigText(t testing.TB, doc, prefixes string) string {
	t.Helper()
	tree := etree.NewDocument()
	if err := tree.ReadFromString(doc); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	want, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(tree.Root())
	if err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	return string(want)
}

// TestCanonicalIsStable holds that canonical form is its own canonical form.
func TestCanonicalIsStable(t *testing.T) {
	t.Parallel()
	for name, doc := range canonicalCases() {
		once, _ := canonicalText(t, doc)
		if twice, ok := canonicalText(t, once); !ok || twice != once {
			t.Errorf("%s: %q becomes %q", name, once, twice)
		}
	}
}

// FuzzCanonical holds whatever is scanned against goxmldsig.
func FuzzCanonical(f *testing.F) {
	for _, doc := range canonicalCases() {
		f.Add(doc, "")
		f.Add(doc, "p u")
	}
	f.Fuzz(func(t *testing.T, doc, prefixes string) {
		got, ok := canonicalText(t, doc, strings.Fields(prefixes)...)
		if !ok {
			return
		}
		if again, ok := canonicalText(t, got, strings.Fields(prefixes)...); !ok || again != got {
			t.Fatalf("%q becomes %q, that becomes %q", doc, got, again)
		}
		if goxmldsigErrs(doc) {
			return
		}
		if want := goxmldsigText(t, doc, prefixes); got != want {
			t.Fatalf("%q:\ngot  %q\nwant %q", doc, got, want)
		}
	})
}
