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

type search struct {
	authorities []TrustedAuthority
	candidates  []*x509.Certificate // intermediates
	signatures  int                 // verified until now
	paths       []path
}

// findPaths finds the paths that the presented certificates make. There can be
// several where authorities were renewed or certify one another.
func (v *Verifier) findPaths(chain []*x509.Certificate) []path {
	s := search{authorities: v.authorities}
	for _, c := range chain[1:] {
		// Clients may send the authority along; it leads nowhere else.
		if v.trusts(c) || checkAuthority(c) != nil {
			continue
		}
		s.candidates = append(s.candidates, c)
	}
	s.extend(chain[:1])
	return s.paths
}

func (v *Verifier) trusts(c *x509.Certificate) bool {
	return slices.ContainsFunc(v.authorities, func(a TrustedAuthority) bool { return a.Certificate.Equal(c) })
}

// extend looks for who signed the last certificate of certs.
func (s *search) extend(certs []*x509.Certificate) {
	last := certs[len(certs)-1]
	for _, a := range s.authorities {
		if len(s.paths) < maxPaths && s.signed(last, a.Certificate) {
			s.paths = append(s.paths, path{certs: slices.Clone(certs), anchor: a})
		}
	}
	for _, c := range s.candidates {
		if !slices.Contains(certs, c) && s.signed(last, c) {
			s.extend(append(slices.Clone(certs), c))
		}
	}
}

func (s *search) signed(c, issuer *x509.Certificate) bool {
	if !sameName(c, issuer) || s.signatures == maxSignatures {
		return false
	}
	s.signatures++
	return c.CheckSignatureFrom(issuer) == nil
}
