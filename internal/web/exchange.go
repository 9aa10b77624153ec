package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// exchange is what is known of one request and its answer. It holds the writer
// and is the context that the handler gets, so that the three are one allocation.
// As a context it is the request's own, whose Done it has, so package context sees
// through it and starts no goroutine.
type exchange struct {
	context.Context // of the request as it came
	start           time.Time
	reference       string
	w               response

	mu     sync.Mutex // handlers may annotate from their goroutines
	attrs  []slog.Attr
	refuse *Error // by the answer itself, which is no error of HTTP; nil: not so

	gate  *Gate  // that let the request in as one that can wait; nil: none did
	trace *Trace // that follows the request; nil: none does
}

type exchangeKey struct{}

// exchangeOf is the exchange of the request that ctx belongs to, or nil.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Value implements context.Context.
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// response notes what was sent.
type response struct {
	http.ResponseWriter
	status int   // 0: not begun
	bytes  int64 // of the body
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// FlushError is for http.ResponseController, which would else pass this writer
// by: flushing begins the answer.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Limits of what a client can put into a record, in bytes.
const (
	maxMethod = 16
	maxError  = 1 << 10
)

// record counts the request and writes its log record: Error for a 5xx, Warn for
// an answer that was cut, Debug for a good one of a Routine handler, else Info. The record is made here and not by
// slog.Logger, whose time is time.Now.
func (h *handler) record(x *exchange, r *http.Request, e *Error) {
	end := h.Now()
	status, bytes, reason := x.w.status, x.w.bytes, ""
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	if r.Method == http.MethodHead {
		bytes = 0
	}
	x.mu.Lock()
	refused := x.refuse
	x.mu.Unlock()
	why := e
	if why == nil {
		why = refused
	}
	if why != nil {
		reason = why.Reason
	}
	if e != nil {
		if x.w.status == 0 || e.Status == statusClientGone {
			status = e.Status
		}
	}
	level := h.level(status, e, why)
	if h.Count != nil {
		h.Count(h.route, status, reason, end.Sub(x.start))
	}
	if x.trace != nil {
		x.mu.Lock()
		attrs := x.attrs
		x.mu.Unlock()
		x.trace.End(status, reason, x.reference, attrs)
	}
	ctx := x.Context
	if !h.log.Enabled(ctx, level) {
		return
	}
	var room [20]slog.Attr
	attrs := append(room[:0],
		slog.String("method", cut(r.Method, maxMethod)),
		slog.String("route", h.route),
		slog.Int("status", status),
		slog.Int64("bytes", bytes),
		slog.Int64("duration_us", end.Sub(x.start).Microseconds()),
		slog.String("remote", r.RemoteAddr),
		slog.String("reference", x.reference),
	)
	if why != nil {
		attrs = append(attrs, slog.String("reason", reason))
		attrs = appendFailure(attrs, why)
	}
	x.mu.Lock()
	attrs = append(attrs, x.attrs...)
	x.mu.Unlock()
	rec := slog.NewRecord(end, level, "request", 0)
	rec.AddAttrs(attrs...)
	// A log that cannot be written to has nowhere to say so.
	_ = h.log.Handle(ctx, rec)
}

// level is that of a record: e is the error that was returned, why it or the
// refusal, nil: neither.
func (h *handler) level(status int, e, why *Error) slog.Level {
	switch {
	case status >= 500, why != nil && why.Reason == reasonPanic:
		return slog.LevelError
	case e != nil && status < 400:
		return slog.LevelWarn
	case h.Routine && why == nil:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func appendFailure(attrs []slog.Attr, e *Error) []slog.Attr {
	if e.Err == nil {
		return attrs
	}
	attrs = append(attrs, slog.String("error", cut(e.Err.Error(), maxError)))
	if p, ok := errors.AsType[*panicked](e.Err); ok && p.value != http.ErrAbortHandler {
		attrs = append(attrs,
			slog.String("panic", cut(fmt.Sprint(p.value), maxError)),
			slog.String("stack", string(p.stack)))
	}
	return attrs
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
