package scep_test

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"gatepost.dev/devices"
	"gatepost.dev/devices/scep"
)

// FuzzLetter sends what it likes: as the message, as what is signed in it, or as
// what is encrypted in that, which it could not come to by itself. No challenge in it
// is one that a certificate could come of, so whatever comes is a refusal.
func FuzzLetter(f *testing.F) {
	const message, signed, encrypted = 0, 1, 2
	s := newSite(f)
	for _, kind := range []wire.MessageType{wire.PKCSReq, wire.RenewalReq, wire.UpdateReq} {
		l := s.newLetter(0, "no challenge of ours")
		l.kind = kind
		data := l.bytes(f)
		f.Add(message, data)
		f.Add(message, indefinite(data))
		p7, err := pkcs7.Parse(data)
		must(f, err)
		f.Add(signed, p7.Content)
		f.Add(signed, indefinite(p7.Content))
		f.Add(encrypted, l.request(f))
	}
	f.Fuzz(func(t *testing.T, layer int, data []byte) {
		l := s.newLetter(0, "")
		switch layer {
		case signed:
			data = l.wrap(t, data)
		case encrypted:
			data = l.wrap(t, seal(t, l.to, l.with, data))
		}
		w := httptest.NewRecorder()
		began := time.Now()
		s.handler.ServeHTTP(w, httptest.NewRequest("POST", "/scep?operation=PKIOperation", bytes.NewReader(data)))
		took := time.Since(began)
		if w.Code >= 500 {
			t.Fatalf("status %d\n%s", w.Code, s.log.String())
		}
		s.log.Reset()
		if took > 5*time.Second {
			t.Fatalf("%d bytes take %v", len(data), took)
		}
		if all, err := s.records.Devices(t.Context(), "", 1); err != nil || len(all) != 0 {
			t.Fatalf("devices %v, %v", all, err)
		}
	})
}

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

// TestTiringMessages: nothing that is small enough to be read takes long. The limit
// is far above the tenth of a second that the worst takes: it is there for what takes
// minutes. It does not run beside others, which would count.
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
		began := time.Now()
		got := s.send(data, inner.key, inner.signer)
		if got.why() != noMessage && got.why() != badMessageCheck {
			t.Errorf("%s: %+v", name, got)
		}
		if strings.Contains(name, "nested") && !bytes.Contains(s.log.Bytes(), []byte("nested too deep")) {
			t.Errorf("%s: %s", name, s.log.String())
		}
		s.log.Reset()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s takes %v", name, took)
		}
	}
}
