package devices_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost.dev/agentapi"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// enrolled is a world with one managed device.
func enrolled(t *testing.T) (*world, *machine) {
	t.Helper()
	w := newWorld(t)
	return w, w.machine("PF3DEVICE").mustEnrol(w.token(devices.NewToken{Managed: true}))
}

func fact(d *posture.Device, name, source string) string {
	for _, f := range d.Facts {
		if f.Name == name && f.Source.Name == source {
			return f.Value
		}
	}
	return ""
}

func TestReport(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	r := m.said(42)
	r.Device.OSVersion = "13"
	r.Facts["Wallpaper"] = "blue"
	r.Attestations = []agentapi.Attestation{{Type: "tpm", Value: "AAAA"}}
	var accepted agentapi.Accepted
	status, _, _ := w.post(agentapi.ReportPath, m.chain, marshal(t, r), &accepted)
	if status != http.StatusAccepted || accepted.Sequence != 42 || accepted.ReportEvery != 3600 || len(accepted.Ignored) != 0 {
		t.Fatalf("%d %+v", status, accepted)
	}
	d := w.device(m.answer.DeviceID)
	if d.OSVersion != "13" || fact(&d, "DiskEncrypted", "agent") != "true" || fact(&d, "Wallpaper", "agent") != "blue" || d.Agent.Sequence != 42 {
		t.Errorf("%+v", d)
	}
	// What nobody verified is no part of answers.
	if len(d.Attestations) != 0 || len(d.Agent.Evidence) != 1 {
		t.Errorf("attestations %+v, evidence %+v", d.Attestations, d.Agent.Evidence)
	}
	// A fact that the next report does not name is not known any more.
	r = m.said(43)
	delete(r.Facts, agentapi.FactDiskEncrypted)
	m.want("report", r, http.StatusAccepted, "")
	if d := w.device(m.answer.DeviceID); fact(&d, "DiskEncrypted", "agent") != "" || fact(&d, "FirewallOn", "agent") != "true" {
		t.Errorf("%+v", d.Facts)
	}
}

