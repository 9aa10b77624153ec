// Package web turns a func(w, r) error into an http.Handler that every endpoint
// shares: a limited body, the common headers, recovered panics, one mapping from
// errors to answers, and one log record a request. It also reads and writes the
// JSON of the APIs, strictly.
//
// It is no router and no server, knows nothing of SAML or devices, and imports
// no other package of this module.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// DefaultMaxBody is how many bytes of a request's body are read unless Options
// or ReadJSON say otherwise.
const DefaultMaxBody = 64 << 10

// HandlerFunc answers a request or returns an error; it does not do both. An
// *Error says what the client may read; any other error is a 500 with a fixed
// text.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Options is what the handlers of one mount share. Log and Now are required.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
	// NewReference makes the opaque, time-sortable ID of a request.
	// nil: NewReference at Now.
	NewReference func() string
	// Count is told of every request, for metrics; reason is empty when no
	// error was returned and nothing was Refused. nil: nobody is told.
	Count func(route string, status int, reason string, d time.Duration)
	// Trace is asked about every request whether it follows it; nil: it does not.
	// nil: nobody is asked.
	Trace func(r *http.Request, route string) *Trace
	// WriteError writes the answer for an error, as a page or as JSON. The
	// error's Status and Public are always filled in. nil: Problem.
	WriteError func(w http.ResponseWriter, r *http.Request, e *Error, reference string)
	Routine    bool          // good answers come so often that they are logged as Debug, not Info
	MaxBody    int64         // bytes; 0: DefaultMaxBody. A Content-Length above it is refused before h runs
	HSTS       time.Duration // max-age of Strict-Transport-Security; 0: not sent
}

// Handle makes h a handler that keeps the rules of this package. The route is
// the mux's pattern; it stands in the log record instead of the URL, which may
// hold secrets.
//
// Every answer carries X-Content-Type-Options, Referrer-Policy and
// Cache-Control: no-store, unless h sets them otherwise. HEAD needs nothing of
// h: net/http drops the body and keeps its length.
//
// Errors are mapped in this order: the client left while h worked for it: 499 in
// the record, 503 should anybody still read; an *Error: itself; the body was
// larger than MaxBody: 413; the body did not arrive before the server's read
// deadline: 408; any other deadline or cancellation: 503; all else: 500. A panic
// is a 500 whose stack goes to the log only; http.ErrAbortHandler is passed on.
// Once the answer has begun an error is only logged, and a panic cuts the
// connection.
func Handle(route string, h HandlerFunc, o *Options) http.Handler {
	hd := &handler{route: route, next: h, Options: *o, log: o.Log.Handler(), common: http.Header{
		"X-Content-Type-Options": {"nosniff"},
		"Referrer-Policy":        {"no-referrer"},
		"Cache-Control":          {"no-store"},
	}}
	if hd.MaxBody == 0 {
		hd.MaxBody = DefaultMaxBody
	}
	if hd.WriteError == nil {
		hd.WriteError = Problem
	}
	if hd.NewReference == nil {
		hd.NewReference = func() string { return NewReference(hd.Now()) }
	}
	if o.HSTS > 0 {
		hd.common.Set("Strict-Transport-Security", "max-age="+strconv.Itoa(int(o.HSTS/time.Second)))
	}
	return hd
}

type handler struct {
	Options
	route  string
	next   HandlerFunc
	log    slog.Handler
	common http.Header // on every answer; its values are shared and never written to
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Context: r.Context(), start: h.Now(), reference: h.NewReference()}
	x.w.ResponseWriter = w
	if h.Trace != nil {
		x.trace = h.Trace(r, h.route)
	}
	header := w.Header()
	for name, value := range h.common {
		header[name] = value
	}
	countRequest(r.Context())
	r = r.WithContext(x)

	err := h.limitBody(w, r)
	if err == nil {
		err = h.call(h.next, x, r)
	}
	var e *Error
	if err != nil {
		e = h.answer(x, r, err)
	}
	h.record(x, r, e)
	if p, ok := errors.AsType[*panicked](err); ok && (p.value == http.ErrAbortHandler || p.late) {
		panic(http.ErrAbortHandler) // net/http cuts the connection and logs nothing
	}
}

// limitBody refuses a body that says itself that it is too large, and cuts one
// that does not say. MaxBytesReader gets net/http's own writer, which it tells
// to close the connection.
func (h *handler) limitBody(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength > h.MaxBody {
		return &http.MaxBytesError{Limit: h.MaxBody}
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, h.MaxBody)
	}
	return nil
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack []byte
	late  bool // the answer had begun
}

func (*panicked) Error() string { return "handler panicked" }

// call runs f and returns its error or its panic.
func (h *handler) call(f HandlerFunc, x *exchange, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{value: v, stack: debug.Stack(), late: x.w.status != 0}
		}
	}()
	err = f(&x.w, r)
	if e, ok := err.(*Error); ok && e == nil {
		return errors.New("handler returned a nil *Error as an error")
	}
	return err
}

// answer maps err and writes its answer unless one has begun.
func (h *handler) answer(x *exchange, r *http.Request, err error) *Error {
	e := mapError(x.Context, err)
	if x.w.status != 0 {
		if e.Reason == reasonInternal {
			e.Reason = "response_cut"
		}
		return e
	}
	if p, ok := errors.AsType[*panicked](err); ok && p.value == http.ErrAbortHandler {
		e.Reason = "aborted"
		return e
	}
	header := x.w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Etag", "Last-Modified", "Location"} {
		header.Del(name) // meant for the answer that does not come
	}
	header["Cache-Control"] = h.common["Cache-Control"]
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		header.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	sent := *e
	if sent.Status == statusClientGone {
		sent.Status = http.StatusServiceUnavailable
	}
	failed := h.call(func(w http.ResponseWriter, r *http.Request) error {
		h.WriteError(w, r, &sent, x.reference)
		return nil
	}, x, r)
	if failed != nil {
		e.Err = errors.Join(e.Err, failed)
	}
	if x.w.status == 0 {
		http.Error(&x.w, sent.Public, sent.Status)
	}
	return e
}

// Reference gives the reference of the request that ctx belongs to, or "".
func Reference(ctx context.Context) string {
	if x := exchangeOf(ctx); x != nil {
		return x.reference
	}
	return ""
}

// Annotate adds to the one log record of the request that ctx belongs to, and
// does nothing without one or after it was written. Names must differ from the
// record's own: method, route, status, bytes, duration_us, remote, reference,
// reason, error, panic, stack.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if x := exchangeOf(ctx); x != nil {
		x.mu.Lock()
		x.attrs = append(x.attrs, attrs...)
		x.mu.Unlock()
	}
}

// Refused says why the request that ctx belongs to is answered with a refusal
// that is no error of HTTP, such as a redirect that carries one: for the log
// record and the counter, as an *Error would be. err may be nil.
func Refused(ctx context.Context, reason string, err error) {
	if x := exchangeOf(ctx); x != nil {
		x.mu.Lock()
		x.refuse = &Error{Reason: reason, Err: err}
		x.mu.Unlock()
	}
}
