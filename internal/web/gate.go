package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Gate lets requests that a person waits for, the urgent ones, go before those
// that nobody does, the patient ones.
type Gate struct {
	now    func() time.Time
	limits GateLimits
	slots  chan struct{} // held by patient requests that compute

	mu      sync.Mutex
	urgent  int             // requests in hand that somebody waits for
	idle    chan struct{}   // closed when urgent becomes 0; nil while it is 0
	last    time.Time       // when an urgent request was last in hand, if none is now
	patient int             // requests in hand that can wait
	waiting []chan struct{} // closed for a patient request when it is let in, first come first served
}

// GateLimits bound the patient requests; 0 is the default. "gatepost bench
// agents" shows what others do.
type GateLimits struct {
	// Computing is how many compute at a time, those left out that wait for
	// storage: by default two for each processor. More do not get more done, but
	// stand in each other's way.
	Computing int
	// Beside is how many are in hand at a time, those included that wait for
	// storage, while urgent requests come: by default four for each processor.
	// With more, an urgent request waits longer for the processor and for its
	// turn at the disk. Otherwise they are not bounded.
	Beside int
}

const (
	// maxYield is how long a request that can wait stands aside: it is not to wait
	// for ever while people keep coming.
	maxYield = 50 * time.Millisecond
	// lull is how long no urgent request has come when they are taken to have
	// stopped coming.
	lull = time.Second
)

// NewGate makes a gate whose clock is now.
func NewGate(now func() time.Time, limits GateLimits) *Gate {
	processors := runtime.GOMAXPROCS(0)
	if limits.Computing == 0 {
		limits.Computing = 2 * processors
	}
	if limits.Beside == 0 {
		limits.Beside = 4 * processors
	}
	return &Gate{now: now, limits: limits, slots: make(chan struct{}, limits.Computing)}
}

// Depths tells how many requests of each kind are in hand, and how many that can
// wait have not been let in yet.
func (g *Gate) Depths() (urgent, patient, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.urgent, g.patient, len(g.waiting)
}

// Urgent makes a handler of requests that somebody waits for.
func (g *Gate) Urgent(h HandlerFunc) HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		g.begin()
		defer g.end()
		return h(w, r)
	}
}

func (g *Gate) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.urgent++; g.urgent == 1 {
		g.idle = make(chan struct{})
	}
}

func (g *Gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.urgent--; g.urgent == 0 {
		close(g.idle)
		g.idle, g.last = nil, g.now()
	}
}

// Patient makes a handler of requests that can wait: it waits for its turn, and
// stands aside while urgent requests are in hand. It reads the body first, so that
// a client that is slow to send it keeps nobody waiting.
func (g *Gate) Patient(h HandlerFunc) HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		if err := bufferBody(r); err != nil {
			return err
		}
		if err := g.enter(ctx); err != nil {
			return err
		}
		defer g.leave()
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := g.yield(ctx); err != nil {
			return err
		}
		if x := exchangeOf(ctx); x != nil {
			x.gate = g
		}
		return h(w, r)
	}
}

// bufferBody puts memory in place of the body, which is bounded by Options.MaxBody.
func bufferBody(r *http.Request) error {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	body := new(bufferedBody)
	if r.ContentLength > 0 {
		body.Grow(int(min(r.ContentLength, 8<<10)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(r.Body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	r.Body = body
	return nil
}

// bufferedBody is a body that arrived.
type bufferedBody struct{ bytes.Buffer }

func (*bufferedBody) Close() error { return nil }

// Aside calls wait, which does not compute but waits, and lets other patient
// requests compute meanwhile. It is for the goroutine that serves the request to
// which ctx belongs; if that is not a patient one, it calls wait and nothing else.
func Aside(ctx context.Context, wait func() error) error {
	x := exchangeOf(ctx)
	if x == nil || x.gate == nil {
		return wait()
	}
	g := x.gate
	<-g.slots
	defer func() {
		g.slots <- struct{}{}
		_ = g.yield(ctx) // what it waited for is done, even if its client has left
	}()
	return wait()
}

// enter waits until a patient request is let in.
func (g *Gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if len(g.waiting) == 0 && g.room() {
		g.patient++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, turn); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else {
		g.patient-- // it was let in at the same time
		g.admit()
	}
	return ctx.Err()
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.patient--
	g.admit()
}

// admit lets in those who wait, as far as there is room. Whoever waits does so
// because others are in hand, of whom each that leaves calls it.
func (g *Gate) admit() {
	n := 0
	for n < len(g.waiting) && g.room() {
		close(g.waiting[n])
		g.patient++
		n++
	}
	g.waiting = g.waiting[n:]
}

// room tells whether one more patient request may be in hand.
func (g *Gate) room() bool {
	return g.patient < g.limits.Beside || g.urgent == 0 && g.now().Sub(g.last) > lull
}

// yield returns when no urgent request is in hand, or it has waited enough.
func (g *Gate) yield(ctx context.Context) error {
	g.mu.Lock()
	idle := g.idle
	g.mu.Unlock()
	if idle == nil {
		return nil
	}
	timer := time.NewTimer(maxYield)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
