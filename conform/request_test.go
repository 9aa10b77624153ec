package conform

import (
	"bytes"
	"compress/flate"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
)

// run gives the output of a tool that the tests cannot do without.
func run(t *testing.T, pkg, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is needed for this test: install %s", name, pkg)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func publicKeyFile(t *testing.T, p pair) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestPostVerifies asks xmlsec1 about the enveloped signature.
func TestPostVerifies(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	verify := func(doc []byte) (string, error) {
		return run(t, "xmlsec1", "xmlsec1", "--verify", "--pubkey-pem", publicKeyFile(t, oktaKeys()),
			"--id-attr:ID", nsProtocol+":AuthnRequest", writeFile(t, "request.xml", doc))
	}
	for name, opts := range map[string]RequestOptions{
		"Okta's":   {Subject: testUser, ForceAuthn: true, AppContext: &AppContext{InstanceID: "0oa1", Name: "a & <b> \"c\" é "}},
		"sample's": {Subject: testUser, Sample: true},
		"bare":     {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := o.Request(opts)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := verify(req.XML); err != nil {
				t.Errorf("xmlsec1: %v\n%s\n%s", err, out, req.XML)
			}
			if _, err := verify(bytes.Replace(req.XML, []byte(req.ID), []byte("id0"), 1)); err == nil {
				t.Error("xmlsec1 verifies a tampered request")
			}
			root := parseTest(t, req.XML)
			if n := countSignatures(root); n != 1 {
				t.Errorf("%d signatures", n)
			}
			if all := root.ChildElements(); all[0].Tag != "Issuer" || all[1].Tag != "Signature" {
				t.Errorf("the signature does not follow the Issuer: %s", req.XML)
			}
			for _, want := range []string{"2001/04/xmldsig-more#rsa-sha256", "2001/04/xmlenc#sha256", "2001/10/xml-exc-c14n#"} {
				if !strings.Contains(string(req.XML), want) {
					t.Errorf("no %s", want)
				}
			}
			raw, err := base64.StdEncoding.DecodeString(req.Form.SAMLRequest)
			if err != nil || !bytes.Equal(raw, req.XML) || req.Form.Action != testSSO || req.URL != "" {
				t.Errorf("form %+v, %v", req.Form, err)
			}
		})
	}
}

// TestRedirectVerifies asks openssl about the signature over the query.
func TestRedirectVerifies(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	for _, relayState := range []string{"", "https://acme.okta.example/app/a b?c=d&e=é" + strings.Repeat("x", 200)} {
		req, err := o.Request(RequestOptions{Binding: Redirect, Subject: testUser, RelayState: relayState})
		if err != nil {
			t.Fatal(err)
		}
		signedPart, signature, found := strings.Cut(strings.TrimPrefix(req.URL, testSSO+"?"), "&Signature=")
		if !found {
			t.Fatalf("no signature in %s", req.URL)
		}
		want := regexp.MustCompile(`^SAMLRequest=[^&]+&SigAlg=[^&]+$`)
		if relayState != "" {
			want = regexp.MustCompile(`^SAMLRequest=[^&]+&RelayState=[^&]+&SigAlg=[^&]+$`)
		}
		if !want.MatchString(signedPart) {
			t.Errorf("signed is %s", signedPart)
		}
		text, err := url.QueryUnescape(signature)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, "openssl", "openssl", "dgst", "-sha256", "-verify", publicKeyFile(t, oktaKeys()),
			"-signature", writeFile(t, "sig", raw), writeFile(t, "query", []byte(signedPart))); err != nil {
			t.Errorf("openssl: %v: %s", err, out)
		}
		u, err := url.Parse(req.URL)
		if err != nil {
			t.Fatal(err)
		}
		if u.Query().Get("SigAlg") != "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" || u.Query().Get("RelayState") != relayState {
			t.Errorf("query %v", u.Query())
		}
		packed, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
		if err != nil {
			t.Fatal(err)
		}
		inflated, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
		if err != nil || !bytes.Equal(inflated, req.XML) || bytes.Contains(inflated, []byte("Signature")) {
			t.Errorf("inflated %s, %v", inflated, err)
		}
	}
}

func parseTest(t *testing.T, raw []byte) *etree.Element {
	t.Helper()
	root, err := parse(raw)
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return root
}

