package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Importer is devices.Importer.
type Importer interface {
	Import(ctx context.Context, r io.Reader, format devices.Format, source string, mode devices.Mode,
		report func(devices.Event)) (devices.Result, error)
}

// Import takes files of devices:
//
//	POST devices/import?format=csv|jsonl&source=&replace=&approve=
//
// The body is the file. The answer is a stream that begins while the file is
// still being read: each line is {"event": ...}, but the last, which is
// {"result": ...} or {"problem": ...}.
type Import struct {
	Importer Importer
	Noter    Noter // of imports that are held
	Now      func() time.Time
}

// maxImport is how many bytes a file may have: more than the rows that are
// taken from one have in practice.
const maxImport = 4 << 30

// defaultSource says what an import says when it names no source.
const defaultSource = "import"

// Operations are what the API serves by h.
func (h *Import) Operations() []Operation {
	return []Operation{
		{Method: http.MethodPost, Path: "devices/import", Role: posture.Operator, Summary: "Import a file of devices, as CSV or JSON lines, all or nothing.",
			Query: []Parameter{
				{Name: "format", Summary: "What the file is.", Type: typeOf[string](), Values: []string{"csv", "jsonl"}},
				{Name: "source", Summary: "Who says what the file says; by default \"import\".", Type: typeOf[string]()},
				{Name: "replace", Summary: "Make unmanaged what the source named before and now does not.", Type: typeOf[bool]()},
				{Name: "approve", Summary: "Let it through however many devices it makes unmanaged.", Type: typeOf[bool]()},
			},
			File: true, Answer: typeOf[importLine](), Lines: true,
			Refusals: taken(http.StatusConflict, http.StatusUnprocessableEntity), serve: h.serve, maxBody: maxImport},
	}
}

func (h *Import) serve(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	var mode devices.Mode
	var err error
	if mode.Replace, _, err = q.truth("replace"); err != nil {
		return err
	}
	if mode.Approved, _, err = q.truth("approve"); err != nil {
		return err
	}
	source := q.values.Get("source")
	if source == "" {
		source = defaultSource
	}
	if mode.Approved {
		web.Annotate(r.Context(), slog.String("source", source), slog.Bool("approved", true))
	}
	out := newStream(w)
	if err := out.unbound(); err != nil {
		return err
	}
	result, err := h.Importer.Import(r.Context(), r.Body, devices.Format(q.values.Get("format")), source, mode, func(e devices.Event) {
		out.send(importLine{Event: &e})
	})
	if err == nil {
		out.send(importLine{Result: &result})
		return out.err
	}
	if errors.Is(err, devices.ErrHeld) {
		detail, _ := json.Marshal(map[string]string{"source": source}) // strings always encode
		held := posture.Event{Detail: detail, Time: h.Now(), Kind: posture.ImportHeld, Why: fmt.Sprintf("source %q: %v", source, err), By: principalOf(r.Context()).Name}
		err = errors.Join(err, h.Noter.Note(r.Context(), held))
	}
	failure := fail(err)
	// Closing the connection on what the client is still sending would take the
	// answer from him.
	_, _ = io.Copy(io.Discard, r.Body)
	if out.begun {
		out.send(importLine{Problem: problem(r.Context(), failure)})
	}
	return failure
}

// unbound lets the answer be written while the request is read, however long
// that takes.
func (s *stream) unbound() error {
	for _, err := range []error{
		s.control.EnableFullDuplex(),
		s.control.SetReadDeadline(time.Time{}),
		s.control.SetWriteDeadline(time.Time{}),
	} {
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	return nil
}
