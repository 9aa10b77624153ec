package revocation

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"gatepost.dev/certs"
)

// answer makes the answer to a question about c: good, an hour ago, for a day.
func (i issuer) answer(c *x509.Certificate, by issuer, changes ...func(*ocsp.Response)) []byte {
	r := ocsp.Response{Status: ocsp.Good, SerialNumber: c.SerialNumber, ThisUpdate: testNow.Add(-time.Hour), NextUpdate: testNow.Add(day)}
	for _, f := range changes {
		f(&r)
	}
	if r.Status == ocsp.Revoked {
		r.RevokedAt = testNow.Add(-2 * time.Hour)
	}
	if by.cert != i.cert {
		r.Certificate = by.cert
	}
	return must(ocsp.CreateResponse(i.cert, by.cert, r, by.key))
}

// delegate is a responder that i lets answer, but for the changes.
func (i issuer) delegate(changes ...change) issuer {
	key := newKey()
	return issuer{i.sign(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, KeyUsage: x509.KeyUsageDigitalSignature}, key.Public(), changes), key}
}

func status(s int) func(*ocsp.Response) { return func(r *ocsp.Response) { r.Status = s } }
func answered(from, until time.Duration) func(*ocsp.Response) {
	return func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = testNow.Add(from), testNow.Add(until) }
}

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	corp, other := newAuthority("Corp"), newAuthority("Other")
	c := corp.leaf()
	tampered := corp.answer(c, corp)
	tampered[len(tampered)-1] ^= 1
	expired := func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Second) }
	early := func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) }
	anyUse := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
	deviceUse := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	noNext := func(r *ocsp.Response) { r.NextUpdate = time.Time{} }
	for name, v := range map[string]struct {
		answer []byte
		until  time.Duration // 0: refused
		want   string
	}{
		"by the authority":        {corp.answer(c, corp), time.Hour, ""},
		"by a delegate":           {corp.answer(c, corp.delegate()), time.Hour, ""},
		"soon over":               {corp.answer(c, corp, answered(-time.Hour, 7*time.Minute)), 7 * time.Minute, ""},
		"a clock ahead":           {corp.answer(c, corp, answered(4*time.Minute, day)), time.Hour, ""},
		"without an end, fresh":   {corp.answer(c, corp, answered(-time.Minute, 0), noNext), time.Minute, ""},
		"without an end, old":     {corp.answer(c, corp, answered(-11*time.Minute, 0), noNext), 0, "does not say until when"},
		"from the future":         {corp.answer(c, corp, answered(6*time.Minute, day)), 0, "in the future"},
		"out of date":             {corp.answer(c, corp, answered(-day, -time.Second)), 0, "it was good until"},
		"unknown":                 {corp.answer(c, corp, status(ocsp.Unknown)), 0, "does not know the certificate"},
		"about another":           {corp.answer(corp.leaf(), corp), 0, "no response matching"},
		"by another authority":    {other.answer(c, other), 0, "bad OCSP signature"},
		"by another's delegate":   {corp.answer(c, other.delegate()), 0, "bad OCSP signature"},
		"tampered with":           {tampered, 0, "bad OCSP signature"},
		"by a device":             {corp.answer(c, corp.delegate(deviceUse)), 0, "does not let it answer"},
		"by a delegate for any":   {corp.answer(c, corp.delegate(anyUse)), 0, "does not let it answer"},
		"by an expired delegate":  {corp.answer(c, corp.delegate(expired)), 0, "not valid now"},
		"by a delegate too early": {corp.answer(c, corp.delegate(early)), 0, "not valid now"},
		"try later":               {ocsp.TryLaterErrorResponse, 0, "try later"},
		"nothing":                 {nil, 0, ""},
		"a page":                  {[]byte("<html>"), 0, ""},
		"bytes behind it":         {append(corp.answer(c, corp), 0), 0, "trailing data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, until, err := readAnswer(v.answer, c, corp.cert, testNow)
			if v.until == 0 {
				if err == nil || r != nil || !strings.Contains(err.Error(), v.want) {
					t.Errorf("gives %v, error %v", r, err)
				}
				return
			}
			if err != nil || !until.Equal(testNow.Add(v.until)) {
				t.Errorf("good for %s, want %s; error %v", until.Sub(testNow), v.until, err)
			}
		})
	}
	if r, _, err := readAnswer(corp.answer(c, corp, status(ocsp.Revoked)), c, corp.cert, testNow); err != nil || r.Status != ocsp.Revoked {
		t.Errorf("revoked is %v, error %v", r, err)
	}
}

