package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatepost.dev/agent/collect"
	"gatepost.dev/agentapi"
)

// server takes reports as the real one does, or says something else.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	bodies   [][]byte // stored
	sequence uint64
	say      func(r *agentapi.Report, body []byte) (status int, problem agentapi.Problem) // status 0: take it
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		report, err := agentapi.ParseReport(body)
		if err != nil {
			t.Errorf("the agent sends %q: %v", body, err)
			return
		}
		if s.say != nil {
			if status, p := s.say(report, body); status != 0 {
				p.Status = status
				w.WriteHeader(status)
				json.NewEncoder(w).Encode(p)
				return
			}
		}
		if report.Sequence <= s.sequence {
			w.WriteHeader(http.StatusConflict)
			json.NewEncoder(w).Encode(agentapi.Problem{Status: 409, Code: agentapi.CodeSequence, Sequence: s.sequence})
			return
		}
		if n := len(s.bodies); n > 0 && report.Previous != "" && report.Previous != agentapi.Hash(s.bodies[n-1]) {
			t.Errorf("report %d goes on from another than %d", report.Sequence, s.sequence)
		}
		s.bodies, s.sequence = append(s.bodies, body), report.Sequence
		w.WriteHeader(http.StatusAccepted)
		json.NewEncoder(w).Encode(agentapi.Accepted{Sequence: report.Sequence, ReportEvery: 600})
	}))
	t.Cleanup(s.Close)
	return s
}

// rig is an agent that is enrolled at the server, without TLS.
type rig struct {
	*Agent
	t *testing.T
	s *server
	w *wire
}

var start = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, s: newServer(t)}
	now := start
	r.Agent = &Agent{
		Dir: filepath.Join(t.TempDir(), "state"), Log: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { now = now.Add(time.Second); return now },
		Random: func() float64 { return 0.5 },
		Observe: func(context.Context) collect.Observation {
			return collect.Observation{Device: agentapi.Device{OS: "Linux"}, BootID: "boot", Facts: map[string]string{agentapi.FactDiskEncrypted: "true"}}
		},
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.writeState(State{DeviceURL: r.s.URL, Every: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.w, err = newWire(r.s.URL, nil, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.w.close)
	return r
}

// observe puts n observations into the queue.
func (r *rig) observe(n int) {
	r.t.Helper()
	for range n {
		o := r.Observe(r.t.Context())
		if err := r.enqueue(&o); err != nil {
			r.t.Fatal(err)
		}
	}
}

// send sends what waits, as a new process would, and gives the state.
func (r *rig) send() (State, error) {
	r.t.Helper()
	s, err := r.readState()
	if err != nil {
		r.t.Fatal(err)
	}
	return s, r.flush(r.t.Context(), r.w, &s)
}

func (r *rig) want(what string, sequence uint64, stored, waiting int) {
	r.t.Helper()
	s, err := r.readState()
	if err != nil || s.Sequence != sequence || len(r.s.bodies) != stored || r.Waiting() != waiting {
		r.t.Errorf("%s: sequence %d, %d stored, %d waiting; want %d, %d, %d: %v", what, s.Sequence, len(r.s.bodies), r.Waiting(), sequence, stored, waiting, err)
	}
}

func TestQueueIsSentInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.observe(3)
	s, err := r.send()
	if err != nil || s.Every != 10*time.Minute {
		t.Errorf("%+v, %v", s, err)
	}
	r.want("sent", 3, 3, 0)
	var last agentapi.Report
	if err := json.Unmarshal(r.s.bodies[2], &last); err != nil || last.Previous != agentapi.Hash(r.s.bodies[1]) || !last.ObservedAt.After(start) {
		t.Errorf("%+v, %v", last, err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.observe(maxQueue + 5)
	if _, err := r.send(); err != nil {
		t.Fatal(err)
	}
	r.want("the newest are sent", maxQueue, maxQueue, 0)
}

func TestOfflineKeepsEverything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.s.say = func(*agentapi.Report, []byte) (int, agentapi.Problem) {
		return http.StatusServiceUnavailable, agentapi.Problem{}
	}
	r.observe(2)
	if _, err := r.send(); err == nil {
		t.Error("a 503 is no error")
	}
	r.want("refused", 0, 0, 2)
	r.s.say = nil
	if _, err := r.send(); err != nil {
		t.Fatal(err)
	}
	r.want("later", 2, 2, 0)
}

// TestLostAnswer: the server has the report, and the agent does not know. The
// same bytes go out again, and what follows goes on from them.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.observe(1)
	var first []byte
	r.s.say = func(report *agentapi.Report, body []byte) (int, agentapi.Problem) {
		first = body
		r.s.bodies, r.s.sequence = append(r.s.bodies, body), report.Sequence
		return http.StatusBadGateway, agentapi.Problem{}
	}
	if _, err := r.send(); err == nil {
		t.Error("a 502 is no error")
	}
	r.s.say = func(_ *agentapi.Report, body []byte) (int, agentapi.Problem) {
		if string(body) != string(first) {
			t.Errorf("sent again as %s, not as %s", body, first)
		}
		r.s.say = nil
		return 0, agentapi.Problem{}
	}
	r.observe(1)
	s, err := r.send()
	if err != nil || s.Previous != agentapi.Hash(r.s.bodies[1]) {
		t.Errorf("%+v, %v", s, err)
	}
	r.want("both", 2, 2, 0)
}

// TestStoredBeforeACrash: the state says that the report was stored, and the
// report is still there: it is not sent again.
func TestStoredBeforeACrash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.observe(1)
	s, err := r.readState()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.next(&s); err != nil {
		t.Fatal(err)
	}
	s.Sequence = 1
	if err := r.writeState(s); err != nil {
		t.Fatal(err)
	}
	if _, err := r.send(); err != nil {
		t.Fatal(err)
	}
	r.want("not again", 1, 0, 0)
}

