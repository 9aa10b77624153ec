package saml_test

import (
	"crypto/x509"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"gatepost.dev/idp/saml"
)

// TestProviderMetadata reads back with crewjam/saml what a relying party is told.
func TestProviderMetadata(t *testing.T) {
	t.Parallel()
	const sso = "https://device.posture.example.com/saml/sso"
	now := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	document, err := saml.ProviderMetadata(issuer, sso, []*x509.Certificate{provider().cert, party().cert}, now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := crewjamMetadata(document)
	if err != nil {
		t.Fatal(err)
	}
	if got.EntityID != issuer || !got.ValidUntil.Equal(now.AddDate(0, 0, 7)) || len(got.IDPSSODescriptors) != 1 {
		t.Fatalf("got %+v", got)
	}
	role := got.IDPSSODescriptors[0]
	// An unsigned request is answered with 400, and metadata say so beforehand
	// (SAML metadata 2.4.3).
	if role.WantAuthnRequestsSigned == nil || !*role.WantAuthnRequestsSigned {
		t.Error("the metadata do not ask for signed requests")
	}
	var keys, bindings []string
	for _, k := range role.KeyDescriptors {
		keys = append(keys, k.Use+" "+k.KeyInfo.X509Data.X509Certificates[0].Data)
	}
	if want := []string{"signing " + base64.StdEncoding.EncodeToString(provider().cert.Raw), "signing " + base64.StdEncoding.EncodeToString(party().cert.Raw)}; !slices.Equal(keys, want) {
		t.Errorf("keys %q", keys)
	}
	for _, e := range role.SingleSignOnServices {
		bindings = append(bindings, e.Binding+" "+e.Location)
	}
	if want := []string{saml.BindingRedirect + " " + sso, saml.BindingPost + " " + sso}; !slices.Equal(bindings, want) {
		t.Errorf("endpoints %q", bindings)
	}
	var formats []string
	for _, f := range role.NameIDFormats {
		formats = append(formats, string(f))
	}
	if want := []string{saml.FormatUnspecified, saml.FormatEmail}; !slices.Equal(formats, want) {
		t.Errorf("name identifier formats %q", formats)
	}
}
