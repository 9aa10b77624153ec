package web

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates bounds how often each caller is served. Its zero value is not of use;
// NewRates makes one.
type Rates struct {
	perMinute int

	mu      sync.Mutex
	callers map[string]*rate.Limiter
	swept   time.Time
}

// NewRates lets each caller be served so often a minute on average, and that
// often at once; 0 is no limit.
func NewRates(perMinute int) *Rates {
	return &Rates{perMinute: perMinute, callers: map[string]*rate.Limiter{}}
}

// Allowance is how often a caller may still be served.
type Allowance struct {
	Limit     int           // a minute; 0: no limit
	Remaining int           // at once
	Reset     time.Time     // when Remaining is Limit again, if the caller waits for that
	Wait      time.Duration // until he may be served; 0: he is
}

// Allow serves the caller once, if he may be served now.
func (l *Rates) Allow(caller string, now time.Time) Allowance {
	if l.perMinute == 0 {
		return Allowance{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	c := l.callers[caller]
	if c == nil {
		c = rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.perMinute)
		l.callers[caller] = c
	}
	r := c.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	left := c.TokensAt(now)
	full := time.Duration((float64(l.perMinute) - left) / float64(l.perMinute) * float64(time.Minute))
	return Allowance{Limit: l.perMinute, Remaining: max(int(left), 0), Reset: now.Add(full), Wait: wait}
}

// sweep forgets, once a minute, the callers that are at rest: a new limiter is
// as full as theirs.
func (l *Rates) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for name, c := range l.callers {
		if c.TokensAt(now) >= float64(l.perMinute) {
			delete(l.callers, name)
		}
	}
}

// WriteHeaders tells the caller, in the headers that Okta's API made common:
// X-Rate-Limit-Limit and -Remaining are requests, -Reset is in Unix seconds,
// rounded up. Without a limit nothing is said.
func (a Allowance) WriteHeaders(h http.Header) {
	if a.Limit == 0 {
		return
	}
	h.Set("X-Rate-Limit-Limit", strconv.Itoa(a.Limit))
	h.Set("X-Rate-Limit-Remaining", strconv.Itoa(a.Remaining))
	h.Set("X-Rate-Limit-Reset", strconv.FormatInt(a.Reset.Add(time.Second-1).Unix(), 10))
}
