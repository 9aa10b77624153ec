package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"gatepost.dev/agentapi"
)

// Report observes the device once, and sends that with whatever else waits. An
// expiring certificate is renewed first. What cannot be sent stays in the queue.
func (a *Agent) Report(ctx context.Context) error {
	return a.cycle(ctx, true)
}

// cycle is one turn of the agent.
func (a *Agent) cycle(ctx context.Context, observe bool) error {
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := a.readState()
	if err != nil {
		return err
	}
	if observe {
		o := a.look(ctx)
		if err := a.enqueue(&o); err != nil {
			return fmt.Errorf("keep what was observed: %w", err)
		}
	}
	err = a.talk(ctx, &s)
	s.Trouble = ""
	if err != nil {
		s.Trouble = err.Error()
	}
	return errors.Join(err, a.writeState(s))
}

// talk renews the certificate when it is time, and sends what waits.
func (a *Agent) talk(ctx context.Context, s *State) error {
	a.install(ctx, s) // what was not possible may be by now, and users come and go
	certificate, err := a.credential()
	if err != nil {
		return err
	}
	w, err := newWire(s.DeviceURL, []byte(s.Roots), &certificate)
	if err != nil {
		return err
	}
	defer w.close()
	if !a.Now().Before(s.RenewAt) {
		if err := a.renew(ctx, w, s); err != nil {
			// The certificate is good for a while yet.
			a.Log.LogAttrs(ctx, slog.LevelWarn, "certificate not renewed", slog.String("error", err.Error()))
		} else {
			return a.talk(ctx, s)
		}
	}
	if s.ownBrowserKey() && !a.Now().Before(s.BrowserRenewAt) {
		a.keepBrowserKey(ctx, s)
		a.install(ctx, s)
	}
	if err := a.flush(ctx, w, s); err != nil {
		return fmt.Errorf("report to %s: %w", s.DeviceURL, err)
	}
	return nil
}

// renew gets a certificate for a new key. The former ones serve until both are
// in their place.
func (a *Agent) renew(ctx context.Context, w *wire, s *State) error {
	key, err := a.nextKey(ctx, w)
	if err != nil {
		return err
	}
	r, err := a.renewWith(ctx, w, key, credentialFile)
	if err != nil {
		return err
	}
	s.RenewAt, s.Loopback, s.TPM = r.RenewAt, r.Loopback, key.state(r.NotAttested)
	if err := a.writeState(*s); err != nil {
		return err
	}
	a.install(ctx, s)
	a.Log.LogAttrs(ctx, slog.LevelInfo, "certificate renewed", slog.Time("renew_at", s.RenewAt))
	return nil
}

// renewWith gets a certificate for the key, and keeps both in the file.
func (a *Agent) renewWith(ctx context.Context, w *wire, key *newKey, file string) (*agentapi.Renewal, error) {
	r := new(agentapi.Renewal)
	if err := w.post(ctx, agentapi.RenewPath, agentapi.RenewRequest{CSR: key.csr, TPM: key.evidence}, r); err != nil {
		return nil, err
	}
	if !r.RenewAt.After(a.Now()) {
		return nil, errors.New("the new certificate would have to be renewed at once: is this clock right?")
	}
	return r, a.writeCredential(file, key, r.Certificate, r.Authority)
}

// Bounds of the wait after a failure: it doubles each time.
const (
	firstWait = 5 * time.Second
	longWait  = 15 * time.Minute
)

// Run reports again and again until ctx ends: on time when all is well, and
// sooner, ever more slowly, when something is in the way. The error is
// ErrNotEnrolled, or nil when ctx ended.
func (a *Agent) Run(ctx context.Context) error {
	failures := 0
	wait := time.Duration(0) // until the next observation is due
	var ask Ask              // that is answered next; nil: none
	for {
		s, err := a.readState()
		if err != nil {
			return err
		}
		began := a.Now()
		due := wait <= 0 || ask != nil
		if due {
			wait = a.jitter(s.Every)
		}
		err = a.cycle(ctx, due)
		if ask != nil {
			ask <- err
		}
		if ctx.Err() != nil {
			return nil
		}
		pause := wait
		if err != nil {
			failures++
			pause = min(a.backOff(err, failures, s.Every), wait)
			a.Log.LogAttrs(ctx, slog.LevelWarn, "not reported", slog.String("error", err.Error()), slog.Duration("again_in", pause))
		} else {
			failures = 0
			a.Log.LogAttrs(ctx, slog.LevelInfo, "reported", slog.Duration("again_in", pause))
		}
		if ask, err = a.pause(ctx, pause); err != nil {
			return nil
		}
		wait -= max(a.Now().Sub(began), pause) // a clock that is set back does not stop it
	}
}

// jitter spreads agents that were started together: d, or up to a tenth less.
func (a *Agent) jitter(d time.Duration) time.Duration {
	return d - time.Duration(a.Random()*float64(d)/10)
}

// backOff is how long to wait after so many failures in a row: as long as the
// server says, but never longer than to the next report.
func (a *Agent) backOff(err error, failures int, every time.Duration) time.Duration {
	if r, ok := errors.AsType[*refused](err); ok {
		switch {
		case r.retryAfter > 0:
			return r.retryAfter + time.Duration(a.Random()*float64(r.retryAfter)/2)
		case r.Status == http.StatusForbidden || r.Status == http.StatusUnauthorized:
			return a.jitter(every) // an administrator is asked, who takes his time
		}
	}
	wait := min(firstWait<<min(failures-1, 10), longWait, every)
	return wait/2 + time.Duration(a.Random()*float64(wait)/2)
}
