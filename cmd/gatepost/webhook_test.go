package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/events/webhook"
	"gatepost.dev/posture"
)

// receiver is a receiver of events that can be killed and comes back on the same
// port.
type receiver struct {
	t      *testing.T
	url    string
	server *http.Server

	mu     sync.Mutex
	got    []received
	answer int // 0: as one should
}

type received struct {
	id, signature, timestamp string
	body                     []byte
	event                    webhook.Payload
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.start("127.0.0.1:0")
	t.Cleanup(func() { r.server.Close() })
	return r
}

func (r *receiver) start(addr string) {
	r.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String()
	r.server = &http.Server{Handler: r}
	go r.server.Serve(l)
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if challenge := q.Header.Get(webhook.ChallengeHeader); challenge != "" {
		json.NewEncoder(w).Encode(map[string]string{"verification": challenge})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	got := received{id: q.Header.Get("Webhook-Id"), signature: q.Header.Get("Webhook-Signature"), timestamp: q.Header.Get("Webhook-Timestamp")}
	var err error
	if got.body, err = io.ReadAll(q.Body); err == nil {
		err = json.Unmarshal(got.body, &got.event)
	}
	if err != nil {
		r.t.Error(err)
	}
	if r.answer != 0 {
		w.WriteHeader(r.answer)
		return
	}
	r.got = append(r.got, got)
}

// wait gives what was received once that is so many.
func (r *receiver) wait(n int) []received {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		got := slices.Clone(r.got)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d events received, want %d", len(got), n)
		}
	}
}

// queue is that of the one webhook.
func (w *apiWorld) queue(t *testing.T) string {
	t.Helper()
	hooks, err := w.records.Webhooks(t.Context())
	if err != nil || len(hooks) != 1 {
		t.Fatalf("%+v, %v", hooks, err)
	}
	return hooks[0].Queue()
}

