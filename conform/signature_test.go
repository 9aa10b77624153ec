package conform

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	algC14N10 = string(dsig.CanonicalXML10RecAlgorithmId)
	algC14N11 = string(dsig.CanonicalXML11AlgorithmId)
	algSHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
)

var canonicalizers = map[string]func() dsig.Canonicalizer{
	algExclusiveC14: func() dsig.Canonicalizer { return dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("") },
	algC14N10:       dsig.MakeC14N10RecCanonicalizer,
	algC14N11:       dsig.MakeC14N11Canonicalizer,
}

var hashes = map[string]crypto.Hash{
	dsig.RSASHA1SignatureMethod: crypto.SHA1, dsig.RSASHA256SignatureMethod: crypto.SHA256,
	dsig.RSASHA384SignatureMethod: crypto.SHA384, dsig.RSASHA512SignatureMethod: crypto.SHA512,
	nsSignature + "sha1": crypto.SHA1, nsEncrypt + "sha256": crypto.SHA256, algSHA384: crypto.SHA384, nsEncrypt + "sha512": crypto.SHA512,
}

// profile is what a signature is made of, each algorithm on its own. "" and nil
// are what Gatepost's have.
type profile struct {
	c14n, method, digest string
	transforms           []string                        // the last canonicalisation of them makes the digest
	edit                 func(signedInfo *etree.Element) // before it is signed
}

// sign puts a signature right after the Issuer that is good by whoever knows its
// algorithms.
func (p profile) sign(t *testing.T, key *rsa.PrivateKey, el *etree.Element) {
	t.Helper()
	c14n, method, digest := cmp.Or(p.c14n, algExclusiveC14), cmp.Or(p.method, dsig.RSASHA256SignatureMethod), cmp.Or(p.digest, nsEncrypt+"sha256")
	transforms := p.transforms
	if transforms == nil {
		transforms = []string{algEnveloped, algExclusiveC14}
	}
	content := ""
	sig := etree.NewElement("ds:Signature")
	sig.CreateAttr("xmlns:ds", nsSignature)
	info := sig.CreateElement("ds:SignedInfo")
	info.CreateElement("ds:CanonicalizationMethod").CreateAttr("Algorithm", c14n)
	info.CreateElement("ds:SignatureMethod").CreateAttr("Algorithm", method)
	ref := info.CreateElement("ds:Reference")
	ref.CreateAttr("URI", "#"+attr(el, "ID"))
	list := ref.CreateElement("ds:Transforms")
	for _, alg := range transforms {
		list.CreateElement("ds:Transform").CreateAttr("Algorithm", alg)
		if canonicalizers[alg] != nil {
			content = alg
		}
	}
	ref.CreateElement("ds:DigestMethod").CreateAttr("Algorithm", digest)
	ref.CreateElement("ds:DigestValue").SetText(base64.StdEncoding.EncodeToString(hashed(t, el, content, hashes[digest])))
	el.InsertChildAt(el.SelectElement("Issuer").Index()+1, sig)
	if p.edit != nil {
		p.edit(info)
	}
	value, err := rsa.SignPKCS1v15(rand.Reader, key, hashes[method], hashed(t, info, c14n, hashes[method]))
	if err != nil {
		t.Fatal(err)
	}
	sig.CreateElement("ds:SignatureValue").SetText(base64.StdEncoding.EncodeToString(value))
}

func hashed(t *testing.T, el *etree.Element, c14n string, hash crypto.Hash) []byte {
	t.Helper()
	own, err := detached(el)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := canonicalizers[c14n]().Canonicalize(own)
	if err != nil {
		t.Fatal(err)
	}
	h := hash.New()
	h.Write(canonical)
	return h.Sum(nil)
}

// genuine fails unless goxmldsig, which has no rules of its own on algorithms,
// finds the signature of el good.
func genuine(t *testing.T, el *etree.Element) {
	t.Helper()
	own, err := detached(el)
	if err != nil {
		t.Fatal(err)
	}
	ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{idpKeys().cert}})
	ctx.Clock = dsig.NewFakeClockAt(time.Now())
	if _, err := ctx.Validate(own); err != nil {
		t.Fatalf("the signature is not genuine: %v", err)
	}
}

