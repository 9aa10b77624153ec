package conform

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// Okta's setting "Response Signature Algorithm" is a minimum, of SHA-1 or of
// SHA-256: what is stronger is accepted too. Here it is SHA-256. Its keys are RSA.
var (
	goodSignatures = []string{dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod}
	goodDigests    = []string{nsEncrypt + "sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", nsEncrypt + "sha512"}
)

const (
	algEnveloped    = string(dsig.EnvelopedSignatureAltorithmId)
	algExclusiveC14 = string(dsig.CanonicalXML10ExclusiveAlgorithmId)
)

// signed is an element whose signature was found good.
type signed struct {
	el   *etree.Element // read anew from the bytes that were signed, without the signature
	cert *x509.Certificate
}

// verify checks the signature of el, which must be exactly one, right after the
// Issuer. It returns nil without an error when there is none at all.
func verify(el *etree.Element, certs []*x509.Certificate, now time.Time) (*signed, error) {
	sigs := children(el, nsSignature, "Signature")
	if len(sigs) == 0 {
		return nil, nil
	}
	if len(sigs) > 1 {
		return nil, fmt.Errorf("%s has %d signatures", el.Tag, len(sigs))
	}
	all := el.ChildElements()
	if len(all) < 2 || all[1] != sigs[0] || all[0].Tag != "Issuer" || all[0].NamespaceURI() != nsAssertion {
		return nil, fmt.Errorf("the signature of %s does not stand right after its Issuer", el.Tag)
	}
	if err := checkShape(sigs[0], attr(el, "ID")); err != nil {
		return nil, fmt.Errorf("the signature of %s: %w", el.Tag, err)
	}
	own, err := detached(el)
	if err != nil {
		return nil, err
	}
	// The key is one of those configured, whatever KeyInfo says.
	for _, sig := range children(own, nsSignature, "Signature") {
		for _, info := range children(sig, nsSignature, "KeyInfo") {
			sig.RemoveChild(info)
		}
	}
	var failures []error
	for _, cert := range certs {
		ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
		ctx.Clock = dsig.NewFakeClockAt(now)
		good, err := ctx.Validate(own)
		if err == nil {
			return &signed{good, cert}, nil
		}
		failures = append(failures, err)
	}
	return nil, fmt.Errorf("the signature of %s: %w", el.Tag, errors.Join(failures...))
}

// checkShape checks what SAML allows of XML Signature (SAML core 5.4): one
// reference to the element's ID, no transform but enveloped and exclusive
// canonicalisation.
func checkShape(sig *etree.Element, id string) error {
	info, err := one(sig, nsSignature, "SignedInfo")
	if err != nil {
		return err
	}
	if len(children(sig, nsSignature, "Object")) > 0 {
		return errors.New("there is an Object in it")
	}
	for _, c := range []struct {
		tag  string
		good []string
	}{
		{"CanonicalizationMethod", []string{algExclusiveC14}},
		{"SignatureMethod", goodSignatures},
	} {
		el, err := one(info, nsSignature, c.tag)
		if err != nil {
			return err
		}
		if alg := attr(el, "Algorithm"); !slices.Contains(c.good, alg) {
			return fmt.Errorf("%s is %q", c.tag, alg)
		}
	}
	ref, err := one(info, nsSignature, "Reference")
	if err != nil {
		return err
	}
	if uri := attr(ref, "URI"); id == "" || uri != "#"+id {
		return fmt.Errorf("it refers to %q, not to the ID %q", uri, id)
	}
	digest, err := one(ref, nsSignature, "DigestMethod")
	if err != nil {
		return err
	}
	if alg := attr(digest, "Algorithm"); !slices.Contains(goodDigests, alg) {
		return fmt.Errorf("DigestMethod is %q", alg)
	}
	transforms, err := one(ref, nsSignature, "Transforms")
	if err != nil {
		return err
	}
	var algs []string
	for _, t := range transforms.ChildElements() {
		algs = append(algs, attr(t, "Algorithm"))
	}
	if !slices.Equal(algs, []string{algEnveloped, algExclusiveC14}) {
		return fmt.Errorf("its transforms are %s", strings.Join(algs, ", "))
	}
	return nil
}

// countSignatures returns how many Signature elements are in el, itself
// included.
func countSignatures(el *etree.Element) int {
	n := 0
	walk(el, func(e *etree.Element) {
		if e.Tag == "Signature" && e.NamespaceURI() == nsSignature {
			n++
		}
	})
	return n
}
