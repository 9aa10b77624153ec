package saml_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost.dev/idp/saml"
)

// oktaMetadata has the shape of what Okta serves as metadata of its service
// provider: one certificate for both uses, on lines of its own, one endpoint.
func oktaMetadata() string {
	var lines strings.Builder
	for i, c := range base64Cert("sp-rsa") {
		if i%64 == 0 {
			lines.WriteByte('\n')
		}
		lines.WriteRune(c)
	}
	key := func(use, methods string) string {
		return `<md:KeyDescriptor use="` + use + `"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>` +
			lines.String() + `
</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` + methods + `</md:KeyDescriptor>`
	}
	return `<?xml version="1.0" encoding="UTF-8"?><md:EntityDescriptor entityID="https://www.okta.com/saml2/service-provider/spabc" xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">` +
		`<md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">` +
		key("encryption", `<md:EncryptionMethod xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>`) + key("signing", "") +
		`<md:NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified</md:NameIDFormat>` +
		`<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://acme.okta.com/sso/saml2/0oa1" index="0" isDefault="true"/>` +
		`<md:AttributeConsumingService index="0"><md:ServiceName xml:lang="en">acme</md:ServiceName></md:AttributeConsumingService></md:SPSSODescriptor>` +
		`<md:Organization><md:OrganizationName xml:lang="en">acme</md:OrganizationName></md:Organization></md:EntityDescriptor>`
}

