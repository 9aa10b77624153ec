package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"gatepost.dev/posture"
)

// deviceRecord is a device as it is written: what one source said at one time
// stands together, since a record is read and written at every report, and its
// length is most of what that costs. Records that keep each fact by itself are
// read too.
type deviceRecord struct {
	posture.Device
	Said []said `json:"said,omitempty"`
}

// said is what one source said at one time.
type said struct {
	Source     posture.Source `json:"source"`
	ObservedAt time.Time      `json:"observed_at"`
	MaxAge     time.Duration  `json:"max_age,omitempty"`
	Facts      [][2]string    `json:"facts"` // name and value
}

func recordOf(d *posture.Device) *deviceRecord {
	r := &deviceRecord{Device: *d}
	r.Facts = nil
	for _, f := range d.Facts {
		i := slices.IndexFunc(r.Said, func(s said) bool {
			return s.Source == f.Source && s.ObservedAt.Equal(f.ObservedAt) && s.MaxAge == f.MaxAge
		})
		if i < 0 {
			i = len(r.Said)
			r.Said = append(r.Said, said{Source: f.Source, ObservedAt: f.ObservedAt, MaxAge: f.MaxAge, Facts: make([][2]string, 0, len(d.Facts))})
		}
		r.Said[i].Facts = append(r.Said[i].Facts, [2]string{f.Name, f.Value})
	}
	return r
}

func (r *deviceRecord) device() posture.Device {
	d := r.Device
	if len(r.Said) == 0 {
		return d
	}
	n := len(d.Facts)
	for _, s := range r.Said {
		n += len(s.Facts)
	}
	d.Facts = slices.Grow(d.Facts, n)
	for _, s := range r.Said {
		for _, f := range s.Facts {
			d.Facts = append(d.Facts, posture.Fact{Name: f[0], Value: f[1], Source: s.Source, ObservedAt: s.ObservedAt, MaxAge: s.MaxAge})
		}
	}
	slices.SortFunc(d.Facts, func(a, b posture.Fact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Source.Name, b.Source.Name))
	})
	return d
}

// revised is a device with the revision of its record.
type revised struct {
	posture.Device
	rev uint64
}

// eachPageOf calls do with the devices of which the source said something, and
// perhaps others, some at a time by ID. Of others it decodes few: a record without
// the source's name is passed over.
func (r *Records) eachPageOf(ctx context.Context, source string, do func(page []revised) error) error {
	name, err := json.Marshal(source)
	if err != nil {
		return err
	}
	const atOnce = 256
	for after := ""; ; {
		entries, err := r.kv.Scan(ctx, devicePrefix, after, atOnce)
		if err != nil || len(entries) == 0 {
			return err
		}
		var page []revised
		for _, e := range entries {
			after = e.Key
			if !bytes.Contains(e.Value, name) {
				continue
			}
			d, err := decodeDevice(e)
			if err != nil {
				return err
			}
			page = append(page, revised{d, e.Rev})
		}
		if err := do(page); err != nil {
			return err
		}
	}
}

func decodeDevice(e Entry) (posture.Device, error) {
	r, err := decode[deviceRecord](e)
	if err != nil {
		return posture.Device{}, err
	}
	return r.device(), nil
}

func (r *Records) device(ctx context.Context, id string) (posture.Device, uint64, error) {
	record, rev, err := read[deviceRecord](ctx, r.kv, deviceKey(id), posture.ErrNoDevice)
	if err != nil {
		return posture.Device{}, rev, err
	}
	return record.device(), rev, nil
}

// writeDevice is the operation that writes the device.
func writeDevice(d *posture.Device, rev uint64) (Op, error) {
	return putRecord(deviceKey(d.ID), recordOf(d), rev)
}
