package saml_test

// The generator of testdata/saml/requests: a relying party that signs requests,
// rightly and in every wrong way that the vectors need. It canonicalises with
// goxmldsig, so that what it signs is another's opinion of what must be signed.

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"gatepost.dev/idp/saml"
)

const (
	reqDir      = "../../testdata/saml/requests"
	reqEntityID = "https://sp.example.com/metadata"
	reqACS      = "https://sp.example.com/acs"
	reqEndpoint = "https://posture.example.com/saml/sso"

	c14nExc   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	enveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	xmldsig   = "http://www.w3.org/2000/09/xmldsig#"
	xmlenc    = "http://www.w3.org/2001/04/xmlenc#"
	moreSig   = "http://www.w3.org/2001/04/xmldsig-more#"
)

// reqNow is when the vectors are checked.
func reqNow() time.Time { return time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC) }

// reqBase is the request that most vectors are a change of.
const reqBase = `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ` +
	`AssertionConsumerServiceURL="https://sp.example.com/acs" Destination="https://posture.example.com/saml/sso" ` +
	`ForceAuthn="true" ID="id1" IssueInstant="2026-11-22T16:00:00.000Z" Version="2.0">` +
	`<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">https://sp.example.com/metadata</saml:Issuer>` +
	`<saml:Subject xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><saml:NameID>user@example.com</saml:NameID></saml:Subject>` +
	`<samlp:NameIDPolicy Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"></samlp:NameIDPolicy>` +
	`<samlp:RequestedAuthnContext Comparison="minimum"><saml:AuthnContextClassRef xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">` +
	`urn:okta:saml:2.0:DevicePosture</saml:AuthnContextClassRef></samlp:RequestedAuthnContext></samlp:AuthnRequest>`

// change replaces text in a document; a text that is not there is a mistake in
// the vector.
func change(doc string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(doc, pairs[i]) {
			panic("no " + pairs[i] + " in " + doc)
		}
		doc = strings.Replace(doc, pairs[i], pairs[i+1], 1)
	}
	return doc
}

// reqKey reads one of the keys beside the vectors. They are for tests alone.
func reqKey(name string) crypto.Signer {
	block, _ := pem.Decode(mustRead(name + "-key.pem"))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(crypto.Signer)
}

func reqCert(name string) *x509.Certificate {
	block, _ := pem.Decode(mustRead(name + ".crt"))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return c
}

func base64Cert(name string) string { return base64.StdEncoding.EncodeToString(reqCert(name).Raw) }

func mustRead(name string) []byte {
	data, err := os.ReadFile(filepath.Join(reqDir, name))
	if err != nil {
		panic(err)
	}
	return data
}

