package revocation

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/certs"
)

func TestVerifyByLists(t *testing.T) {
	t.Parallel()
	corp, plain := newAuthority("Corp"), newAuthority("Plain")
	lost, kept := corp.leaf(), corp.leaf()
	r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, Lists: []string{"corp.crl"}}, Authority{Certificate: plain.cert})
	r.Load(t.Context())
	r.want(t, certs.ErrRevocationUnknown, "gave no revocation list yet", kept)
	r.want(t, nil, "", plain.leaf()) // which demands none
	if r.log.count("no such file") != 1 {
		t.Error("that the list is missing was not logged once")
	}

	r.put(t, "corp.crl", corp.list([]*x509.Certificate{lost}))
	r.Load(t.Context())
	r.want(t, nil, "", kept)
	r.want(t, certs.ErrRevoked, "serial number "+certs.Serial(lost), lost)

	r.set(testNow.Add(day)) // the last moment
	r.want(t, nil, "", kept)
	r.set(testNow.Add(day + time.Second))
	r.want(t, certs.ErrRevocationUnknown, "was good until 2026-11-23T12:00:00Z", kept)
	r.want(t, certs.ErrRevoked, "", lost)

	// What certs refuses stays refused as before.
	if _, err := r.Verify(nil, testNow); err != certs.ErrNoCertificate {
		t.Error(err)
	}
	if id, err := r.Verify([]*x509.Certificate{newAuthority("Corp").leaf()}, testNow); err == nil || id != (certs.Identity{}) {
		t.Error("a stranger is", id, err)
	}
}

// Every list that is configured must be there and current.
func TestVerifyBySeveralLists(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	lost, kept := corp.leaf(), corp.leaf()
	r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, Lists: []string{"users.crl", "cas.crl"}})
	r.put(t, "users.crl", corp.list([]*x509.Certificate{lost}, point(onlyUsers)))
	r.Load(t.Context())
	r.want(t, certs.ErrRevocationUnknown, "cas.crl", kept)
	r.want(t, certs.ErrRevoked, "", lost)
	r.put(t, "cas.crl", corp.list(nil, point(onlyAuthorities)))
	r.Load(t.Context())
	r.want(t, nil, "", kept)
	r.put(t, "users.crl", corp.list(nil, point(onlyAuthorities)))
	r.Load(t.Context())
	r.want(t, certs.ErrRevocationUnknown, "no list speaks for serial number "+certs.Serial(kept), kept)
}

func TestVerifyBelowAnotherAuthority(t *testing.T) {
	t.Parallel()
	top := newAuthority("Top")
	issuing := top.sub("Issuing")
	lost, kept := issuing.leaf(), issuing.leaf()
	dir := t.TempDir()
	r := newRig(t, dir, Authority{Certificate: top.cert, Lists: []string{"top.crl"}})
	r.put(t, "top.crl", top.list(nil))
	r.put(t, "issuing.crl", issuing.list([]*x509.Certificate{lost}))
	r.Load(t.Context())
	// The top's list does not speak for what another authority issued.
	r.want(t, certs.ErrRevocationUnknown, `no revocation list is configured of "CN=Issuing"`, kept, issuing.cert)

	both := func() *rig {
		r := newRig(t, dir, Authority{Certificate: top.cert, Lists: []string{"top.crl"}}, Authority{Certificate: issuing.cert, Lists: []string{"issuing.crl"}})
		r.Load(t.Context())
		return r
	}
	r = both()
	r.want(t, nil, "", kept)
	r.want(t, nil, "", kept, issuing.cert)
	r.want(t, certs.ErrRevoked, "", lost, issuing.cert)

	// Another certificate of the same authority is no way around its list: here
	// the configured one has expired and the device brings a renewed one.
	expired := issuer{top.sign(authorityTemplate("Issuing"), issuing.key.Public(), []change{func(c *x509.Certificate) {
		c.NotAfter = testNow.Add(-day)
	}}), issuing.key}
	r = newRig(t, dir, Authority{Certificate: expired.cert, Lists: []string{"issuing.crl"}}, Authority{Certificate: top.cert})
	r.Load(t.Context())
	r.want(t, nil, "", kept, issuing.cert)
	r.want(t, certs.ErrRevoked, "", lost, issuing.cert)

	// A revoked authority takes its devices with it.
	r = both()
	r.put(t, "top.crl", top.list([]*x509.Certificate{issuing.cert}))
	r = newRig(t, dir, Authority{Certificate: expired.cert, Lists: []string{"issuing.crl"}}, Authority{Certificate: top.cert, Lists: []string{"top.crl"}})
	r.Load(t.Context())
	r.want(t, certs.ErrRevoked, "serial number "+certs.Serial(issuing.cert), kept, issuing.cert)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	v := must(certs.NewVerifier([]certs.TrustedAuthority{{Certificate: corp.cert, IDFrom: certs.IDFromCN}}))
	a := Authority{Certificate: corp.cert, OCSP: OCSPOn}
	if _, err := New(v, []Authority{a, a}, Options{}); err == nil || !strings.Contains(err.Error(), "twice for the same key") {
		t.Error(err)
	}
}

