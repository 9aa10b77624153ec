package devices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/posture"
)

// ErrReport is a report that says what cannot be.
var ErrReport = errors.New("bad report")

// SequenceError says that a report's sequence is not greater than the stored
// one: it was stored before, or is a replay, or its sender has lost track.
type SequenceError struct{ Stored uint64 }

func (e *SequenceError) Error() string {
	return fmt.Sprintf("the sequence does not grow: %d is stored", e.Stored)
}

// ReportRecords keeps the devices.
type ReportRecords interface {
	// UpdateDevice lets change change the device, durably: as store.Records has
	// it.
	UpdateDevice(ctx context.Context, id string, change func(d *posture.Device, exists bool) error) (posture.Device, error)
}

// Reporter takes the reports of agents.
type Reporter struct {
	Records ReportRecords
	// Note writes into the device which rules it fails since now; nil: none is asked
	// to.
	Note func(d *posture.Device, now time.Time)
	Now  func() time.Time
}

// How far the device's clock may be ahead of ours.
const maxAhead = 5 * time.Minute

// Report stores what the agent of the device said; hash names the bytes of the
// report. It is durable when Report returns. Facts that a device cannot say of
// itself are left out and returned: whether it is managed is never among what a
// report changes.
//
// Signs that there are two of the device mark it, durably, and refuse this
// report and all that follow until an administrator decides: see cloned.
//
// Errors: ErrReport, *SequenceError, posture.ErrNoDevice, ErrRetired,
// ErrSuspected.
func (p *Reporter) Report(ctx context.Context, deviceID string, r *agentapi.Report, hash string) (ignored []string, err error) {
	now := p.Now()
	switch age := now.Sub(r.ObservedAt); {
	case age < -maxAhead:
		return nil, fmt.Errorf("%w: observed_at is %s ahead of the server's clock", ErrReport, -age.Truncate(time.Second))
	case age > agentapi.OldestReport:
		return nil, fmt.Errorf("%w: observed_at is %s ago; what is older than %s is not taken", ErrReport, age.Truncate(time.Second), agentapi.OldestReport)
	}
	said := asSaid(r)
	var refusal error
	_, err = p.Records.UpdateDevice(ctx, deviceID, func(d *posture.Device, exists bool) error {
		refusal = nil
		switch {
		case !exists:
			return fmt.Errorf("%w: %q", posture.ErrNoDevice, deviceID)
		case d.Retired():
			return fmt.Errorf("device %q: %w", deviceID, posture.ErrRetired)
		case d.Suspected != nil:
			return fmt.Errorf("device %q: %w", deviceID, posture.ErrSuspected)
		}
		if why := cloned(d, r, hash); why != "" {
			d.Suspected, d.UpdatedAt = &posture.Suspicion{At: now, Why: why}, now
			refusal = fmt.Errorf("device %q: %w: %s", deviceID, posture.ErrSuspected, why)
			return nil
		}
		if d.Agent != nil && r.Sequence <= d.Agent.Sequence {
			return &SequenceError{Stored: d.Agent.Sequence}
		}
		ignored = take(d, said, r, hash, now)
		if p.Note != nil {
			p.Note(d, now)
		}
		return nil
	})
	if err == nil {
		err = refusal
	}
	return ignored, err
}

// asSaid is the report in the words of the domain.
func asSaid(r *agentapi.Report) *posture.Report {
	return &posture.Report{
		Serial: r.Device.Serial, Vendor: r.Device.Vendor, Model: r.Device.Model, OS: r.Device.OS, OSVersion: r.Device.OSVersion,
		Facts: maps.Clone(r.Facts),
	}
}

// maxBoots is how many earlier boots of a device are remembered.
const maxBoots = 16

// take writes the report into the device, with its facts in place of those of
// the report before. A fact is as old as the device says it is, or as we do, if
// that is older.
func take(d *posture.Device, said *posture.Report, r *agentapi.Report, hash string, now time.Time) (ignored []string) {
	observed := r.ObservedAt
	if observed.After(now) {
		observed = now
	}
	ignored = d.Apply(said, posture.AgentSource(), observed)
	d.Forget(posture.AgentSource(), said)
	d.UpdatedAt = now
	next := posture.AgentState{
		Sequence: r.Sequence, Hash: hash, ObservedAt: r.ObservedAt, ReceivedAt: now, BootID: r.BootID,
		Evidence: evidence(r.Attestations),
	}
	if before := d.Agent; before != nil {
		next.Boots = before.Boots
		if next.BootID == "" {
			next.BootID = before.BootID
		}
		if before.BootID != "" && before.BootID != next.BootID {
			next.Boots = append(slices.Clip(next.Boots), before.BootID)
			next.Boots = next.Boots[max(0, len(next.Boots)-maxBoots):]
		}
	}
	d.Agent = &next
	return ignored
}

func evidence(said []agentapi.Attestation) []posture.Attestation {
	var kept []posture.Attestation
	for _, a := range said {
		kept = append(kept, posture.Attestation(a))
	}
	return kept
}

// cloned tells by what the report shows that there are two of the device, or "".
//
//   - Hardware: it comes from another machine than enrolled.
//   - Boot: it comes from a boot before the present one. Boots do not come back,
//     so two systems are up.
//   - History: it goes on from another report than the one that is stored, or
//     gives a number to a new report that was given before. An agent makes neither
//     of one history; what is only sent again, to be safe or by a thief, is told by
//     being the same, or older.
func cloned(d *posture.Device, r *agentapi.Report, hash string) (why string) {
	if e := d.Enrolled; e != nil {
		switch {
		case differ(e.Hardware.Board, r.Device.HardwareID):
			return "the mainboard is another than the one that enrolled"
		case serialsDiffer(e.Hardware.Serial, r.Device.Serial):
			return "the serial number is another than the one that enrolled"
		}
	}
	a := d.Agent
	if a == nil {
		return ""
	}
	if slices.Contains(a.Boots, r.BootID) {
		return "two systems are up with its key: a boot that had ended reports again"
	}
	if a.Hash == "" {
		return "" // a new history begins
	}
	switch {
	case r.Sequence > a.Sequence && r.Previous != "" && r.Previous != a.Hash:
		return fmt.Sprintf("report %d goes on from another report than the stored %d", r.Sequence, a.Sequence)
	case r.Sequence <= a.Sequence && hash != a.Hash && r.ObservedAt.After(a.ObservedAt):
		return fmt.Sprintf("a new report has the number %d, but %d is stored", r.Sequence, a.Sequence)
	}
	return ""
}

func differ(a, b string) bool { return a != "" && b != "" && !strings.EqualFold(a, b) }

func serialsDiffer(a, b string) bool {
	x, xok := posture.FoldSerial(a)
	y, yok := posture.FoldSerial(b)
	return xok && yok && x != y
}
