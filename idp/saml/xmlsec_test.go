package saml_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/idp/saml"
)

// xmlsecSigner is a relying party with a fresh key that signs with xmlsec1: it
// shares no line with what verifies here, nor with the generator of the vectors.
type xmlsecSigner struct {
	keyFile string
	sp      *saml.ServiceProvider
}

func newXMLSecSigner(t *testing.T, key any, public any) *xmlsecSigner {
	t.Helper()
	if _, err := exec.LookPath("xmlsec1"); err != nil {
		t.Fatal("xmlsec1 (Debian: xmlsec1) is needed as the independent signer of requests:", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: reqNow().Add(-time.Hour)}
	der, err = x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sp := reqProvider()
	sp.Keys = []*x509.Certificate{reqCert("other"), c}
	sp.RequestsSigned = true
	return &xmlsecSigner{keyFile: file, sp: sp}
}

// template is an empty Signature for xmlsec1 to fill in.
func xmlsecTemplate(method, digest, prefixes string) string {
	list := ""
	if prefixes != "" {
		list = `<ec:InclusiveNamespaces xmlns:ec="` + c14nExc + `" PrefixList="` + prefixes + `"/>`
	}
	return `<ds:Signature xmlns:ds="` + xmldsig + `">
<ds:SignedInfo>
  <ds:CanonicalizationMethod Algorithm="` + c14nExc + `">` + list + `</ds:CanonicalizationMethod>
  <ds:SignatureMethod Algorithm="` + method + `"/>
  <ds:Reference URI="#id1">
    <ds:Transforms><ds:Transform Algorithm="` + enveloped + `"/><ds:Transform Algorithm="` + c14nExc + `">` + list + `</ds:Transform></ds:Transforms>
    <ds:DigestMethod Algorithm="` + digest + `"/><ds:DigestValue/>
  </ds:Reference>
</ds:SignedInfo>
<ds:SignatureValue/>
<ds:KeyInfo><ds:KeyName>ignored</ds:KeyName></ds:KeyInfo>
</ds:Signature>`
}

// sign fills in the template that stands behind the Issuer of doc.
func (x *xmlsecSigner) sign(t *testing.T, doc, template string) string {
	t.Helper()
	in := filepath.Join(t.TempDir(), "in.xml")
	if err := os.WriteFile(in, []byte(change(doc, "</saml:Issuer>", "</saml:Issuer>"+template)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xmlsec1", "--sign", "--privkey-pem", x.keyFile,
		"--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:AuthnRequest", in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xmlsec1: %v\n%s", err, stderr.String())
	}
	return string(out)
}

// xmlsecDocument has what canonical form is about: unused and default
// namespaces, prefixed attributes, entities, CDATA, white space in odd places.
const xmlsecDocument = `<?xml version="1.0" encoding="UTF-8"?>
<samlp:AuthnRequest   xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:xs='http://www.w3.org/2001/XMLSchema'
   Version="2.0" IssueInstant='2026-11-22T16:00:00Z' ID="id1" xmlns:unused="urn:unused"
   Destination="https://posture.example.com/saml/sso" xmlns="urn:default" xml:lang="en">
 <saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">https://sp.example.com/metadata</saml:Issuer>
 <samlp:Extensions><x b="&quot;&lt;&#10;>" a='"' xs:type="t" xml:space="preserve"><![CDATA[<&>]]>&#13;&gt;</x ><y xmlns=""/><OktaAppName xmlns="urn:okta">é &amp; 😀 </OktaAppName></samlp:Extensions>
 <saml:Subject xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><saml:NameID>user@example.com</saml:NameID></saml:Subject>
</samlp:AuthnRequest>
`

func TestXMLSecSigned(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	withRSA := newXMLSecSigner(t, rsaKey, rsaKey.Public())
	withP256 := newXMLSecSigner(t, p256, p256.Public())
	withP384 := newXMLSecSigner(t, p384, p384.Public())
	for _, c := range []struct {
		name           string
		signer         *xmlsecSigner
		method, digest string
		prefixes       string
		want           string
	}{
		{"rsa-sha256", withRSA, moreSig + "rsa-sha256", xmlenc + "sha256", "", "accepted"},
		{"rsa-sha384", withRSA, moreSig + "rsa-sha384", moreSig + "sha384", "", "accepted"},
		{"rsa-sha512", withRSA, moreSig + "rsa-sha512", xmlenc + "sha512", "", "accepted"},
		{"ecdsa-sha256 P-256", withP256, moreSig + "ecdsa-sha256", xmlenc + "sha256", "", "accepted"},
		{"ecdsa-sha384 P-384", withP384, moreSig + "ecdsa-sha384", moreSig + "sha384", "", "accepted"},
		{"ecdsa-sha256 P-384", withP384, moreSig + "ecdsa-sha256", xmlenc + "sha256", "", "accepted"},
		{"prefixes", withRSA, moreSig + "rsa-sha256", xmlenc + "sha256", "xs unused", "accepted"},
		{"default prefix", withRSA, moreSig + "rsa-sha256", xmlenc + "sha256", "#default xs xml", "accepted"},
		{"prefixes, ecdsa", withP256, moreSig + "ecdsa-sha256", xmlenc + "sha256", "unused samlp saml ds", "accepted"},
		{"digest sha1", withRSA, moreSig + "rsa-sha256", xmldsig + "sha1", "", "bad request: signature_algorithm"},
		{"rsa-sha1", withRSA, xmldsig + "rsa-sha1", xmldsig + "sha1", "", "bad request: signature_algorithm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			signed := c.signer.sign(t, xmlsecDocument, xmlsecTemplate(c.method, c.digest, c.prefixes))
			r, err := reqCheck(t, ".xml", signed, c.signer.sp)
			if got := outcome(err); got != c.want {
				t.Fatalf("got %s (%v), want %s\n%s", got, err, c.want, signed)
			}
			if c.want != "accepted" {
				return
			}
			if !r.Signed || r.Subject.Value != "user@example.com" || r.App.Name != "é & 😀 " {
				t.Errorf("got %+v", r)
			}
			for _, edit := range [][2]string{{"user@", "boss@"}, {`xml:lang="en"`, `xml:lang="fr"`}, {"sso\"", "sso\"  "}, {"😀", "😁"}, {"<y ", "<z "}} {
				if !strings.Contains(signed, edit[0]) {
					t.Fatalf("no %s in what xmlsec1 wrote", edit[0])
				}
				_, err := reqCheck(t, ".xml", strings.Replace(signed, edit[0], edit[1], 1), c.signer.sp)
				if edit[0] == "sso\"" {
					// White space inside of a tag is not signed.
					if err != nil {
						t.Errorf("%q to %q: %v", edit[0], edit[1], err)
					}
				} else if err == nil {
					t.Errorf("%q to %q is accepted", edit[0], edit[1])
				}
			}
			if _, err := reqCheck(t, ".xml", signed, reqProvider()); outcome(err) != "bad request: signature_invalid" {
				t.Errorf("with other keys: %v", err)
			}
		})
	}
}
