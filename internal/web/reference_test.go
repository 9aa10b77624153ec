package web

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestNewReference(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-7][0-9a-hjkmnp-tv-z]{25}$`)
	seen := make(map[string]bool)
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	last := ""
	for i := range 2000 {
		id := NewReference(at.Add(time.Duration(i) * time.Millisecond))
		if !form.MatchString(id) {
			t.Fatalf("reference %q", id)
		}
		if id <= last {
			t.Fatalf("%q does not sort after %q", id, last)
		}
		last = id
	}
	for range 2000 {
		id := NewReference(at)
		if seen[id] {
			t.Fatalf("%q given twice", id)
		}
		seen[id] = true
	}
}

// The example of the ULID specification: 1469918176385 is 01ARYZ6S41.
func TestNewReferenceTime(t *testing.T) {
	t.Parallel()
	if id := NewReference(time.UnixMilli(1469918176385)); !strings.HasPrefix(id, "01aryz6s41") {
		t.Errorf("reference %q", id)
	}
}

func BenchmarkNewReference(b *testing.B) {
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		NewReference(at)
	}
}