// outline is the names of the elements, nested.
func outline(el *etree.Element) string {
	s := el.Tag
	if all := el.ChildElements(); len(all) > 0 {
		var parts []string
		for _, c := range all {
			parts = append(parts, outline(c))
		}
		s += "(" + strings.Join(parts, " ") + ")"
	}
	return s
}

func TestRequestShape(t *testing.T) {
	t.Parallel()
	issued := time.Date(2026, 11, 22, 16, 0, 0, 123456789, time.UTC)
	o := newTestOkta(t, func(c *OktaConfig) { c.Now = func() time.Time { return issued } })
	req, err := o.Request(RequestOptions{Subject: testUser, Unsigned: true, ForceAuthn: true, AppContext: &AppContext{InstanceID: "0oa1", Name: "Wiki "}})
	if err != nil {
		t.Fatal(err)
	}
	root := parseTest(t, req.XML)
	if got, want := outline(root), "AuthnRequest(Issuer Extensions(OktaAppInstanceId OktaAppName) Subject(NameID) NameIDPolicy RequestedAuthnContext(AuthnContextClassRef))"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"AssertionConsumerServiceURL": testACS, "Destination": testSSO, "ForceAuthn": "true", "ID": req.ID,
		"IssueInstant": "2026-11-22T16:00:00.123Z", "Version": "2.0",
	} {
		if got := attr(root, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !regexp.MustCompile(`^id[0-9]{27}$`).MatchString(req.ID) {
		t.Errorf("ID %q", req.ID)
	}
	if got := text(at(root, "Subject", "NameID")); got != testUser {
		t.Errorf("NameID %q", got)
	}
	if got := text(at(root, "Extensions", "OktaAppName")); got != "Wiki " {
		t.Errorf("application %q", got)
	}
}

// TestRequestSample compares with the published sample, value by value.
func TestRequestSample(t *testing.T) {
	t.Parallel()
	published, err := os.ReadFile("../testdata/contract/sample-authnrequest.xml")
	if err != nil {
		t.Fatal(err)
	}
	want := parseTest(t, published)
	o := newTestOkta(t, nil)
	issued, err := time.Parse(time.RFC3339Nano, attr(want, "IssueInstant"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := o.Request(RequestOptions{
		Sample: true, Unsigned: true, Subject: testUser, ID: attr(want, "ID"), IssueInstant: issued,
		ACS: attr(want, "AssertionConsumerServiceURL"), Destination: attr(want, "Destination"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := parseTest(t, req.XML)
	if outline(got) != outline(want) {
		t.Errorf("got %s, want %s", outline(got), outline(want))
	}
	for _, a := range want.Attr {
		if got := got.SelectAttrValue(a.FullKey(), ""); got != a.Value {
			t.Errorf("%s is %q, want %q", a.FullKey(), got, a.Value)
		}
	}
	if len(got.Attr) != len(want.Attr) {
		t.Errorf("attributes %v, want %v", got.Attr, want.Attr)
	}
	for _, path := range [][]string{{"Issuer"}, {"Subject", "NameID"}, {"RequestedAuthnContext", "AuthnContextClassRef"}} {
		if g, w := text(at(got, path...)), text(at(want, path...)); g != w {
			t.Errorf("%v is %q, want %q", path, g, w)
		}
	}
}

func TestRequestOverrides(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	req, err := o.Request(RequestOptions{
		ID: "a", ACS: "b", Destination: "c", NameIDFormat: "d", ClassRefs: []string{"e", "f"}, Comparison: "g",
		Edit: func(root *etree.Element) { root.CreateAttr("IsPassive", "true") },
	})
	if err != nil {
		t.Fatal(err)
	}
	root := parseTest(t, req.XML)
	refs := at(root, "RequestedAuthnContext").ChildElements()
	if req.ID != "a" || attr(root, "ID") != "a" || attr(root, "AssertionConsumerServiceURL") != "b" || attr(root, "Destination") != "c" ||
		attr(at(root, "NameIDPolicy"), "Format") != "d" || len(refs) != 2 || text(refs[1]) != "f" ||
		attr(at(root, "RequestedAuthnContext"), "Comparison") != "g" || attr(root, "IsPassive") != "true" {
		t.Errorf("got %s", req.XML)
	}
	if req.Form.Action != testSSO {
		t.Errorf("sent to %s", req.Form.Action)
	}
	if _, err := o.Request(RequestOptions{Binding: "artifact"}); err == nil {
		t.Error("an unknown binding is taken")
	}
}
