package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// rig is a mount whose log, counter and clock the test sees.
type rig struct {
	mu      sync.Mutex
	log     bytes.Buffer
	counted []string
	o       Options
}

func newRig() *rig {
	g := &rig{}
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	g.o = Options{
		Log:          slog.New(slog.NewJSONHandler(lockedWriter{g}, nil)),
		Now:          func() time.Time { g.mu.Lock(); defer g.mu.Unlock(); at = at.Add(3 * time.Millisecond); return at },
		NewReference: func() string { return "ref-1" },
		Count: func(route string, status int, reason string, d time.Duration) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.counted = append(g.counted, fmt.Sprintf("%s %d %s %v", route, status, reason, d))
		},
	}
	return g
}

type lockedWriter struct{ g *rig }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	return w.g.log.Write(p)
}

// only gives the one record that must be there.
func (g *rig) only(t *testing.T) map[string]any {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	lines := strings.Split(strings.TrimSuffix(g.log.String(), "\n"), "\n")
	if len(lines) != 1 || lines[0] == "" {
		t.Fatalf("want one log record, got %q", lines)
	}
	var rec map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func do(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

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

func TestHandleMapsErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		err            error
		status         int
		reason, detail string
		retryAfter     string
		level          string
	}{
		{"as it says", &Error{Status: 400, Reason: "signature_invalid", Public: "No.", Err: errors.New("digest differs")}, 400, "signature_invalid", "No.", "", "INFO"},
		{"wrapped", fmt.Errorf("sign in: %w", &Error{Status: 403, Reason: "no_role"}), 403, "no_role", "Forbidden", "", "INFO"},
		{"retry", &Error{Status: 503, Reason: "storage", Public: "Later.", RetryAfter: 1500 * time.Millisecond}, 503, "storage", "Later.", "2", "ERROR"},
		{"other error", errors.New("secret path /x"), 500, "internal", publicInternal, "", "ERROR"},
		{"typed nil", (*Error)(nil), 500, "internal", publicInternal, "", "ERROR"},
		{"no status", &Error{Reason: "odd"}, 500, "odd", "Internal Server Error", "", "ERROR"},
		{"status of success", &Error{Status: 200}, 500, "internal", "Internal Server Error", "", "ERROR"},
		{"unnamed status", &Error{Status: 599, Reason: "odd"}, 599, "odd", publicInternal, "", "ERROR"},
		{"deadline", fmt.Errorf("get: %w", context.DeadlineExceeded), 503, "timeout", "The answer took too long. Please try again.", "1", "ERROR"},
		{"cancelled by ourselves", context.Canceled, 503, "timeout", "The answer took too long. Please try again.", "1", "ERROR"},
		{"body too slow", fmt.Errorf("read: %w", os.ErrDeadlineExceeded), 408, "body_timeout", "The request took too long to arrive.", "", "INFO"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig()
			res := do(Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", "text/css")
				w.Header().Set("Content-Length", "3")
				w.Header().Set("Cache-Control", "max-age=60")
				return test.err
			}, &g.o), httptest.NewRequest("GET", "/x", nil))
			text := body(t, res)
			var p struct {
				Type, Title, Detail, Reference string
				Status                         int
			}
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
			if res.StatusCode != test.status || p.Status != test.status || p.Type != "about:blank" ||
				p.Title != http.StatusText(test.status) || p.Detail != test.detail || p.Reference != "ref-1" {
				t.Errorf("status %d, body %s", res.StatusCode, text)
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "digest differs") {
				t.Errorf("the log's part was sent: %s", text)
			}
			if h := res.Header; h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" ||
				h.Get("Retry-After") != test.retryAfter || h.Get("Content-Length") != fmt.Sprint(len(text)) {
				t.Errorf("header %v", h)
			}
			rec := g.only(t)
			if rec["status"] != float64(test.status) || rec["reason"] != test.reason || rec["level"] != test.level {
				t.Errorf("record %v", rec)
			}
			if len(g.counted) != 1 || !strings.HasPrefix(g.counted[0], fmt.Sprintf("/x %d %s ", test.status, test.reason)) {
				t.Errorf("counted %q", g.counted)
			}
		})
	}
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	g := newRig()
	ctx, cancel := context.WithCancel(t.Context())
	res := do(Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
		cancel()
		<-r.Context().Done()
		return &Error{Status: 500, Reason: "storage", Err: r.Context().Err()}
	}, &g.o), httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
	if res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
	if rec := g.only(t); rec["status"] != 499.0 || rec["reason"] != "client_gone" || rec["level"] != "INFO" {
		t.Errorf("record %v", rec)
	}
}

