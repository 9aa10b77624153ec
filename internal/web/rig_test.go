package web

import (
	"bytes"
	"encoding/json"
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
