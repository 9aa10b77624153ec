package web

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestAcceptedAt(t *testing.T) {
	t.Parallel()
	var seconds atomic.Int64
	now := func() time.Time { return time.Unix(seconds.Load(), 0) }
	h := Handle("GET /", func(w http.ResponseWriter, r *http.Request) error {
		at, first, ok := AcceptedAt(r.Context())
		_, err := fmt.Fprint(w, at.Unix(), first, ok)
		return err
	}, &Options{Log: slog.New(slog.DiscardHandler), Now: now})
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnContext = Accepted(now)
	server.Start()
	defer server.Close()
	get := func(want string) {
		t.Helper()
		seconds.Add(10)
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
			t.Errorf("%s, %v, want %s", body, err, want)
		}
	}
	get("10 true true")
	get("10 false true") // ten seconds later on the same connection
	server.Client().CloseIdleConnections()
	get("30 true true")

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := w.Body.String(); got != fmt.Sprint(time.Time{}.Unix(), false, false) {
		t.Errorf("without Accepted: %s", got)
	}
}
