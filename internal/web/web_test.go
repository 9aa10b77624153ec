package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHandleRecordsOneRequest(t *testing.T) {
	t.Parallel()
	g := newRig()
	g.o.HSTS = 24 * time.Hour
	h := Handle("GET /saml/sso", func(w http.ResponseWriter, r *http.Request) error {
		if got := Reference(r.Context()); got != "ref-1" {
			t.Errorf("Reference = %q", got)
		}
		Annotate(r.Context(), slog.String("device", "d\n1\x1b[2J"), slog.Int("depth", 7))
		w.WriteHeader(http.StatusAccepted)
		_, err := io.WriteString(w, "hello")
		return err
	}, &g.o)
	res := do(h, httptest.NewRequest("GET", "/saml/sso?SAMLRequest=secret", nil))
	if res.StatusCode != 202 || body(t, res) != "hello" {
		t.Errorf("status %d", res.StatusCode)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "Strict-Transport-Security": "max-age=86400",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	raw := g.log.String()
	if strings.Contains(raw, "secret") || strings.ContainsAny(strings.TrimSuffix(raw, "\n"), "\n\x1b") {
		t.Errorf("query or control bytes in the log: %q", raw)
	}
	rec := g.only(t)
	for key, want := range map[string]any{
		"time": "2026-11-22T16:00:00.006Z", "level": "INFO", "msg": "request", "method": "GET", "route": "GET /saml/sso",
		"status": 202.0, "bytes": 5.0, "duration_us": 3000.0, "remote": "192.0.2.1:1234", "reference": "ref-1",
		"device": "d\n1\x1b[2J", "depth": 7.0,
	} {
		if rec[key] != want {
			t.Errorf("record %s = %v, want %v", key, rec[key], want)
		}
	}
	if _, there := rec["reason"]; there {
		t.Error("reason recorded without an error")
	}
	if want := "GET /saml/sso 202  3ms"; len(g.counted) != 1 || g.counted[0] != want {
		t.Errorf("counted %q, want %q", g.counted, want)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		size   int
		known  bool
		status int
	}{{"fits", 10, true, 200}, {"fits, length unknown", 10, false, 200}, {"too large", 11, true, 413}, {"too large, length unknown", 11, false, 413}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig()
			g.o.MaxBody = 10
			r := httptest.NewRequest("POST", "/x", strings.NewReader(strings.Repeat("a", test.size)))
			if !test.known {
				r.ContentLength = -1
			}
			res := do(Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
				b, err := io.ReadAll(r.Body)
				if len(b) > 10 || test.known && test.size > 10 {
					t.Errorf("read %d bytes of %d", len(b), test.size)
				}
				return err
			}, &g.o), r)
			if res.StatusCode != test.status {
				t.Errorf("status %d, want %d", res.StatusCode, test.status)
			}
			if rec := g.only(t); test.status == 413 && rec["reason"] != "body_too_large" {
				t.Errorf("record %v", rec)
			}
		})
	}
}

func TestHeadAndEmpty(t *testing.T) {
	t.Parallel()
	g := newRig()
	served := make(chan struct{}, 1)
	h := Handle("GET /x", func(w http.ResponseWriter, r *http.Request) error { return WriteJSON(w, 200, "four") }, &g.o)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r); served <- struct{}{} }))
	defer s.Close()
	res, err := http.Head(s.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-served
	if res.StatusCode != 200 || res.ContentLength != 7 {
		t.Errorf("status %d, length %d", res.StatusCode, res.ContentLength)
	}
	if rec := g.only(t); rec["bytes"] != 0.0 || rec["method"] != "HEAD" {
		t.Errorf("record %v", rec)
	}

	g = newRig()
	do(Handle("/x", func(http.ResponseWriter, *http.Request) error { return nil }, &g.o), httptest.NewRequest("GET", "/x", nil))
	if rec := g.only(t); rec["status"] != 200.0 {
		t.Errorf("record %v", rec)
	}
}

func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	g := newRig()
	r := httptest.NewRequest("GET", "/x", nil)
	r.Method = strings.Repeat("M", 5000)
	do(Handle("/x", func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("issuer %q", strings.Repeat("é", 50_000))
	}, &g.o), r)
	g.only(t)
	if n := g.log.Len(); n > 2000 {
		t.Errorf("record of %d bytes", n)
	}
}

func TestContextWithoutRequest(t *testing.T) {
	t.Parallel()
	if got := Reference(t.Context()); got != "" {
		t.Errorf("Reference = %q", got)
	}
	Annotate(t.Context(), slog.Int("n", 1))
}

func TestAnnotateFromManyGoroutines(t *testing.T) {
	t.Parallel()
	g := newRig()
	do(Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() { Annotate(r.Context(), slog.Int(fmt.Sprint("n", i), i)) })
		}
		wg.Wait()
		return nil
	}, &g.o), httptest.NewRequest("GET", "/x", nil))
	rec := g.only(t)
	for i := range 30 {
		if rec[fmt.Sprint("n", i)] != float64(i) {
			t.Errorf("n%d is missing", i)
		}
	}
}

// An answer may refuse without being an error of HTTP; an error wins over it.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, returned := range []error{nil, &Error{Status: 503, Reason: "unavailable", Err: errors.New("disk")}} {
		g := newRig()
		do(Handle("GET /x", func(w http.ResponseWriter, r *http.Request) error {
			Refused(r.Context(), "bad_wish", errors.New("wish \"w\""))
			if returned == nil {
				w.WriteHeader(303)
			}
			return returned
		}, &g.o), httptest.NewRequest("GET", "/x", nil))
		status, reason, fault, level := 303.0, "bad_wish", `wish "w"`, "INFO"
		if returned != nil {
			status, reason, fault, level = 503, "unavailable", "disk", "ERROR"
		}
		rec := g.only(t)
		if rec["status"] != status || rec["reason"] != reason || rec["error"] != fault || rec["level"] != level {
			t.Errorf("record %v", rec)
		}
		if want := fmt.Sprintf("GET /x %v %s 3ms", status, reason); len(g.counted) != 1 || g.counted[0] != want {
			t.Errorf("counted %q, want %q", g.counted, want)
		}
	}
	Refused(t.Context(), "nobody", nil)
}