func TestClientGoneDoesNotHideOtherErrors(t *testing.T) {
	t.Parallel()
	g := newRig()
	ctx, cancel := context.WithCancel(t.Context())
	do(Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
		cancel()
		return &Error{Status: 400, Reason: "signature_invalid"}
	}, &g.o), httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
	if rec := g.only(t); rec["status"] != 400.0 || rec["reason"] != "signature_invalid" {
		t.Errorf("record %v", rec)
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
				if len(b) > 10 {
					t.Errorf("read %d bytes", len(b))
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

func TestPanic(t *testing.T) {
	t.Parallel()
	g := newRig()
	res := do(Handle("/x", func(http.ResponseWriter, *http.Request) error { panic("secret state") }, &g.o), httptest.NewRequest("GET", "/x", nil))
	if text := body(t, res); res.StatusCode != 500 || strings.Contains(text, "secret") || !strings.Contains(text, publicInternal) {
		t.Errorf("status %d: %s", res.StatusCode, text)
	}
	rec := g.only(t)
	if rec["panic"] != "secret state" || rec["reason"] != "panic" || rec["level"] != "ERROR" || !strings.Contains(rec["stack"].(string), "TestPanic") {
		t.Errorf("record %v", rec)
	}
}

// Over a real server, where the connection can be cut.
func TestPanicAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"oh", http.ErrAbortHandler} {
		g := newRig()
		served := make(chan struct{})
		h := Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
			io.WriteString(w, "half")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			panic(value)
		}, &g.o)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(served)
			h.ServeHTTP(w, r)
		}))
		res, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%v: half an answer passed for a whole one", value)
		}
		res.Body.Close()
		<-served
		s.Close()
		if rec := g.only(t); rec["status"] != 200.0 || rec["reason"] != "panic" || rec["level"] != "ERROR" {
			t.Errorf("%v: record %v", value, rec)
		}
	}
}

func TestAbortBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	g := newRig()
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
		if rec := g.only(t); rec["reason"] != "aborted" || rec["stack"] != nil {
			t.Errorf("record %v", rec)
		}
	}()
	do(Handle("/x", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, &g.o), httptest.NewRequest("GET", "/x", nil))
}

func TestErrorAfterTheAnswerBeganIsOnlyLogged(t *testing.T) {
	t.Parallel()
	g := newRig()
	res := do(Handle("/x", func(w http.ResponseWriter, r *http.Request) error {
		io.WriteString(w, "part")
		return errors.New("disk went away")
	}, &g.o), httptest.NewRequest("GET", "/x", nil))
	if text := body(t, res); res.StatusCode != 200 || text != "part" {
		t.Errorf("status %d: %q", res.StatusCode, text)
	}
	if rec := g.only(t); rec["status"] != 200.0 || rec["reason"] != "response_cut" || rec["error"] != "disk went away" || rec["level"] != "WARN" {
		t.Errorf("record %v", rec)
	}
}

func TestWriteErrorThatFailsLeavesPlainText(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(http.ResponseWriter, *http.Request, *Error, string){
		"writes nothing": func(http.ResponseWriter, *http.Request, *Error, string) {},
		"panics":         func(http.ResponseWriter, *http.Request, *Error, string) { panic("template") },
	} {
		g := newRig()
		g.o.WriteError = write
		res := do(Handle("/x", func(http.ResponseWriter, *http.Request) error {
			return &Error{Status: 400, Reason: "bad", Public: "Not so."}
		}, &g.o), httptest.NewRequest("GET", "/x", nil))
		if text := body(t, res); res.StatusCode != 400 || text != "Not so.\n" {
			t.Errorf("%s: status %d: %q", name, res.StatusCode, text)
		}
		if rec := g.only(t); rec["reason"] != "bad" || (name == "panics" && rec["panic"] != "template") {
			t.Errorf("%s: record %v", name, rec)
		}
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
