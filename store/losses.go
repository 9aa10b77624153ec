package store

import (
	"context"
	"crypto/sha256"

	"gatepost.dev/posture"
)

// Losses tells how many devices the import's source calls managed now, retired
// ones aside, and how many of these it would not any more: those whose row says
// so, and with replace those without a row that says managed. It is called when
// all is staged, and goes for Commit too: what a source says changes by imports
// only, of which this is the only one. Memory use does not grow with the
// inventory, but with the rows on devices that enrolled, by some forty bytes each.
func (im *Import) Losses(ctx context.Context) (lost, managed int, err error) {
	if im.done {
		return 0, 0, errEnded
	}
	if err := im.wait(); err != nil {
		return 0, 0, err
	}
	if managed, err = im.managed(ctx); err != nil || managed == 0 {
		return 0, managed, err
	}
	kept, lost, err := im.judgeRows(ctx)
	if im.record.Replace {
		lost = managed - kept
	}
	return lost, managed, err
}

// managed counts the devices that the source calls managed.
func (im *Import) managed(ctx context.Context) (n int, err error) {
	err = im.r.eachPageOf(ctx, im.record.Source.Name, func(page []revised) error {
		for i := range page {
			if im.callsManaged(&page[i].Device) {
				n++
			}
		}
		return nil
	})
	return n, err
}

// callsManaged tells whether the source said so of a device in service.
func (im *Import) callsManaged(d *posture.Device) bool {
	if d.Retired() {
		return false
	}
	for i := range d.Facts {
		f := &d.Facts[i]
		if f.Name == posture.FactManaged && f.Source.Name == im.record.Source.Name {
			return f.Value == "true"
		}
	}
	return false
}

// judgeRows counts the devices that the source calls managed and of which a row
// says that they are, or that they are not.
func (im *Import) judgeRows(ctx context.Context) (kept, lost int, err error) {
	a := applier{r: im.r, record: im.record}
	counted := make(map[[16]byte]bool) // of those that enrolled, which a second row may find by their serial number
	for after := ""; ; {
		chunks, err := im.r.kv.Scan(ctx, stagedPrefix, after, 1)
		if err != nil || len(chunks) == 0 {
			return kept, lost, err
		}
		after = chunks[0].Key
		rows, err := decode[[]posture.Report](chunks[0])
		if err != nil {
			return kept, lost, err
		}
		taken := make(map[string]bool, len(rows)) // as when they are applied
		for i := range rows {
			taken[rows[i].DeviceID] = true
		}
		for i := range rows {
			says, given := rows[i].Facts[posture.FactManaged]
			if !given {
				continue
			}
			d, _, err := a.deviceOf(ctx, &rows[i], taken)
			if err != nil {
				return kept, lost, err
			}
			if !im.callsManaged(&d) || d.Enrolled != nil && !first(counted, d.ID) {
				continue
			}
			if says == "true" {
				kept++
			} else {
				lost++
			}
		}
	}
}

// first notes the ID, and tells whether it is there for the first time.
func first(ids map[[16]byte]bool, id string) bool {
	sum := sha256.Sum256([]byte(id))
	key := [16]byte(sum[:])
	if ids[key] {
		return false
	}
	ids[key] = true
	return true
}
