package web_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost.dev/internal/web"
)

// TestGatePutsPeopleFirst: a request that can wait stands aside for one that
// cannot, but not for ever, and never the other way round.
func TestGatePutsPeopleFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := web.NewGate(time.Now, web.GateLimits{Computing: 2, Beside: 2})
		leave := make(chan struct{})
		urgent := g.Urgent(func(http.ResponseWriter, *http.Request) error { <-leave; return nil })
		var served, most, now atomic.Int32
		patient := g.Patient(func(http.ResponseWriter, *http.Request) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			now.Add(-1)
			served.Add(1)
			return nil
		})
		call := func(h web.HandlerFunc) {
			if err := h(nil, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)); err != nil {
				t.Error(err)
			}
		}
		go call(urgent)
		synctest.Wait()
		for range 6 {
			go call(patient)
		}
		time.Sleep(40 * time.Millisecond)
		if n := served.Load(); n != 0 {
			t.Errorf("%d were served before the one that could not wait", n)
		}
		time.Sleep(20 * time.Millisecond)
		if n := served.Load(); n != 2 {
			t.Errorf("%d were served once they had waited long enough", n)
		}
		close(leave)
		time.Sleep(10 * time.Millisecond)
		if n := served.Load(); n != 6 || most.Load() != 2 {
			t.Errorf("%d were served, %d at a time", n, most.Load())
		}
		call(patient) // nobody is in the way
	})
}

func TestGateLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := web.NewGate(time.Now, web.GateLimits{Computing: 1, Beside: 1})
		leave := make(chan struct{})
		hold := g.Patient(func(http.ResponseWriter, *http.Request) error { <-leave; return nil })
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		go hold(nil, r)
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := hold(nil, r.WithContext(gone)); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that left while it waited: %v", err)
		}
		close(leave)
		synctest.Wait()
		if err := hold(nil, r); err != nil {
			t.Error(err)
		}
	})
}

// TestGateWhileNobodyIsAbout: without urgent requests patient ones are bounded only
// in how many compute, and one that waits aside lets others compute.
func TestGateWhileNobodyIsAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := web.NewGate(time.Now, web.GateLimits{Computing: 2, Beside: 3})
		var commit atomic.Value // chan struct{}: closed when what waits is committed
		commit.Store(make(chan struct{}))
		var computing, most, aside atomic.Int32
		compute := func() {
			most.Store(max(most.Load(), computing.Add(1)))
			time.Sleep(time.Millisecond)
			computing.Add(-1)
		}
		patient := handler(g.Patient(func(_ http.ResponseWriter, r *http.Request) error {
			compute()
			err := web.Aside(r.Context(), func() error {
				aside.Add(1)
				defer aside.Add(-1)
				<-commit.Load().(chan struct{})
				return nil
			})
			compute()
			return err
		}))
		for range 10 {
			go call(t, patient)
		}
		time.Sleep(10 * time.Millisecond)
		if n := aside.Load(); n != 10 {
			t.Errorf("%d of 10 wait aside: who waits keeps others from computing", n)
		}
		close(commit.Load().(chan struct{}))
		time.Sleep(10 * time.Millisecond)
		if n := most.Load(); n != 2 {
			t.Errorf("%d computed at a time", n)
		}

		call(t, handler(g.Urgent(func(http.ResponseWriter, *http.Request) error { return nil })))
		commit.Store(make(chan struct{}))
		for range 10 {
			go call(t, patient)
		}
		time.Sleep(10 * time.Millisecond)
		if n := aside.Load(); n != 3 {
			t.Errorf("%d are in hand while people are about", n)
		}
		close(commit.Load().(chan struct{}))
		time.Sleep(2 * time.Second)
		commit.Store(make(chan struct{}))
		for range 10 {
			go call(t, patient)
		}
		time.Sleep(10 * time.Millisecond)
		if n := aside.Load(); n != 10 {
			t.Errorf("%d are in hand when people are gone", n)
		}
		close(commit.Load().(chan struct{}))
		time.Sleep(time.Second)
	})
}

// TestSlowBodyHoldsNobody: a client that does not send its body takes nobody's turn.
func TestSlowBodyHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := web.NewGate(time.Now, web.GateLimits{Computing: 1, Beside: 1})
		h := handler(g.Patient(func(_ http.ResponseWriter, r *http.Request) error {
			body, err := io.ReadAll(r.Body)
			if string(body) != "sent" {
				t.Errorf("body %q", body)
			}
			return err
		}))
		call(t, handler(g.Urgent(func(http.ResponseWriter, *http.Request) error { return nil })))
		slow, send := io.Pipe()
		go func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", slow))
		}()
		synctest.Wait()
		began := time.Now()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("sent")))
		if w.Code != http.StatusOK || time.Since(began) > time.Second {
			t.Errorf("answered with %d after %s", w.Code, time.Since(began))
		}
		io.WriteString(send, "sent")
		send.Close()
		synctest.Wait()
	})
}

// TestAsideElsewhere: for a request that no gate let in as patient it only waits.
func TestAsideElsewhere(t *testing.T) {
	want := errors.New("as it is")
	if err := web.Aside(t.Context(), func() error { return want }); err != want {
		t.Error(err)
	}
}

func handler(h web.HandlerFunc) http.Handler {
	return web.Handle("POST /", h, &web.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

func call(t *testing.T, h http.Handler) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("answered with %d", w.Code)
	}
}
