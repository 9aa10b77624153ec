package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

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
