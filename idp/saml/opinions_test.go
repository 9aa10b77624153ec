package saml_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	crewjam "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"gatepost.dev/contract"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

// This file holds the second opinions: xmlsec1, xmllint with the OASIS schemas,
// goxmldsig and crewjam/saml's service provider judge what this package writes.

// tool runs one of the programs that the tests need.
func tool(t testing.TB, env []string, name string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed for this test; \"make test\" installs it or says how to", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd.CombinedOutput()
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// xmlsecVerify verifies the signature of the element named element, in the
// namespace ns, and fails the test if xmlsec1 does not.
func xmlsecVerify(t testing.TB, document []byte, ns, element string) {
	t.Helper()
	out, err := xmlsec(t, document, ns, element)
	if err != nil {
		t.Errorf("xmlsec1 does not verify the %s: %v\n%s\n%s", element, err, out, document)
	}
}

func xmlsec(t testing.TB, document []byte, ns, element string) ([]byte, error) {
	xpath := "//*[local-name()='" + element + "']/*[local-name()='Signature']"
	return tool(t, nil, "xmlsec1", "--verify", "--enabled-reference-uris", "same-doc",
		"--id-attr:ID", ns+":Response", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
		"--pubkey-cert-pem", write(t, "cert.pem", certPEM(provider().cert)), "--node-xpath", xpath, write(t, "doc.xml", document))
}

const (
	nsSAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsSAML  = "urn:oasis:names:tc:SAML:2.0:assertion"
)

// answers are the shapes that every second opinion is asked about.
func answers(t testing.TB) map[string][]byte {
	out := map[string][]byte{"refusal": signedRefusal(t, refusal())}
	for name, scope := range map[string]saml.Scope{"both": saml.SignBoth, "assertion": saml.SignAssertion, "response": saml.SignResponse} {
		plain, app := sample(), withApp(sample())
		plain.Scope, app.Scope = scope, scope
		out[name], out[name+" with application"] = signed(t, plain), signed(t, app)
	}
	return out
}

func TestXMLSecVerifies(t *testing.T) {
	t.Parallel()
	for name, document := range answers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.HasPrefix(name, "response") && name != "refusal" {
				xmlsecVerify(t, document, nsSAML, "Assertion")
			}
			if !strings.HasPrefix(name, "assertion") {
				xmlsecVerify(t, document, nsSAMLP, "Response")
			}
		})
	}
	// The opinion is worth something only if it can be negative.
	tampered := bytes.Replace(signed(t, sample()), []byte(`Name="IsCompliant" Value="false"`), []byte(`Name="IsCompliant" Value="true"`), 1)
	for _, e := range []string{"Assertion", "Response"} {
		if out, err := xmlsec(t, tampered, nsSAMLP, e); err == nil {
			t.Errorf("xmlsec1 verifies a tampered %s: %s", e, out)
		}
	}
}

func TestGoXMLDSigVerifies(t *testing.T) {
	t.Parallel()
	validator := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{provider().cert}})
	validator.IdAttribute = "ID"
	for name, document := range answers(t) {
		root := parse(t, document)
		if !strings.HasPrefix(name, "assertion") {
			if _, err := validator.Validate(root); err != nil {
				t.Errorf("%s: Response: %v", name, err)
			}
		}
		if !strings.HasPrefix(name, "response") && name != "refusal" {
			if _, err := validator.Validate(root.SelectElement("Assertion")); err != nil {
				t.Errorf("%s: Assertion: %v", name, err)
			}
		}
	}
}

// TestOutputIsCanonical is the property on which the digests rest: exclusive
// canonicalisation of what was written changes nothing, but for the declaration
// of xs, which it drops.
func TestOutputIsCanonical(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	canonical := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	for range 300 {
		a := hostile(rng)
		document := signed(t, a)
		got, err := canonical.Canonicalize(parse(t, document))
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.ReplaceAll(document, []byte(` xmlns:xs="http://www.w3.org/2001/XMLSchema"`), nil)
		if a.App == (posture.AppContext{}) {
			want = document
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("canonical form differs:\n%s\nwritten:\n%s", got, want)
		}
		if v := parse(t, document).FindElement("./Assertion/Subject/NameID").Text(); v != a.NameID.Value {
			t.Fatalf("the subject %q is read back as %q", a.NameID.Value, v)
		}
	}
}

