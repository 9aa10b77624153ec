package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// Why an import was refused. Nothing is imported then.
var (
	ErrBadRows   = errors.New("nothing was imported")
	ErrBadSource = errors.New("bad name of a source")
	ErrBadFormat = errors.New("unknown format")
	// ErrUnreadable: reading the file failed, not what it says.
	ErrUnreadable = errors.New("cannot read the file to its end")
	// ErrEmptyReplace: an empty file would make every device of its source
	// unmanaged, which is more likely a broken export than meant.
	ErrEmptyReplace = errors.New("the file names no device, and so would make all devices of its source unmanaged")
	// ErrHeld: an import that takes so much away waits for an approval.
	ErrHeld = errors.New("the import is held, and nothing was imported")
)

// An import is held that makes more than holdPercent of the devices unmanaged
// that its source calls managed, unless these are fewer than holdFrom.
const (
	holdPercent = 20
	holdFrom    = 5
)

// Mode is how an import is meant.
type Mode struct {
	Replace  bool // what the source named before and does not name now becomes unmanaged
	Approved bool // however much it takes away
}

// Staging is one import on its way into the inventory, which shows nothing of
// it before Commit.
type Staging interface {
	// Stage takes reports of devices that were not staged before.
	Stage(ctx context.Context, reports []posture.Report) error
	// Losses tells, when all is staged, how many devices the source calls managed
	// now, and how many of these Commit would make unmanaged.
	Losses(ctx context.Context) (lost, managed int, err error)
	// Abort forgets what was staged.
	Abort(ctx context.Context) error
	// Commit applies what was staged, all or nothing, and calls progress with
	// the devices done and the devices in all.
	Commit(ctx context.Context, progress func(done, total int)) (Result, error)
}

// Result counts the devices that an import created, updated, made unmanaged
// because the source no longer names them, and left as they were.
type Result struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unmanaged int `json:"unmanaged"`
	Unchanged int `json:"unchanged"`
}

// Event tells how far an import is, or of a fault in its file.
type Event struct {
	Read    int       `json:"read"`              // good rows read so far
	Applied int       `json:"applied,omitempty"` // devices written so far
	Total   int       `json:"total,omitempty"`   // devices to write; 0 while the file is being read
	Bad     *RowError `json:"bad,omitempty"`
}

// Importer brings files of devices into the inventory.
type Importer struct {
	// Begin starts an import of what source says at a time. With replace a
	// device that the source named before, and now does not, becomes unmanaged.
	Begin func(ctx context.Context, source posture.Source, at time.Time, replace bool) (Staging, error)
	Now   func() time.Time
}

const (
	chunkRows     = 100  // staged together
	progressRows  = 1000 // between two events of progress
	abortPatience = 30 * time.Second
)

// Import reads the file and applies it, all or nothing, as what the source of
// this name says now. It calls report, from its own goroutine, with the
// progress and with every fault of every bad row; with any of these the error
// is ErrBadRows. Memory use does not grow with the file but for 24 bytes a row
// or so.
func (im *Importer) Import(ctx context.Context, r io.Reader, format Format, source string, mode Mode,
	report func(Event)) (Result, error) {
	rows, err := parse(r, format)
	if err != nil {
		return Result{}, err
	}
	if !validSourceName(source) {
		return Result{}, fmt.Errorf("%w: %s; 1 to %d letters, digits, '.', '_' and '-', a letter first, and neither agent nor enrollment", ErrBadSource, quote(source), maxFactName)
	}
	staging, err := im.Begin(ctx, posture.Source{Name: source, Kind: posture.Import}, im.Now(), mode.Replace)
	if err != nil {
		return Result{}, fmt.Errorf("begin import: %w", err)
	}
	read, err := stage(ctx, rows, staging, report)
	if err == nil && read == 0 && mode.Replace {
		err = ErrEmptyReplace
	}
	if err == nil && !mode.Approved {
		err = hold(ctx, staging)
	}
	if err != nil {
		// What was staged has to go also when the client has gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortPatience)
		defer cancel()
		return Result{}, errors.Join(err, staging.Abort(ctx))
	}
	result, err := staging.Commit(ctx, func(done, total int) {
		report(Event{Read: read, Applied: done, Total: total})
	})
	if err != nil {
		return Result{}, fmt.Errorf("apply import: %w", err)
	}
	return result, nil
}

// hold tells why the import is not let through, or nil.
func hold(ctx context.Context, staging Staging) error {
	lost, managed, err := staging.Losses(ctx)
	if err != nil {
		return fmt.Errorf("count what would become unmanaged: %w", err)
	}
	if managed < holdFrom || lost*100 <= managed*holdPercent {
		return nil
	}
	return fmt.Errorf("%w: it would make %d of the %d devices unmanaged that its source calls managed, which is more than %d %%; if that is meant, import the same again with --approve",
		ErrHeld, lost, managed, holdPercent)
}

func parse(r io.Reader, format Format) (Rows, error) {
	switch format {
	case CSV:
		return ParseCSV(r), nil
	case JSONL:
		return ParseJSONL(r), nil
	}
	return nil, fmt.Errorf("%w: %s; write %q or %q", ErrBadFormat, quote(string(format)), CSV, JSONL)
}

// stage reads all rows and stages them for as long as all were good. It gives
// the number of good rows.
func stage(ctx context.Context, rows Rows, staging Staging, report func(Event)) (read int, err error) {
	chunk := make([]posture.Report, 0, chunkRows)
	faults, badRows, badLine := 0, 0, 0
	for row, err := range rows {
		if bad, ok := errors.AsType[*RowError](err); ok {
			faults++
			if bad.Line != badLine {
				badRows, badLine = badRows+1, bad.Line
			}
			report(Event{Read: read, Bad: bad})
			continue
		}
		if err != nil {
			return read, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		read++
		if read%progressRows == 0 {
			report(Event{Read: read})
		}
		if faults > 0 {
			continue
		}
		if chunk = append(chunk, row.Report); len(chunk) == chunkRows {
			if err := staging.Stage(ctx, chunk); err != nil {
				return read, fmt.Errorf("stage rows up to line %d: %w", row.Line, err)
			}
			chunk = make([]posture.Report, 0, chunkRows)
		}
	}
	if faults > 0 {
		return read, fmt.Errorf("%w: %d bad of %d rows", ErrBadRows, badRows, read+badRows)
	}
	if len(chunk) > 0 {
		if err := staging.Stage(ctx, chunk); err != nil {
			return read, fmt.Errorf("stage the last rows: %w", err)
		}
	}
	report(Event{Read: read})
	return read, nil
}

// validSourceName holds the name of a source to the rule for names of facts, and
// keeps from imports the names under which agents and enrolments speak.
func validSourceName(s string) bool {
	return agentapi.ValidFactName(s) && s != posture.AgentSource().Name && s != posture.EnrollmentSource().Name
}
