package admin

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"gatepost.dev/events/trail"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// LogRecords is the hash-chained log of every node.
type LogRecords interface {
	LogBounds(ctx context.Context) ([]trail.Bounds, error)
	// LogEntries gives up to limit entries as they are kept, from the one after
	// after on.
	LogEntries(ctx context.Context, node string, after uint64, limit int) ([][]byte, error)
	DecisionRecord(ctx context.Context, id string) ([]byte, error) // nil: there is none
}

// Log shows, exports and verifies the log of decisions, of changes by
// administrators and of what happened to devices:
//
//	GET log?node=&after=&limit=   or   node=&last=
//	GET log/export?format=jsonl|ocsf
//	GET log/verify
type Log struct {
	Records LogRecords
	Key     ed25519.PublicKey // that signs the log's bounds
	// OCSF gives an event, with its decision if it is of one, as the Open
	// Cybersecurity Schema Framework has it.
	OCSF func(e *posture.Event, d *posture.Decision) ([]byte, error)
}

// Formats of an export.
const (
	LogJSON = "jsonl" // that can be verified
	LogOCSF = "ocsf"  // an event of the Open Cybersecurity Schema Framework a line
)

// Operations are what the API serves by h.
func (h *Log) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "log", Role: posture.Viewer, Summary: "List entries of a node's log, the oldest first.",
			Query: append(paging(), logParameters...), Answer: typeOf[LogPage](), Refusals: []int{http.StatusNotFound}, serve: h.list},
		{Method: http.MethodGet, Path: "log/export", Role: posture.Viewer, Summary: "Export the log whole, with its decisions.",
			Query:  []Parameter{{Name: "format", Summary: "jsonl (by default), which \"gatepost log verify\" verifies, or ocsf for a SIEM.", Type: typeOf[string](), Values: []string{LogJSON, LogOCSF}}},
			Answer: typeOf[map[string]any](), Lines: true, serve: h.export},
		{Method: http.MethodGet, Path: "log/verify", Role: posture.Viewer, Summary: "Verify the log: that nothing in it was changed or cut.",
			Answer: typeOf[verifyLine](), Lines: true, serve: h.verify},
	}
}

var logParameters = []Parameter{
	{Name: "node", Summary: "The node; by default the first by name.", Type: typeOf[string]()},
	{Name: "last", Summary: "The newest so many instead: 1 to 1000.", Type: typeOf[int]()},
}

const logPage = 500

func (h *Log) list(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	limit, last, err := q.newest()
	if err != nil {
		return err
	}
	var after uint64
	if text := q.values.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 63); err != nil {
			return badQuery(fmt.Sprintf("The parameter after, %.40q, is not the number of an entry.", text))
		}
	}
	bounds, err := h.Records.LogBounds(r.Context())
	if err != nil {
		return fail(fmt.Errorf("read the log: %w", err))
	}
	page := LogPage{Entries: []trail.Entry{}}
	node := q.values.Get("node")
	if node == "" && len(bounds) > 0 {
		node = bounds[0].Node
	}
	for _, b := range bounds {
		page.Nodes = append(page.Nodes, b.Node)
		if b.Node == node && last > 0 {
			limit, after = last, max(b.First-1, b.Last-min(b.Last, uint64(last)))
		}
	}
	if node != "" && !slices.Contains(page.Nodes, node) {
		return &web.Error{Status: http.StatusNotFound, Reason: "no_node", Public: fmt.Sprintf("No node %.64q has a log.", node)}
	}
	entries, err := h.Records.LogEntries(r.Context(), node, after, limit+1)
	if err != nil {
		return fail(fmt.Errorf("read the log: %w", err))
	}
	for _, kept := range entries[:min(len(entries), limit)] {
		var e trail.Entry
		if err := json.Unmarshal(kept, &e); err != nil {
			return fail(fmt.Errorf("read the log: %w", err))
		}
		page.Entries = append(page.Entries, e)
	}
	if len(entries) > limit {
		page.Next = strconv.FormatUint(page.Entries[limit-1].Seq, 10)
	}
	return web.WriteJSON(w, http.StatusOK, page)
}

// walk calls each with every entry of a node as it is kept, up to the end that
// the bounds name.
func (h *Log) walk(ctx context.Context, b trail.Bounds, each func(kept []byte) error) error {
	for after := b.First - 1; after < b.Last; {
		page, err := h.Records.LogEntries(ctx, b.Node, after, int(min(logPage, b.Last-after)))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil // whoever verifies sees that it is missing
		}
		for _, kept := range page {
			if err := each(kept); err != nil {
				return err
			}
		}
		after += uint64(len(page))
	}
	return nil
}

func (h *Log) export(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	write := h.writeJSON
	switch format := q.values.Get("format"); format {
	case "", LogJSON:
	case LogOCSF:
		write = h.writeOCSF
	default:
		return badQuery(fmt.Sprintf("The format %.40q is neither %s nor %s.", format, LogJSON, LogOCSF))
	}
	out := newStream(w)
	if err := out.unbound(); err != nil {
		return err
	}
	bounds, err := h.Records.LogBounds(r.Context())
	if err != nil {
		return fail(fmt.Errorf("read the log: %w", err))
	}
	out.begin()
	for i := range bounds {
		if err = errors.Join(write(r.Context(), out, &bounds[i]), out.err); err != nil {
			break
		}
	}
	if err == nil || out.err != nil {
		return out.err
	}
	failure := fail(fmt.Errorf("export the log: %w", err))
	out.send(exportLine{Problem: problem(r.Context(), failure)})
	return failure
}

// writeJSON writes a node's log so that it can be verified.
func (h *Log) writeJSON(ctx context.Context, out *stream, b *trail.Bounds) error {
	line := func(l trail.Line) error {
		text, err := l.Append(nil)
		if err != nil {
			return err
		}
		out.write(text)
		return out.err
	}
	if err := line(trail.Line{Bounds: b}); err != nil {
		return err
	}
	first := true
	return h.walk(ctx, *b, func(kept []byte) error {
		var e trail.Entry
		l := trail.Line{Entry: kept}
		if json.Unmarshal(kept, &e) == nil && e.Decision != "" { // else whoever verifies says what is wrong
			var err error
			if l.Decision, err = h.Records.DecisionRecord(ctx, e.Event.Decision); err != nil {
				return err
			}
		}
		if first && e.Seq != b.First || e.Decision != "" && l.Decision == nil {
			if _, moved := h.moved(ctx, *b); moved {
				return &web.Error{Status: http.StatusConflict, Reason: "pruned", Public: "Old entries of the log were deleted meanwhile; export it again."}
			}
		}
		first = false
		return line(l)
	})
}

func (h *Log) writeOCSF(ctx context.Context, out *stream, b *trail.Bounds) error {
	return h.walk(ctx, *b, func(kept []byte) error {
		var e trail.Entry
		if err := json.Unmarshal(kept, &e); err != nil {
			return fmt.Errorf("%w: %w; \"gatepost log verify\" says where", trail.ErrBroken, err)
		}
		var decision *posture.Decision
		if e.Event.Kind == posture.Decided {
			record, err := h.Records.DecisionRecord(ctx, e.Event.Decision)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(record, &decision); err != nil {
				return fmt.Errorf("%w: the decision of entry %d: %w; \"gatepost log verify\" says where", trail.ErrBroken, e.Seq, err)
			}
		}
		text, err := h.OCSF(&e.Event, decision)
		if err != nil {
			return err
		}
		out.write(append(text, '\n'))
		return out.err
	})
}
