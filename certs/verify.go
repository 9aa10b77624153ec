package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Why a client is not a known device. Verify wraps the first three with the
// particulars; the others are for those that ask authorities.
var (
	ErrNoCertificate = errors.New("no client certificate")
	ErrExpired       = errors.New("client certificate is not valid now") // expired, or not yet valid
	ErrUntrusted     = errors.New("client certificate is not trusted")

	ErrRevoked           = errors.New("client certificate is revoked")
	ErrRevocationUnknown = errors.New("whether the client certificate is revoked is not known")
)

// IDFrom says which part of a device's certificate is the device's ID.
type IDFrom string

// The parts of a certificate that can identify.
const (
	IDFromURI    IDFrom = "uri"    // the one URI among the subject alternative names; of urn:gatepost:device:<id>, the id
	IDFromDNS    IDFrom = "dns"    // the one DNS name among the subject alternative names, in lower case
	IDFromCN     IDFrom = "cn"     // the subject's one common name
	IDFromSerial IDFrom = "serial" // the subject's one serialNumber attribute (X.520), where management systems put the hardware's
)

// TrustedAuthority is one whose client certificates identify devices. It need
// not be self-signed.
type TrustedAuthority struct {
	Certificate *x509.Certificate
	IDFrom      IDFrom
	BySerial    bool   // what IDFrom gives is not the device's ID but its serial number
	Rank        string // how hard the keys are to copy that it certifies, as who trusts it knows; Identity has it
	BuiltIn     bool   // ours: only urn:gatepost:device:<id> identifies
}

// Verifier verifies client certificates. It does not change: a reload makes a
// new one. It is safe for concurrent use.
type Verifier struct {
	authorities []TrustedAuthority
	pool        *x509.CertPool

	// Apart, so that a flood of foreign certificates cannot push out the good.
	accepted, refused *cache
}

// Entries that are remembered: of the good, some 5 KB each, as many as a fleet has
// agents that report in turn, since each that is pushed out costs two signatures
// when it comes again; the less for refusals, which cost less to make again.
const (
	acceptedEntries = 1 << 15
	refusedEntries  = 512
)

