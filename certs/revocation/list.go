package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatepost.dev/certs"
)

// List is one certificate revocation list that an authority signed.
type List struct {
	ThisUpdate, NextUpdate time.Time
	Entries                int

	revoked map[string]struct{} // serial numbers, as big-endian bytes
	scope   scope
}

// MaxListBytes is the most that a list may have, in PEM or in DER: some hundred
// thousand certificates.
const MaxListBytes = 16 << 20

// maxAhead is how far an authority's clock may be ahead of ours.
const maxAhead = 5 * time.Minute

var (
	oidDeltaCRL          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// ParseList reads a list, in DER or in PEM, that authority must have signed, and
// that is not from the future. A list that says revocation of some certificates
// or for some reasons only is read where it says so in a way that can be decided
// (RFC 5280 section 5.2.5); delta lists and indirect ones are refused. Whether it
// is out of date is for Current.
func ParseList(data []byte, authority *x509.Certificate, now time.Time) (*List, error) {
	if len(data) > MaxListBytes {
		return nil, fmt.Errorf("revocation list of more than %d bytes", MaxListBytes)
	}
	der, err := listDER(data)
	if err != nil {
		return nil, err
	}
	raw, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	if len(raw.Raw) != len(der) { // crypto/x509 does not look behind its end
		return nil, errors.New("revocation list with something behind it")
	}
	if !bytes.Equal(raw.RawIssuer, authority.RawSubject) {
		return nil, fmt.Errorf("revocation list of %q, not of %q", raw.Issuer, authority.Subject)
	}
	if err := certs.CheckSignatureAlgorithm(raw.SignatureAlgorithm); err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	if err := raw.CheckSignatureFrom(authority); err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	switch {
	case raw.NextUpdate.IsZero(): // RFC 5280 section 5.1.2.5 demands it
		return nil, errors.New("revocation list without the time of its next update")
	case raw.NextUpdate.Before(raw.ThisUpdate):
		return nil, errors.New("revocation list that ends before it begins")
	case raw.ThisUpdate.After(now.Add(maxAhead)):
		return nil, fmt.Errorf("revocation list of %s, which is in the future", stamp(raw.ThisUpdate))
	}
	l := &List{
		ThisUpdate: raw.ThisUpdate, NextUpdate: raw.NextUpdate,
		Entries: len(raw.RevokedCertificateEntries),
		revoked: make(map[string]struct{}, len(raw.RevokedCertificateEntries)),
	}
	if err := l.extend(raw); err != nil {
		return nil, err
	}
	return l, nil
}

// listDER is the one list that data holds.
func listDER(data []byte) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return data, nil
	}
	if block.Type != "X509 CRL" {
		return nil, fmt.Errorf("PEM of %.40q, not of X509 CRL", block.Type)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one PEM block: write one file for each revocation list")
	}
	return block.Bytes, nil
}

// extend reads the entries and every extension. A critical one that is not
// understood makes the list useless (RFC 5280 section 5.2), also in an entry.
func (l *List) extend(raw *x509.RevocationList) error {
	for _, e := range raw.Extensions {
		switch {
		case e.Id.Equal(oidDeltaCRL):
			return errors.New("revocation list with the changes only (delta): give the whole one")
		case e.Id.Equal(oidDistributionPoint):
			var err error
			if l.scope, err = parseScope(e.Value); err != nil {
				return err
			}
		case e.Critical:
			return fmt.Errorf("revocation list with an unknown critical extension %v", e.Id)
		}
	}
	for _, r := range raw.RevokedCertificateEntries {
		for _, e := range r.Extensions {
			if e.Critical { // such as certificateIssuer: the entry is of another authority
				return fmt.Errorf("revocation list with an entry with an unknown critical extension %v", e.Id)
			}
		}
		l.revoked[string(r.SerialNumber.Bytes())] = struct{}{}
	}
	return nil
}

// Current tells whether the list may still be believed.
func (l *List) Current(now time.Time) bool { return !now.After(l.NextUpdate) }

// Revokes tells whether the list names a certificate of its authority. An entry
// that is only on hold counts.
func (l *List) Revokes(c *x509.Certificate) bool {
	_, ok := l.revoked[string(c.SerialNumber.Bytes())]
	return ok
}

// scope is for which certificates a list speaks; zero: for all.
type scope struct {
	users, authorities bool     // only those
	uris               []string // only those that name one of these as where their list is
}

// issuingDistributionPoint is IssuingDistributionPoint of RFC 5280 section
// 5.2.5.
type issuingDistributionPoint struct {
	Point struct {
		FullName []asn1.RawValue `asn1:"optional,tag:0"`
		Relative asn1.RawValue   `asn1:"optional,tag:1"`
	} `asn1:"optional,tag:0"`
	OnlyUsers       bool           `asn1:"optional,tag:1"`
	OnlyAuthorities bool           `asn1:"optional,tag:2"`
	OnlySomeReasons asn1.BitString `asn1:"optional,tag:3"`
	Indirect        bool           `asn1:"optional,tag:4"`
	OnlyAttributes  bool           `asn1:"optional,tag:5"`
}

const tagURI = 6 // of GeneralName, RFC 5280 section 4.2.1.6

func parseScope(der []byte) (scope, error) {
	var p issuingDistributionPoint
	rest, err := asn1.Unmarshal(der, &p)
	if err != nil || len(rest) > 0 {
		return scope{}, errors.New("revocation list with a malformed distribution point")
	}
	switch {
	case p.Indirect:
		return scope{}, errors.New("revocation list of several authorities (indirect): give each one's own")
	case p.OnlyAttributes || p.OnlySomeReasons.BitLength > 0:
		return scope{}, errors.New("revocation list for some reasons or for attribute certificates only: give the whole one")
	}
	s := scope{users: p.OnlyUsers, authorities: p.OnlyAuthorities}
	for _, n := range p.Point.FullName {
		if n.Class == asn1.ClassContextSpecific && n.Tag == tagURI {
			s.uris = append(s.uris, string(n.Bytes))
		}
	}
	if len(s.uris) == 0 && (len(p.Point.FullName) > 0 || len(p.Point.Relative.FullBytes) > 0) {
		return scope{}, errors.New("revocation list whose distribution point is no URI")
	}
	return s, nil
}

// Covers tells whether the list speaks for a certificate of its authority (RFC
// 5280 section 6.3.3 (b)).
func (l *List) Covers(c *x509.Certificate) bool {
	s := &l.scope
	if s.users && c.IsCA || s.authorities && !c.IsCA {
		return false
	}
	return len(s.uris) == 0 || slices.ContainsFunc(s.uris, func(uri string) bool {
		return slices.Contains(c.CRLDistributionPoints, uri)
	})
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
