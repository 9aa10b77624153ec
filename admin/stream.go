package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"gatepost.dev/internal/web"
)

// stream writes JSON lines, each at once. The answer begins with the first, so
// that until then an error can still have its own status.
type stream struct {
	control *http.ResponseController
	w       http.ResponseWriter
	begun   bool
	err     error // the first; nothing is written after it
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{control: http.NewResponseController(w), w: w}
}

func (s *stream) begin() {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	}
}

// write writes lines that are encoded already, and does not flush.
func (s *stream) write(lines []byte) {
	if s.err == nil {
		s.begin()
		_, s.err = s.w.Write(lines)
	}
}

func (s *stream) send(line any) {
	if s.err != nil {
		return
	}
	s.begin()
	if s.err = json.NewEncoder(s.w).Encode(line); s.err == nil {
		s.err = s.control.Flush()
	}
}

// problem is what the last line of a failed stream says, with what Problem would
// have answered.
func problem(ctx context.Context, e *web.Error) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Public, Reference: web.Reference(ctx)}
}
