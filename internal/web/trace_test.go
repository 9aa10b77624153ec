package web

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// A request is followed through its steps to its answer, whose attributes are
// those of the log record.
func TestTrace(t *testing.T) {
	t.Parallel()
	var events []string
	say := func(s string) { events = append(events, s) }
	serve := Handle("GET /x", func(_ http.ResponseWriter, r *http.Request) error {
		end := Step(r.Context(), "look up")
		Annotate(r.Context(), slog.String("outcome", "refused"))
		end(nil)
		failed := errors.New("full")
		Step(r.Context(), "record")(failed)
		return &Error{Status: http.StatusServiceUnavailable, Reason: "unavailable", Err: failed}
	}, &Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, NewReference: func() string { return "ref-1" },
		Trace: func(r *http.Request, route string) *Trace {
			if r.URL.Query().Has("unfollowed") {
				return nil
			}
			say("begin " + route)
			return &Trace{
				Step: func(name string) func(error) {
					return func(err error) {
						if err != nil {
							name += ": " + err.Error()
						}
						say(name)
					}
				},
				End: func(status int, reason, reference string, attrs []slog.Attr) {
					say(http.StatusText(status) + " " + reason + " " + reference + " " + attrs[0].String())
				},
			}
		},
	})
	serve.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
	want := []string{"begin GET /x", "look up", "record: full", "Service Unavailable unavailable ref-1 outcome=refused"}
	if !slices.Equal(events, want) {
		t.Errorf("told %q, want %q", events, want)
	}
	serve.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x?unfollowed", nil))
	if len(events) != len(want) {
		t.Errorf("told of a request that is not followed: %q", events[len(want):])
	}
}

// What nobody follows costs no memory.
func TestStepAllocatesNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/x", nil)
	ctx := &exchange{Context: r.Context()}
	if n := testing.AllocsPerRun(100, func() { Step(ctx, "judge")(nil) }); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
}
