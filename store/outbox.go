package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gatepost.dev/events/trail"
	"gatepost.dev/posture"
)

// noted is an event that waits to be written into the log.
type noted struct {
	Event    posture.Event `json:"event"`
	Decision string        `json:"decision_sha256,omitempty"` // trail.Hash of the record of a decision
}

// note is the operation that notes an event together with what it is of. Its ID,
// which sorts by the order of these calls, is made here.
func (r *Records) note(e posture.Event, decision string) (Op, error) {
	e.ID = r.eventID(e.Time)
	return putRecord(r.outbox()+e.ID, noted{e, decision}, Absent)
}

// noteChanges are the operations that note what happened to a device that stood
// as before.
func (r *Records) noteChanges(before posture.Standing, d *posture.Device, ops []Op) ([]Op, error) {
	for _, e := range before.Happened(d, d.UpdatedAt) {
		op, err := r.note(e, "")
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// Note notes an event that nothing else is written with.
func (r *Records) Note(ctx context.Context, e posture.Event) error {
	op, err := r.note(e, "")
	if err != nil {
		return err
	}
	return r.kv.Commit(ctx, op)
}

// NoteOnce is Note for an event of which is told once and for all under a name: told
// is false if it was.
func (r *Records) NoteOnce(ctx context.Context, name string, e posture.Event) (told bool, err error) {
	op, err := r.note(e, "")
	if err != nil {
		return false, err
	}
	err = r.kv.Commit(ctx, op, Op{Kind: Put, Key: toldKey(name), Rev: Absent})
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// eventID is made of the time, or of the moment after the last ID if the clock
// did not go on, and of something that another node does not make.
func (r *Records) eventID(at time.Time) string {
	r.eventMu.Lock()
	defer r.eventMu.Unlock()
	r.lastEvent = max(at.UnixNano(), r.lastEvent+1)
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%016x", uint64(r.lastEvent)) + hex.EncodeToString(b[:])
}

// OldestNoted is the time of the event that has waited longest to be written into
// this node's log; zero: none waits.
func (r *Records) OldestNoted(ctx context.Context) (time.Time, error) {
	waiting, err := list[noted](ctx, r.kv, r.outbox(), "", 1)
	if err != nil || len(waiting) == 0 {
		return time.Time{}, err
	}
	return waiting[0].Event.Time, nil
}

func (r *Records) outbox() string { return outboxPrefix + r.node + "/" }

// decided is the event of a decision whose record is to be as given.
func (r *Records) decided(d *posture.Decision, record []byte) (Op, error) {
	return r.note(posture.Event{Time: d.Time, Kind: posture.Decided, DeviceID: d.DeviceID, Decision: d.ID, Outcome: d.Outcome, Why: string(d.Reason)}, trail.Hash(record))
}
