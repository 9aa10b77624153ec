package devices

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter bounds how often each device is served. Its zero value is not of use;
// NewLimiter makes one.
type Limiter struct {
	perMinute int
	burst     int

	mu      sync.Mutex
	devices map[string]*rate.Limiter
	swept   time.Time
}

// NewLimiter lets each device be served so often a minute on average, and that
// often at once; 0 is no limit.
func NewLimiter(perMinute int) *Limiter {
	return &Limiter{perMinute: perMinute, burst: perMinute, devices: map[string]*rate.Limiter{}}
}

// Allow tells whether the device may be served now, else when it may.
func (l *Limiter) Allow(device string, now time.Time) (wait time.Duration, ok bool) {
	if l.perMinute == 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	d := l.devices[device]
	if d == nil {
		d = rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.burst)
		l.devices[device] = d
	}
	r := d.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// sweep forgets, once a minute, the devices that are at rest: a new limiter is
// as full as theirs.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for id, d := range l.devices {
		if d.TokensAt(now) >= float64(l.burst) {
			delete(l.devices, id)
		}
	}
}
