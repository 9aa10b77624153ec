package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gatepost.dev/agentapi"
)

// Ask asks for a report; what came of it is sent on it once.
type Ask chan error

// Bounds of how an agent waits for the server's word.
const (
	waitTimeout = 75 * time.Second // the server answers before that
	quickAnswer = 10 * time.Second // an answer without word that came sooner is one not to repeat at once
	betweenAsks = time.Second
	noSuchPath  = time.Hour        // until a server that knows no waiting is asked again
	spread      = 30 * time.Second // over which all that a server left come back to it, beside its sign-ins
)

// Listen waits for the server's word that a report is wanted, and hands each on
// to asked, until ctx ends. It may go on beside Run, with Asked the other end.
func (a *Agent) Listen(ctx context.Context, asked chan<- Ask) {
	l := &listener{Agent: a}
	defer l.close()
	for failures := 0; ctx.Err() == nil; {
		began := a.Now()
		word, err := l.wait(ctx)
		if err == nil && word.Report {
			err = ask(ctx, asked)
		}
		pause := betweenAsks
		switch {
		case err != nil || !word.Report && a.Now().Sub(began) < quickAnswer:
			failures++
			pause = l.backOff(err, failures)
		default:
			failures = 0
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.Log.LogAttrs(ctx, slog.LevelInfo, "cannot wait for word", slog.String("error", err.Error()), slog.Duration("again_in", pause))
		}
		if err := a.Wait(ctx, pause); err != nil {
			return
		}
	}
}

// ask has a report made and returns when it is.
func ask(ctx context.Context, asked chan<- Ask) error {
	answer := make(Ask, 1)
	select {
	case asked <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits for d, or for less when a report is asked for.
func (a *Agent) pause(ctx context.Context, d time.Duration) (Ask, error) {
	if a.Asked == nil {
		return nil, a.Wait(ctx, d)
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan error, 1)
	go func() { over <- a.Wait(waiting, d) }()
	select {
	case err := <-over:
		return nil, err
	case ask := <-a.Asked:
		return ask, nil
	}
}

// listener keeps the connection over which it waits.
type listener struct {
	*Agent
	wire *wire
	to   string // the host that wire speaks to
	with []byte // the certificate that it shows
}

func (l *listener) close() {
	if l.wire != nil {
		l.wire.close()
	}
}

// wait asks once, and waits for the answer.
func (l *listener) wait(ctx context.Context) (word agentapi.Word, err error) {
	s, err := l.readState()
	if err != nil {
		return word, err
	}
	certificate, err := l.credential()
	if err != nil {
		return word, err
	}
	if l.wire == nil || l.to != s.DeviceURL || !bytes.Equal(l.with, certificate.Certificate[0]) {
		l.close()
		if l.wire, err = newWire(s.DeviceURL, []byte(s.Roots), &certificate); err != nil {
			return word, err
		}
		l.wire.http.Timeout = waitTimeout
		l.to, l.with = s.DeviceURL, certificate.Certificate[0]
	}
	err = l.wire.do(ctx, http.MethodGet, agentapi.WaitPath, nil, &word)
	return word, err
}

// backOff is how long to wait before the server is asked again.
func (l *listener) backOff(err error, failures int) time.Duration {
	if r, ok := errors.AsType[*refused](err); ok {
		switch r.Status {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized, http.StatusForbidden:
			return l.jitter(noSuchPath)
		}
	}
	return l.Agent.backOff(err, failures, longWait) + time.Duration(l.Random()*float64(spread))
}