// NewVerifier makes a verifier that trusts these authorities. Its error names
// every fault.
func NewVerifier(authorities []TrustedAuthority) (*Verifier, error) {
	v := &Verifier{pool: x509.NewCertPool(), accepted: newCache(acceptedEntries), refused: newCache(refusedEntries)}
	if len(authorities) == 0 {
		return nil, errors.New("trusted authorities: there is none")
	}
	var faults []error
	for _, a := range authorities {
		if a.Certificate == nil {
			faults = append(faults, errors.New("trusted authority without a certificate"))
			continue
		}
		if err := v.admit(a); err != nil {
			faults = append(faults, fmt.Errorf("trusted authority %q: %w", a.Certificate.Subject, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verifier) admit(a TrustedAuthority) error {
	switch a.IDFrom {
	case IDFromURI, IDFromDNS, IDFromCN, IDFromSerial:
	default:
		return fmt.Errorf("id_from %q is none of uri, dns, cn, serial", a.IDFrom)
	}
	if a.BuiltIn && a.BySerial {
		return errors.New("the built-in authority identifies by the device's ID")
	}
	if a.BuiltIn && a.IDFrom != IDFromURI {
		return fmt.Errorf("id_from %q: the built-in authority identifies by uri", a.IDFrom)
	}
	if err := checkAuthority(a.Certificate); err != nil {
		return err
	}
	for _, b := range v.authorities {
		if a.Certificate.Equal(b.Certificate) {
			return errors.New("named twice")
		}
		// Otherwise the client would choose, by the chain it sends, what its ID is.
		if KeyHash(a.Certificate) == KeyHash(b.Certificate) && (a.IDFrom != b.IDFrom || a.BuiltIn != b.BuiltIn || a.BySerial != b.BySerial || a.Rank != b.Rank) {
			return errors.New("the same key is trusted twice with different ways to identify, or ranks")
		}
	}
	v.authorities = append(v.authorities, a)
	v.pool.AddCert(a.Certificate)
	return nil
}

// ClientCAs are the trusted authorities, whose names a server sends when it
// asks for a client certificate.
func (v *Verifier) ClientCAs() *x509.CertPool { return v.pool }

// Verify tells which device a client is. The chain is as the client presented
// it in TLS: its own certificate, then any intermediates in any order. That the
// client holds the key is what TLS proved.
//
// The error wraps ErrNoCertificate; ErrExpired, if the chain leads to a known
// authority but a certificate in it is out of its dates; else ErrUntrusted.
//
// It is meant for every request: signatures are verified once for a chain, the
// dates each time.
func (v *Verifier) Verify(chain []*x509.Certificate, now time.Time) (Identity, error) {
	id, _, err := v.VerifyPath(chain, now)
	return id, err
}

// VerifyPath is Verify that also tells by which certificates the identity was
// proved: the device's, any authorities between, and last the trusted authority,
// each signed by the key of the next. Nobody may change the slice.
func (v *Verifier) VerifyPath(chain []*x509.Certificate, now time.Time) (Identity, []*x509.Certificate, error) {
	if len(chain) == 0 {
		return Identity{}, nil, ErrNoCertificate
	}
	if err := checkSize(chain); err != nil {
		return Identity{}, nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	key := chainKey(chain)
	j, ok := v.accepted.get(key)
	if !ok {
		j, ok = v.refused.get(key)
	}
	if !ok {
		j = v.judge(chain)
		if j.err == nil {
			v.accepted.put(key, j)
		} else {
			v.refused.put(key, j)
		}
	}
	return j.at(now)
}

// Bounds of what a client may present.
const (
	maxIntermediates = 4
	maxChainBytes    = 32 << 10
)

func checkSize(chain []*x509.Certificate) error {
	if len(chain) > 1+maxIntermediates {
		return fmt.Errorf("%d certificates presented, more than %d", len(chain), 1+maxIntermediates)
	}
	size := 0
	for _, c := range chain {
		if c == nil || len(c.Raw) == 0 {
			return errors.New("a certificate was not parsed")
		}
		size += len(c.Raw)
	}
	if size > maxChainBytes {
		return fmt.Errorf("%d bytes of certificates presented, more than %d", size, maxChainBytes)
	}
	return nil
}

func chainKey(chain []*x509.Certificate) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, c := range chain {
		h.Write(c.Raw) // DER says its own length: no two chains give the same bytes
	}
	h.Sum(key[:0])
	return key
}

// judgement is what holds of a chain at any time.
type judgement struct {
	err   error   // ErrUntrusted with the reason; or
	valid []dated // one or more
}

// dated is an identity with the time, both ends included, for which every
// certificate on one path to an authority is valid.
type dated struct {
	Identity
	from, until time.Time
	path        []*x509.Certificate // the authority among them
}

func (j judgement) at(now time.Time) (Identity, []*x509.Certificate, error) {
	if j.err != nil {
		return Identity{}, nil, j.err
	}
	for _, d := range j.valid {
		if !now.Before(d.from) && !now.After(d.until) {
			return d.Identity, d.path, nil
		}
	}
	d := j.valid[0]
	return Identity{}, nil, fmt.Errorf("%w: device %q, from %s to %s", ErrExpired, d.DeviceID, stamp(d.from), stamp(d.until))
}

func (v *Verifier) judge(chain []*x509.Certificate) judgement {
	leaf := chain[0]
	if err := checkLeaf(leaf); err != nil {
		return judgement{err: fmt.Errorf("%w: %w", ErrUntrusted, err)}
	}
	var j judgement
	why := fmt.Errorf("no known authority stands behind its issuer %q", leaf.Issuer)
	for _, p := range v.findPaths(chain) {
		d, err := p.judge()
		if err != nil {
			why = err
			continue
		}
		j.valid = append(j.valid, d)
	}
	if len(j.valid) == 0 {
		j.err = fmt.Errorf("%w: %w", ErrUntrusted, why)
	}
	return j
}

// judge verifies one path by RFC 5280 section 6 and reads the identity.
func (p path) judge() (dated, error) {
	from, until := p.window()
	if until.Before(from) {
		return dated{}, errors.New("the certificates of its chain are never valid at the same time")
	}
	opts := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   from,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	opts.Roots.AddCert(p.anchor.Certificate)
	for _, c := range p.certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	leaf := p.certs[0]
	if _, err := leaf.Verify(opts); err != nil {
		return dated{}, err
	}
	id, err := deviceID(leaf, p.anchor)
	if err != nil {
		return dated{}, err
	}
	whole := append(slices.Clip(p.certs), p.anchor.Certificate)
	serial := ""
	if p.anchor.BySerial {
		id, serial = "", id
	}
	return dated{from: from, until: until, path: whole, Identity: Identity{
		DeviceID: id, HardwareSerial: serial,
		Authority: KeyHash(p.anchor.Certificate),
		Serial:    Serial(leaf),
		KeyHash:   KeyHash(leaf),
		NotAfter:  leaf.NotAfter,
		BuiltIn:   p.anchor.BuiltIn,
		Rank:      p.anchor.Rank,
	}}, nil
}

// window is when all certificates of the path are valid; until is before from
// if never.
func (p path) window() (from, until time.Time) {
	from, until = p.anchor.Certificate.NotBefore, p.anchor.Certificate.NotAfter
	for _, c := range p.certs {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

// sameName tells whether issuer issued c, as far as names say it.
func sameName(c, issuer *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, issuer.RawSubject) }
