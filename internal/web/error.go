package web

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"
)

// Error is an error with what the client may know of it.
type Error struct {
	Status     int           // 400 to 599; anything else is answered as 500
	Reason     string        // code for the log and the counter, such as "signature_invalid"; never sent
	Public     string        // what the client may read; "": the name of the status
	Err        error         // for the log only
	RetryAfter time.Duration // sent as Retry-After, rounded up to seconds; 0: not sent
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

const (
	// statusClientGone stands in the record when the client left before it was
	// answered. It is never sent; the number is the one that nginx made common.
	statusClientGone = 499

	reasonInternal = "internal"
	reasonPanic    = "panic"
	publicInternal = "Something went wrong on our side."
)

// mapError gives what to answer for err, never sharing memory with it. ctx is
// the request's own context.
func mapError(ctx context.Context, err error) *Error {
	if errors.Is(err, context.Canceled) && ctx.Err() == context.Canceled {
		// Before all else: an *Error made of a commit that was cancelled
		// because the client left says nothing about the store.
		return &Error{Status: statusClientGone, Reason: "client_gone", Public: "The request was abandoned.", Err: err}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.filled()
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Status: http.StatusRequestEntityTooLarge, Reason: "body_too_large",
			Public: "The request is too large.", Err: tooLarge}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Status: http.StatusRequestTimeout, Reason: "body_timeout", Public: "The request took too long to arrive.", Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, Reason: "timeout", Public: "The answer took too long. Please try again.",
			Err: err, RetryAfter: time.Second}
	}
	if _, ok := errors.AsType[*panicked](err); ok {
		return &Error{Status: http.StatusInternalServerError, Reason: reasonPanic, Public: publicInternal, Err: err}
	}
	return &Error{Status: http.StatusInternalServerError, Reason: reasonInternal, Public: publicInternal, Err: err}
}

// filled gives a copy of e in which nothing is missing.
func (e *Error) filled() *Error {
	f := *e
	if f.Status < 400 || f.Status > 599 {
		f.Status = http.StatusInternalServerError
	}
	if f.Reason == "" {
		f.Reason = reasonInternal
	}
	if f.Public == "" {
		f.Public = http.StatusText(f.Status)
	}
	if f.Public == "" {
		f.Public = publicInternal
	}
	return &f
}