// TestDamagedFiles: what a failing disk left is dropped, and the rest goes out.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.observe(1)
	for _, name := range []string{filepath.Join(queueDir, "00000000000000000000.json"), sendingFile} {
		if err := os.WriteFile(filepath.Join(r.Dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.send(); err != nil {
		t.Fatal(err)
	}
	r.want("the good one", 1, 1, 0)
}

// TestServerIsAhead: the stored sequence is taken over, and the report sent with
// the next.
func TestServerIsAhead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.s.sequence = 40
	r.observe(1)
	if _, err := r.send(); err != nil {
		t.Fatal(err)
	}
	r.want("after 40", 41, 1, 0)
	r.s.say = func(report *agentapi.Report, _ []byte) (int, agentapi.Problem) {
		return http.StatusConflict, agentapi.Problem{Code: agentapi.CodeSequence, Sequence: report.Sequence + 10}
	}
	r.observe(1)
	if _, err := r.send(); err == nil {
		t.Error("a server that is always ahead is no error")
	}
}

// TestInvalidReportsAreDropped: what the server will never take does not stop
// the rest, and leaves no gap in the history.
func TestInvalidReportsAreDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	refuse := true
	r.s.say = func(*agentapi.Report, []byte) (int, agentapi.Problem) {
		if refuse {
			refuse = false
			return http.StatusUnprocessableEntity, agentapi.Problem{Code: agentapi.CodeInvalid}
		}
		return 0, agentapi.Problem{}
	}
	r.observe(2)
	if _, err := r.send(); err != nil {
		t.Fatal(err)
	}
	r.want("the second", 1, 1, 0)
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	a := &Agent{Random: func() float64 { return 0.5 }}
	lost := errors.New("connection refused")
	last := time.Duration(0)
	for n := 1; n < 40; n++ {
		d := a.backOff(lost, n, time.Hour)
		if d < last || d > longWait || n == 1 && d > firstWait {
			t.Errorf("after %d failures: %s, after %s", n, d, last)
		}
		last = d
	}
	if last < longWait/2 {
		t.Errorf("at last only %s", last)
	}
	if d := a.backOff(lost, 30, time.Minute); d > time.Minute {
		t.Errorf("longer than to the next report: %s", d)
	}
	if d := a.backOff(&refused{retryAfter: 20 * time.Second}, 1, time.Hour); d < 20*time.Second || d > 30*time.Second {
		t.Errorf("asked to wait 20 s: %s", d)
	}
	if d := a.backOff(&refused{Problem: agentapi.Problem{Status: http.StatusForbidden}}, 1, time.Hour); d < 54*time.Minute {
		t.Errorf("refused: %s", d)
	}
}

// TestRunReportsOnTime: on time when all is well, sooner when not, and with
// jitter.
func TestRunReportsOnTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	var waits []time.Duration
	looked := 0
	observe := r.Observe
	r.Observe = func(ctx context.Context) collect.Observation { looked++; return observe(ctx) }
	r.Wait = func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		if len(waits) == 4 {
			cancel()
			return context.Canceled
		}
		return nil
	}
	// There is no credential, so every cycle fails after it has looked.
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if looked != 1 || len(waits) != 4 {
		t.Errorf("looked %d times in %v", looked, waits)
	}
	for i, d := range waits {
		if d > time.Minute || i > 0 && d < waits[i-1] {
			t.Errorf("waits %v", waits)
		}
	}
	if s, err := r.State(); err != nil || s.Trouble == "" {
		t.Errorf("%+v, %v", s, err)
	}
	empty := &Agent{Dir: t.TempDir()}
	if err := empty.Run(t.Context()); !errors.Is(err, ErrNotEnrolled) {
		t.Error(err)
	}
}

func TestFilesAreTheOwners(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := softwareKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.writeCredential(credentialFile, key, "no certificate", ""); err == nil {
		t.Error("a certificate that is none was written")
	}
	r.observe(1)
	if _, err := r.readState(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(r.Dir, func(path string, d os.DirEntry, err error) error {
		info, _ := d.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s: %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.Dir); !os.IsNotExist(err) {
		t.Errorf("forgotten: %v", err)
	}
}