// TestReportNeverManages: nothing that a device says of itself makes it managed,
// compliant or somebody's, nor takes an import's word away.
func TestReportNeverManages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine("PF3SELF").mustEnrol(w.token(devices.NewToken{}))
	id := m.answer.DeviceID
	r := m.said(1)
	for _, name := range []string{"IsManaged", "IsCompliant", "ismanaged", "ISCOMPLIANT"} {
		r.Facts[name] = "true"
	}
	var accepted agentapi.Accepted
	status, _, _ := w.post(agentapi.ReportPath, m.chain, marshal(t, r), &accepted)
	if status != http.StatusAccepted || strings.Join(accepted.Ignored, " ") != "ISCOMPLIANT IsCompliant IsManaged ismanaged" {
		t.Errorf("%d %+v", status, accepted)
	}
	d := w.device(id)
	if v := w.judge(&d); v.Managed || v.Compliant || len(d.Facts) != 2 {
		t.Errorf("%+v %+v", v, d.Facts)
	}
	// An import says that it is not; the agent cannot change that, nor who owns it
	// and what it is.
	if _, err := w.records.UpdateDevice(t.Context(), id, func(d *posture.Device, _ bool) error {
		d.Apply(&posture.Report{Serial: "PF3SELF", Vendor: "Dell", Model: "Right", Owner: "ann@example.com", Facts: map[string]string{posture.FactManaged: "false"}},
			posture.Source{Name: "mdm", Kind: posture.Connector}, w.now())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r = m.said(2)
	r.Device.Vendor, r.Device.Model = "Other", "Wrong"
	r.Facts["IsManaged"] = "true"
	m.want("report", r, http.StatusAccepted, "")
	if d := w.device(id); d.Model != "Right" || d.Vendor != "Dell" || d.Owner != "ann@example.com" || fact(&d, "IsManaged", "mdm") != "false" || w.judge(&d).Managed {
		t.Errorf("%+v", d)
	}
	// JSON has no place for an owner.
	status, _, _ = w.post(agentapi.ReportPath, m.chain, strings.Replace(marshal(t, m.said(3)), `"vendor"`, `"owner":"eve","vendor"`, 1), nil)
	if status != http.StatusBadRequest {
		t.Errorf("report that names an owner: %d", status)
	}
}

func TestReportRefused(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	m.want("report", m.said(10), http.StatusAccepted, "")
	w.pass(time.Minute)
	change := func(change func(r *agentapi.Report)) string {
		r := m.said(11)
		change(r)
		return marshal(t, r)
	}
	long := strings.Repeat("x", 257)
	for what, tt := range map[string]struct {
		body   string
		status int
	}{
		"no JSON":            {"{", 400},
		"unknown name":       {strings.Replace(change(func(*agentapi.Report) {}), `"sequence"`, `"x":1,"sequence"`, 1), 400},
		"fact twice":         {strings.Replace(change(func(*agentapi.Report) {}), `"DiskEncrypted":"true"`, `"DiskEncrypted":"true","DiskEncrypted":"true"`, 1), 400},
		"fact no text":       {strings.Replace(change(func(*agentapi.Report) {}), `"DiskEncrypted":"true"`, `"DiskEncrypted":true`, 1), 400},
		"sequence no number": {strings.Replace(change(func(*agentapi.Report) {}), `"sequence":11`, `"sequence":"11"`, 1), 400},
		"sequence negative":  {strings.Replace(change(func(*agentapi.Report) {}), `"sequence":11`, `"sequence":-11`, 1), 400},
		"sequence fraction":  {strings.Replace(change(func(*agentapi.Report) {}), `"sequence":11`, `"sequence":11.5`, 1), 400},
		"sequence 0":         {change(func(r *agentapi.Report) { r.Sequence = 0 }), 422},
		"sequence too large": {change(func(r *agentapi.Report) { r.Sequence = 1 << 53 }), 422},
		"no time":            {strings.Replace(change(func(*agentapi.Report) {}), `"observed_at"`, `"observed"`, 1), 400},
		"zero time":          {change(func(r *agentapi.Report) { r.ObservedAt = time.Time{} }), 422},
		"future":             {change(func(r *agentapi.Report) { r.ObservedAt = w.now().Add(time.Hour) }), 422},
		"long ago":           {change(func(r *agentapi.Report) { r.ObservedAt = w.now().Add(-agentapi.OldestReport - time.Second) }), 422},
		"fact not true":      {change(func(r *agentapi.Report) { r.Facts["DiskEncrypted"] = "yes" }), 422},
		"fact not a number":  {change(func(r *agentapi.Report) { r.Facts["PendingSecurityUpdates"] = "-1" }), 422},
		"fact empty":         {change(func(r *agentapi.Report) { r.Facts["X"] = "" }), 422},
		"fact control":       {change(func(r *agentapi.Report) { r.Facts["X"] = "a\nb" }), 422},
		"fact long":          {change(func(r *agentapi.Report) { r.Facts["X"] = long }), 422},
		"fact's name":        {change(func(r *agentapi.Report) { r.Facts["a b"] = "x" }), 422},
		"fact's name long":   {change(func(r *agentapi.Report) { r.Facts[strings.Repeat("x", 65)] = "x" }), 422},
		"many facts": {change(func(r *agentapi.Report) {
			for i := range 65 {
				r.Facts["F"+strconv.Itoa(i)] = "x"
			}
		}), 422},
		"serial long":        {change(func(r *agentapi.Report) { r.Device.Serial = long }), 422},
		"boot long":          {change(func(r *agentapi.Report) { r.BootID = long }), 422},
		"many attestations":  {change(func(r *agentapi.Report) { r.Attestations = make([]agentapi.Attestation, 9) }), 422},
		"empty attestation":  {change(func(r *agentapi.Report) { r.Attestations = make([]agentapi.Attestation, 1) }), 422},
		"binary attestation": {change(func(r *agentapi.Report) { r.Attestations = []agentapi.Attestation{{Type: "tpm", Value: "é"}} }), 422},
		"too large":          {change(func(r *agentapi.Report) {}) + strings.Repeat(" ", agentapi.MaxBody), 413},
	} {
		if status, problem, _ := w.post(agentapi.ReportPath, m.chain, tt.body, nil); status != tt.status {
			t.Errorf("%s: %d %+v, want %d", what, status, problem, tt.status)
		}
		w.pass(3 * time.Second) // less often than is bounded
	}
	d := w.device(m.answer.DeviceID)
	if d.Agent.Sequence != 10 || d.Suspected != nil {
		t.Errorf("something of it stayed: %+v %+v", d.Agent, d.Suspected)
	}
	ahead := m.said(11)
	ahead.ObservedAt = w.now().Add(5*time.Minute + time.Second)
	m.want("a second too far ahead", ahead, http.StatusUnprocessableEntity, agentapi.CodeInvalid)
	// Every fault is said at once.
	r := m.said(0)
	r.Facts["DiskEncrypted"], r.Device.OS = "no", "\x01"
	problem := m.want("three faults", r, http.StatusUnprocessableEntity, agentapi.CodeInvalid)
	for _, part := range []string{"sequence 0", "DiskEncrypted", "device.os"} {
		if !strings.Contains(problem.Detail, part) {
			t.Errorf("%q does not speak of %s", problem.Detail, part)
		}
	}
	m.chain = nil
	m.want("report without a certificate", m.said(11), http.StatusUnauthorized, agentapi.CodeCertificate)
}

// TestReportTime: a fact is as old as the device says, or as we do if that is
// older, and the time of receipt is ours.
func TestReportTime(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	for i, said := range []time.Duration{4 * time.Minute, -time.Hour, -6 * 24 * time.Hour} {
		r := m.said(uint64(i + 1))
		r.ObservedAt = w.now().Add(said)
		m.want("report", r, http.StatusAccepted, "")
		d := w.device(m.answer.DeviceID)
		for _, f := range d.Facts {
			if f.Source.Kind == posture.Agent && !f.ObservedAt.Equal(w.now().Add(min(said, 0))) {
				t.Errorf("said to be observed %s from now, believed at %s", said, f.ObservedAt)
			}
		}
		if !d.Agent.ReceivedAt.Equal(w.now()) || !d.UpdatedAt.Equal(w.now()) {
			t.Errorf("received at %s", d.Agent.ReceivedAt)
		}
	}
}

// TestReportSequence: what does not grow is refused with what is stored; sent
// again, or replayed, it means nothing more.
func TestReportSequence(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	old := m.said(6)
	m.want("report", old, http.StatusAccepted, "")
	w.pass(time.Minute)
	last := m.said(7)
	m.want("report", last, http.StatusAccepted, "")
	w.pass(time.Minute)
	for what, r := range map[string]*agentapi.Report{"sent again": last, "replayed": old} {
		if problem := m.want(what, r, http.StatusConflict, agentapi.CodeSequence); problem.Sequence != 7 {
			t.Errorf("%s: the stored sequence is said to be %d", what, problem.Sequence)
		}
	}
	if d := w.device(m.answer.DeviceID); d.Suspected != nil || d.Agent.Sequence != 7 {
		t.Errorf("%+v %+v", d.Agent, d.Suspected)
	}
	m.want("the next", m.said(8), http.StatusAccepted, "")
}

func TestClones(t *testing.T) {
	t.Parallel()
	type history func(w *world, m *machine) *agentapi.Report
	for what, tt := range map[string]struct {
		next history
		why  string // empty: nothing is suspected
	}{
		"another boot": {func(w *world, m *machine) *agentapi.Report { r := m.said(3); r.BootID = "boot-2"; return r }, ""},
		"no boot":      {func(w *world, m *machine) *agentapi.Report { r := m.said(3); r.BootID = ""; return r }, ""},
		"a gap":        {func(w *world, m *machine) *agentapi.Report { return m.said(99) }, ""},
		"right history": {func(w *world, m *machine) *agentapi.Report {
			r := m.said(3)
			r.Previous = w.device(m.answer.DeviceID).Agent.Hash
			return r
		}, ""},
		"no hardware": {func(w *world, m *machine) *agentapi.Report { r := m.said(3); r.Device = agentapi.Device{}; return r }, ""},
		"hardware in capitals": {func(w *world, m *machine) *agentapi.Report {
			r := m.said(3)
			r.Device.HardwareID, r.Device.Serial = strings.ToUpper(r.Device.HardwareID), strings.ToLower(r.Device.Serial)
			return r
		}, ""},
		"another mainboard":     {func(w *world, m *machine) *agentapi.Report { r := m.said(3); r.Device.HardwareID = "other"; return r }, "mainboard"},
		"another serial number": {func(w *world, m *machine) *agentapi.Report { r := m.said(3); r.Device.Serial = "PF3OTHER"; return r }, "serial number"},
		"another history":       {func(w *world, m *machine) *agentapi.Report { r := m.said(3); r.Previous = agentapi.Hash(nil); return r }, "another report"},
		"the number again":      {func(w *world, m *machine) *agentapi.Report { return m.said(2) }, "has the number 2"},
		"an earlier number":     {func(w *world, m *machine) *agentapi.Report { return m.said(1) }, "has the number 1"},
		"an earlier boot": {func(w *world, m *machine) *agentapi.Report {
			r := m.said(3)
			r.BootID = "boot-2"
			m.want("report of the next boot", r, http.StatusAccepted, "")
			return m.said(4)
		}, "two systems"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w, m := enrolled(t)
			m.want("report", m.said(1), http.StatusAccepted, "")
			w.pass(time.Minute)
			m.want("report", m.said(2), http.StatusAccepted, "")
			w.pass(time.Minute)
			next := tt.next(w, m)
			if tt.why == "" {
				m.want(what, next, http.StatusAccepted, "")
				return
			}
			stored := w.device(m.answer.DeviceID).Agent.Sequence
			m.want(what, next, http.StatusForbidden, agentapi.CodeSuspected)
			d := w.device(m.answer.DeviceID)
			if d.Suspected == nil || !strings.Contains(d.Suspected.Why, tt.why) || !d.Suspected.At.Equal(w.now()) || d.Agent.Sequence != stored {
				t.Fatalf("%+v %+v", d.Suspected, d.Agent)
			}
			if v := w.judge(&d); v.Managed || v.Reason != posture.CloneSuspected {
				t.Errorf("%+v", v)
			}
			// Refused until an administrator decides, then a new history begins.
			m.want("report of a suspect", m.said(50), http.StatusForbidden, agentapi.CodeSuspected)
			if status, code := w.machine("PF3DEVICE").enrol(w.token(devices.NewToken{})); status != http.StatusForbidden || code != agentapi.CodeSuspected {
				t.Errorf("enrolment as a suspect: %d %q", status, code)
			}
			if _, err := w.decider.Release(t.Context(), d.ID, ""); err != nil {
				t.Fatal(err)
			}
			w.pass(time.Minute)
			m.want("a number that is stored", m.said(stored), http.StatusConflict, agentapi.CodeSequence)
			m.want("report after the release", m.said(stored+1), http.StatusAccepted, "")
			if d = w.device(m.answer.DeviceID); !w.judge(&d).Managed {
				t.Errorf("%+v", w.judge(&d))
			}
		})
	}
}

