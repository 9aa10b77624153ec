package saml_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/contract"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

// rsaKey is a saml.Key on a plain RSA key.
type rsaKey struct{ *rsa.PrivateKey }

func (k rsaKey) Sign(_ context.Context, digest []byte) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, k.PrivateKey, crypto.SHA256, digest)
}

type identity struct {
	key    *rsa.PrivateKey
	cert   *x509.Certificate
	signer *saml.Signer
}

// newIdentity makes an RSA-2048 key with a self-signed certificate.
func newIdentity(cn string) identity {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return identity{key, cert, &saml.Signer{Key: rsaKey{key}, Certificate: cert}}
}

var (
	provider = sync.OnceValue(func() identity { return newIdentity("posture.example.com") })
	party    = sync.OnceValue(func() identity { return newIdentity("okta.example.com") })
)

const (
	issuer   = "https://posture.example.com/saml/metadata"
	audience = "https://www.okta.com/saml2/service-provider/spqunojxmhwsxjdesder"
	acsURL   = "https://acme.okta.com/sso/saml2/0oa6nxbvzJ7pgD2sk2o4"
)

// sample is an assertion with everything in it.
func sample() *saml.Assertion {
	return &saml.Assertion{
		Answer:       saml.Answer{Issuer: issuer, ID: "_r1", InResponseTo: "id259293517205908671989782748", ACS: acsURL, Now: time.Now().UTC()},
		AssertionID:  "_a1",
		SessionIndex: "_s1",
		Audience:     audience,
		NameID:       saml.NameID{Value: "user@example.com", Format: saml.FormatUnspecified, NameQualifier: issuer},
		Class:        contract.DevicePosture,
		Posture: contract.Posture{
			Device:       contract.Device{ID: "98bcb804", Vendor: "Apple", Model: "iPhoneX", OS: "iOS", OSVersion: "10.2"},
			Facts:        []contract.Fact{{Name: contract.FactManaged, Value: "true"}, {Name: contract.FactCompliant, Value: "false"}},
			Attestations: []contract.Attestation{{Type: "iOS", Value: "eyJhbGciOiJFUzI1NiJ9.e30.AA"}},
		},
	}
}

func withApp(a *saml.Assertion) *saml.Assertion {
	a.App = posture.AppContext{InstanceID: "0oa1gjh63g214q0Hq0g4", Name: " Payroll & more "}
	return a
}

