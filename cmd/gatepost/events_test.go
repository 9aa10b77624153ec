package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

// told are the events that a webhook was sent, as texts of kind, device and why.
func (r *receiver) told() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, got := range r.got {
		all = append(all, strings.TrimSpace(fmt.Sprint(got.event.Type, " ", got.event.Data.DeviceID, " ", got.event.Data.Why)))
	}
	return all
}

// TestComplianceIsTold: who is told learns of every change of the default policy's
// verdict, also of one that no report brought.
func TestComplianceIsTold(t *testing.T) {
	t.Parallel()
	w, r := newAPIWorld(t), newReceiver(t)
	kinds := []posture.EventKind{posture.DeviceNoncompliant, posture.DeviceCompliant, posture.ImportHeld}
	w.post(t, "webhooks", admin.NewWebhook{Name: "siem", URL: r.url, Events: kinds}, nil)
	expect := func(want ...string) {
		t.Helper()
		w.later.Add(int64(judgeEvery + time.Second))
		waitFor(t, func() bool { return len(r.told()) >= len(want) })
		got := r.told()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		r.mu.Lock()
		r.got = nil
		r.mu.Unlock()
	}
	// Of a device that is compliant from the first is not told.
	w.post(t, "devices/import?format=csv", []byte(testDevices), nil)
	expect("device.noncompliant old-3 not_managed", "device.noncompliant win-2 not_compliant")
	w.post(t, "devices/import?format=csv", []byte("id,managed,compliant\nmac-1,true,false\nwin-2,true,true\n"), nil)
	expect("device.compliant win-2", "device.noncompliant mac-1 not_compliant")
	w.later.Add(int64(posture.DefaultMaxAge)) // what was imported is believed no longer
	expect("device.noncompliant win-2 stale")
}

// TestExpiryIsTold: of a certificate that ends soon it is told twice, and no more.
func TestExpiryIsTold(t *testing.T) {
	t.Parallel()
	w, r := newAPIWorld(t), newReceiver(t)
	w.post(t, "webhooks", admin.NewWebhook{Name: "siem", URL: r.url, Events: []posture.EventKind{posture.KeyExpiring}}, nil)
	g := w.current.Load()
	first := g.sites[0].Certificate.Leaf.NotAfter
	for _, ring := range g.keyrings() {
		if at := ring.Published()[0].Certificate.NotAfter; at.Before(first) {
			t.Fatalf("a key ends at %s, before TLS at %s: the test is of another world", at, first)
		}
	}
	const day = 24 * time.Hour
	for _, step := range []struct {
		ahead time.Duration
		told  int
	}{{15 * day, 0}, {13 * day, 1}, {4 * day, 1}, {2 * day, 2}, {day, 2}} {
		w.later.Store(int64(time.Until(first.Add(-step.ahead))))
		waitFor(t, func() bool { return len(r.told()) >= step.told })
		time.Sleep(3 * sealEvery) // for what must not come
		for _, text := range r.told() {
			r.mu.Lock()
			detail := string(r.got[0].event.Data.Detail)
			r.mu.Unlock()
			if !strings.Contains(detail, `"not_after":"`+first.UTC().Format("2006-01-02")) {
				t.Errorf("detail %s", detail)
			}
			if !strings.HasPrefix(text, "key.expiring  the TLS certificate of localhost ends at "+first.UTC().Format("2006-01-02")) {
				t.Errorf("told %q", text)
			}
		}
		if got := r.told(); len(got) != step.told {
			t.Errorf("%s ahead: told %q", step.ahead, got)
		}
	}
}
