package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"gatepost.dev/posture"
)

// Limits of what one staged chunk holds, so that its devices, the chunk and the
// record of the import fit one Commit.
const (
	chunkRows  = (MaxOps - 2) / opsOfDevice
	chunkBytes = 256 << 10
)

// inFlight is how many commits an import has under way at once: enough to share
// a sync, few enough to stay small in memory.
const inFlight = 16

// importRecord says that an import is in hand. While it is not committed, its
// rows are only staged and nothing of them shows. Once it is, they will be
// applied, by this process or the next: a chunk disappears in the commit that
// applies it, and the record when no chunk is left. Every commit of an import
// demands that the record still has the revision it began with.
type importRecord struct {
	Source    posture.Source `json:"source"`
	At        time.Time      `json:"at"`
	Replace   bool           `json:"replace,omitempty"`
	Committed bool           `json:"committed,omitempty"`
	Aborted   bool           `json:"aborted,omitempty"`
	Rows      int            `json:"rows,omitempty"`
}

// Import is one import being staged. Its methods are not for concurrent use.
type Import struct {
	r      *Records
	done   bool // aborted or committed
	record importRecord
	rev    uint64 // of the record
	chunks int

	slots  chan struct{} // one for each commit under way
	mu     sync.Mutex
	failed error // of the first commit that did
}

// Result counts what an import did to devices.
type Result struct {
	Created   int // were not there before
	Updated   int // say something else than before
	Unmanaged int // are no longer named by the source, with replace
	Unchanged int // say what they said, from now on with the new time
}

// BeginImport begins the import of what source says at a time, which is moved by
// nanoseconds where another import has it. There is one import at a time:
// posture.ErrExists while another is being staged. One that was committed and
// interrupted is finished first.
func (r *Records) BeginImport(ctx context.Context, source posture.Source, at time.Time, replace bool) (*Import, error) {
	if !r.importing.TryLock() {
		return nil, fmt.Errorf("another import, which is in hand: %w", posture.ErrExists)
	}
	im := &Import{
		r:      r,
		record: importRecord{Source: source, At: at, Replace: replace},
		slots:  make(chan struct{}, inFlight),
	}
	if err := im.begin(ctx); err != nil {
		r.importing.Unlock()
		return nil, err
	}
	return im, nil
}

func (im *Import) begin(ctx context.Context) error {
	if err := im.r.resume(ctx, false); err != nil {
		return err
	}
	noteTime, err := im.takeTime(ctx)
	if err != nil {
		return err
	}
	put, err := putRecord(importKey, im.record, Absent)
	if err != nil {
		return err
	}
	if err := im.r.kv.Commit(ctx, put, noteTime); errors.Is(err, ErrConflict) {
		return fmt.Errorf("another import, which is in hand: %w", posture.ErrExists)
	} else if err != nil {
		return err
	}
	e, err := im.r.kv.Get(ctx, importKey)
	im.rev = e.Rev
	return err
}

// stuckClock is how far an import's time may be moved to keep it apart from the
// last one's. A clock that was set back further gives times of its own: to stay
// ahead of it would date facts into the future, where they are not believed.
const stuckClock = time.Second

// takeTime gives the import a time that no other has, since by their time it is
// told which devices it names (posture.Device.Unlist), and the operation that
// keeps it so.
func (im *Import) takeTime(ctx context.Context) (Op, error) {
	rev := Absent
	e, err := im.r.kv.Get(ctx, lastImportKey)
	switch {
	case err == nil:
		n, err := strconv.ParseInt(string(e.Value), 10, 64)
		if err != nil {
			return Op{}, fmt.Errorf("%w: record %q: %w", ErrDamaged, e.Key, err)
		}
		rev = e.Rev
		if ahead := n - im.record.At.UnixNano(); ahead >= 0 && ahead < int64(stuckClock) {
			im.record.At = im.record.At.Add(time.Duration(ahead + 1))
		}
	case !errors.Is(err, ErrNoKey):
		return Op{}, err
	}
	return Op{Kind: Put, Key: lastImportKey, Value: strconv.AppendInt(nil, im.record.At.UnixNano(), 10), Rev: rev}, nil
}

// end lets the next import of this process begin.
func (im *Import) end() {
	if !im.done {
		im.done = true
		im.r.importing.Unlock()
	}
}