// signed prepares and signs a.
func signed(t testing.TB, a *saml.Assertion) []byte {
	t.Helper()
	p, err := saml.PrepareAssertion(a)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Sign(t.Context(), provider().signer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t testing.TB, xml []byte) *etree.Element {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(xml); err != nil {
		t.Fatalf("%v in %s", err, xml)
	}
	return doc.Root()
}

// TestResponseShape holds the Response against the contract's published sample:
// the same elements with the same attribute names, in the same order, but for
// what the sample lacks (signatures) or pads (white space).
func TestResponseShape(t *testing.T) {
	t.Parallel()
	published := etree.NewDocument()
	if err := published.ReadFromFile("../../testdata/contract/sample-response.xml"); err != nil {
		t.Fatal(err)
	}
	a := sample()
	a.Scope = saml.SignAssertion
	got, want := outline(parse(t, signed(t, a))), outline(published.Root())
	if got != want {
		t.Errorf("outline of the Response:\n%s\nwant, as published:\n%s", got, want)
	}
}

// outline lists the elements by name, with the namespace and the names of their
// attributes; signatures are left out.
func outline(e *etree.Element) string {
	if e.NamespaceURI() == "http://www.w3.org/2000/09/xmldsig#" {
		return ""
	}
	names := map[string]bool{}
	for _, a := range e.Attr {
		if a.Space != "xmlns" && a.Key != "xmlns" {
			names[a.FullKey()] = true
		}
	}
	line := e.NamespaceURI() + " " + e.Tag
	for _, n := range []string{"Destination", "Format", "ID", "InResponseTo", "IssueInstant", "Model", "Name", "NameQualifier", "NotBefore",
		"NotOnOrAfter", "OS", "OSVersion", "Recipient", "SessionIndex", "AuthnInstant", "Type", "Value", "Vendor", "Version", "Method"} {
		if names[n] {
			line += " " + n
			delete(names, n)
		}
	}
	for n := range names {
		line += " ?" + n
	}
	var b strings.Builder
	b.WriteString(line + "\n")
	for _, c := range e.ChildElements() {
		b.WriteString(outline(c))
	}
	return b.String()
}

func TestResponseValues(t *testing.T) {
	t.Parallel()
	a := withApp(sample())
	root := parse(t, signed(t, a))
	for path, want := range map[string]string{
		"./Issuer":                         issuer,
		"./Assertion/Issuer":               issuer,
		"./Assertion/Subject/NameID":       "user@example.com",
		"./Assertion/Conditions//Audience": audience,
		"./Assertion/AuthnStatement/AuthnContext/AuthnContextClassRef":                       contract.DevicePosture,
		"./Assertion/AttributeStatement/Attribute[@Name='OktaAppInstanceId']/AttributeValue": "0oa1gjh63g214q0Hq0g4",
		"./Assertion/AttributeStatement/Attribute[@Name='OktaAppName']/AttributeValue":       " Payroll & more ",
	} {
		if e := root.FindElement(path); e == nil || e.Text() != want {
			t.Errorf("%s = %v, want %q", path, e, want)
		}
	}
	for path, want := range map[string]string{
		"./@Destination": acsURL, "./@InResponseTo": a.InResponseTo,
		"./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData/@Recipient":    acsURL,
		"./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData/@InResponseTo": a.InResponseTo,
	} {
		dir, name, _ := strings.Cut(path, "/@")
		e := root.FindElement(dir)
		if e == nil || e.SelectAttrValue(name, "") != want {
			t.Errorf("%s is not %q", path, want)
		}
	}
	conditions := root.FindElement("./Assertion/Conditions")
	from, err1 := time.Parse(time.RFC3339, conditions.SelectAttrValue("NotBefore", ""))
	until, err2 := time.Parse(time.RFC3339, conditions.SelectAttrValue("NotOnOrAfter", ""))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if life := until.Sub(from); life > 5*time.Minute || life <= 0 {
		t.Errorf("the assertion lives for %v, want at most 5m", life)
	}
	if !from.Before(a.Now) {
		t.Errorf("NotBefore %v is not before the time of issue %v: a relying party without clock skew would refuse", from, a.Now)
	}
}

// TestSignatureAfterIssuer checks that each signed element has exactly one
// signature, right after its Issuer, and that nothing else is signed.
func TestSignatureAfterIssuer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scope               saml.Scope
		response, assertion int
	}{{saml.SignBoth, 1, 1}, {saml.SignAssertion, 0, 1}, {saml.SignResponse, 1, 0}} {
		a := sample()
		a.Scope = tt.scope
		root := parse(t, signed(t, a))
		assertion := root.SelectElement("Assertion")
		for e, want := range map[*etree.Element]int{root: tt.response, assertion: tt.assertion} {
			if n := len(e.SelectElements("Signature")); n != want {
				t.Errorf("scope %d: %s has %d signatures, want %d", tt.scope, e.Tag, n, want)
			}
			if want == 1 && (e.ChildElements()[0].Tag != "Issuer" || e.ChildElements()[1].Tag != "Signature") {
				t.Errorf("scope %d: the signature of %s is not right after its Issuer", tt.scope, e.Tag)
			}
		}
		if n := len(root.FindElements("//Signature")); n != tt.response+tt.assertion {
			t.Errorf("scope %d: %d signatures in all", tt.scope, n)
		}
	}
}