// eachScope signs by profiles, one signature on top of another, the Assertion
// only and the Response only, and gives what becomes of the answer.
func eachScope(t *testing.T, check func(t *testing.T, rule string, err error), profiles ...profile) {
	for _, tt := range []struct {
		rule string
		path []string
	}{{"response-signature", nil}, {"assertion-signature", []string{"Assertion"}}} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			o := newTestOkta(t, nil)
			p := response{after: func(root *etree.Element) {
				for _, p := range profiles {
					p.sign(t, idpKeys().key, at(root, tt.path...))
				}
				genuine(t, at(root, tt.path...))
			}}
			_, err := o.Receive(p.answerTo(t, o, request(t, o, nil).ID), "https://acme.okta.example/app/UserHome")
			check(t, tt.rule, err)
		})
	}
}

// TestSignatureAlgorithms: signatures that are good in every respect are
// refused for what they are made of, and for nothing else.
func TestSignatureAlgorithms(t *testing.T) {
	t.Parallel()
	again := func(info *etree.Element) { info.AddChild(info.SelectElement("Reference").Copy()) }
	whole := func(info *etree.Element) { info.SelectElement("Reference").SelectAttr("URI").Value = "" }
	for name, tt := range map[string]struct {
		profile profile
		cause   string // of the refusal; "": it is accepted
	}{
		"Gatepost's":               {profile{}, ""},
		"SHA-384":                  {profile{method: dsig.RSASHA384SignatureMethod, digest: algSHA384}, ""},
		"SHA-512":                  {profile{method: dsig.RSASHA512SignatureMethod, digest: nsEncrypt + "sha512"}, ""},
		"SHA-1 signature":          {profile{method: dsig.RSASHA1SignatureMethod}, `SignatureMethod is "` + dsig.RSASHA1SignatureMethod + `"`},
		"SHA-1 digest":             {profile{digest: nsSignature + "sha1"}, `DigestMethod is "` + nsSignature + `sha1"`},
		"inclusive c14n":           {profile{c14n: algC14N10}, `CanonicalizationMethod is "` + algC14N10 + `"`},
		"inclusive c14n 1.1":       {profile{c14n: algC14N11}, `CanonicalizationMethod is "` + algC14N11 + `"`},
		"inclusive transform":      {profile{transforms: []string{algEnveloped, algC14N10}}, "its transforms are " + algEnveloped + ", " + algC14N10},
		"inclusive transform 1.1":  {profile{transforms: []string{algEnveloped, algC14N11}}, "its transforms are " + algEnveloped + ", " + algC14N11},
		"a transform more":         {profile{transforms: []string{algEnveloped, algExclusiveC14, algExclusiveC14}}, "its transforms are " + algEnveloped + ", " + algExclusiveC14 + ", " + algExclusiveC14},
		"another transform first":  {profile{transforms: []string{algEnveloped, algC14N11, algExclusiveC14}}, "its transforms are " + algEnveloped + ", " + algC14N11},
		"transforms in wrong turn": {profile{transforms: []string{algExclusiveC14, algEnveloped}}, "its transforms are " + algExclusiveC14 + ", " + algEnveloped},
		"two references":           {profile{edit: again}, "SignedInfo has 2 of Reference"},
		"empty reference":          {profile{edit: whole}, `it refers to ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachScope(t, func(t *testing.T, rule string, err error) {
				if tt.cause == "" && err != nil {
					t.Error(err)
				}
				if tt.cause != "" {
					wantCause(t, err, rule, tt.cause)
				}
			}, tt.profile)
		})
	}
}

// TestSignatureOnSignature: the outer one covers the inner one, so that both are
// good; there may be one.
func TestSignatureOnSignature(t *testing.T) {
	t.Parallel()
	eachScope(t, func(t *testing.T, rule string, err error) { wantCause(t, err, rule, "has 2 signatures") }, profile{}, profile{})
}

func wantCause(t *testing.T, err error, rule, cause string) {
	t.Helper()
	wantRejection(t, err, rule, "")
	if !strings.Contains(err.Error(), cause) {
		t.Errorf("got %v, want the cause %q", err, cause)
	}
}
