package android

import (
	"bytes"
	"crypto/x509"
	"time"
)

// maxChain is more than any device sends.
const maxChain = 8

// walk verifies that the last certificate has the key of a root, and each other
// one by the next. crypto/x509 builds no such chain: it wants an authority in whoever
// signed the leaf, and the root itself, of which devices carry former
// certificates that expired and have the same key.
func (v *Verifier) walk(chain []*x509.Certificate, now time.Time) error {
	if n := len(chain); n < 2 || n > maxChain {
		return bad("%d certificates, not 2 to %d", n, maxChain)
	}
	last := len(chain) - 1
	if err := v.checkRoot(chain[last], now); err != nil {
		return err
	}
	// From the root down, so that no key is used that nobody vouched for: a huge one
	// would make this slow.
	for i := last - 1; i >= 0; i-- {
		c, issuer := chain[i], chain[i+1]
		if v.Revoked.has(c) {
			return bad("certificate %d is revoked", i)
		}
		if !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
			return bad("certificate %d is by another issuer than the next one", i)
		}
		if err := issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			return bad("signature of certificate %d: %w", i, err)
		}
		if err := checkCertificate(c, i, now); err != nil {
			return err
		}
	}
	return nil
}

// checkRoot compares keys: of the certificate that the device sends, nothing else
// counts. When a root ends, the configured one says.
func (v *Verifier) checkRoot(c *x509.Certificate, now time.Time) error {
	for _, root := range v.Roots {
		if bytes.Equal(c.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) && valid(root, now) {
			return nil
		}
	}
	return bad("the chain ends with the key of no root that is trusted")
}

// checkCertificate checks the certificate in that place of the chain; the leaf is
// the first.
func checkCertificate(c *x509.Certificate, place int, now time.Time) error {
	switch {
	case !valid(c, now):
		return bad("certificate %d is not valid at this time", place)
	case len(c.UnhandledCriticalExtensions) > 0:
		return bad("certificate %d has an unknown critical extension %v", place, c.UnhandledCriticalExtensions[0])
	case place == 0 && c.IsCA:
		return bad("the leaf is an authority's")
	case place < 2:
		// Devices are about whose own key, that signs the leaf, the maker said that
		// it is no authority. What keeps the key of an app from taking that place is
		// that it has an attestation, and only a leaf may (see descriptionOf).
		return nil
	case !c.BasicConstraintsValid || !c.IsCA:
		return bad("certificate %d is not an authority's", place)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return bad("certificate %d may not sign others", place)
	case (c.MaxPathLen > 0 || c.MaxPathLenZero) && place-1 > c.MaxPathLen: // RFC 5280 section 4.2.1.9
		return bad("certificate %d may not have %d below it", place, place-1)
	}
	return nil
}

func valid(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}