// reqSigner signs one request. Its zero fields are as they should be.
type reqSigner struct {
	key       string // "sp-rsa" by default
	method    string // URI
	digest    string // URI
	c14n      string // CanonicalizationMethod and second transform
	first     string // first transform
	transform string // what stands for both transforms
	uri       string // of the Reference
	prefixes  string // PrefixList of both canonicalisations
	inherited string // declarations that SignedInfo inherits by way of prefixes
	info      string // appended to SignedInfo before it is signed
	object    string // appended to the Signature
	refAttr   string // appended to the Reference's attributes
	asn1      bool
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// sign puts a Signature behind the Issuer of doc.
func (s reqSigner) sign(doc string) string {
	return change(doc, "</saml:Issuer>", "</saml:Issuer>"+s.signature(doc))
}

// signature makes the ds:Signature over doc, in which it will be enveloped.
func (s reqSigner) signature(doc string) string {
	tree := etree.NewDocument()
	if err := tree.ReadFromString(doc); err != nil {
		panic(err)
	}
	canonical, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(s.prefixes).Canonicalize(tree.Root())
	if err != nil {
		panic(err)
	}
	digestMethod := or(s.digest, xmlenc+"sha256")
	method := or(s.method, moreSig+"rsa-sha256")
	list := ""
	if s.prefixes != "" {
		list = `<ec:InclusiveNamespaces xmlns:ec="` + c14nExc + `" PrefixList="` + s.prefixes + `"></ec:InclusiveNamespaces>`
	}
	transforms := or(s.transform, `<ds:Transform Algorithm="`+or(s.first, enveloped)+`"></ds:Transform>`+
		`<ds:Transform Algorithm="`+or(s.c14n, c14nExc)+`">`+list+`</ds:Transform>`)
	id := tree.Root().SelectAttrValue("ID", "")
	info := `<ds:CanonicalizationMethod Algorithm="` + or(s.c14n, c14nExc) + `">` + list + `</ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="` + method + `"></ds:SignatureMethod><ds:Reference` + s.refAttr + ` URI="` + or(s.uri, "#"+id) + `">` +
		`<ds:Transforms>` + transforms + `</ds:Transforms><ds:DigestMethod Algorithm="` + digestMethod + `"></ds:DigestMethod>` +
		`<ds:DigestValue>` + base64.StdEncoding.EncodeToString(hashOf(digestMethod, canonical)) + `</ds:DigestValue></ds:Reference>` + s.info
	value := s.raw(method, []byte(`<ds:SignedInfo xmlns:ds="`+xmldsig+`"`+s.inherited+`>`+info+`</ds:SignedInfo>`))
	return `<ds:Signature xmlns:ds="` + xmldsig + `"><ds:SignedInfo>` + info + `</ds:SignedInfo><ds:SignatureValue>` +
		base64.StdEncoding.EncodeToString(value) + `</ds:SignatureValue>` + s.object + `</ds:Signature>`
}

func hashFor(uri string) crypto.Hash {
	for suffix, h := range map[string]crypto.Hash{"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512} {
		if strings.HasSuffix(uri, suffix) {
			return h
		}
	}
	return crypto.SHA256
}

func hashOf(uri string, data []byte) []byte {
	h := hashFor(uri).New()
	h.Write(data)
	return h.Sum(nil)
}

// raw signs octets as the method says.
func (s reqSigner) raw(method string, octets []byte) []byte {
	if strings.Contains(method, "hmac") {
		// The key that everybody has: the registered certificate.
		m := hmac.New(sha256.New, reqCert("sp-rsa").Raw)
		m.Write(octets)
		return m.Sum(nil)
	}
	switch key := reqKey(or(s.key, "sp-rsa")).(type) {
	case *rsa.PrivateKey:
		value, err := rsa.SignPKCS1v15(nil, key, hashFor(method), hashOf(method, octets))
		if err != nil {
			panic(err)
		}
		return value
	case *ecdsa.PrivateKey:
		if s.asn1 {
			value, err := ecdsa.SignASN1(rand.Reader, key, hashOf(method, octets))
			if err != nil {
				panic(err)
			}
			return value
		}
		return rawECDSA(key, hashOf(method, octets))
	}
	panic("unknown key")
}

func rawECDSA(key *ecdsa.PrivateKey, digest []byte) []byte {
	r, t, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		panic(err)
	}
	n := (key.Params().N.BitLen() + 7) / 8
	return append(r.FillBytes(make([]byte, n)), t.FillBytes(make([]byte, n))...)
}

func deflate(doc string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write([]byte(doc))
	w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// query is an unsigned redirect; parameters come name, value, name, value.
func query(doc string, more ...string) string {
	return encodePairs(append([]string{"SAMLRequest", deflate(doc)}, more...)...)
}

func encodePairs(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(pairs[i] + "=" + url.QueryEscape(pairs[i+1]))
	}
	return b.String()
}

// query signs a redirect (SAML bindings 3.4.4.1).
func (s reqSigner) query(doc string, relayState ...string) string {
	method := or(s.method, moreSig+"rsa-sha256")
	pairs := []string{"SAMLRequest", deflate(doc)}
	for _, r := range relayState {
		pairs = append(pairs, "RelayState", r)
	}
	octets := encodePairs(append(pairs, "SigAlg", method)...)
	return octets + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(s.raw(method, []byte(octets))))
}

// form is the body of the HTTP-POST binding.
func form(doc string, more ...string) string {
	return encodePairs(append([]string{"SAMLRequest", base64.StdEncoding.EncodeToString([]byte(doc))}, more...)...)
}

// reqProvider is the relying party that the vectors are checked against.
func reqProvider() *saml.ServiceProvider {
	return &saml.ServiceProvider{
		EntityID: reqEntityID,
		AssertionConsumers: []saml.AssertionConsumer{
			{URL: reqACS, Index: 0, Default: true},
			{URL: "https://sp.example.com/acs/second", Index: 7},
		},
		Keys: []*x509.Certificate{reqCert("sp-ec"), reqCert("sp-rsa")},
	}
}

// reqCheck decodes and checks a vector by what its name ends in.
func reqCheck(t testing.TB, name, content string, sp *saml.ServiceProvider) (*saml.Request, error) {
	t.Helper()
	var m *saml.Message
	var err error
	switch filepath.Ext(name) {
	case ".xml":
		m, err = saml.DecodePost([]byte(form(content)))
	case ".form":
		m, err = saml.DecodePost([]byte(content))
	case ".query":
		m, err = saml.DecodeRedirect(content)
	default:
		t.Fatalf("%s: what is this?", name)
	}
	if err != nil {
		return nil, err
	}
	return m.Check(sp, reqEndpoint, reqNow())
}
