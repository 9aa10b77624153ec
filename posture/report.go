package posture

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Report is what one source says of one device at one time. Empty fields say
// nothing and change nothing.
type Report struct {
	DeviceID     string            `json:"id"`
	Serial       string            `json:"serial,omitempty"`
	Vendor       string            `json:"vendor,omitempty"`
	Model        string            `json:"model,omitempty"`
	OS           string            `json:"os,omitempty"`
	OSVersion    string            `json:"os_version,omitempty"`
	Owner        string            `json:"owner,omitempty"`
	Facts        map[string]string `json:"facts,omitempty"` // by name, FactManaged and FactCompliant among them
	Attestations []Attestation     `json:"attestations,omitempty"`
}

// Apply writes what source said at observedAt into the device. Facts that the
// source may not say are dropped and returned by name, sorted. A retired device
// takes facts as any other; they do not bring it back.
//
// A device's own word of its system counts, that of its hardware only where
// nobody else's is known, and that of its owner never.
func (d *Device) Apply(r *Report, source Source, observedAt time.Time) (dropped []string) {
	if d.ID == "" {
		d.ID, d.CreatedAt = r.DeviceID, observedAt
	}
	d.UpdatedAt = observedAt
	trusted := source.Kind.MaySayManaged()
	for _, f := range []struct {
		to    *string
		from  string
		taken bool
	}{
		{&d.Serial, r.Serial, trusted || d.Serial == ""},
		{&d.Vendor, r.Vendor, trusted || d.Vendor == ""},
		{&d.Model, r.Model, trusted || d.Model == ""},
		{&d.OS, r.OS, true},
		{&d.OSVersion, r.OSVersion, true},
		{&d.Owner, r.Owner, trusted},
	} {
		if f.from != "" && f.taken {
			*f.to = f.from
		}
	}
	for name, value := range r.Facts {
		if (strings.EqualFold(name, FactManaged) || strings.EqualFold(name, FactCompliant)) && !trusted {
			dropped = append(dropped, name)
			continue
		}
		d.setFact(Fact{Name: name, Value: value, Source: source, ObservedAt: observedAt})
	}
	if len(r.Attestations) > 0 {
		d.Attestations = slices.Clone(r.Attestations)
	}
	slices.Sort(dropped)
	return dropped
}

// setFact puts f in its place, over what the same source said before.
func (d *Device) setFact(f Fact) {
	i, found := slices.BinarySearchFunc(d.Facts, f, func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Source.Name, b.Source.Name))
	})
	if found {
		d.Facts[i] = f
	} else {
		d.Facts = slices.Insert(d.Facts, i, f)
	}
}

// Forget drops the facts of the source that the report does not name: a report
// that says all that its source knows leaves nothing else of it.
func (d *Device) Forget(source Source, r *Report) {
	d.Facts = slices.DeleteFunc(d.Facts, func(f Fact) bool {
		_, said := r.Facts[f.Name]
		return f.Source == source && !said
	})
}

// Unlist records that a source which named the device before no longer does: if
// it said managed at another time than at, it now says not managed. It tells
// whether anything changed. Whether the other time is earlier does not matter,
// since clocks are set back too; so all that a source says at one time must come
// from one import.
func (d *Device) Unlist(source string, at time.Time) bool {
	for i := range d.Facts {
		f := &d.Facts[i]
		if f.Name == FactManaged && f.Source.Name == source && !f.ObservedAt.Equal(at) && f.Value != "false" {
			f.Value, f.ObservedAt = "false", at
			d.UpdatedAt = at
			return true
		}
	}
	return false
}
