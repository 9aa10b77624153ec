package conform

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// The provider of these tests: the contract's sample response, signed with
// goxmldsig. What Gatepost itself answers is tested where it is wired.

const (
	testEntityID = "https://www.okta.com/saml2/service-provider/spqunojxmhwsxjdesder"
	testACS      = "https://acme.okta.example/sso/saml2/0oa6nxbvzJ7pgD2sk2o4"
	testIssuer   = "https://idp.example.com/saml/metadata"
	testSSO      = "https://device.idp.example.com/saml/sso"
	testUser     = "user@example.com"
)

type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newPair(name string) pair {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return pair{key, cert}
}

var (
	oktaKeys  = sync.OnceValue(func() pair { return newPair("acme") })
	idpKeys   = sync.OnceValue(func() pair { return newPair("idp") })
	otherKeys = sync.OnceValue(func() pair { return newPair("other") })
)

func newTestOkta(t testing.TB, change func(*OktaConfig)) *Okta {
	t.Helper()
	cfg := OktaConfig{
		EntityID: testEntityID, ACS: testACS, Key: oktaKeys().key, Certificate: oktaKeys().cert,
		Issuer: testIssuer, SSORedirect: testSSO, Certificates: []*x509.Certificate{idpKeys().cert},
		Now: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	o, err := NewOkta(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// response is an answer to be; its fields are the ways to spoil it.
type response struct {
	signResponse, signAssertion bool
	encrypt                     string // algorithm of the content; "": not
	key                         pair
	app                         *AppContext

	edit  func(root *etree.Element) // before anything is signed
	inner func(root *etree.Element) // between the signatures
	after func(root *etree.Element) // when all is signed
}

func signedBoth() response { return response{signResponse: true, signAssertion: true, key: idpKeys()} }

const sampleTemplate = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" Destination="{acs}" ID="_r{id}" InResponseTo="{request}" IssueInstant="{now}" Version="2.0">
<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">{issuer}</saml:Issuer>
<samlp:Status>
<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success" />
</samlp:Status>
<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a{id}" IssueInstant="{now}" Version="2.0">
<saml:Issuer>{issuer}</saml:Issuer>
<saml:Subject>
<saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified" NameQualifier="{issuer}">user@example.com</saml:NameID>
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
<saml:SubjectConfirmationData InResponseTo="{request}" NotOnOrAfter="{end}" Recipient="{acs}" />
</saml:SubjectConfirmation>
</saml:Subject>
<saml:Conditions NotBefore="{begin}" NotOnOrAfter="{end}">
<saml:AudienceRestriction>
<saml:Audience>{audience}</saml:Audience>
</saml:AudienceRestriction>
</saml:Conditions>
<saml:AuthnStatement AuthnInstant="{now}">
<saml:AuthnContext>
<saml:AuthnContextClassRef>urn:okta:saml:2.0:DevicePosture</saml:AuthnContextClassRef>
<saml:AuthnContextDecl>
<AuthenticationContextDeclaration xmlns="urn:okta:saml:2.0:DevicePosture">
<AuthnMethod>
</AuthnMethod>
<Extension>
<Device ID="98bcb804" Vendor="Apple" Model="iPhoneX" OS="iOS" OSVersion="10.2" xmlns="urn:okta:saml:2.0:DevicePosture">
<Posture>
<Fact Name="IsManaged" Value="true" />
<Fact Name="IsCompliant" Value="false" />
<Attestation Type="iOS">eyJhbGciOiJIUzI1NiJ9.eyJp…</Attestation>
</Posture>
</Device>
</Extension>
</AuthenticationContextDeclaration>
</saml:AuthnContextDecl>
</saml:AuthnContext>
</saml:AuthnStatement>
</saml:Assertion>
</samlp:Response>`

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// answerTo makes the base64 of the form's SAMLResponse.
func (p response) answerTo(t testing.TB, o *Okta, requestID string) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(p.xmlTo(t, o, requestID))
}

func (p response) xmlTo(t testing.TB, o *Okta, requestID string) []byte {
	t.Helper()
	now := o.cfg.Now()
	filled := strings.NewReplacer("{acs}", testACS, "{issuer}", testIssuer, "{audience}", testEntityID,
		"{request}", requestID, "{id}", rand.Text(), "{now}", stamp(now.Add(-time.Second)),
		"{begin}", stamp(now.Add(-30*time.Second)), "{end}", stamp(now.Add(5*time.Minute))).Replace(sampleTemplate)
	doc := etree.NewDocument()
	if err := doc.ReadFromString(filled); err != nil {
		t.Fatal(err)
	}
	root := doc.Root()
	if p.app != nil {
		root.SelectElement("Assertion").AddChild(appStatement(p.app))
	}
	if p.edit != nil {
		p.edit(root)
	}
	if assertion := root.SelectElement("Assertion"); assertion != nil {
		if p.signAssertion {
			p.key.sign(t, assertion)
		}
		if p.encrypt != "" {
			at := assertion.Index()
			own, err := detached(assertion)
			if err != nil {
				t.Fatal(err)
			}
			root.RemoveChild(assertion)
			root.InsertChildAt(at, sealed(t, serialise(own)[len(`<?xml version="1.0" encoding="UTF-8"?>`):], p.encrypt))
		}
	}
	if p.inner != nil {
		p.inner(root)
	}
	if p.signResponse {
		p.key.sign(t, root)
	}
	if p.after != nil {
		p.after(root)
	}
	return serialise(root)
}

// sign puts a signature right after the Issuer.
func (k pair) sign(t testing.TB, el *etree.Element) {
	t.Helper()
	ctx, err := dsig.NewSigningContext(k.key, [][]byte{k.cert.Raw})
	if err != nil {
		t.Fatal(err)
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	own, err := detached(el)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ctx.ConstructSignature(own, true)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	if issuer := el.SelectElement("Issuer"); issuer != nil {
		at = issuer.Index() + 1
	}
	el.InsertChildAt(at, sig)
}

func appStatement(app *AppContext) *etree.Element {
	statement := etree.NewElement("saml:AttributeStatement")
	for name, value := range map[string]string{"OktaAppInstanceId": app.InstanceID, "OktaAppName": app.Name} {
		at := statement.CreateElement("saml:Attribute")
		at.CreateAttr("Name", name)
		at.CreateAttr("NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified")
		v := at.CreateElement("saml:AttributeValue")
		v.CreateAttr("xmlns:xs", "http://www.w3.org/2001/XMLSchema")
		v.CreateAttr("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
		v.CreateAttr("xsi:type", "xs:string")
		v.SetText(value)
	}
	return statement
}

// sealed encrypts for the simulated Okta (XML Encryption 1.1).
func sealed(t testing.TB, plain []byte, algorithm string) *etree.Element {
	t.Helper()
	block := blockCiphers[algorithm]
	contentKey := make([]byte, block.keyLen)
	rand.Read(contentKey)
	c, err := aes.NewCipher(contentKey)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 16)
	rand.Read(iv)
	var out []byte
	if block.gcm {
		aead, err := cipher.NewGCM(c)
		if err != nil {
			t.Fatal(err)
		}
		out = aead.Seal(iv[:12], iv[:12], plain, nil)
	} else {
		pad := 16 - len(plain)%16
		plain = append(plain, make([]byte, pad)...)
		plain[len(plain)-1] = byte(pad)
		out = make([]byte, len(plain))
		cipher.NewCBCEncrypter(c, iv).CryptBlocks(out, plain)
		out = append(iv, out...)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &oktaKeys().key.PublicKey, contentKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromString(`<saml:EncryptedAssertion xmlns:saml="` + nsAssertion + `"><xenc:EncryptedData xmlns:xenc="` + nsEncrypt +
		`" Type="` + nsEncrypt + `Element"><xenc:EncryptionMethod Algorithm="` + algorithm + `"/><ds:KeyInfo xmlns:ds="` + nsSignature +
		`"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="` + nsEncrypt + `rsa-oaep-mgf1p"><ds:DigestMethod Algorithm="` + nsSignature +
		`sha1"/></xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>` + base64.StdEncoding.EncodeToString(wrapped) +
		`</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>` +
		base64.StdEncoding.EncodeToString(out) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`); err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

// at finds the one element at the path below root, by local names.
func at(root *etree.Element, path ...string) *etree.Element {
	for _, tag := range path {
		if root = root.SelectElement(tag); root == nil {
			panic("no " + tag)
		}
	}
	return root
}
