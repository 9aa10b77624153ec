package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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
		g := web.NewGate(2)
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
		g := web.NewGate(1)
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