func TestPrepareRefusesWhatMustNotBeSaid(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*saml.Assertion){
		"no issuer":              func(a *saml.Assertion) { a.Issuer = "" },
		"no request":             func(a *saml.Assertion) { a.InResponseTo = "" },
		"request ID no NCName":   func(a *saml.Assertion) { a.InResponseTo = `1"><x` },
		"no response ID":         func(a *saml.Assertion) { a.ID = "" },
		"no assertion ID":        func(a *saml.Assertion) { a.AssertionID = "" },
		"one ID for both":        func(a *saml.Assertion) { a.AssertionID = a.ID },
		"no consumer":            func(a *saml.Assertion) { a.ACS = "" },
		"no time":                func(a *saml.Assertion) { a.Now = time.Time{} },
		"no audience":            func(a *saml.Assertion) { a.Audience = "" },
		"no subject":             func(a *saml.Assertion) { a.NameID.Value = "" },
		"no session":             func(a *saml.Assertion) { a.SessionIndex = "" },
		"no IsManaged":           func(a *saml.Assertion) { a.Posture.Facts = a.Posture.Facts[1:] },
		"no facts":               func(a *saml.Assertion) { a.Posture.Facts = nil },
		"IsManaged twice":        func(a *saml.Assertion) { a.Posture.Facts = append(a.Posture.Facts, a.Posture.Facts[0]) },
		"IsManaged in capitals":  func(a *saml.Assertion) { a.Posture.Facts[0].Value = "TRUE" },
		"IsCompliant unknown":    func(a *saml.Assertion) { a.Posture.Facts[1].Value = "unknown" },
		"attestation of no type": func(a *saml.Assertion) { a.Posture.Attestations[0].Type = "" },
		"NUL in the subject":     func(a *saml.Assertion) { a.NameID.Value = "a\x00b" },
		"broken UTF-8":           func(a *saml.Assertion) { a.Posture.Device.Model = "a\xffb" },
		"control in a fact": func(a *saml.Assertion) {
			a.Posture.Facts = append(a.Posture.Facts, contract.Fact{Name: "X", Value: "\x1b"})
		},
		"noncharacter in app": func(a *saml.Assertion) { a.App.Name = "\ufffe" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := sample()
			change(a)
			if _, err := saml.PrepareAssertion(a); err == nil {
				t.Error("was prepared for signing")
			}
		})
	}
}

func TestSignedOnce(t *testing.T) {
	t.Parallel()
	p, err := saml.PrepareAssertion(sample())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sign(t.Context(), provider().signer); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sign(t.Context(), provider().signer); !errors.Is(err, saml.ErrSigned) {
		t.Errorf("second Sign = %v, want ErrSigned", err)
	}
}

func refusal() *saml.Refusal {
	return &saml.Refusal{
		Answer: sample().Answer, Code: saml.StatusResponder, Sub: saml.StatusAuthnFailed,
		Message: contract.DeviceNotManaged, Reason: string(posture.NoCertificate), Reference: "01j",
	}
}

func signedRefusal(t testing.TB, r *saml.Refusal) []byte {
	t.Helper()
	p, err := saml.PrepareRefusal(r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Sign(t.Context(), provider().signer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRefusalShape(t *testing.T) {
	t.Parallel()
	root := parse(t, signedRefusal(t, refusal()))
	top := root.FindElement("./Status/StatusCode")
	if top.SelectAttrValue("Value", "") != saml.StatusResponder || top.SelectElement("StatusCode").SelectAttrValue("Value", "") != saml.StatusAuthnFailed {
		t.Error("status is not Responder > AuthnFailed")
	}
	if m := root.FindElement("./Status/StatusMessage"); m.Text() != "DEVICE_NOT_MANAGED" {
		t.Errorf("StatusMessage %q", m.Text())
	}
	detail := root.FindElement("./Status/StatusDetail")
	if len(detail.ChildElements()) != 1 || detail.Text() != "" || detail.ChildElements()[0].Text() != "no_certificate" {
		t.Errorf("StatusDetail must hold one element and no text")
	}
	if root.SelectElement("Assertion") != nil {
		t.Error("a refusal carries an assertion")
	}
	if root.ChildElements()[1].Tag != "Signature" {
		t.Error("the refusal is not signed right after its Issuer")
	}
	for name, change := range map[string]func(*saml.Refusal){
		"Success":      func(r *saml.Refusal) { r.Code = saml.StatusSuccess },
		"unknown code": func(r *saml.Refusal) { r.Code = saml.StatusAuthnFailed },
		"no request":   func(r *saml.Refusal) { r.InResponseTo = "" },
		"control":      func(r *saml.Refusal) { r.Message = "\x01" },
	} {
		r := refusal()
		change(r)
		if _, err := saml.PrepareRefusal(r); err == nil {
			t.Errorf("%s: was prepared for signing", name)
		}
	}
}
