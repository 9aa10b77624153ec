package posture

import (
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestHappened has an update for each event, and for each that is none.
func TestHappened(t *testing.T) {
	t.Parallel()
	held := func() *Quarantine { return &Quarantine{At: noon, Until: noon.Add(time.Hour), By: "soc", Why: "alert"} }
	for name, c := range map[string]struct {
		before Device
		update func(d *Device)
		want   string // kinds, each with why and by
	}{
		"nothing":         {Device{}, func(*Device) {}, "[]"},
		"facts":           {Device{}, func(d *Device) { d.OSVersion = "15" }, "[]"},
		"enrolled":        {Device{}, func(d *Device) { d.Enrolled = &Enrolled{At: noon, Token: "t"} }, "[device.enrolled||token t]"},
		"enrolled anew":   {Device{Enrolled: &Enrolled{At: noon}}, func(d *Device) { d.Enrolled = &Enrolled{At: noon.Add(1), Token: "u"} }, "[device.enrolled||token u]"},
		"quarantined":     {Device{}, func(d *Device) { d.Quarantine = held() }, "[device.quarantined|alert|soc]"},
		"for longer":      {Device{Quarantine: held()}, func(d *Device) { d.Quarantine.Until = noon.Add(2 * time.Hour) }, "[device.quarantined|alert|soc]"},
		"still":           {Device{Quarantine: held()}, func(d *Device) { d.Owner = "ann" }, "[]"},
		"released":        {Device{Quarantine: held()}, func(d *Device) { d.Quarantine.Until = noon }, "[device.released||]"},
		"over":            {Device{Quarantine: &Quarantine{At: noon.Add(-2), Until: noon.Add(-1)}}, func(d *Device) { d.Quarantine = nil }, "[]"},
		"again":           {Device{Quarantine: &Quarantine{At: noon.Add(-2), Until: noon.Add(-1)}}, func(d *Device) { d.Quarantine = held() }, "[device.quarantined|alert|soc]"},
		"suspected":       {Device{}, func(d *Device) { d.Suspected = &Suspicion{Why: "two"} }, "[device.suspected|two|]"},
		"not any more":    {Device{Suspected: &Suspicion{}}, func(d *Device) { d.Release(noon) }, "[device.released||]"},
		"retired":         {Device{}, func(d *Device) { d.RetiredAt, d.RetireReason = noon, "lost" }, "[device.retired|lost|]"},
		"retired already": {Device{RetiredAt: noon}, func(d *Device) { d.Owner = "ann" }, "[]"},
		"noncompliant":    {Device{}, func(d *Device) { d.NoteCompliance(&Verdict{Reason: Stale}, noon) }, "[device.noncompliant|stale|]"},
		"compliant":       {Device{}, func(d *Device) { d.NoteCompliance(&Verdict{Compliant: true}, noon) }, "[]"},
		"mended":          {Device{Compliance: &Compliance{}}, func(d *Device) { d.NoteCompliance(&Verdict{Compliant: true}, noon) }, "[device.compliant||]"},
		"worse":           {Device{Compliance: &Compliance{}}, func(d *Device) { d.NoteCompliance(&Verdict{Reason: Stale}, noon) }, "[]"},
		"two at once":     {Device{}, func(d *Device) { d.RetiredAt = noon; d.Suspected = &Suspicion{Why: "two"} }, "[device.suspected|two| device.retired||]"},
	} {
		d := c.before
		d.ID = "mac-1"
		standing := d.Standing()
		c.update(&d)
		got := []string{}
		for _, e := range standing.Happened(&d, noon) {
			if e.DeviceID != "mac-1" || e.Device == nil || !e.Time.Equal(noon) {
				t.Errorf("%s: %+v", name, e)
			}
			got = append(got, fmt.Sprintf("%s|%s|%s", e.Kind, e.Why, e.By))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for i, role := range Roles() {
		for j, least := range Roles() {
			if role.May(least) != (i >= j) {
				t.Errorf("%s where %s is asked for: %t", role, least, role.May(least))
			}
		}
		for _, none := range []Role{"", "Admin", "root"} {
			if none.May(role) || role.May(none) || none.May(none) {
				t.Errorf("%q and %q", none, role)
			}
		}
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	token := APIToken{CreatedAt: noon}
	for _, c := range []struct {
		used  time.Time
		after time.Duration
		idle  bool
	}{
		{time.Time{}, MaxIdle - 1, false}, {time.Time{}, MaxIdle, true}, {noon.Add(time.Hour), MaxIdle, false}, {noon.Add(time.Hour), MaxIdle + time.Hour, true},
	} {
		if token.UsedAt = c.used; token.Idle(noon.Add(c.after)) != c.idle {
			t.Errorf("%+v", c)
		}
	}
}

func TestToldAs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    EventKind
		outcome Outcome
		as      EventKind // empty: not told
	}{
		{Decided, Refused, SignInRefused}, {Decided, Asserted, ""}, {Changed, "", ""}, {DeviceRetired, "", DeviceRetired}, {"new", "", ""},
	} {
		told, ok := Event{Kind: c.kind, Outcome: c.outcome}.ToldAs()
		if ok != (c.as != "") || ok && told.Kind != c.as {
			t.Errorf("%+v: %s, %t", c, told.Kind, ok)
		}
	}
	w := Webhook{Events: []EventKind{DeviceRetired}}
	if w.Wants(DeviceRetired) {
		t.Error("one that is not verified is told")
	}
	if w.VerifiedAt = noon; !w.Wants(DeviceRetired) || w.Wants(DeviceEnrolled) {
		t.Error("it is not told of what it wants, or of more")
	}
}
