package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost.dev/agent/collect"
	"gatepost.dev/agentapi"
)

// maxQueue is how many observations wait while the server cannot be reached;
// then the oldest make room.
const maxQueue = 48

// queued is an observation that waits to be sent. It has no sequence yet: what
// is dropped leaves no gap.
type queued struct {
	ObservedAt time.Time         `json:"observed_at"`
	BootID     string            `json:"boot_id,omitempty"`
	Device     agentapi.Device   `json:"device"`
	Facts      map[string]string `json:"facts,omitempty"`
}

// enqueue keeps an observation, durably, until the server has it.
func (a *Agent) enqueue(o *collect.Observation) error {
	if err := os.MkdirAll(filepath.Join(a.Dir, queueDir), 0o700); err != nil {
		return err
	}
	now := a.Now().UTC()
	data, err := json.Marshal(queued{ObservedAt: now.Truncate(time.Millisecond), BootID: o.BootID, Device: o.Device, Facts: o.Facts})
	if err != nil {
		return err
	}
	if err := a.write(filepath.Join(queueDir, fmt.Sprintf("%020d.json", now.UnixNano())), data); err != nil {
		return err
	}
	waiting, err := a.waiting()
	if err != nil {
		return err
	}
	for _, old := range waiting[:max(0, len(waiting)-maxQueue)] {
		if err := os.Remove(old); err != nil {
			return err
		}
	}
	return nil
}

// waiting are the files of the queue, the oldest first.
func (a *Agent) waiting() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(a.Dir, queueDir, "*.json"))
	slices.Sort(files)
	return files, err
}

// Waiting is how many observations wait to be sent.
func (a *Agent) Waiting() int {
	files, _ := a.waiting()
	return len(files)
}

// maxConflicts is how often in a row the server's sequence is taken over.
const maxConflicts = 4

// flush sends what waits, the oldest first, until nothing does or something is in
// the way. s is what it was made of the state.
func (a *Agent) flush(ctx context.Context, w *wire, s *State) error {
	for conflicts := 0; ; {
		body, sequence, from, err := a.next(s)
		if err != nil || body == nil {
			return err
		}
		var accepted agentapi.Accepted
		err = w.send(ctx, agentapi.ReportPath, body, &accepted)
		var r *refused
		switch {
		case err == nil:
			s.Sequence, s.Previous, s.ReportedAt, s.Trouble = sequence, agentapi.Hash(body), a.Now(), ""
			if every := time.Duration(accepted.ReportEvery) * time.Second; every > 0 {
				s.Every = every
			}
		case errors.As(err, &r) && r.Code == agentapi.CodeSequence:
			// It was stored, and its answer got lost; or the server has more of this
			// device than we know, and says whether it minds.
			s.Previous = ""
			if r.Sequence == sequence {
				s.Previous = agentapi.Hash(body)
			}
			s.Sequence = max(s.Sequence, r.Sequence)
			if conflicts++; conflicts > maxConflicts {
				return err
			}
			if r.Sequence > sequence {
				from = "" // not stored: again, with another sequence
			}
		case errors.As(err, &r) && r.Code == agentapi.CodeInvalid:
			// Too old, or not to the server's liking: it never will be.
			a.Log.LogAttrs(ctx, slog.LevelWarn, "a report is dropped", slog.String("error", err.Error()))
		default:
			return err
		}
		if err := a.settle(s, from); err != nil {
			return err
		}
	}
}

// settle writes the state, and forgets what was sent and the file that it came
// from.
func (a *Agent) settle(s *State, from string) error {
	if err := a.writeState(*s); err != nil {
		return err
	}
	for _, path := range []string{from, filepath.Join(a.Dir, sendingFile)} {
		if path == "" {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sending is a report on its way. It is written before it is sent, so that after
// a crash the same bytes go out again: the server tells a report that it has from
// a second one with the same number.
type sending struct {
	From string          `json:"from"` // the file in the queue
	Body json.RawMessage `json:"body"`
}

// next gives the report to send, with its sequence and the file of the queue that
// it comes from; nil: nothing waits.
func (a *Agent) next(s *State) (body []byte, sequence uint64, from string, err error) {
	data, err := os.ReadFile(filepath.Join(a.Dir, sendingFile))
	switch {
	case err == nil:
		var at sending
		var report agentapi.Report
		if json.Unmarshal(data, &at) == nil && json.Unmarshal(at.Body, &report) == nil && report.Sequence > s.Sequence {
			return at.Body, report.Sequence, filepath.Join(a.Dir, queueDir, filepath.Base(at.From)), nil
		}
		if err := a.settle(s, a.origin(&at)); err != nil { // it was stored before the crash
			return nil, 0, "", err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, 0, "", err
	}
	for {
		waiting, err := a.waiting()
		if err != nil || len(waiting) == 0 {
			return nil, 0, "", err
		}
		from = waiting[0]
		var q queued
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, 0, "", err
		}
		if err := json.Unmarshal(data, &q); err != nil { // a fault of the disk; the next one will tell
			if err := os.Remove(from); err != nil {
				return nil, 0, "", err
			}
			continue
		}
		return a.prepare(s, &q, from)
	}
}

// origin is the file of the queue that a report came from, or "".
func (a *Agent) origin(at *sending) string {
	if at.From == "" {
		return ""
	}
	return filepath.Join(a.Dir, queueDir, filepath.Base(at.From))
}

// prepare gives a queued observation its sequence, durably.
func (a *Agent) prepare(s *State, q *queued, from string) (body []byte, sequence uint64, _ string, err error) {
	report := agentapi.Report{
		Sequence: s.Sequence + 1, ObservedAt: q.ObservedAt, BootID: q.BootID, Previous: s.Previous, Device: q.Device, Facts: q.Facts,
	}
	if body, err = json.Marshal(report); err != nil {
		return nil, 0, "", err
	}
	data, err := json.Marshal(sending{From: filepath.Base(from), Body: body})
	if err != nil {
		return nil, 0, "", err
	}
	return body, report.Sequence, from, a.write(sendingFile, data)
}