// A file counts again as soon as it changes, and what is wrong with it is logged
// once and leaves the last good list in force.
func TestFileChanges(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	c := corp.leaf()
	r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, Lists: []string{"corp.crl"}})
	r.put(t, "corp.crl", corp.list(nil))
	r.run(t)
	r.want(t, nil, "", c)

	began := time.Now()
	r.put(t, "corp.crl", corp.list([]*x509.Certificate{c}, dated(-30*time.Minute, day)))
	r.eventually(t, certs.ErrRevoked, c)
	t.Logf("revoked after %s", time.Since(began))

	// An older list, or a broken one, does not bring it back.
	for name, data := range map[string][]byte{
		"older than the one":   corp.list(nil, dated(-40*time.Minute, day)),
		"not of":               newAuthority("Other").list(nil),
		"revocation list: ":    {0x30},
		"more than 16777216":   make([]byte, MaxListBytes+1),
		"no such file or dire": nil,
	} {
		if data == nil {
			if err := os.Remove(filepath.Join(r.dir, "corp.crl")); err != nil {
				t.Fatal(err)
			}
		} else {
			r.put(t, "corp.crl", data)
		}
		waitFor(t, func() bool { return r.log.count(name) > 0 })
		r.want(t, certs.ErrRevoked, "", c)
	}

	r.put(t, "corp.crl", corp.list(nil, dated(-20*time.Minute, day)))
	r.eventually(t, nil, c)

	// Written in place within one tick of the file system's clock, and of the
	// same length: only the content tells.
	path := filepath.Join(r.dir, "corp.crl")
	info := must(os.Stat(path))
	other := corp.list([]*x509.Certificate{c}, dated(-10*time.Minute, day))
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, certs.ErrRevoked, c)
	if n := r.log.count("revocation list read\""); n < 4 {
		t.Errorf("%d lists were logged", n)
	}

	// Out of date is said once, though it is seen four times a second.
	r.set(testNow.Add(2 * day))
	waitFor(t, func() bool { return r.log.count("is out of date") > 0 })
	r.want(t, certs.ErrRevocationUnknown, "", corp.leaf())
	if n := r.log.count("is out of date"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// crlServer serves a list, and counts.
type crlServer struct {
	*httptest.Server
	data  atomic.Pointer[[]byte]
	asked atomic.Int64
}

func newCRLServer(t *testing.T, data []byte) *crlServer {
	t.Helper()
	s := &crlServer{}
	s.data.Store(&data)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		data := *s.data.Load()
		switch {
		case data == nil:
			http.Error(w, "gone", http.StatusServiceUnavailable)
		case r.URL.Path == "/moved.crl":
			http.Redirect(w, r, "/corp.crl", http.StatusFound)
		default:
			w.Write(data)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestFetch(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	lost, kept := corp.leaf(), corp.leaf()
	web := newCRLServer(t, corp.list([]*x509.Certificate{lost}))
	dir := t.TempDir()
	url := web.URL + "/corp.crl"
	r := newRig(t, dir, Authority{Certificate: corp.cert, Lists: []string{url}})
	r.Load(t.Context())
	r.want(t, certs.ErrRevocationUnknown, url, kept)
	if web.asked.Load() != 0 {
		t.Error("fetched while the server waits to start")
	}
	r.run(t)
	r.eventually(t, nil, kept)
	r.want(t, certs.ErrRevoked, "", lost)
	waitFor(t, func() bool { files, _ := filepath.Glob(filepath.Join(dir, "crl", "*.crl")); return len(files) == 1 })

	// After an hour it is fetched again.
	next := corp.list([]*x509.Certificate{lost, kept}, dated(-time.Minute, day))
	web.data.Store(&next)
	r.set(testNow.Add(time.Hour))
	r.eventually(t, certs.ErrRevoked, kept)

	// A failure leaves the list in force, and is tried again after a minute.
	none := []byte(nil)
	web.data.Store(&none)
	r.set(testNow.Add(3 * time.Hour))
	waitFor(t, func() bool { return r.log.count("503 Service Unavailable") == 1 })
	r.want(t, certs.ErrRevoked, "", kept)
	last := corp.list([]*x509.Certificate{lost}, dated(-30*time.Second, day))
	web.data.Store(&last)
	r.set(testNow.Add(3*time.Hour + time.Minute))
	r.eventually(t, nil, kept)

	// Started again without the network, the copy serves, once it is written.
	waitFor(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "crl", "*.crl"))
		return len(files) == 1 && bytes.Equal(must(os.ReadFile(files[0])), last)
	})
	web.Close()
	again := newRig(t, dir, Authority{Certificate: corp.cert, Lists: []string{url}})
	again.set(testNow.Add(4 * time.Hour))
	again.Load(t.Context())
	again.want(t, nil, "", kept)
	again.want(t, certs.ErrRevoked, "", lost)
	if l := again.Lists(); len(l) != 1 || l[0].Source != url || l[0].Authority != "CN=Corp" || l[0].Entries != 1 || !l[0].NextUpdate.Equal(testNow.Add(day)) {
		t.Errorf("lists are %+v", l)
	}
	again.set(testNow.Add(25 * time.Hour))
	again.want(t, certs.ErrRevocationUnknown, "", kept)
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	good := corp.list(nil)
	for name, v := range map[string]struct {
		data []byte
		path string
		want string
	}{
		"a redirect":     {good, "/moved.crl", "answered 302 Found"},
		"another's list": {newAuthority("Corp").list(nil), "/corp.crl", "verification"},
		"too much":       {make([]byte, MaxListBytes+1), "/corp.crl", "answered more than 16777216 bytes"},
		"a page":         {[]byte("<html>"), "/corp.crl", "revocation list: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := newCRLServer(t, v.data)
			r := newRig(t, t.TempDir(), Authority{Certificate: corp.cert, Lists: []string{web.URL + v.path}})
			r.run(t)
			waitFor(t, func() bool { return r.log.count(v.want) == 1 })
			r.want(t, certs.ErrRevocationUnknown, "", corp.leaf())
			if _, err := os.Stat(filepath.Join(r.dir, "crl")); err == nil {
				t.Error("a copy was kept")
			}
		})
	}
}

