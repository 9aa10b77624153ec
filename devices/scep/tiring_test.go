package scep_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/devices/scep"
)

// indefinite writes the outermost element with a length that its end tells (X.690
// section 8.1.3.6).
func indefinite(der []byte) []byte {
	header := 2
	if der[1] > 0x80 {
		header += int(der[1] & 0x7f)
	}
	return append(append([]byte{der[0], 0x80}, der[header:]...), 0, 0)
}

// TestIndefiniteLength: it is BER, and some clients write it.
func TestIndefiniteLength(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.newLetter(0, s.challenge(devices.NewToken{DeviceID: "dev-1", Serial: "SCEP-0001", Lifetime: time.Hour}))
	data := l.bytes(t)
	if got := s.send(indefinite(data)[:len(data)-3], l.key, l.signer); got.why() != noMessage {
		t.Errorf("without its end: %+v", got)
	}
	if got := s.send(indefinite(data), l.key, l.signer); got.why() != success {
		t.Errorf("%+v\n%s", got, s.log.String())
	}
}

// TestTiringMessages: what would tire the library is refused before it is read.
func TestTiringMessages(t *testing.T) {
	s := newSite(t)
	const size = scep.MaxMessage
	nested := append(bytes.Repeat([]byte{0x30, 0x80}, size/4-1024), make([]byte, size/2-2046)...) // with their ends, and something inside
	flat := append([]byte{0x30, 0x80}, bytes.Repeat([]byte{0x05, 0x00}, size/2-2)...)
	flat = append(flat, 0, 0)
	texts := append([]byte{0x24, 0x80}, bytes.Repeat([]byte{0x04, 0x01, 'a'}, size/3-2)...)
	texts = append(texts, 0, 0)
	inner := s.newLetter(0, "none")
	for name, data := range map[string][]byte{
		"nested": nested, "flat": flat, "strings": texts, "zeros": make([]byte, size),
		"signed nested":  inner.wrap(t, nested),
		"signed strings": inner.wrap(t, texts[:size-4096]),
	} {
		got := s.send(data, inner.key, inner.signer)
		if got.why() != noMessage && got.why() != badMessageCheck {
			t.Errorf("%s: %+v", name, got)
		}
		if strings.Contains(name, "nested") && !bytes.Contains(s.log.Bytes(), []byte("nested too deep")) {
			t.Errorf("%s: %s", name, s.log.String())
		}
		s.log.Reset()
	}
}
