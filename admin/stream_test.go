package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := "id,managed,owner\nlaptop-1,true,alice\nlaptop-2,false,\n"
	var events []devices.Event
	result, err := w.Client.Import(t.Context(), strings.NewReader(file), ImportOptions{Format: devices.CSV, Source: "hr"},
		func(e devices.Event) { events = append(events, e) })
	if err != nil || result != (devices.Result{Created: 2}) {
		t.Fatal(result, err)
	}
	if fmt.Sprint(events) != fmt.Sprint([]devices.Event{{Read: 2}, {Read: 2, Applied: 2, Total: 2}}) {
		t.Errorf("events %+v", events)
	}
	d, err := w.Client.Device(t.Context(), "laptop-1")
	if err != nil || !d.Verdict.Managed || d.Owner != "alice" || d.Facts[0].Source != (posture.Source{Name: "hr", Kind: posture.Import}) {
		t.Errorf("%+v, %v", d, err)
	}
	result, err = w.Client.Import(t.Context(), strings.NewReader(`{"id":"laptop-2","managed":true}`), ImportOptions{Format: devices.JSONL, Replace: true}, func(devices.Event) {})
	if err != nil || result != (devices.Result{Updated: 1}) {
		t.Fatal(result, err)
	}
}

// Progress comes while the file is still on its way.
func TestImportIsFullDuplex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, body := io.Pipe()
	seen := make(chan int, 10)
	go func() {
		_, err := io.WriteString(body, "id\n"+rows(0, 1000))
		for n := 1000; n < 3000 && err == nil; n += 1000 {
			if got := <-seen; got != n {
				err = fmt.Errorf("read %d rows, want %d", got, n)
				break
			}
			_, err = io.WriteString(body, rows(n, n+1000))
		}
		body.CloseWithError(err)
	}()
	result, err := w.Client.Import(t.Context(), file, ImportOptions{Format: devices.CSV}, func(e devices.Event) { seen <- e.Read })
	if err != nil || result.Created != 3000 {
		t.Error(result, err)
	}
}

func rows(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "d%05d\n", i)
	}
	return b.String()
}

func TestImportRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var faults []string
	note := func(e devices.Event) {
		if e.Bad != nil {
			faults = append(faults, e.Bad.Error())
		}
	}
	_, err := w.Client.Import(t.Context(), strings.NewReader("id,managed\na,TRUE\nb,true\n,no\n"), ImportOptions{Format: devices.CSV}, note)
	wantProblem(t, err, http.StatusUnprocessableEntity, "nothing was imported: 2 bad of 3 rows")
	want := []string{`line 2, managed: "TRUE" is not`, `line 4, managed: "no" is not`, "line 4, id: no value"}
	if len(faults) != len(want) {
		t.Fatalf("faults %q", faults)
	}
	for i := range want {
		if !strings.HasPrefix(faults[i], want[i]) {
			t.Errorf("fault %q, want %q", faults[i], want[i])
		}
	}
	_, err = w.Client.Import(t.Context(), strings.NewReader("id\n"), ImportOptions{Format: devices.CSV, Replace: true}, note)
	wantProblem(t, err, http.StatusUnprocessableEntity, "names no device")
	if len(w.devices) != 0 {
		t.Errorf("imported %d", len(w.devices))
	}
	if log := w.log.String(); !strings.Contains(log, `"reason":"bad_rows"`) || strings.Contains(log, "TRUE") {
		t.Errorf("the log has %s", log)
	}
}

// A refusal reaches a client that has not yet sent the whole file.
func TestImportRefusedEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := io.MultiReader(strings.NewReader("id\n"+rows(0, 150)), bytes.NewReader(bytes.Repeat([]byte("more-of-it\n"), 1<<20)))
	w.break_(errors.New("disk full"))
	_, err := w.Client.Import(t.Context(), file, ImportOptions{Format: devices.CSV}, func(devices.Event) {})
	wantProblem(t, err, http.StatusServiceUnavailable, "cannot be read or written now")
}

func TestImportCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file, body := io.Pipe()
	broken := errors.New("the disk broke")
	go func() {
		io.WriteString(body, "id\n"+rows(0, 1500))
		body.CloseWithError(broken)
	}()
	_, err := w.Client.Import(t.Context(), file, ImportOptions{Format: devices.CSV}, func(devices.Event) {})
	if err == nil {
		t.Error("no error")
	}
	if _, err := w.Client.Device(t.Context(), "d00000"); err == nil {
		t.Error("half a file was imported")
	}
}

func decision(i int) posture.Decision {
	return posture.Decision{ID: fmt.Sprintf("%06d", i), Time: now.Add(time.Duration(i) * time.Second), RelyingParty: "acme", Outcome: posture.Asserted}
}

func TestDecisionPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.decide(decision(i))
	}
	for _, test := range []struct {
		query DecisionQuery
		want  string // the numbers of the decisions, then the next one's
	}{
		{DecisionQuery{}, "01234 "},
		{DecisionQuery{Limit: 2}, "01 000001"},
		{DecisionQuery{Limit: 2, After: "000001"}, "23 000003"},
		{DecisionQuery{Limit: 2, After: "000003"}, "4 "},
		{DecisionQuery{After: "000004"}, " "},
		{DecisionQuery{Last: 2}, "34 "},
		{DecisionQuery{Last: 9}, "01234 "},
	} {
		list, err := w.Client.Decisions(t.Context(), test.query)
		got := ""
		for _, d := range list.Decisions {
			got += d.ID[5:]
		}
		if got += " " + list.Next; err != nil || got != test.want {
			t.Errorf("%+v: %q, %v, want %q", test.query, got, err, test.want)
		}
	}
}

func TestDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(decision(7))
	if d, err := w.Client.Decision(t.Context(), "000007"); err != nil || d.RelyingParty != "acme" || !d.Time.Equal(now.Add(7*time.Second)) {
		t.Errorf("%+v, %v", d, err)
	}
	_, err := w.Client.Decision(t.Context(), "000008")
	wantProblem(t, err, http.StatusNotFound, "no such decision")
}

// following follows until its test ends, and gives the IDs that it sees.
func following(t *testing.T, w *world, q DecisionQuery) (ids <-chan string, end <-chan error, cancel func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	seen, done := make(chan string, 100), make(chan error, 1)
	go func() {
		done <- w.FollowDecisions(ctx, q, func(d posture.Decision) { seen <- d.ID })
	}()
	return seen, done, cancel
}

func wantIDs(t *testing.T, ids <-chan string, want ...int) {
	t.Helper()
	for _, n := range want {
		select {
		case id := <-ids:
			if id != decision(n).ID {
				t.Fatalf("decision %q, want %06d", id, n)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no decision, want %06d", n)
		}
	}
}

func TestFollowDecisions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.decide(decision(10 * i))
	}
	ids, end, cancel := following(t, w, DecisionQuery{Last: 2})
	wantIDs(t, ids, 30, 40)
	w.decide(decision(50))
	wantIDs(t, ids, 50)
	// One whose ID was made earlier becomes visible only now: it is given, once.
	w.decide(decision(45))
	wantIDs(t, ids, 45)
	w.decide(decision(60))
	wantIDs(t, ids, 60)
	// What lies before the overlap is not read again.
	w.decide(decision(200))
	wantIDs(t, ids, 200)
	w.decide(decision(20))
	w.decide(decision(5))
	w.decide(decision(201))
	wantIDs(t, ids, 201)
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFollowDecisionsBehindOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 1200 { // more than two pages
		w.decide(decision(i))
	}
	ids, end, _ := following(t, w, DecisionQuery{After: decision(1150).ID})
	for i := 1151; i < 1200; i++ {
		wantIDs(t, ids, i)
	}
	close(w.stop)
	if err := <-end; err != nil {
		t.Errorf("the end of the server is an error: %v", err)
	}
}

func TestFollowDecisionsGivesOnlyNewOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 150 {
		w.decide(decision(i))
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Base+Prefix+"decisions?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := w.HTTP.Do(request) // returns when the log was looked at
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("Content-Type %q", got)
	}
	w.decide(decision(150))
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `{"id":"000150","time":`) {
		t.Errorf("%q, %v", line, err)
	}
}

func TestFollowDecisionsFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decide(decision(1))
	ids, end, _ := following(t, w, DecisionQuery{Last: 1})
	wantIDs(t, ids, 1)
	w.break_(errors.New("disk full"))
	wantProblem(t, <-end, http.StatusServiceUnavailable, "cannot be read or written now")
}

// Each look reads the overlap again, so it must not grow with the log.
func TestTailForgets(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for i := range 3 * maxSeen {
		d := decision(i)
		d.Time = now // all at once
		m.decide(d)
	}
	tail := tail{log: m, after: "0"}
	out := newStream(&nowhere{header: http.Header{}})
	if err := tail.look(t.Context(), out); err != nil || out.err != nil {
		t.Fatal(err, out.err)
	}
	if len(tail.seen) != maxSeen || tail.after != decision(2*maxSeen-1).ID {
		t.Errorf("%d seen behind %q", len(tail.seen), tail.after)
	}
}

type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Flush()                      {}

func TestClientWithoutServer(t *testing.T) {
	t.Parallel()
	_, err := NewSocketClient(t.TempDir() + "/none").Status(t.Context())
	if err == nil || strings.Contains(err.Error(), "http://") || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

// What is not the API's own answer, a proxy's page for one, is a Problem too.
func TestClientOfSomethingElse(t *testing.T) {
	t.Parallel()
	client := NewSocketClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "import") {
			w.WriteHeader(http.StatusOK) // and no result
			return
		}
		http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
	})))
	_, err := client.Status(t.Context())
	if p, ok := errors.AsType[*Problem](err); !ok || p.Status != http.StatusBadGateway || err.Error() != "502 Bad Gateway" {
		t.Error(err)
	}
	if _, err := client.Import(t.Context(), strings.NewReader("id\n"), ImportOptions{Format: "csv"}, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an import without a result: %v", err)
	}
}
