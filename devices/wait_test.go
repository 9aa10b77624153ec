package devices_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// wait has the machine wait for word; the status comes when it is answered.
func (m *machine) wait(ctx context.Context) <-chan int {
	m.w.t.Helper()
	answered := make(chan int, 1)
	r := httptest.NewRequestWithContext(context.WithValue(ctx, presentedKey{}, m.chain), http.MethodGet, agentapi.WaitPath, nil)
	go func() {
		rec := httptest.NewRecorder()
		m.w.mux.ServeHTTP(rec, r)
		if rec.Code == http.StatusOK && !strings.Contains(rec.Body.String(), `{"report":true}`) {
			m.w.t.Errorf("word %q", rec.Body)
		}
		answered <- rec.Code
	}()
	return answered
}

// soon gives the status, which must come within seconds.
func soon(t *testing.T, answered <-chan int) int {
	t.Helper()
	select {
	case status := <-answered:
		return status
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
		return 0
	}
}

func TestWaitForWord(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	m := w.machine("5CD1234XYZ").mustEnrol(w.token(devices.NewToken{Managed: true}))
	id := m.answer.DeviceID
	recheck := &devices.Rechecker{Actor: w.actor}

	// Whoever waits is woken, and whoever comes later sees it in the record, until
	// a report has come.
	waiting := m.wait(ctx)
	if err := recheck.Recheck(ctx, id); err != nil {
		t.Fatal(err)
	}
	if status := soon(t, waiting); status != http.StatusOK {
		t.Errorf("answered %d; want word", status)
	}
	asked := w.device(id).RecheckAt
	w.pass(time.Second)
	if err := recheck.Recheck(ctx, id); err != nil || !w.device(id).RecheckAt.Equal(asked) {
		t.Errorf("asked again: %v, %v", w.device(id).RecheckAt, err)
	}
	if status := soon(t, m.wait(ctx)); status != http.StatusOK {
		t.Errorf("answered %d; want word from the record", status)
	}
	m.want("asked for", m.said(1), http.StatusAccepted, "")
	w.waits.For = time.Millisecond
	if status := soon(t, m.wait(ctx)); status != http.StatusNoContent {
		t.Errorf("answered %d; want no word after the report", status)
	}

	// A device that is suspected is not asked: its reports are refused.
	if err := recheck.Recheck(ctx, id); err != nil {
		t.Fatal(err)
	}
	d := w.device(id)
	d.Suspected = &posture.Suspicion{At: w.now(), Why: "two boots"}
	w.add(d)
	if status := soon(t, m.wait(ctx)); status != http.StatusNoContent {
		t.Errorf("suspected: answered %d", status)
	}
}

func TestWaitEnds(t *testing.T) {
	w := newWorld(t)
	m := w.machine("5CD1234XYZ").mustEnrol(w.token(devices.NewToken{Managed: true}))

	// Of two that wait as one device, the newer one goes on.
	stopping := make(chan struct{})
	w.waits.Stopping = stopping
	first, second := m.wait(t.Context()), m.wait(t.Context())
	var goesOn <-chan int
	select {
	case status := <-first:
		goesOn = second
		if status != http.StatusNoContent {
			t.Errorf("answered %d", status)
		}
	case status := <-second:
		goesOn = first
		if status != http.StatusNoContent {
			t.Errorf("answered %d", status)
		}
	}
	select {
	case status := <-goesOn:
		t.Errorf("both are answered, %d", status)
	default:
	}
	close(stopping)
	if status := soon(t, goesOn); status != http.StatusNoContent {
		t.Errorf("stopping: answered %d", status)
	}

	// One who goes does not wait, and the endpoint is as careful as the others.
	w.waits.Stopping = nil
	ctx, cancel := context.WithCancel(t.Context())
	waiting := m.wait(ctx)
	cancel()
	soon(t, waiting)
	nobody := &machine{w: w}
	if status := soon(t, nobody.wait(t.Context())); status != http.StatusUnauthorized {
		t.Errorf("without a certificate: %d", status)
	}
	w.waits.For = time.Millisecond
	status := 0
	for range perMinute + 1 {
		status = soon(t, m.wait(t.Context()))
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("too often: %d", status)
	}
	if _, err := w.actor.Retire(t.Context(), devices.Target{Device: m.answer.DeviceID}, ""); err != nil {
		t.Fatal(err)
	}
	if status := soon(t, m.wait(t.Context())); status != http.StatusUnauthorized {
		t.Errorf("retired: %d", status)
	}
}

func TestRecheckRefused(t *testing.T) {
	w := newWorld(t)
	w.add(imported("mac-1", "C02TEST1", "Apple"))
	recheck := &devices.Rechecker{Actor: w.actor}
	if err := recheck.Recheck(t.Context(), "mac-1"); !errors.Is(err, devices.ErrNoAgent) {
		t.Error(err)
	}
	if err := recheck.Recheck(t.Context(), "none"); !errors.Is(err, posture.ErrNoDevice) {
		t.Error(err)
	}
	done, err := w.actor.Recheck(t.Context(), devices.Target{Owner: "Ann@example.com"})
	if o := one(t, done, err); o.Skipped == "" || o.Changed {
		t.Errorf("%+v", o)
	}
}

// TestWaitHasNoBody: a body that need never come is refused at once, in whatever way
// it is announced, and its connection is not kept.
func TestWaitHasNoBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine("5CD1234ABC").mustEnrol(w.token(devices.NewToken{Managed: true}))
	for _, length := range []int64{100, -1} {
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), presentedKey{}, m.chain), http.MethodGet, agentapi.WaitPath, strings.NewReader("x"))
		r.ContentLength = length
		rec := httptest.NewRecorder()
		w.mux.ServeHTTP(rec, r)
		if rec.Code != http.StatusBadRequest || rec.Header().Get("Connection") != "close" {
			t.Errorf("length %d: %d, %v", length, rec.Code, rec.Header())
		}
	}
}
