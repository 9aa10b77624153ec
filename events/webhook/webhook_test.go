package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
)

var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestSign is the example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if s := Secret(key); s != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error(s)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://hooks.example.com/gatepost?x=1": true, "http://127.0.0.1:9/x": true, "http://localhost/x": true, "http://[::1]:80/": true,
		"http://hooks.example.com/": false, "http://127.0.0.1.example.com/": false, "ftp://127.0.0.1/": false, "https://": false, "": false,
		"https://u:p@hooks.example.com/": false, "https://hooks.example.com/#x": false, "hooks.example.com": false, "https://" + strings.Repeat("a", 2048): false,
	} {
		if err := CheckURL(url); (err == nil) != ok || err != nil && !errors.Is(err, ErrBadURL) {
			t.Errorf("%.60s: %v", url, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string // of the error; empty: it is verified
	}{
		"repeats": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"verification":%q}`, r.Header.Get(ChallengeHeader))
		}, ""},
		"another": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"verification":"x"}`) }, "did not repeat"},
		"nothing": {func(w http.ResponseWriter, r *http.Request) {}, "did not repeat"},
		"refuses": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, "answered 404 Not Found"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/"+r.Header.Get(ChallengeHeader), http.StatusFound)
		}, "answered 302 Found"},
		"goes on": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"verification":"`+strings.Repeat("x", 100_000))
		}, "did not repeat"},
	} {
		s := httptest.NewServer(c.answer)
		err := (&Sender{HTTP: NewClient()}).Verify(t.Context(), s.URL, "challenge")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
	if err := (&Sender{HTTP: NewClient()}).Verify(t.Context(), "http://example.com/", "c"); !errors.Is(err, ErrBadURL) {
		t.Error(err)
	}
}

// memory is a Queue of one hook.
type memory struct {
	waiting, dead []posture.Delivery
}

func (m *memory) First(context.Context, string) (d posture.Delivery, ok bool, err error) {
	if len(m.waiting) == 0 {
		return d, false, nil
	}
	return m.waiting[0], true, nil
}

func (m *memory) Delivered(context.Context, string, string) error {
	m.waiting = m.waiting[1:]
	return nil
}

func (m *memory) Failed(_ context.Context, _ string, d posture.Delivery) error {
	m.waiting[0] = d
	return nil
}

func (m *memory) GiveUp(_ context.Context, _ string, d posture.Delivery) error {
	m.waiting, m.dead = m.waiting[1:], append(m.dead, d)
	return nil
}

// TestDeliver has a receiver that answers as its script says, and then takes all.
func TestDeliver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		script       []int
		taken, dead  int
		within, over time.Duration // the clock's, until nothing waits
	}{
		{"takes all", nil, 3, 0, 0, 0},
		{"down for a while", []int{503, 503, 503}, 3, 0, 3 * time.Minute, time.Minute},
		{"too often", []int{429, 429, 429, 429, 429, 429, 429}, 3, 0, time.Hour, 20 * time.Minute},
		{"refuses one", []int{422, 422, 422, 422, 422}, 2, 1, time.Hour, time.Minute},
		{"gone", []int{410}, 2, 1, time.Minute, 0},
		{"redirects", []int{307}, 3, 0, time.Minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			script := c.script
			var seen []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				at := r.Header.Get("Webhook-Timestamp")
				var unix int64
				fmt.Sscan(at, &unix)
				if r.Header.Get("Webhook-Signature") != Sign([]byte("key"), r.Header.Get("Webhook-Id"), time.Unix(unix, 0), body) {
					t.Error("bad signature")
				}
				if len(script) > 0 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(script[0])
					script = script[1:]
					return
				}
				seen = append(seen, string(body))
			}))
			defer s.Close()
			now := start
			q := &memory{}
			for _, id := range []string{"a", "b", "c"} {
				q.waiting = append(q.waiting, posture.Delivery{ID: id, Body: []byte(id), Since: start})
			}
			d := &Deliverer{Queue: q, Sender: &Sender{HTTP: NewClient()}, Now: func() time.Time { return now }, Tried: func(Hook, *posture.Delivery, error) {}}
			for len(q.waiting) > 0 && now.Sub(start) <= 48*time.Hour {
				if err := d.Deliver(t.Context(), Hook{Name: "h", Queue: "h", URL: s.URL, Key: []byte("key")}); err != nil {
					t.Fatal(err)
				}
				if len(q.waiting) > 0 {
					now = now.Add(time.Second)
				}
			}
			if len(seen) != c.taken || len(q.dead) != c.dead || now.Sub(start) > c.within || now.Sub(start) < c.over {
				t.Errorf("taken %q, %d dead, after %s", seen, len(q.dead), now.Sub(start))
			}
			if c.dead == 0 && strings.Join(seen, "") != "abc" {
				t.Errorf("in the order %q", seen)
			}
		})
	}
}

// TestGiveUp: what nobody takes for a day is dead, and what comes behind it is
// tried.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	now := start
	q := &memory{waiting: []posture.Delivery{{ID: "a", Since: start}, {ID: "b", Since: start}, {ID: "c", Since: start.Add(12 * time.Hour)}}}
	tries := 0
	d := &Deliverer{Queue: q, Sender: &Sender{HTTP: NewClient()}, Now: func() time.Time { return now }, Tried: func(_ Hook, _ *posture.Delivery, err error) {
		tries++
		if err == nil || strings.Contains(err.Error(), s.URL) {
			t.Errorf("told %v", err)
		}
	}}
	for ; len(q.dead) < 3 && now.Sub(start) < 72*time.Hour; now = now.Add(time.Minute) {
		if err := d.Deliver(t.Context(), Hook{Name: "h", Queue: "h", URL: s.URL}); err != nil {
			t.Fatal(err)
		}
	}
	if took := now.Sub(start); took < 36*time.Hour || took > 37*time.Hour || tries < 100 || tries > 400 || q.dead[0].Error == "" {
		t.Errorf("after %s and %d tries: %+v", took, tries, q.dead)
	}
}
