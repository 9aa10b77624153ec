package web

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	enter, leave := make(chan struct{}), make(chan struct{})
	l := Limit(2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		enter <- struct{}{}
		<-leave
	}))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if res := do(l, httptest.NewRequest("GET", "/", nil)); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		})
		<-enter
	}
	res := do(l, httptest.NewRequest("GET", "/", nil))
	if h := res.Header; res.StatusCode != 503 || h.Get("Retry-After") != "1" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("status %d, header %v", res.StatusCode, h)
	}
	close(leave)
	wg.Wait()
	if l.Refused() != 1 {
		t.Errorf("refused %d", l.Refused())
	}
	go func() { <-enter }()
	if res := do(l, httptest.NewRequest("GET", "/", nil)); res.StatusCode != 200 {
		t.Errorf("after a slot came free: status %d", res.StatusCode)
	}
}

func TestLimitGivesTheSlotBackAfterAPanic(t *testing.T) {
	t.Parallel()
	l := Limit(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
	}))
	func() {
		defer func() { _ = recover() }()
		do(l, httptest.NewRequest("GET", "/panic", nil))
	}()
	if res := do(l, httptest.NewRequest("GET", "/", nil)); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}
