package devices_test

import (
	"net/http"
	"testing"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// TestReportIsNoted: what a device fails is noted with its report, in the same
// commit, with what the report said; a refused report notes nothing.
func TestReportIsNoted(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	r := &devices.Reporter{Records: w.records, Now: w.now, Note: func(d *posture.Device, now time.Time) {
		if fact(d, "DiskEncrypted", "agent") != "true" || d.Agent.Sequence != 7 {
			t.Errorf("noted before the report was taken: %+v", d)
		}
		d.Failing = append(d.Failing, posture.Failing{Policy: "p", Rule: "r", Since: now})
	}}
	report := m.said(7)
	if _, err := r.Report(t.Context(), m.answer.DeviceID, report, "hash"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Report(t.Context(), m.answer.DeviceID, report, "hash"); err == nil {
		t.Error("a report was taken twice")
	}
	if d := w.device(m.answer.DeviceID); len(d.Failing) != 1 || !d.Failing[0].Since.Equal(w.now()) {
		t.Errorf("noted %+v", d.Failing)
	}
	m.want("report", m.said(8), http.StatusAccepted, "") // by a server whose policies note nothing
	if d := w.device(m.answer.DeviceID); len(d.Failing) != 1 {
		t.Errorf("forgotten: %+v", d.Failing)
	}
}
