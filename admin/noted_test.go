package admin

import (
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// notedWorld is an API that acts on devices and notes it.
func notedWorld(t *testing.T) (*Client, *memory, *noter) {
	t.Helper()
	m, n := newMemory(), &noter{}
	m.devices["mac-1"] = posture.Device{ID: "mac-1"}
	a := API{Options: &web.Options{Log: slog.New(slog.DiscardHandler), Now: clock}, Noter: n}
	a.Operations = (&Actions{Actor: &devices.Actor{Records: m, Now: clock}}).Operations()
	identify := func(http.ResponseWriter, *http.Request) (Principal, error) {
		return Principal{Name: "token ci", Role: posture.Operator, Token: "0123"}, nil
	}
	return NewSocketClient(serve(t, a.Handler(identify, http.NotFoundHandler()))), m, n
}

// TestChangesAreNoted: before anything is done, and with what came of it.
func TestChangesAreNoted(t *testing.T) {
	t.Parallel()
	client, _, n := notedWorld(t)
	long := strings.Repeat("x", 5000)
	if _, err := client.Retire(t.Context(), devices.Target{Device: "mac-1"}, "lost"); err != nil {
		t.Fatal(err)
	}
	_, err := client.Retire(t.Context(), devices.Target{Device: "nobody"}, long)
	wantProblem(t, err, http.StatusUnprocessableEntity, "")
	if len(n.noted) != 4 {
		t.Fatalf("%d events", len(n.noted))
	}
	for i, want := range []posture.Change{
		{}, {Status: 200, Body: []byte(`{"device":"mac-1","why":"lost"}`), BodySize: 31},
		{}, {Status: 422, Body: []byte(`{"device":"nobody","why":"` + long + `"}`), BodySize: int64(len(`{"device":"nobody","why":""}`) + len(long))},
	} {
		e := n.noted[i]
		c := e.Change
		if e.Kind != posture.Changed || e.By != "token ci" || c.Operation != "POST /api/v1/actions/retire" || c.Path != "/api/v1/actions/retire" ||
			c.Role != posture.Operator || c.Token != "0123" || c.Reference == "" || c.Reference != n.noted[i|1].Change.Reference {
			t.Errorf("event %d: %+v, %+v", i, e, c)
		}
		if c.Status != want.Status || string(c.Body) != string(want.Body) || c.BodySize != want.BodySize || (c.BodyHash == "") != (want.BodySize == 0) {
			t.Errorf("event %d: %+v, want %+v", i, c, want)
		}
	}
}

// TestUnnotedIsNotDone: what cannot be noted is refused.
func TestUnnotedIsNotDone(t *testing.T) {
	t.Parallel()
	client, m, n := notedWorld(t)
	n.err = errors.New("disk full")
	_, err := client.Retire(t.Context(), devices.Target{Device: "mac-1"}, "lost")
	wantProblem(t, err, http.StatusServiceUnavailable, "records cannot be read or written")
	if d := m.devices["mac-1"]; d.Retired() {
		t.Error("the device is retired, and nobody will know by whom")
	}
}

func TestNeighbourhood(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64",
	} {
		if got := neighbourhood(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestNotedBodies: what was taken is in the log however it was written; what was
// not, and what nobody else may read, is not.
func TestNotedBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		conceal []string
		sent    string
		want    string
	}{
		"as it is":        {200, nil, `{"a":1.50,"b":[true,null]}`, `{"a":1.50,"b":[true,null]}`},
		"padded":          {200, nil, `{"a":1}` + strings.Repeat(" ", 50_000), `{"a":1}`},
		"half a pair":     {200, nil, `{"a":"\ud800x"}`, "{\"a\":\"\ufffdx\"}"},
		"not taken":       {400, nil, strings.Repeat("[", 2000) + strings.Repeat("]", 2000), ""},
		"no object":       {422, nil, `[1]`, ""},
		"concealed":       {201, []string{"url"}, `{"name":"siem","url":"https://x?key=secret"}`, `{"name":"siem","url":"(not in the log)"}`},
		"nothing to hide": {201, []string{"url"}, `{"name":"siem"}`, `{"name":"siem"}`},
		"empty":           {200, nil, "", ""},
	} {
		b := &readBody{ReadCloser: io.NopCloser(strings.NewReader(c.sent)), sum: sha256.New(), keep: true}
		if _, err := io.Copy(io.Discard, b); err != nil {
			t.Fatal(err)
		}
		change := posture.Change{Status: c.status}
		b.describe(&change, c.conceal)
		if string(change.Body) != c.want || change.BodySize != int64(len(c.sent)) || (change.BodyHash == "") != (c.sent == "") {
			t.Errorf("%s: %s, %+v", name, change.Body, change)
		}
	}
}