// TestHostileValuesVerify lets xmlsec1 verify what hostile values became.
func TestHostileValuesVerify(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 15 {
		document := signed(t, hostile(rng))
		xmlsecVerify(t, document, nsSAML, "Assertion")
		xmlsecVerify(t, document, nsSAMLP, "Response")
	}
}

// hostile makes an assertion of strings that XML has to escape.
func hostile(rng *rand.Rand) *saml.Assertion {
	pieces := []string{"&", "<", ">", `"`, "'", "\r", "\n", "\t", "]]>", "é", "日本", "😀", "&amp;", "<!--x-->", "a", " ", "\u0085", "\u2028"}
	text := func() string {
		s := "x"
		for range rng.IntN(12) {
			s += pieces[rng.IntN(len(pieces))]
		}
		return s
	}
	a := sample()
	a.Issuer, a.Audience, a.ACS = text(), text(), text()
	a.NameID = saml.NameID{Value: text(), Format: text(), NameQualifier: text(), SPNameQualifier: text()}
	p := &a.Posture
	p.Device = contract.Device{ID: text(), Vendor: text(), Model: text(), OS: text(), OSVersion: text()}
	p.Facts = append(p.Facts, contract.Fact{Name: "N" + text(), Value: text()})
	p.Attestations[0].Value = text()
	if rng.IntN(2) == 0 {
		a.App = posture.AppContext{InstanceID: text(), Name: text()}
	}
	return a
}

// TestSchemas validates answers and metadata against the OASIS schemas and the
// posture extension against Okta's.
func TestSchemas(t *testing.T) {
	t.Parallel()
	dir := schemas(t)
	encrypted := sample()
	encrypted.EncryptTo = encryptionKey(t)
	documents := answers(t)
	documents["encrypted"] = signed(t, encrypted)
	metadata, err := saml.ProviderMetadata(issuer, "https://device.posture.example.com/saml/sso", []*x509.Certificate{provider().cert, party().cert}, sample().Now)
	if err != nil {
		t.Fatal(err)
	}
	documents["metadata"] = metadata
	for name, document := range documents {
		if out, err := xmllint(t, dir, document); err != nil {
			t.Errorf("%s: %s\n%s", name, out, document)
		}
	}
	for name, broken := range map[string][]byte{
		"protocol": bytes.Replace(documents["both"], []byte("<samlp:Status>"), []byte("<samlp:State>"), 1),
		"posture":  bytes.Replace(documents["both"], []byte(`<Fact Name="IsManaged" Value="true">`), []byte(`<Fact Name="IsManaged">`), 1),
	} {
		if _, err := xmllint(t, dir, broken); err == nil {
			t.Errorf("a broken document passes the %s schema", name)
		}
	}
}

func xmllint(t testing.TB, dir string, document []byte) ([]byte, error) {
	return tool(t, []string{"XML_CATALOG_FILES=" + filepath.Join(dir, "catalog.xml")},
		"xmllint", "--nonet", "--noout", "--schema", filepath.Join(dir, "all.xsd"), write(t, "doc.xml", document))
}