func TestOktaMetadata(t *testing.T) {
	t.Parallel()
	got, err := saml.ParseMetadata([]byte(oktaMetadata()))
	if err != nil {
		t.Fatal(err)
	}
	want := &saml.ServiceProvider{
		EntityID:           "https://www.okta.com/saml2/service-provider/spabc",
		AssertionConsumers: []saml.AssertionConsumer{{URL: "https://acme.okta.com/sso/saml2/0oa1", Default: true}},
		Keys:               []*x509.Certificate{reqCert("sp-rsa")}, Encryption: reqCert("sp-rsa"),
		RequestsSigned: true, WantsSigned: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := got.Expired(time.Now().AddDate(100, 0, 0)); err != nil {
		t.Errorf("without validUntil: %v", err)
	}
}

const acsPost = `Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"`

// spMetadata is the metadata of a service provider with odd habits, that other
// software is seen to have.
func spMetadata(role string) string {
	return `<!-- written by
 hand --><ns0:EntityDescriptor xmlns:ns0="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ns1="http://www.w3.org/2000/09/xmldsig#" entityID="` + reqEntityID + `" validUntil="2026-11-24T00:00:00Z">` +
		`<ns0:SPSSODescriptor AuthnRequestsSigned="1" protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol">` +
		role + `</ns0:SPSSODescriptor></ns0:EntityDescriptor>`
}

func keyDescriptor(attributes, certificate string) string {
	return `<ns0:KeyDescriptor` + attributes + `><ns1:KeyInfo><ns1:KeyName>k</ns1:KeyName><ns1:X509Data>` +
		`<ns1:X509Certificate>` + certificate + `</ns1:X509Certificate></ns1:X509Data></ns1:KeyInfo></ns0:KeyDescriptor>`
}

func consumer(attributes string) string { return `<ns0:AssertionConsumerService ` + attributes + `/>` }

func TestMetadataHabits(t *testing.T) {
	t.Parallel()
	sp, err := saml.ParseMetadata([]byte("\ufeff" + spMetadata(
		keyDescriptor("", " "+base64Cert("sp-rsa")+"\n")+
			keyDescriptor(` use="signing"`, base64Cert("sp-ec"))+
			keyDescriptor(` use="encryption"`, base64Cert("other"))+
			keyDescriptor(` use="encryption"`, base64Cert("sp-rsa"))+
			keyDescriptor("", base64Cert("sp-rsa"))+
			keyDescriptor(` use="encryption"`, base64Cert("sp-ec"))+
			`<ns0:KeyDescriptor use="signing"><ns1:KeyInfo><ns1:KeyName>k</ns1:KeyName></ns1:KeyInfo></ns0:KeyDescriptor>`+
			consumer(`Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact" Location="https://sp.example.com/artifact" index="0" isDefault="true"`)+
			consumer(acsPost+` Location="https://sp.example.com/a" index="1" isDefault="0"`)+
			consumer(acsPost+` Location="http://localhost:8080/b" index="2"`)+
			consumer(acsPost+` Location="http://[::1]/c" index="65535"`)+
			consumer(`Binding="urn:oasis:names:tc:SAML:2.0:bindings:PAOS" Location="https://sp.example.com/paos" index="4"`))))
	if err != nil {
		t.Fatal(err)
	}
	want := []saml.AssertionConsumer{{URL: "https://sp.example.com/a", Index: 1}, {URL: "http://localhost:8080/b", Index: 2, Default: true}, {URL: "http://[::1]/c", Index: 65535}}
	if !reflect.DeepEqual(sp.AssertionConsumers, want) {
		t.Errorf("got %+v, want %+v", sp.AssertionConsumers, want)
	}
	if len(sp.Keys) != 3 || !sp.Keys[0].Equal(reqCert("sp-rsa")) || !sp.Keys[1].Equal(reqCert("sp-ec")) {
		t.Errorf("%d keys", len(sp.Keys))
	}
	if !sp.Encryption.Equal(reqCert("other")) {
		t.Errorf("encryption to %v", sp.Encryption.Subject)
	}
	if !sp.RequestsSigned || sp.WantsSigned || sp.AllowSHA1 {
		t.Errorf("got %+v", sp)
	}
	until := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	if err := sp.Expired(until.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if err := sp.Expired(until); err == nil || !strings.Contains(err.Error(), "2026-11-24") {
		t.Errorf("expired: %v", err)
	}
}

// TestDefaultConsumer holds the order of SAML metadata 2.2.3.
func TestDefaultConsumer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags string // of the endpoints in turn: t, f, or - for none
		want  int
	}{{"-", 0}, {"f", 0}, {"ff", 0}, {"f-", 1}, {"--", 0}, {"-t", 1}, {"ft-t", 1}, {"f--", 1}} {
		role := keyDescriptor("", base64Cert("sp-rsa"))
		for i, f := range c.flags {
			role += consumer(acsPost + ` Location="https://sp.example.com/` + string(rune('a'+i)) + `" index="` + string(rune('0'+i)) + `"` +
				map[rune]string{'t': ` isDefault="1"`, 'f': ` isDefault="false"`}[f])
		}
		sp, err := saml.ParseMetadata([]byte(spMetadata(role)))
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range sp.AssertionConsumers {
			if a.Default != (i == c.want) {
				t.Errorf("%s: endpoint %d: default is %v", c.flags, i, a.Default)
			}
		}
	}
}