// Stage adds rows to the import; a device may stand in it once. Their commits go
// on behind its back: an error of one comes with a later call.
func (im *Import) Stage(ctx context.Context, reports []posture.Report) error {
	rows := make([]json.RawMessage, 0, min(len(reports), chunkRows))
	seen := make(map[string]bool, len(reports))
	size := 0
	for i := range reports {
		id := reports[i].DeviceID
		if err := checkName("device ID", id); err != nil {
			return err
		}
		if seen[id] {
			return fmt.Errorf("device %q stands twice in the import", id)
		}
		seen[id] = true
		row, err := json.Marshal(&reports[i])
		if err != nil {
			return fmt.Errorf("encode the row of device %q: %w", id, err)
		}
		if len(row) > chunkBytes {
			return fmt.Errorf("the row of device %q has %d bytes, at most %d are allowed", id, len(row), chunkBytes)
		}
		if len(rows) == chunkRows || size+len(row) > chunkBytes {
			if err := im.stageChunk(ctx, rows); err != nil {
				return err
			}
			rows, size = rows[:0], 0
		}
		rows, size = append(rows, row), size+len(row)
	}
	if len(rows) == 0 {
		return im.failure()
	}
	return im.stageChunk(ctx, rows)
}

// stageChunk commits one chunk in the background.
func (im *Import) stageChunk(ctx context.Context, rows []json.RawMessage) error {
	put, err := putRecord(stagedKey(im.chunks), rows, Absent)
	if err != nil {
		return err
	}
	select {
	case im.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	im.chunks++
	im.record.Rows += len(rows)
	go func() {
		defer func() { <-im.slots }()
		err := im.r.kv.Commit(ctx, Op{Kind: Check, Key: importKey, Rev: im.rev}, put)
		if err != nil {
			im.mu.Lock()
			defer im.mu.Unlock()
			if im.failed == nil {
				im.failed = fmt.Errorf("stage rows: %w", err)
			}
		}
	}()
	return im.failure()
}

func (im *Import) failure() error {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.failed
}

// wait returns when no commit is under way.
func (im *Import) wait() error {
	for range cap(im.slots) {
		im.slots <- struct{}{}
	}
	for range cap(im.slots) {
		<-im.slots
	}
	return im.failure()
}

// Abort forgets the import. It does nothing to one that was committed. What it
// fails to delete, the next BeginImport deletes.
func (im *Import) Abort(ctx context.Context) error {
	if im.done {
		return nil
	}
	defer im.end()
	im.wait() // whether rows were staged or not, they go
	im.r.abandoned = im.rev
	return im.r.discard(ctx, im.record, im.rev)
}

// Commit applies what was staged. First it marks the import as committed: if
// that fails, nothing is imported. From then on the import is done, whatever
// happens: ctx no longer counts, and what an error (posture.ErrUnfinished) or the
// end of the process leaves is applied by ResumeImports or the next BeginImport. progress is called
// from the caller's goroutine with the rows applied and the rows in all; it may
// be nil.
//
// With replace, a device whose row does not say managed is no longer managed by
// this source either: an import that replaces is all that its source says.
func (im *Import) Commit(ctx context.Context, progress func(done, total int)) (Result, error) {
	if im.done {
		return Result{}, errEnded
	}
	rev, err := im.mark(ctx)
	if err != nil {
		return Result{}, errors.Join(err, im.Abort(context.WithoutCancel(ctx)))
	}
	defer im.end()
	a := applier{r: im.r, record: im.record, rev: rev, progress: progress}
	result, err := a.run(context.WithoutCancel(ctx))
	if err != nil {
		err = fmt.Errorf("%w: %w", posture.ErrUnfinished, err)
	}
	return result, err
}

// mark is the point of no return. It gives the revision of the record then.
func (im *Import) mark(ctx context.Context) (rev uint64, err error) {
	if err := cmp.Or(im.wait(), ctx.Err()); err != nil {
		return 0, err
	}
	ctx = context.WithoutCancel(ctx)
	record := im.record
	record.Committed = true
	put, err := putRecord(importKey, record, im.rev)
	if err != nil {
		return 0, err
	}
	if err := im.r.kv.Commit(ctx, put); err != nil {
		return 0, fmt.Errorf("mark the import as committed: %w", err)
	}
	e, err := im.r.kv.Get(ctx, importKey)
	return e.Rev, err
}
