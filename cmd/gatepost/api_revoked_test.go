package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
	"gatepost.dev/events/trail"
	"gatepost.dev/posture"
)

// TestRevokedWhileItImports: what is under way with a token ends with it.
func TestRevokedWhileItImports(t *testing.T) {
	t.Parallel()
	w := newAPIWorld(t)
	body, send := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", w.base+admin.Prefix+"devices/import?format=csv", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.secrets["operator"])
	answered := make(chan string, 1)
	go func() {
		response, err := w.client(1).Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		answered <- fmt.Sprint(response.Status, " ", string(text), err)
	}()
	fmt.Fprintln(send, "id,managed")
	fmt.Fprintln(send, "mac-1,true")
	token := devices.HashToken(w.secrets["operator"])[:posture.TokenIDLen]
	if _, err := w.records.RevokeAPIToken(t.Context(), token, time.Now()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // it is looked every second
	fmt.Fprintln(send, "mac-2,true")
	send.Close()
	if got := <-answered; strings.Contains(got, `"result"`) {
		t.Errorf("imported: %s", got)
	}
	if found, err := w.records.Devices(t.Context(), "", 10); err != nil || len(found) != 0 {
		t.Errorf("%d devices, %v", len(found), err)
	}
}

// TestKeptEnd looks for ends that were kept in what is left of a log.
func TestKeptEnd(t *testing.T) {
	t.Parallel()
	var entries [][]byte
	b := trail.NewBounds("main")
	for range 5 {
		e := b.Next()
		encoded, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		b.Append(encoded)
		entries = append(entries, encoded)
	}
	b.Drop(entries[0])
	b.Drop(entries[1])
	for _, c := range []struct {
		seq            uint64
		of             int // whose hash was kept
		found, dropped bool
	}{
		{1, 0, false, true}, {2, 1, true, false}, {2, 0, false, true}, {3, 2, true, false}, {3, 3, false, false}, {5, 4, true, false}, {6, 4, false, false},
	} {
		k := keptEnd{seq: c.seq, hash: trail.Hash(entries[c.of])}
		k.look(&trail.Line{Bounds: &b})
		for _, e := range entries[2:] {
			k.look(&trail.Line{Entry: e})
		}
		if k.found != c.found || k.dropped != c.dropped {
			t.Errorf("%+v: %+v", c, k)
		}
	}
}
