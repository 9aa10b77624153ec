package conform

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
)

const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	nsEncrypt   = "http://www.w3.org/2001/04/xmlenc#"

	bindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	bindingPost     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// readMetadata takes from the provider's metadata what was not typed in.
func (c *OktaConfig) readMetadata() error {
	var md saml.EntityDescriptor
	if err := xml.Unmarshal(c.IdPMetadata, &md); err != nil {
		return fmt.Errorf("read the provider's metadata: %w", err)
	}
	if len(md.IDPSSODescriptors) != 1 {
		return fmt.Errorf("the provider's metadata has %d IDPSSODescriptors", len(md.IDPSSODescriptors))
	}
	idp := &md.IDPSSODescriptors[0]
	if c.Issuer == "" {
		c.Issuer = md.EntityID
	}
	for _, sso := range idp.SingleSignOnServices {
		switch {
		case sso.Binding == bindingRedirect && c.SSORedirect == "":
			c.SSORedirect = sso.Location
		case sso.Binding == bindingPost && c.SSOPost == "":
			c.SSOPost = sso.Location
		}
	}
	if len(c.Certificates) > 0 {
		return nil
	}
	for _, kd := range idp.KeyDescriptors {
		if kd.Use != "" && kd.Use != "signing" {
			continue
		}
		for _, x := range kd.KeyInfo.X509Data.X509Certificates {
			cert, err := parseCertificate(x.Data)
			if err != nil {
				return err
			}
			c.Certificates = append(c.Certificates, cert)
		}
	}
	if len(c.Certificates) == 0 {
		return errors.New("the provider's metadata has no signing certificate")
	}
	return nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("read a certificate of the provider's metadata: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read a certificate of the provider's metadata: %w", err)
	}
	return cert, nil
}

// What Okta's metadata lists. Triple DES is listed only: it is not decrypted.
var (
	encryptionMethods = []string{
		nsEncrypt + "aes128-cbc", nsEncrypt + "aes192-cbc", nsEncrypt + "aes256-cbc",
		"http://www.w3.org/2009/xmlenc11#aes128-gcm", "http://www.w3.org/2009/xmlenc11#aes256-gcm",
		nsEncrypt + "tripledes-cbc",
	}
	nameIDFormats = []string{
		"urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
		"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
		"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
		"urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
	}
	requestedAttributes = []struct{ name, friendly, required string }{
		{"firstName", "First Name", "true"}, {"lastName", "Last Name", "true"},
		{"email", "Email", "true"}, {"mobilePhone", "Mobile Phone", "false"},
	}
)

// Metadata returns the service provider's metadata in the shape of what Okta
// serves at /api/v1/idps/IDPID/metadata.xml: no validUntil, one certificate for
// both uses, with line breaks in it, and one assertion consumer service.
func (o *Okta) Metadata() []byte {
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	root := doc.CreateElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", nsMetadata)
	root.CreateAttr("entityID", o.cfg.EntityID)
	sp := root.CreateElement("md:SPSSODescriptor")
	sp.CreateAttr("AuthnRequestsSigned", "true")
	sp.CreateAttr("WantAssertionsSigned", "true")
	sp.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for _, use := range []string{"encryption", "signing"} {
		kd := sp.CreateElement("md:KeyDescriptor")
		kd.CreateAttr("use", use)
		info := kd.CreateElement("ds:KeyInfo")
		info.CreateAttr("xmlns:ds", nsSignature)
		info.CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").SetText(folded(o.cfg.Certificate.Raw))
		if use == "encryption" {
			for _, m := range encryptionMethods {
				kd.CreateElement("md:EncryptionMethod").CreateAttr("Algorithm", m)
			}
		}
	}
	for _, f := range nameIDFormats {
		sp.CreateElement("md:NameIDFormat").SetText(f)
	}
	acs := sp.CreateElement("md:AssertionConsumerService")
	acs.CreateAttr("Binding", bindingPost)
	acs.CreateAttr("Location", o.cfg.ACS)
	acs.CreateAttr("index", "0")
	acs.CreateAttr("isDefault", "true")
	addRequestedAttributes(sp.CreateElement("md:AttributeConsumingService"))
	org := root.CreateElement("md:Organization")
	for _, part := range []struct{ tag, text string }{
		{"OrganizationName", "Simulated Okta"}, {"OrganizationDisplayName", "Simulated Okta"},
		{"OrganizationURL", o.acs.Scheme + "://" + o.acs.Host},
	} {
		el := org.CreateElement("md:" + part.tag)
		el.CreateAttr("xml:lang", "en")
		el.SetText(part.text)
	}
	return mustWrite(doc)
}

func addRequestedAttributes(service *etree.Element) {
	service.CreateAttr("index", "0")
	name := service.CreateElement("md:ServiceName")
	name.CreateAttr("xml:lang", "en")
	name.SetText("Simulated Okta")
	for _, a := range requestedAttributes {
		el := service.CreateElement("md:RequestedAttribute")
		el.CreateAttr("FriendlyName", a.friendly)
		el.CreateAttr("Name", a.name)
		el.CreateAttr("NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:uri")
		el.CreateAttr("isRequired", a.required)
	}
}

// folded is base64 in lines of 76 characters.
func folded(raw []byte) string {
	text := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return b.String() + text
}

// mustWrite serialises a document that was built here. Writing to memory does
// not fail.
func mustWrite(doc *etree.Document) []byte {
	raw, err := doc.WriteToBytes()
	if err != nil {
		panic(fmt.Sprintf("serialise a document: %v", err))
	}
	return raw
}