// A copy is verified as what was fetched, and is of its authority only.
func TestCopyIsVerified(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	dir := t.TempDir()
	const url = "http://127.0.0.1:1/corp.crl"
	s := newSource(url, corp.cert, Options{Dir: filepath.Join(dir, "crl"), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return testNow }})
	if other := newSource(url, newAuthority("Corp").cert, s.Options); other.file == s.file {
		t.Error("two authorities share a copy")
	}
	if err := writeFile(s.file, newAuthority("Corp").list(nil)); err != nil {
		t.Fatal(err)
	}
	s.load(t.Context())
	if s.held.Load() != nil {
		t.Error("a copy by another key is held")
	}
	if err := writeFile(s.file, corp.list(nil)); err != nil {
		t.Fatal(err)
	}
	s.load(t.Context())
	if s.held.Load() == nil {
		t.Error("the right copy is not held")
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	corp := newAuthority("Corp")
	s := newSource("x.crl", corp.cert, Options{})
	if got := s.pause(nil, testNow); got != time.Minute {
		t.Errorf("without a list: %s", got)
	}
	for left, want := range map[time.Duration]time.Duration{
		-time.Hour: time.Minute, time.Second: time.Minute, 10 * time.Minute: 5 * time.Minute, 7 * day: time.Hour,
	} {
		s.held.Store(&List{NextUpdate: testNow.Add(left)})
		if got := s.pause(nil, testNow); got != want {
			t.Errorf("%s before the next update: %s, want %s", left, got, want)
		}
		if got := s.pause(os.ErrNotExist, testNow); got != time.Minute {
			t.Errorf("after a failure: %s", got)
		}
	}
}
