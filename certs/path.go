package certs

import (
	"crypto/x509"
	"slices"
)

// path leads from a device's certificate to an authority, each certificate
// signed by the next one's key. Nothing else is verified of it yet.
type path struct {
	certs  []*x509.Certificate // the device's first, the anchor not among them
	anchor TrustedAuthority
}

// Bounds of the search for paths. crypto/x509 bounds its own only at 100
// signatures, which a client can make it verify by presenting authorities of
// his own with equal names.
const (
	maxSignatures = 8
	maxPaths      = 4
)

// findPaths finds the paths that the presented certificates make, the shortest
// first. There can be several where authorities were renewed or certify one
// another.
func (v *Verifier) findPaths(chain []*x509.Certificate) []path {
	s := search{leaf: chain[0]}
	for _, c := range chain[1:] {
		// Clients may send the authority along; it leads nowhere else.
		if v.trusts(c) || checkAuthority(c) != nil {
			continue
		}
		s.candidates = append(s.candidates, c)
	}
	paths := make([]path, 0, len(v.authorities))
	for _, a := range v.authorities {
		paths = append(paths, path{anchor: a})
	}
	for len(paths) > 0 {
		paths = s.extend(paths)
	}
	return s.found
}

func (v *Verifier) trusts(c *x509.Certificate) bool {
	return slices.ContainsFunc(v.authorities, func(a TrustedAuthority) bool { return a.Certificate.Equal(c) })
}

// search goes from the authorities down to the device's certificate. So it
// verifies signatures with the authorities' keys and those that they signed
// only, never with keys that a stranger chose for what they cost: verifying
// eight signatures of P-521 takes 10 ms.
type search struct {
	leaf       *x509.Certificate
	candidates []*x509.Certificate // intermediates
	signatures int                 // verified until now
	found      []path
}

// extend looks for what the lowest authority of each path signed: the device's
// certificate, or further authorities, by which it returns longer paths.
func (s *search) extend(paths []path) (longer []path) {
	for _, p := range paths {
		issuer := p.anchor.Certificate
		if len(p.certs) > 0 {
			issuer = p.certs[0]
		}
		if len(s.found) < maxPaths && s.signed(s.leaf, issuer) {
			s.found = append(s.found, p.downTo(s.leaf))
		}
		for _, c := range s.candidates {
			if !slices.Contains(p.certs, c) && s.signed(c, issuer) {
				longer = append(longer, p.downTo(c))
			}
		}
	}
	return longer
}

// downTo is the path with c at its lower end.
func (p path) downTo(c *x509.Certificate) path {
	return path{certs: append([]*x509.Certificate{c}, p.certs...), anchor: p.anchor}
}

func (s *search) signed(c, issuer *x509.Certificate) bool {
	if !sameName(c, issuer) || s.signatures == maxSignatures {
		return false
	}
	s.signatures++
	return c.CheckSignatureFrom(issuer) == nil
}
