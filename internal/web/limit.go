package web

import (
	"net/http"
	"sync/atomic"
)

// Limiter lets a number of requests in at a time and refuses the others.
type Limiter struct {
	slots   chan struct{}
	next    http.Handler
	refused atomic.Int64
}

// Limit makes h a handler that has at most n requests in hand (at least one);
// what comes beyond that gets a 503 with Retry-After at once, without a queue and
// without a log record: a flood must not fill the disk. Refused counts them.
func Limit(n int, h http.Handler) *Limiter {
	return &Limiter{slots: make(chan struct{}, max(n, 1)), next: h}
}

func (l *Limiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
		l.next.ServeHTTP(w, r)
	default:
		l.refused.Add(1)
		header := w.Header()
		header.Set("Retry-After", "1")
		header.Set("Cache-Control", "no-store")
		header.Set("Referrer-Policy", "no-referrer")
		http.Error(w, "Too many requests at once. Please try again in a moment.", http.StatusServiceUnavailable)
	}
}

// Refused tells how many requests were refused since the start.
func (l *Limiter) Refused() int64 { return l.refused.Load() }

// InHand tells how many requests are in hand now.
func (l *Limiter) InHand() int { return len(l.slots) }
