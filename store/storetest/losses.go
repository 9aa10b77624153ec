package storetest

import (
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// testLosses: what an import would take away is counted before it has an effect,
// and is what it then takes.
func testLosses(t *testing.T, kv store.KV) {
	r := store.New(kv)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	next := func() time.Time { at = at.Add(time.Minute); return at }
	want := func(what string, im *store.Import, lost, of int) {
		t.Helper()
		if l, m, err := im.Losses(t.Context()); err != nil || l != lost || m != of {
			t.Errorf("%s: %d of %d, %v; want %d of %d", what, l, m, err, lost, of)
		}
	}
	// The first import of a source takes nothing away.
	im := beginImport(t, r, next(), true)
	stage(t, im, rows(0, 600))
	want("first", im, 0, 0)
	apply(t, im)

	// Another source speaks of the same devices, and one is retired.
	other, err := r.BeginImport(t.Context(), posture.Source{Name: "other", Kind: posture.Import}, next(), true)
	if err != nil {
		t.Fatal(err)
	}
	stage(t, other, rows(0, 300))
	want("another source", other, 0, 0)
	apply(t, other)
	if _, err := r.RetireDevice(t.Context(), "device-000599", "", next()); err != nil {
		t.Fatal(err)
	}

	// Rows that say not managed count, those that say nothing do not.
	said := rows(0, 300)
	for i := range said {
		switch {
		case i < 50:
			said[i].Facts[posture.FactManaged] = "false"
		case i < 90:
			said[i].Facts = nil
		}
	}
	im = beginImport(t, r, next(), false)
	stage(t, im, said)
	want("rows", im, 50, 599)
	if _, m := managed(t, r); m != 600 {
		t.Errorf("%d are managed before the commit", m)
	}
	if err := im.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, m := managed(t, r); m != 600 {
		t.Errorf("%d are managed after the import was given up", m)
	}

	// With replace what has no row that says managed counts too.
	im = beginImport(t, r, next(), true)
	stage(t, im, append(said, rows(700, 800)...))
	want("replace", im, 599-210, 599)
	apply(t, im)
	im = beginImport(t, r, next(), true)
	stage(t, im, rows(0, 90))
	want("after", im, 310, 310)
	if err := im.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := im.Losses(t.Context()); err == nil {
		t.Error("an import that ended counts")
	}
}

// testLossesBySerial: a row finds a device that enrolled by its serial number,
// as it does when it is applied, and counts it once.
func testLossesBySerial(t *testing.T, kv store.KV) {
	r := store.New(kv)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, id := range []string{"dev-1", "dev-2"} {
		_, err := r.UpdateDevice(t.Context(), id, func(d *posture.Device, _ bool) error {
			d.ID, d.Serial, d.Vendor, d.Enrolled = id, "SERIAL-"+id, "Dell", &posture.Enrolled{At: at}
			d.Apply(&posture.Report{DeviceID: id, Facts: map[string]string{posture.FactManaged: "true"}}, fileSource, at)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	row := func(id, serial string) posture.Report {
		return posture.Report{DeviceID: id, Serial: serial, Vendor: "Dell Inc.", Facts: map[string]string{posture.FactManaged: "true"}}
	}
	im := beginImport(t, r, at.Add(time.Minute), true)
	stage(t, im, []posture.Report{row("mdm-1", "serial-DEV-1")})
	stage(t, im, []posture.Report{row("dev-1", ""), row("mdm-3", "SERIAL-3")})
	if lost, of, err := im.Losses(t.Context()); err != nil || lost != 1 || of != 2 {
		t.Errorf("%d of %d, %v; want 1 of 2", lost, of, err)
	}
	apply(t, im)
	if d, err := r.Device(t.Context(), "dev-2"); err != nil || len(d.Facts) != 1 || d.Facts[0].Value != "false" {
		t.Errorf("%+v, %v", d, err)
	}
}
