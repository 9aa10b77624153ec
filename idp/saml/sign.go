package saml

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
)

// Algorithms of every signature that answers carry. SHA-1 is never used.
const (
	algExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	algEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algRSASHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algSHA256    = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// Key signs SHA-256 digests with RSA, PKCS #1 v1.5 (RFC 8017 section 8.2).
type Key interface {
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// Signer is a key with the certificate that relying parties know it by.
type Signer struct {
	Key         Key
	Certificate *x509.Certificate
}

// Scope is which elements of an answer are signed. A refusal, which has no
// assertion, is always signed as a Response.
type Scope int

// The scopes. Strict clients refuse either element alone.
const (
	SignBoth Scope = iota
	SignAssertion
	SignResponse
)

const (
	signedInfoStart = `<ds:CanonicalizationMethod Algorithm="` + algExcC14N + `"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="` + algRSASHA256 + `"></ds:SignatureMethod><ds:Reference URI="#`
	signedInfoMiddle = `"><ds:Transforms><ds:Transform Algorithm="` + algEnveloped + `"></ds:Transform>` +
		`<ds:Transform Algorithm="` + algExcC14N + `"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="` + algSHA256 + `"></ds:DigestMethod><ds:DigestValue>`
	signedInfoEnd = `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
)

// signature makes the enveloped ds:Signature over the element with the given ID
// that consists of parts (XML Signature 1.1 sections 4.4 and 6.6.4; SAML core
// 5.4). The ID must need no escape.
func (s *Signer) signature(ctx context.Context, id string, parts ...*writer) (*writer, error) {
	sum := digest(parts...)
	digestValue := base64.StdEncoding.EncodeToString(sum[:])

	// SignedInfo is hashed with xmlns:ds in place: as the apex of what is
	// canonicalised it carries the declaration that it inherits in the document.
	info := &writer{b: make([]byte, 0, 1024)}
	info.raw(`<ds:SignedInfo xmlns:ds="`+nsDSig+`">`, signedInfoStart, id, signedInfoMiddle, digestValue, signedInfoEnd)
	hash := sha256.Sum256(info.b)
	value, err := s.Key.Sign(ctx, hash[:])
	if err != nil {
		return nil, fmt.Errorf("sign %q: %w", id, err)
	}

	w := &writer{b: make([]byte, 0, 4096)}
	w.raw(`<ds:Signature xmlns:ds="`+nsDSig+`"><ds:SignedInfo>`, signedInfoStart, id, signedInfoMiddle, digestValue, signedInfoEnd,
		`<ds:SignatureValue>`)
	w.b = base64.StdEncoding.AppendEncode(w.b, value)
	w.raw(`</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>`)
	w.b = base64.StdEncoding.AppendEncode(w.b, s.Certificate.Raw)
	w.raw(`</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`)
	return w, nil
}