func TestMetadataOfMany(t *testing.T) {
	t.Parallel()
	one := oktaMetadata()[strings.Index(oktaMetadata(), "<md:Entity"):]
	idp := `<md:EntityDescriptor entityID="https://idp.example.com" xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></md:EntityDescriptor>`
	group := func(s string) string {
		return `<md:EntitiesDescriptor validUntil="2020-01-01T00:00:00Z" xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">` + s + `</md:EntitiesDescriptor>`
	}
	sp, err := saml.ParseMetadata([]byte(group(idp + group(one))))
	if err != nil {
		t.Fatal(err)
	}
	if sp.Expired(reqNow()) == nil {
		t.Error("validUntil of the group is not read")
	}
	for year, role := range map[int]string{2019: "2019", 2020: "2021"} {
		sp, err = saml.ParseMetadata([]byte(group(change(one, "<md:SPSSODescriptor", `<md:SPSSODescriptor validUntil="`+role+`-01-01T00:00:00Z"`))))
		if err != nil || sp.ValidUntil.Year() != year {
			t.Errorf("valid until %v, %v; the earlier end counts", sp.ValidUntil, err)
		}
	}
	for want, doc := range map[string]string{"2 service providers": group(one + one), "identity provider's file": idp} {
		if _, err := saml.ParseMetadata([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// selfSigned gives a certificate for a key, in base64.
func selfSigned(t *testing.T, key any, public any) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestMetadataRefused(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := keyDescriptor("", base64Cert("sp-rsa"))
	post := consumer(acsPost + ` Location="https://sp.example.com/acs" index="0"`)
	at := func(location string) string { return key + consumer(acsPost+` Location="`+location+`" index="0"`) }
	for _, c := range []struct{ name, doc, want string }{
		{"empty", "", "acceptable XML"},
		{"html", "<html/>", "EntityDescriptor"},
		{"doctype", "<!DOCTYPE x>" + spMetadata(key+post), "document type"},
		{"too large", spMetadata(key+post) + strings.Repeat(" ", 1<<20), "1048576"},
		{"no entity ID", change(spMetadata(key+post), reqEntityID, ""), "entityID"},
		{"SAML 1", change(spMetadata(key+post), " urn:oasis:names:tc:SAML:2.0:protocol", ""), "no SAML 2.0 service provider"},
		{"validUntil", change(spMetadata(key+post), "2026-11-24T00:00:00Z", "soon"), `validUntil "soon"`},
		{"boolean", change(spMetadata(key+post), `AuthnRequestsSigned="1"`, `AuthnRequestsSigned="yes"`), `AuthnRequestsSigned is "yes"`},
		{"no key", spMetadata(post), "no signing certificate"},
		{"use", spMetadata(keyDescriptor(` use="sign"`, base64Cert("sp-rsa")) + post), `use is "sign"`},
		{"not base64", spMetadata(keyDescriptor("", "%%%") + post), "not base64"},
		{"not a certificate", spMetadata(keyDescriptor("", "AAAA") + post), "X509Certificate"},
		{"weak RSA", spMetadata(keyDescriptor("", selfSigned(t, weak, weak.Public())) + post), "1024 bits"},
		{"huge RSA", spMetadata(keyDescriptor("", selfSigned(t, weak, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8192, 1), E: 65537})) + post), "8193 bits"},
		{"weak EC", spMetadata(keyDescriptor("", selfSigned(t, small, small.Public())) + post), "224 bits"},
		{"Ed25519", spMetadata(keyDescriptor("", selfSigned(t, edwards, public)) + post), "Ed25519"},
		{"many keys", spMetadata(strings.Repeat(key, 9) + post), "more than 8"},
		{"no endpoint", spMetadata(key), "no AssertionConsumerService"},
		{"no POST endpoint", spMetadata(key + consumer(`Binding="urn:oasis:names:tc:SAML:2.0:bindings:PAOS" Location="https://sp.example.com/" index="0"`)), "HTTP-POST"},
		{"http", spMetadata(at("http://sp.example.com/acs")), "must be https"},
		{"relative", spMetadata(at("/acs")), "not an absolute URL"},
		{"script", spMetadata(at("javascript:alert(1)")), "not an absolute URL"},
		{"user", spMetadata(at("https://a:b@sp.example.com/")), "not an absolute URL"},
		{"fragment", spMetadata(at("https://sp.example.com/#a")), "not an absolute URL"},
		{"space", spMetadata(at(" https://sp.example.com/")), "not an absolute URL"},
		{"index", spMetadata(key + consumer(acsPost+` Location="https://sp.example.com/acs" index="-1"`)), `index "-1"`},
		{"no index", spMetadata(key + consumer(acsPost+` Location="https://sp.example.com/acs"`)), `index ""`},
		{"index twice", spMetadata(key + post + post), "given twice"},
		{"isDefault", spMetadata(key + consumer(acsPost+` Location="https://sp.example.com/acs" index="0" isDefault="maybe"`)), `isDefault is "maybe"`},
	} {
		sp, err := saml.ParseMetadata([]byte(c.doc))
		if err == nil || sp != nil {
			t.Errorf("%s: accepted", c.name)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "bad request") {
			t.Errorf("%s: %v, want it to say %q", c.name, err, c.want)
		}
	}
}
