package web

import (
	"context"
	"log/slog"
)

// Trace follows one request. Both its functions may be called from any
// goroutine, Step from several at once.
type Trace struct {
	// Step is told that a step towards the answer begins, and returns what is
	// called at its end, with an error if the step failed.
	Step func(name string) (end func(err error))
	// End is told how the request was answered, and what was annotated.
	End func(status int, reason, reference string, attrs []slog.Attr)
}

// Step tells whoever follows the request that ctx belongs to that a step of it
// begins; what it returns is to be called at the step's end, with an error if it
// failed. The name is one of few, and holds nothing of the request. For a request
// that nobody follows it does nothing, and allocates nothing.
func Step(ctx context.Context, name string) (end func(err error)) {
	if x := exchangeOf(ctx); x != nil && x.trace != nil {
		return x.trace.Step(name)
	}
	return endNothing
}

func endNothing(error) {}
