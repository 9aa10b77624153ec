package web

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// Gate lets requests that a person waits for go before those that nobody does.
type Gate struct {
	slots chan struct{}

	mu     sync.Mutex
	urgent int           // requests in hand that somebody waits for
	idle   chan struct{} // closed when urgent becomes 0; nil while it is 0
}

// maxYield is how long a request that can wait stands aside: it is not to wait
// for ever while people keep coming.
const maxYield = 50 * time.Millisecond

// NewGate makes a gate that lets n requests that can wait be served at a time; 0:
// eight for each processor. "gatepost bench agents" shows what more does: sign-ins
// wait longer behind those that are in, and hardly any more are served.
func NewGate(n int) *Gate {
	if n == 0 {
		n = 8 * runtime.GOMAXPROCS(0)
	}
	return &Gate{slots: make(chan struct{}, n)}
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
		g.idle = nil
	}
}

// Patient makes a handler of requests that can wait: it waits for its turn, and
// stands aside while urgent requests are in hand.
func (g *Gate) Patient(h HandlerFunc) HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := g.yield(ctx); err != nil {
			return err
		}
		return h(w, r)
	}
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