// schemas lays out one schema that imports those of SAML and of Okta, with a
// catalog for the addresses that they name.
func schemas(t testing.TB) string {
	t.Helper()
	posture, err := filepath.Abs("../../testdata/contract/device-posture.xsd")
	if err != nil {
		t.Fatal(err)
	}
	const opensaml, xmltooling = "/usr/share/xml/opensaml/", "/usr/share/xml/xmltooling/"
	for _, f := range []string{opensaml + "saml-schema-protocol-2.0.xsd", xmltooling + "xmldsig-core-schema.xsd"} {
		if _, err := os.Stat(f); err != nil {
			t.Fatalf("the OASIS schemas are needed for this test (Debian: opensaml-schemas, xmltooling-schemas): %v", err)
		}
	}
	dir := t.TempDir()
	files := map[string]string{
		"catalog.xml": `<?xml version="1.0"?><catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
<system systemId="http://www.w3.org/TR/2002/REC-xmldsig-core-20020212/xmldsig-core-schema.xsd" uri="file://` + xmltooling + `xmldsig-core-schema.xsd"/>
<system systemId="http://www.w3.org/TR/2002/REC-xmlenc-core-20021210/xenc-schema.xsd" uri="file://` + xmltooling + `xenc-schema.xsd"/>
<system systemId="http://www.w3.org/2001/xml.xsd" uri="file://` + xmltooling + `xml.xsd"/>
</catalog>`,
		"all.xsd": `<?xml version="1.0"?><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:import namespace="urn:oasis:names:tc:SAML:2.0:protocol" schemaLocation="` + opensaml + `saml-schema-protocol-2.0.xsd"/>
<xs:import namespace="urn:oasis:names:tc:SAML:2.0:metadata" schemaLocation="` + opensaml + `saml-schema-metadata-2.0.xsd"/>
<xs:import namespace="urn:okta:saml:2.0:DevicePosture" schemaLocation="` + posture + `"/>
</xs:schema>`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func encryptionKey(t testing.TB) *saml.EncryptionKey {
	t.Helper()
	k, err := saml.NewEncryptionKey(party().cert)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// serviceProvider is crewjam/saml's, as a client that trusts this provider.
func serviceProvider(t testing.TB) *crewjam.ServiceProvider {
	t.Helper()
	metadata, err := saml.ProviderMetadata(issuer, "https://posture.example.com/saml/sso", []*x509.Certificate{party().cert, provider().cert}, sample().Now)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := crewjamMetadata(metadata)
	if err != nil {
		t.Fatal(err)
	}
	acs, _ := url.Parse(acsURL)
	return &crewjam.ServiceProvider{EntityID: audience, AcsURL: *acs, IDPMetadata: doc, Key: party().key, Certificate: party().cert}
}

func TestCrewjamAccepts(t *testing.T) {
	t.Parallel()
	sp := serviceProvider(t)
	documents := answers(t)
	delete(documents, "refusal")
	for name, scope := range map[string]saml.Scope{"encrypted, both signed": saml.SignBoth, "encrypted, assertion signed": saml.SignAssertion} {
		a := withApp(sample())
		a.Scope, a.EncryptTo = scope, encryptionKey(t)
		documents[name] = signed(t, a)
	}
	for name, document := range documents {
		got, err := sp.ParseXMLResponse(document, []string{sample().InResponseTo}, sp.AcsURL)
		if err != nil {
			t.Errorf("%s: %v", name, causeOf(err))
			continue
		}
		if got.Subject.NameID.Value != "user@example.com" {
			t.Errorf("%s: subject %q", name, got.Subject.NameID.Value)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"tampered": func(b []byte) []byte {
			return bytes.Replace(b, []byte("user@example.com"), []byte("root@example.com"), 1)
		},
		"refusal": func([]byte) []byte { return signedRefusal(t, refusal()) },
	} {
		if _, err := sp.ParseXMLResponse(change(documents["both"]), []string{sample().InResponseTo}, sp.AcsURL); err == nil {
			t.Errorf("%s: crewjam accepts it", name)
		}
	}
}

// TestXMLSecDecrypts has xmlsec1 decrypt an assertion and verify what comes out.
func TestXMLSecDecrypts(t *testing.T) {
	t.Parallel()
	a := withApp(sample())
	a.EncryptTo = encryptionKey(t)
	document := signed(t, a)
	if bytes.Contains(document, []byte("user@example.com")) || bytes.Contains(document, []byte("IsManaged")) {
		t.Fatal("the encrypted answer shows what it says")
	}
	xmlsecVerify(t, document, nsSAMLP, "Response")

	key, err := x509.MarshalPKCS8PrivateKey(party().key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	clear := filepath.Join(t.TempDir(), "clear.xml")
	if out, err := tool(t, nil, "xmlsec1", "--decrypt", "--privkey-pem", keyFile, "--output", clear, write(t, "doc.xml", document)); err != nil {
		t.Fatalf("xmlsec1 --decrypt: %v\n%s", err, out)
	}
	opened, err := os.ReadFile(clear)
	if err != nil {
		t.Fatal(err)
	}
	xmlsecVerify(t, opened, nsSAML, "Assertion")
}

func crewjamMetadata(document []byte) (*crewjam.EntityDescriptor, error) {
	var d crewjam.EntityDescriptor
	return &d, xml.Unmarshal(document, &d)
}

// causeOf tells what crewjam keeps from those whom it answers.
func causeOf(err error) error {
	if invalid := (*crewjam.InvalidResponseError)(nil); errors.As(err, &invalid) {
		return invalid.PrivateErr
	}
	return err
}
