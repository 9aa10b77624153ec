package saml

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"
)

// Name identifier formats (SAML core 8.3).
const (
	FormatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	FormatEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	FormatPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	FormatTransient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// Bindings (SAML bindings 3.4 and 3.5).
const (
	BindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	BindingPost     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// metadataValidity is how long a consumer may use a copy of our metadata. It is
// shorter than any step of a key rotation should be.
const metadataValidity = 7 * 24 * time.Hour

// ProviderMetadata writes this provider's metadata (SAML metadata 2.4.3): every
// signing certificate in use, the wish for signed requests, the name identifier
// formats and both bindings of the single sign-on endpoint.
func ProviderMetadata(entityID, ssoURL string, certificates []*x509.Certificate, now time.Time) ([]byte, error) {
	if entityID == "" || ssoURL == "" || len(certificates) == 0 {
		return nil, errors.New("metadata need an entity ID, an endpoint and a certificate")
	}
	w := &writer{b: make([]byte, 0, 4096)}
	w.raw(`<?xml version="1.0" encoding="UTF-8"?>`, "\n", `<md:EntityDescriptor xmlns:md="`+nsMetadata+`"`)
	w.attr("entityID", entityID)
	w.attr("validUntil", instant(now.Add(metadataValidity)))
	w.raw(`><md:IDPSSODescriptor WantAuthnRequestsSigned="true" protocolSupportEnumeration="` + nsProtocol + `">`)
	for _, c := range certificates {
		w.raw(`<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="` + nsDSig + `"><ds:X509Data><ds:X509Certificate>`)
		w.b = base64.StdEncoding.AppendEncode(w.b, c.Raw)
		w.raw(`</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`)
	}
	for _, f := range [...]string{FormatUnspecified, FormatEmail} {
		w.raw(`<md:NameIDFormat>`, f, `</md:NameIDFormat>`)
	}
	for _, b := range [...]string{BindingRedirect, BindingPost} {
		w.raw(`<md:SingleSignOnService Binding="`, b, `"`)
		w.attr("Location", ssoURL)
		w.raw(`></md:SingleSignOnService>`)
	}
	w.raw(`</md:IDPSSODescriptor></md:EntityDescriptor>`, "\n")
	return w.b, nil
}