// responder answers questions by the function, and counts.
type responder struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	reply func(w http.ResponseWriter, q *ocsp.Request)
}

func newResponder(t *testing.T, reply func(http.ResponseWriter, *ocsp.Request)) *responder {
	t.Helper()
	r := &responder{reply: reply}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		body, err := io.ReadAll(req.Body)
		q, err2 := ocsp.ParseRequest(body)
		if err := errors.Join(err, err2); err != nil || req.Method != "POST" || req.Header.Get("Content-Type") != "application/ocsp-request" {
			http.Error(w, "no question", http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		reply := r.reply
		r.mu.Unlock()
		reply(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *responder) set(reply func(http.ResponseWriter, *ocsp.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reply = reply
}

func TestVerifyByOCSP(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	lost, kept := corp.leaf(), corp.leaf()
	reply := func(w http.ResponseWriter, q *ocsp.Request) {
		c, s := kept, ocsp.Good
		if q.SerialNumber.Cmp(lost.SerialNumber) == 0 {
			c, s = lost, ocsp.Revoked
		}
		w.Write(corp.answer(c, corp, status(s)))
	}
	web := newResponder(t, reply)
	r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, OCSP: web.URL})
	for range 3 {
		r.want(t, nil, "", kept)
		r.want(t, certs.ErrRevoked, "by OCSP, at 2026-11-22T10:00:00Z", lost)
	}
	if n := web.asked.Load(); n != 2 || r.asked("good") != 1 || r.asked("revoked") != 1 {
		t.Errorf("%d questions, counted %v; want one for each certificate", n, r.asks)
	}

	// An hour later it is asked again, and does not answer: known no more.
	web.set(func(w http.ResponseWriter, _ *ocsp.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	r.set(testNow.Add(time.Hour))
	r.want(t, nil, "", kept)
	r.set(testNow.Add(time.Hour + time.Second))
	r.want(t, certs.ErrRevocationUnknown, "answered 500", kept)
	asked := web.asked.Load()
	r.want(t, certs.ErrRevocationUnknown, "answered 500", kept)
	r.want(t, certs.ErrRevocationUnknown, "did not answer a moment ago", lost)
	if web.asked.Load() != asked {
		t.Error("a responder that fails is asked again at once")
	}
	web.set(reply)
	r.set(testNow.Add(time.Hour + 7*time.Second))
	r.want(t, nil, "", kept)
	if r.log.count("revocation not found out by OCSP") != 2 {
		t.Error("the two failures were not logged once each")
	}
}

// Many who ask the same at once share one question, and a responder that says
// nothing is not waited for beyond the limit.
func TestOCSPWaits(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	c := corp.leaf()
	release := make(chan struct{})
	web := newResponder(t, func(w http.ResponseWriter, _ *ocsp.Request) {
		<-release
		w.Write(corp.answer(c, corp))
	})
	r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, OCSP: web.URL})
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 50 {
		wg.Go(func() {
			if _, err := r.Verify([]*x509.Certificate{c}, testNow); err == nil {
				good.Add(1)
			}
		})
	}
	waitFor(t, func() bool { return web.asked.Load() > 0 })
	close(release)
	wg.Wait()
	if good.Load() != 50 || web.asked.Load() != 1 {
		t.Errorf("%d of 50 are good after %d questions", good.Load(), web.asked.Load())
	}

	hold := make(chan struct{})
	defer close(hold)
	web.set(func(http.ResponseWriter, *ocsp.Request) { <-hold })
	r.want(t, certs.ErrRevocationUnknown, "deadline exceeded", corp.leaf())
}

// "on" asks whom the certificates name, for every certificate of the chain.
func TestOCSPByCertificate(t *testing.T) {
	t.Parallel()
	top := newAuthority("Top")
	var revoked atomic.Pointer[x509.Certificate]
	var issuing issuer
	web := newResponder(t, func(w http.ResponseWriter, q *ocsp.Request) {
		by := issuing
		if issuing.cert.SerialNumber.Cmp(q.SerialNumber) == 0 {
			by = top
		}
		s := ocsp.Good
		if c := revoked.Load(); c != nil && c.SerialNumber.Cmp(q.SerialNumber) == 0 {
			s = ocsp.Revoked
		}
		w.Write(by.answer(&x509.Certificate{SerialNumber: q.SerialNumber}, by, status(s)))
	})
	named := func(c *x509.Certificate) { c.OCSPServer = []string{web.URL} }
	issuing = top.sub("Issuing", named)
	c := issuing.leaf(named)
	r := newRig(t, t.TempDir(), Authority{Certificate: top.cert, OCSP: OCSPOn})
	r.want(t, nil, "", c, issuing.cert)
	if web.asked.Load() != 2 {
		t.Errorf("%d questions, want one for the device and one for its authority", web.asked.Load())
	}
	r.want(t, certs.ErrRevocationUnknown, "names no OCSP responder", issuing.leaf(), issuing.cert)
	ftp := func(c *x509.Certificate) { c.OCSPServer = []string{"ftp://127.0.0.1/"} }
	r.want(t, certs.ErrRevocationUnknown, "no http URL", issuing.leaf(ftp), issuing.cert)
	revoked.Store(issuing.cert)
	r.set(testNow.Add(2 * time.Hour))
	r.want(t, certs.ErrRevoked, "serial number "+certs.Serial(issuing.cert), c, issuing.cert)

	off := newRig(t, t.TempDir(), Authority{Certificate: top.cert, OCSP: OCSPOff})
	off.want(t, nil, "", c, issuing.cert)
}

// Lists and OCSP together: both must clear a certificate.
func TestListsAndOCSP(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	c := corp.leaf()
	var state atomic.Int64
	web := newResponder(t, func(w http.ResponseWriter, q *ocsp.Request) { w.Write(corp.answer(c, corp, status(int(state.Load())))) })
	r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, Lists: []string{"corp.crl"}, OCSP: web.URL})
	r.want(t, certs.ErrRevocationUnknown, "corp.crl", c)
	r.put(t, "corp.crl", corp.list(nil, dated(-time.Hour, 30*day)))
	r.Load(t.Context())
	r.want(t, nil, "", c)
	state.Store(ocsp.Revoked)
	r.set(testNow.Add(2 * time.Hour))
	r.want(t, certs.ErrRevoked, "by OCSP", c)
	state.Store(ocsp.Good)
	r.set(testNow.Add(4 * time.Hour))
	r.want(t, nil, "", c)
	r.put(t, "corp.crl", corp.list([]*x509.Certificate{c}, dated(-time.Minute, day)))
	r.Load(t.Context())
	r.want(t, certs.ErrRevoked, "by the list", c)
}

func TestOCSPRemembersSoMany(t *testing.T) {
	t.Parallel()
	o := newOCSPClient(Options{})
	for i := range 3 * ocspAnswers {
		o.remember(string(rune(i))+"x", &ocspAnswer{})
	}
	if n := len(o.young) + len(o.old); n > 2*ocspAnswers {
		t.Errorf("%d answers are remembered", n)
	}
}

func FuzzReadAnswer(f *testing.F) {
	corp := newAuthority("Corp")
	c := corp.leaf()
	for _, seed := range [][]byte{nil, corp.answer(c, corp), corp.answer(c, corp.delegate()), ocsp.TryLaterErrorResponse, corp.answer(corp.leaf(), corp)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, until, err := readAnswer(data, c, corp.cert, testNow)
		if (r == nil) == (err == nil) || err == nil && !until.After(testNow) {
			t.Fatalf("gives %v until %s and %v", r, until, err)
		}
	})
}
