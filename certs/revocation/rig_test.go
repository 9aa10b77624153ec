package revocation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/certs"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuer is an authority of a test.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials struct {
	sync.Mutex
	next int64
}

func serial() *big.Int {
	serials.Lock()
	defer serials.Unlock()
	serials.next++
	return big.NewInt(1000 + serials.next)
}

type change func(*x509.Certificate)

func (i issuer) sign(c *x509.Certificate, pub crypto.PublicKey, changes []change) *x509.Certificate {
	c.SerialNumber = serial()
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = testNow.Add(-90*day), testNow.Add(90*day)
	}
	for _, f := range changes {
		f(c)
	}
	parent := i.cert
	if parent == nil {
		parent = c
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, parent, pub, i.key))))
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newAuthority(name string, changes ...change) issuer {
	i := issuer{key: newKey()}
	i.cert = i.sign(authorityTemplate(name), i.key.Public(), changes)
	return i
}

func (i issuer) sub(name string, changes ...change) issuer {
	key := newKey()
	return issuer{i.sign(authorityTemplate(name), key.Public(), changes), key}
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// leaf is a device's certificate.
func (i issuer) leaf(changes ...change) *x509.Certificate {
	return i.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "laptop-1"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, newKey().Public(), changes)
}

// list is the DER of a list, made an hour ago and good for a day, of these
// certificates.
func (i issuer) list(revoked []*x509.Certificate, changes ...func(*x509.RevocationList)) []byte {
	l := &x509.RevocationList{Number: serial(), ThisUpdate: testNow.Add(-time.Hour), NextUpdate: testNow.Add(day)}
	for _, c := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: testNow.Add(-2 * time.Hour), ReasonCode: 1})
	}
	for _, f := range changes {
		f(l)
	}
	return must(x509.CreateRevocationList(rand.Reader, l, i.cert, i.key))
}

func dated(from, until time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = testNow.Add(from), testNow.Add(until) }
}

func inPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// log is a logger's output.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}

// rig is a verifier with a folder and a clock that can be set.
type rig struct {
	*Verifier
	dir  string
	log  *logged
	mu   sync.Mutex
	now  time.Time
	asks map[string]int // by result
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) set(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

func (r *rig) count(result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asks[result]++
}

func (r *rig) asked(result string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asks[result]
}

// newRig trusts the authorities, each by the common name.
func newRig(t *testing.T, dir string, authorities ...Authority) *rig {
	t.Helper()
	r := &rig{dir: dir, log: &logged{}, now: testNow, asks: map[string]int{}}
	var trusted []certs.TrustedAuthority
	for i, a := range authorities {
		trusted = append(trusted, certs.TrustedAuthority{Certificate: a.Certificate, IDFrom: certs.IDFromCN})
		authorities[i].Lists = nil
		for _, name := range a.Lists {
			if !IsURL(name) {
				name = filepath.Join(dir, name)
			}
			authorities[i].Lists = append(authorities[i].Lists, name)
		}
	}
	client := NewClient()
	t.Cleanup(client.CloseIdleConnections)
	v, err := New(must(certs.NewVerifier(trusted)), authorities, Options{
		Dir: filepath.Join(dir, "crl"), Log: slog.New(slog.NewJSONHandler(r.log, nil)), Now: r.clock, Client: client, Count: r.count,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Verifier = v
	return r
}

// want demands what a chain is: nil, or one of certs' errors with that text.
func (r *rig) want(t *testing.T, kind error, part string, chain ...*x509.Certificate) {
	t.Helper()
	id, err := r.Verify(chain, r.clock())
	switch {
	case !errors.Is(err, kind) || kind == nil && err != nil:
		t.Fatalf("error is %v, not %v", err, kind)
	case kind != nil && !strings.Contains(err.Error(), part):
		t.Fatalf("error %q does not say %q", err, part)
	case id.DeviceID != "laptop-1":
		t.Fatalf("identity is %+v", id)
	}
}

// eventually asks until the chain is what is wanted.
func (r *rig) eventually(t *testing.T, kind error, chain ...*x509.Certificate) {
	t.Helper()
	waitFor(t, func() bool {
		_, err := r.Verify(chain, r.clock())
		return errors.Is(err, kind) && (kind != nil || err == nil)
	})
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// run lets the lists be kept fresh until the test ends.
func (r *rig) run(t *testing.T) {
	t.Helper()
	r.Load(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(t.Context()) })
	t.Cleanup(wg.Wait)
}

// put writes a file as an administrator should: all at once.
func (r *rig) put(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}