func TestReportLimit(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	other := w.machine("PF3OTHER").mustEnrol(w.token(devices.NewToken{}))
	for n := range uint64(perMinute) {
		m.want("report", m.said(n+1), http.StatusAccepted, "")
	}
	status, problem, header := w.post(agentapi.ReportPath, m.chain, marshal(t, m.said(perMinute+1)), nil)
	wait, err := strconv.Atoi(header.Get("Retry-After"))
	if status != http.StatusTooManyRequests || problem.Code != agentapi.CodeTooOften || err != nil || wait < 1 || wait > 2 {
		t.Fatalf("%d %+v, Retry-After %q", status, problem, header.Get("Retry-After"))
	}
	other.want("report of another device", other.said(1), http.StatusAccepted, "")
	w.pass(time.Duration(wait) * time.Second)
	m.want("report after that", m.said(perMinute+1), http.StatusAccepted, "")
}

func TestRetiredOrUnknownDevicesCannotReport(t *testing.T) {
	t.Parallel()
	w, m := enrolled(t)
	if _, err := w.records.UpdateDevice(t.Context(), m.answer.DeviceID, func(d *posture.Device, _ bool) error {
		d.RetiredAt = w.now() // and the certificate not yet revoked
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m.want("report", m.said(1), http.StatusForbidden, agentapi.CodeRetired)
}
