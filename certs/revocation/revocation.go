// Package revocation asks the authorities of other people whether they revoked a
// device's certificate: by certificate revocation lists (RFC 5280 section 5),
// from files and URLs, and by OCSP (RFC 6960). What cannot be found out is not
// taken for good: there is no soft failure.
//
// It is not where chains are verified, which is certs', nor where the built-in
// authority's own revocations are kept, which is the inventory's. Lists are never
// fetched while somebody waits; only OCSP is asked then, within two seconds.
package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gatepost.dev/certs"
)

// Authority is one whose certificates are looked up, by its own key's lists and
// answers. Certificates of authorities below it are looked up only if those are
// named as well, except by OCSP, which the certificates say how to ask.
type Authority struct {
	Certificate *x509.Certificate
	Lists       []string // paths and http(s) URLs of lists, all of which must be current; none: no lists
	OCSP        string   // OCSPOff or empty, OCSPOn, or the http(s) URL of a responder
}

// Words for Authority.OCSP.
const (
	OCSPOff = "off"
	OCSPOn  = "on" // ask whom the certificate names (authority information access, RFC 5280 section 4.2.2.1)
)

func (a *Authority) demands() bool { return len(a.Lists) > 0 || a.asksOCSP() }
func (a *Authority) asksOCSP() bool {
	return a.OCSP != "" && a.OCSP != OCSPOff
}

// Options are what a Verifier works with.
type Options struct {
	Dir    string // of the copies of fetched lists; made when needed
	Log    *slog.Logger
	Now    func() time.Time
	Client *http.Client        // NewClient's
	Count  func(result string) // called for every question by OCSP: good, revoked, unknown or failed
}

// NewClient makes the client that asks authorities. It follows no redirects: the
// configured URL is the one that is asked.
func NewClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: fetchTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Verifier recognises devices as certs.Verifier does, and turns away what their
// authorities revoked. It is safe for concurrent use.
type Verifier struct {
	certs   *certs.Verifier
	byKey   map[string]*authority // by certs.KeyHash
	sources []*source
	ocsp    *ocspClient
}

type authority struct {
	Authority
	sources []*source
}

// New makes a verifier. It reads nothing yet: see Load.
func New(v *certs.Verifier, authorities []Authority, o Options) (*Verifier, error) {
	r := &Verifier{certs: v, byKey: map[string]*authority{}, ocsp: newOCSPClient(o)}
	for _, a := range authorities {
		if !a.demands() {
			continue
		}
		key := certs.KeyHash(a.Certificate)
		if r.byKey[key] != nil {
			return nil, fmt.Errorf("authority %q: revocation is configured twice for the same key", a.Certificate.Subject)
		}
		known := &authority{Authority: a}
		for _, name := range a.Lists {
			known.sources = append(known.sources, newSource(name, a.Certificate, o))
		}
		r.byKey[key] = known
		r.sources = append(r.sources, known.sources...)
	}
	return r, nil
}

// Load reads the files, and the copies of what was fetched before. What is wrong
// with them is logged, and makes devices unknown until it is mended.
func (v *Verifier) Load(ctx context.Context) {
	for _, s := range v.sources {
		s.load(ctx)
	}
}

// Run keeps the lists fresh until ctx ends: files count within a second of their
// change, URLs are fetched at once and then again and again.
func (v *Verifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range v.sources {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Wait()
}

// Verify is that of certs.Verifier, with certs.ErrRevoked for a certificate that
// was revoked, or whose authority was, and certs.ErrRevocationUnknown if that
// cannot be told; with both comes the identity that was proved otherwise.
func (v *Verifier) Verify(chain []*x509.Certificate, now time.Time) (certs.Identity, error) {
	id, path, err := v.certs.VerifyPath(chain, now)
	if err != nil || len(v.byKey) == 0 {
		return id, err
	}
	var unknown error
	anchor := v.byKey[certs.KeyHash(path[len(path)-1])]
	for i, c := range path[:len(path)-1] {
		err := v.check(c, path[i+1], anchor, now)
		if errors.Is(err, certs.ErrRevoked) {
			return id, err
		}
		unknown = errors.Join(unknown, err)
	}
	return id, unknown
}

// check looks c up with the authority that signed it, as configured for that
// authority's key: so lists cannot be evaded by a chain through another
// certificate of the same key.
func (v *Verifier) check(c, issuer *x509.Certificate, anchor *authority, now time.Time) error {
	a := v.byKey[certs.KeyHash(issuer)]
	if a == nil && anchor == nil {
		return nil
	}
	if a == nil {
		if len(anchor.Lists) > 0 {
			return fmt.Errorf("%w: no revocation list is configured of %q", certs.ErrRevocationUnknown, issuer.Subject)
		}
		// An authority below one that is asked by OCSP; another's URL would not
		// know of it.
		a = &authority{Authority: Authority{OCSP: OCSPOn}}
	}
	if len(a.sources) > 0 {
		if err := a.look(c, now); err != nil {
			return err
		}
	}
	if a.asksOCSP() {
		return v.ocsp.check(c, issuer, a.OCSP, now)
	}
	return nil
}

// look looks c up in the lists. All of them must be there and current: one that
// is missing might be the one that names c.
func (a *authority) look(c *x509.Certificate, now time.Time) error {
	covered := false
	var unknown error
	for _, s := range a.sources {
		switch l := s.held.Load(); {
		case l == nil:
			unknown = fmt.Errorf("%w: %q gave no revocation list yet", certs.ErrRevocationUnknown, s.name)
		case l.Covers(c) && l.Revokes(c):
			return fmt.Errorf("%w: serial number %s, by the list of %s", certs.ErrRevoked, certs.Serial(c), stamp(l.ThisUpdate))
		case !l.Current(now):
			unknown = fmt.Errorf("%w: the list of %q was good until %s", certs.ErrRevocationUnknown, s.name, stamp(l.NextUpdate))
		default:
			covered = covered || l.Covers(c)
		}
	}
	if unknown == nil && !covered {
		unknown = fmt.Errorf("%w: no list speaks for serial number %s", certs.ErrRevocationUnknown, certs.Serial(c))
	}
	return unknown
}

// Status is what is known of one configured list.
type Status struct {
	Authority              string // its subject
	Source                 string // path or URL, as configured
	ThisUpdate, NextUpdate time.Time
	Entries                int // revoked certificates; all are zero without a list
}

// Lists tells the state of every configured list, in the order of the
// configuration.
func (v *Verifier) Lists() []Status {
	var out []Status
	for _, s := range v.sources {
		st := Status{Authority: s.authority.Subject.String(), Source: s.name}
		if l := s.held.Load(); l != nil {
			st.ThisUpdate, st.NextUpdate, st.Entries = l.ThisUpdate, l.NextUpdate, l.Entries
		}
		out = append(out, st)
	}
	return out
}
