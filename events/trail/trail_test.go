package trail

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func public() ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// chain is a log of n entries, every second of which is of a decision.
func chain(t testing.TB, node string, n int) (Bounds, []Line) {
	t.Helper()
	b := NewBounds(node)
	var lines []Line
	for i := range n {
		e := b.Next()
		e.Event = posture.Event{ID: fmt.Sprint(i), Time: time.Unix(1_800_000_000, int64(i)).UTC(), Kind: posture.DeviceRetired, DeviceID: "mac-1", Why: "lost & <found> \xff\u2028"}
		l := Line{}
		if i%2 == 1 {
			l.Decision = fmt.Appendf(nil, `{"id":"d%d"}`, i)
			e.Event.Kind, e.Event.Decision, e.Decision = posture.Decided, fmt.Sprint("d", i), Hash(l.Decision)
		}
		if i%3 == 2 {
			e.Event.Change = &posture.Change{Operation: "POST /api/v1/x", Status: 200, Body: json.RawMessage(`{"a":"<b>","c":[1,2.50,1e3]}`)}
		}
		encoded, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l.Entry = encoded
		b.Append(encoded)
		lines = append(lines, l)
	}
	b.Sign(key)
	return b, lines
}

func export(t testing.TB, b Bounds, lines []Line) []byte {
	t.Helper()
	var text []byte
	for _, l := range append([]Line{{Bounds: &b}}, lines...) {
		var err error
		if text, err = l.Append(text); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

func verify(text []byte) (Verified, error) { return VerifyExport(bytes.NewReader(text), public(), nil) }

func TestVerifyExport(t *testing.T) {
	t.Parallel()
	one, lines := chain(t, "one", 9)
	two, _ := chain(t, "two", 0)
	text := append(export(t, one, lines), export(t, two, nil)...)
	if _, err := verify(append(export(t, two, nil), export(t, one, lines)...)); !errors.Is(err, ErrBroken) {
		t.Errorf("a node that is out of place: %v", err)
	}
	if _, err := verify(slices.Concat(text, export(t, two, nil))); !errors.Is(err, ErrBroken) {
		t.Errorf("a node twice: %v", err)
	}
	got, err := verify(text)
	if want := (Verified{Nodes: 2, Entries: 9, Decisions: 4}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFlippedByte changes each byte of an export to each of a few others.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	b, lines := chain(t, "main", 6)
	text := export(t, b, lines)
	for i := range text {
		for _, bit := range []byte{1, 2, 0x20, 0x80} {
			changed := slices.Clone(text)
			changed[i] ^= bit
			if _, err := verify(changed); !errors.Is(err, ErrBroken) {
				t.Fatalf("byte %d, %q to %q: %v", i, text[i], changed[i], err)
			}
		}
	}
}

func TestCutExport(t *testing.T) {
	t.Parallel()
	b, lines := chain(t, "main", 6)
	text := export(t, b, lines)
	for i := range text {
		if _, err := verify(text[:i]); !errors.Is(err, ErrBroken) {
			t.Fatalf("cut after %d of %d bytes: %v", i, len(text), err)
		}
	}
	for i := range lines {
		without := slices.Delete(slices.Clone(lines), i, i+1)
		if _, err := verify(export(t, b, without)); !errors.Is(err, ErrBroken) {
			t.Errorf("without entry %d: %v", i+1, err)
		}
		doubled := slices.Insert(slices.Clone(lines), i, lines[i])
		if _, err := verify(export(t, b, doubled)); !errors.Is(err, ErrBroken) {
			t.Errorf("with entry %d twice: %v", i+1, err)
		}
		if i > 0 {
			swapped := slices.Clone(lines)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			if _, err := verify(export(t, b, swapped)); !errors.Is(err, ErrBroken) {
				t.Errorf("with entries %d and %d swapped: %v", i, i+1, err)
			}
		}
	}
	if _, err := verify(text[bytes.IndexByte(text, '\n')+1:]); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "line 1: an entry of no node") {
		t.Errorf("without bounds: %v", err)
	}
}

// TestRewritten makes the chain fit again, as somebody without the key can.
func TestRewritten(t *testing.T) {
	t.Parallel()
	b, lines := chain(t, "main", 6)
	shorter, _ := chain(t, "main", 5)
	shorter.Signature = b.Signature
	if _, err := verify(export(t, shorter, lines[:5])); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "is not of key") {
		t.Errorf("with the last entry away: %v", err)
	}
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	b.Sign(stranger)
	if _, err := verify(export(t, b, lines)); !errors.Is(err, ErrBroken) {
		t.Errorf("signed by somebody else: %v", err)
	}
	lines[1].Decision = nil
	b.Sign(key)
	if _, err := verify(export(t, b, lines)); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), `entry 2: its decision "d1" is not there`) {
		t.Errorf("without a decision: %v", err)
	}
}

// TestDrop: what is left after old entries are gone is still proven.
func TestDrop(t *testing.T) {
	t.Parallel()
	b, lines := chain(t, "main", 6)
	for len(lines) > 0 {
		b.Drop(lines[0].Entry)
		b.Sign(key)
		if lines = lines[1:]; len(lines) > 0 {
			if _, err := verify(export(t, b, lines[1:])); !errors.Is(err, ErrBroken) {
				t.Errorf("with one more away than was dropped: %v", err)
			}
		}
		got, err := verify(export(t, b, lines))
		if err != nil || got.Entries != uint64(len(lines)) {
			t.Errorf("%d left: %+v, %v", len(lines), got, err)
		}
	}
}

// TestLongLine: what has no end is given up.
func TestLongLine(t *testing.T) {
	t.Parallel()
	if _, err := VerifyExport(endless{}, public(), nil); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func FuzzVerifyExport(f *testing.F) {
	b, lines := chain(f, "main", 3)
	good := export(f, b, lines)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		// Without the key nobody makes another log that is good.
		if _, err := verify(text); err == nil && !bytes.Equal(text, good) {
			t.Errorf("%q passes", text)
		}
	})
}