func (w *apiWorld) post(t *testing.T, path string, body, into any) {
	t.Helper()
	text, contentType := bodyOf(t, body)
	response, answer := w.askWith(t, "POST", admin.Prefix+path, contentType, text, nil)
	if response.StatusCode >= 300 {
		t.Fatalf("%s: %s %s", path, response.Status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWebhookOutage kills a receiver for ten minutes of the server's clock, while
// things happen to devices: it gets all of it afterwards, in order for each device.
func TestWebhookOutage(t *testing.T) {
	t.Parallel()
	w, r := newAPIWorld(t), newReceiver(t)
	w.post(t, "devices/import?format=csv", []byte(testDevices), nil)
	var issued admin.IssuedWebhook
	w.post(t, "webhooks", admin.NewWebhook{Name: "siem", URL: r.url, Events: []posture.EventKind{posture.DeviceQuarantined, posture.DeviceReleased}}, &issued)
	if issued.VerifiedAt.IsZero() || issued.Unverified != "" || !strings.HasPrefix(issued.Secret, "whsec_") {
		t.Fatalf("%+v", issued)
	}
	happen := func(n int) {
		for _, device := range []string{"mac-1", "win-2"} {
			w.post(t, "actions/quarantine", map[string]any{"device": device, "why": fmt.Sprint("alert ", n)}, nil)
			w.post(t, "actions/lift", map[string]any{"device": device}, nil)
		}
	}
	happen(0)
	r.wait(4)
	addr := strings.TrimPrefix(r.url, "http://")
	r.server.Close()
	const minutes = 10
	for n := range minutes {
		happen(n + 1)
		w.later.Add(int64(time.Minute))
	}
	waitFor(t, func() bool {
		first, waits, err := w.records.First(t.Context(), w.queue(t))
		return err == nil && waits && first.Tries > 0
	})
	r.start(addr)
	waitFor(t, func() bool { // the pause after the last try goes by too
		w.later.Add(int64(time.Minute))
		_, waits, err := w.records.First(t.Context(), w.queue(t))
		return err == nil && !waits
	})
	r.check(t, &issued, 4*(minutes+1))
}

// check looks for every event, in order for each device, once but for duplicates.
func (r *receiver) check(t *testing.T, issued *admin.IssuedWebhook, want int) {
	t.Helper()
	seen, next := map[string]bool{}, map[string]int{}
	for _, got := range r.wait(want) {
		var unix int64
		fmt.Sscan(got.timestamp, &unix)
		if got.signature != webhook.Sign(keyOf(t, issued.Secret), got.id, time.Unix(unix, 0), got.body) {
			t.Errorf("event %s is signed %s", got.id, got.signature)
		}
		if seen[got.id] {
			continue
		}
		seen[got.id] = true
		e := got.event.Data
		n := next[e.DeviceID]
		next[e.DeviceID]++
		kind, why := posture.DeviceQuarantined, fmt.Sprint("alert ", n/2)
		if n%2 == 1 {
			kind, why = posture.DeviceReleased, ""
		}
		if got.event.Type != string(kind) || e.Kind != kind || e.Why != why || e.Device == nil || e.ID != got.id {
			t.Errorf("event %d of %s is %+v", n, e.DeviceID, got.event)
		}
	}
	if len(seen) != want {
		t.Errorf("%d events, want %d", len(seen), want)
	}
}

// TestWebhookDead: what a receiver refuses is given up, listed, and delivered when
// an administrator says so.
func TestWebhookDead(t *testing.T) {
	t.Parallel()
	w, r := newAPIWorld(t), newReceiver(t)
	w.post(t, "devices/import?format=csv", []byte(testDevices), nil)
	w.post(t, "webhooks", admin.NewWebhook{Name: "siem", URL: r.url, Events: []posture.EventKind{posture.DeviceRetired, posture.SignInRefused}}, nil)
	r.mu.Lock()
	r.answer = http.StatusUnprocessableEntity
	r.mu.Unlock()
	w.post(t, "actions/quarantine", map[string]any{"device": "mac-1", "why": "not told"}, nil)
	w.post(t, "actions/retire", map[string]any{"device": "mac-1", "why": "lost"}, nil)
	dead := func() []posture.Delivery {
		found, err := w.records.Dead(t.Context(), w.queue(t), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	waitFor(t, func() bool {
		w.later.Add(int64(time.Minute))
		return len(dead()) == 1
	})
	if d := dead()[0]; d.Tries != 5 || d.Error != "the receiver answered 422 Unprocessable Entity" {
		t.Errorf("%+v", d)
	}
	r.mu.Lock()
	r.answer = 0
	r.mu.Unlock()
	var retried admin.Retried
	w.post(t, "webhooks/siem/retry", map[string]any{}, &retried)
	if got := r.wait(1)[0].event; retried.Deliveries != 1 || got.Type != "device.retired" || got.Data.Why != "lost" {
		t.Errorf("%+v after a retry of %d", got, retried.Deliveries)
	}
	// Refused sign-ins are told too, others are not.
	for id, outcome := range map[string]posture.Outcome{"d1": posture.Asserted, "d2": posture.Refused} {
		if err := w.records.Decide(t.Context(), posture.Decision{ID: id, Time: w.now(), RelyingParty: "acme", DeviceID: "old-3", Outcome: outcome, Reason: posture.NotManaged}, w.now()); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.wait(2)[1].event; got.Type != "sign_in.refused" || got.Data.Decision != "d2" || got.Data.Why != string(posture.NotManaged) {
		t.Errorf("%+v", got)
	}
	if len(dead()) != 0 {
		t.Errorf("still dead: %+v", dead())
	}
}

// TestWebhookUnverified: who does not answer the challenge is told nothing.
func TestWebhookUnverified(t *testing.T) {
	t.Parallel()
	w, r := newAPIWorld(t), newReceiver(t)
	addr := strings.TrimPrefix(r.url, "http://")
	r.server.Close()
	w.post(t, "devices/import?format=csv", []byte(testDevices), nil)
	var issued admin.IssuedWebhook
	w.post(t, "webhooks", admin.NewWebhook{Name: "siem", URL: r.url, Events: []posture.EventKind{posture.DeviceRetired}}, &issued)
	if !issued.VerifiedAt.IsZero() || !strings.Contains(issued.Unverified, "connection refused") {
		t.Errorf("%+v", issued)
	}
	w.post(t, "actions/retire", map[string]any{"device": "mac-1", "why": "before"}, nil)
	waitFor(t, func() bool { // until that is in the log
		_, answer := w.askWith(t, "GET", admin.Prefix+"log?limit=1000", "", nil, nil)
		return strings.Contains(string(answer), "device.retired")
	})
	time.Sleep(3 * deliverEvery) // the server has looked at it meanwhile
	r.start(addr)
	w.post(t, "webhooks/siem/verify", nil, nil)
	w.post(t, "actions/retire", map[string]any{"device": "win-2", "why": "after"}, nil)
	if got := r.wait(1)[0].event; got.Data.Why != "after" {
		t.Errorf("told first of %+v", got)
	}
}

// TestWebhookAnew: one that has the name of another that was removed gets what is
// its own, and the other one nothing more.
func TestWebhookAnew(t *testing.T) {
	t.Parallel()
	w, former, r := newAPIWorld(t), newReceiver(t), newReceiver(t)
	w.post(t, "devices/import?format=csv", []byte(testDevices), nil)
	retire := func(device, why string) {
		w.post(t, "actions/retire", map[string]any{"device": device, "why": why}, nil)
	}
	hook := func(r *receiver) {
		w.post(t, "webhooks", admin.NewWebhook{Name: "siem", URL: r.url, Events: []posture.EventKind{posture.DeviceRetired}}, nil)
	}
	hook(former)
	former.mu.Lock() // it takes its time
	retire("mac-1", "former")
	waitFor(t, func() bool {
		_, waits, err := w.records.First(t.Context(), w.queue(t))
		return err == nil && waits
	})
	if response, _ := w.askWith(t, "DELETE", admin.Prefix+"webhooks/siem", "", nil, nil); response.StatusCode != http.StatusNoContent {
		t.Fatal(response.Status)
	}
	hook(r)
	retire("win-2", "new")
	got := r.wait(1)
	former.mu.Unlock()
	if got[0].event.Data.Why != "new" || len(former.told()) > 1 {
		t.Errorf("the new one got %+v, the former %q", got[0].event, former.told())
	}
}

func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that in 30 seconds")
		}
	}
}

// keyOf is the key in a secret, as a receiver reads it.
func keyOf(t *testing.T, secret string) []byte {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
