package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatepost.dev/certs"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// series is how many a collector has.
func series(c prometheus.Collector) int {
	out := make(chan prometheus.Metric, 100)
	c.Collect(out)
	return len(out)
}

// A decision that could not be recorded was not answered, and is not counted.
func TestCountsWhatIsRecorded(t *testing.T) {
	t.Parallel()
	kv := &stubbornStore{answer: errors.New("no space left on device")}
	m := newSignInMetrics(time.Now)
	recorder := m.recorder(store.New(kv))
	d := posture.Decision{ID: "d1", RelyingParty: "acme", Outcome: posture.Asserted}
	until := time.Now().Add(time.Minute)
	grant := posture.Grant{ID: fmt.Sprintf("%08x", until.Unix()) + strings.Repeat("0", 32), Until: until, Value: []byte("x")}
	err1, err2 := recorder.Decide(t.Context(), d, time.Now()), recorder.DecideGrant(t.Context(), d, time.Now(), grant)
	if err1 == nil || err2 == nil || series(m.decisions) != 0 {
		t.Errorf("%v and %v, and %d series", err1, err2, series(m.decisions))
	}
	kv.answer = nil
	err1, err2 = recorder.Decide(t.Context(), d, time.Now()), recorder.DecideGrant(t.Context(), d, time.Now(), grant)
	if err1 != nil || err2 != nil || series(m.decisions) != 1 {
		t.Errorf("%v and %v, and %d series", err1, err2, series(m.decisions))
	}
}

func TestVerdictWord(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]posture.Decision{
		"compliant":    {Managed: true, Compliant: true},
		"noncompliant": {Managed: true, Reason: posture.NotCompliant},
		"unmanaged":    {Reason: posture.Stale},
		"none":         {Outcome: posture.Refused, Status: "NoPassive"},
	} {
		if got := verdictWord(&d); got != want {
			t.Errorf("%+v is %q, want %q", d, got, want)
		}
	}
}

// A chain ends with its first certificate, the keys of a relying party with the
// last.
func TestExpiries(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	a, err := certs.CreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "posture.example.com", now)
	if err != nil {
		t.Fatal(err)
	}
	sooner, later := &x509.Certificate{NotAfter: now}, &x509.Certificate{NotAfter: now.Add(time.Hour)}
	if got := lastExpiry([]*x509.Certificate{sooner, later}); !got.Equal(later.NotAfter) {
		t.Errorf("the last is %v", got)
	}
	for want, site := range map[time.Time]certs.Site{
		now:                    {Certificate: &tls.Certificate{Leaf: sooner, Certificate: [][]byte{nil, a.Certificate.Raw}}},
		a.Certificate.NotAfter: {Certificate: &tls.Certificate{Leaf: &x509.Certificate{NotAfter: now.AddDate(100, 0, 0)}, Certificate: [][]byte{nil, {1}, a.Certificate.Raw}}},
		later.NotAfter:         {Certificate: &tls.Certificate{Leaf: later, Certificate: [][]byte{nil}}},
	} {
		if got := chainExpiry(&site); !got.Equal(want) {
			t.Errorf("the chain ends %v, want %v", got, want)
		}
	}
}
