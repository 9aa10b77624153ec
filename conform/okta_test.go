package conform

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml"
)

func idpMetadata(certs ...*x509.Certificate) []byte {
	var keys strings.Builder
	for _, c := range certs {
		keys.WriteString(`<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="` + nsSignature + `"><ds:X509Data><ds:X509Certificate>` +
			folded(c.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`)
	}
	return []byte(`<md:EntityDescriptor xmlns:md="` + nsMetadata + `" entityID="` + testIssuer + `"><md:IDPSSODescriptor protocolSupportEnumeration="` +
		nsProtocol + `">` + keys.String() + `<md:SingleSignOnService Binding="` + bindingRedirect + `" Location="https://idp.example.com/r"/>` +
		`<md:SingleSignOnService Binding="` + bindingPost + `" Location="https://idp.example.com/p"/></md:IDPSSODescriptor></md:EntityDescriptor>`)
}

func TestNewOktaMetadata(t *testing.T) {
	t.Parallel()
	byMetadata := func(c *OktaConfig) {
		c.Issuer, c.SSORedirect, c.Certificates = "", "", nil
		c.IdPMetadata = idpMetadata(otherKeys().cert, idpKeys().cert)
	}
	o := newTestOkta(t, byMetadata)
	post, redirect := request(t, o, nil), request(t, o, func(r *RequestOptions) { r.Binding = Redirect })
	if post.Form.Action != "https://idp.example.com/p" || !strings.HasPrefix(redirect.URL, "https://idp.example.com/r?SAMLRequest=") {
		t.Errorf("sent to %s and %s", post.Form.Action, redirect.URL)
	}
	// Both certificates are trusted, the second one for this answer.
	if _, err := o.Receive(signedBoth().answerTo(t, o, post.ID), "https://acme.okta.example/app/UserHome"); err != nil {
		t.Error(err)
	}
	typed := newTestOkta(t, func(c *OktaConfig) { byMetadata(c); c.Issuer = "https://typed.example" })
	_, err := typed.Receive(signedBoth().answerTo(t, typed, request(t, typed, nil).ID), "https://acme.okta.example/app/UserHome")
	wantRejection(t, err, "response-issuer", textIssuer)
}

func TestNewOktaRefuses(t *testing.T) {
	t.Parallel()
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ecKey.PublicKey, ecKey)
	if err != nil {
		t.Fatal(err)
	}
	ecCert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*OktaConfig)
		want   string
	}{
		"no entity ID":   {func(c *OktaConfig) { c.EntityID = "" }, "entity ID"},
		"no key":         {func(c *OktaConfig) { c.Key = nil }, "key"},
		"no clock":       {func(c *OktaConfig) { c.Now = nil }, "clock"},
		"key of another": {func(c *OktaConfig) { c.Key = otherKeys().key }, "not of the key"},
		"relative ACS":   {func(c *OktaConfig) { c.ACS = "/sso/saml2/x" }, `"/sso/saml2/x"`},
		"no path":        {func(c *OktaConfig) { c.ACS = "https://acme.okta.example" }, "path"},
		"no issuer":      {func(c *OktaConfig) { c.Issuer = "" }, "issuer"},
		"no SSO URL":     {func(c *OktaConfig) { c.SSORedirect = "" }, "single sign-on"},
		"no certificate": {func(c *OktaConfig) { c.Certificates = nil }, "certificate"},
		"EC certificate": {func(c *OktaConfig) { c.Certificates = []*x509.Certificate{ecCert} }, "not RSA"},
		"scope":          {func(c *OktaConfig) { c.Signature = "BOTH" }, `"BOTH"`},
		"metadata":       {func(c *OktaConfig) { c.IdPMetadata = []byte("x") }, "metadata"},
		"metadata of SP": {func(c *OktaConfig) { c.IdPMetadata = []byte(`<EntityDescriptor xmlns="` + nsMetadata + `"/>`) }, "0 IDPSSODescriptors"},
		"no key in it":   {func(c *OktaConfig) { c.Certificates, c.IdPMetadata = nil, idpMetadata() }, "no signing certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := OktaConfig{
				EntityID: testEntityID, ACS: testACS, Key: oktaKeys().key, Certificate: oktaKeys().cert,
				Issuer: testIssuer, SSORedirect: testSSO, Certificates: []*x509.Certificate{idpKeys().cert}, Now: time.Now,
			}
			c.change(&cfg)
			if _, err := NewOkta(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %s", err, c.want)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	raw := newTestOkta(t, nil).Metadata()
	key := "KeyDescriptor(KeyInfo(X509Data(X509Certificate)))"
	want := "EntityDescriptor(SPSSODescriptor(KeyDescriptor(KeyInfo(X509Data(X509Certificate))" + strings.Repeat(" EncryptionMethod", 6) + ") " + key +
		strings.Repeat(" NameIDFormat", 4) + " AssertionConsumerService AttributeConsumingService(ServiceName" + strings.Repeat(" RequestedAttribute", 4) +
		")) Organization(OrganizationName OrganizationDisplayName OrganizationURL))"
	if got := outline(parseTest(t, raw)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var md saml.EntityDescriptor
	if err := xml.Unmarshal(raw, &md); err != nil {
		t.Fatal(err)
	}
	sp := md.SPSSODescriptors[0]
	if md.EntityID != testEntityID || !*sp.AuthnRequestsSigned || !*sp.WantAssertionsSigned || len(sp.AssertionConsumerServices) != 1 {
		t.Errorf("got %s", raw)
	}
	acs := sp.AssertionConsumerServices[0]
	if acs.Location != testACS || acs.Binding != bindingPost || acs.Index != 0 || acs.IsDefault == nil || !*acs.IsDefault {
		t.Errorf("ACS %+v", acs)
	}
	for i, use := range []string{"encryption", "signing"} {
		data := sp.KeyDescriptors[i].KeyInfo.X509Data.X509Certificates[0].Data
		der, err := base64.StdEncoding.DecodeString(data)
		if err != nil || sp.KeyDescriptors[i].Use != use || string(der) != string(oktaKeys().cert.Raw) || !strings.Contains(data, "\n") {
			t.Errorf("key %d: %s, %v", i, sp.KeyDescriptors[i].Use, err)
		}
	}
	if strings.Contains(string(raw), "validUntil") || strings.Contains(string(raw), "cacheDuration") {
		t.Errorf("it ends: %s", raw)
	}
}
