package web

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	t.Parallel()
	l, now := NewRates(60), time.Unix(1_800_000_000, 0)
	for i := range 60 {
		a := l.Allow("a", now)
		if want := (Allowance{Limit: 60, Remaining: 59 - i, Reset: now.Add(time.Duration(i+1) * time.Second)}); a != want {
			t.Fatalf("%d: %+v, want %+v", i, a, want)
		}
	}
	if a := l.Allow("a", now); a.Wait != time.Second || a.Remaining != 0 || !a.Reset.Equal(now.Add(time.Minute)) {
		t.Errorf("beyond the limit: %+v", a)
	}
	if a := l.Allow("b", now); a.Wait != 0 {
		t.Errorf("another caller: %+v", a)
	}
	if a := l.Allow("a", now.Add(time.Second)); a.Wait != 0 || a.Remaining != 0 {
		t.Errorf("a second later: %+v", a)
	}
	if a := l.Allow("c", now.Add(2*time.Minute)); a.Wait != 0 || len(l.callers) != 1 {
		t.Errorf("callers at rest are kept: %d", len(l.callers))
	}
	if a := NewRates(0).Allow("a", now); a != (Allowance{}) {
		t.Errorf("without a limit: %+v", a)
	}
}

func TestAllowanceHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a    Allowance
		want string
	}{
		{Allowance{}, "map[]"},
		{Allowance{Limit: 600, Remaining: 3, Reset: time.Unix(100, 1)}, "map[X-Rate-Limit-Limit:[600] X-Rate-Limit-Remaining:[3] X-Rate-Limit-Reset:[101]]"},
	} {
		h := http.Header{}
		test.a.WriteHeaders(h)
		if got := fmt.Sprint(h); got != test.want {
			t.Errorf("%+v: %s, want %s", test.a, got, test.want)
		}
	}
}
