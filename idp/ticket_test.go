package idp

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// FuzzTicket: what was sealed is opened again, byte for byte, and nothing else is
// taken for a ticket.
func FuzzTicket(f *testing.F) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 123456789, time.UTC)
	tickets, err := NewTickets(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("SAMLRequest=a%2fb&RelayState=%E4\xff\x00"), "", true)
	f.Add([]byte(nil), "AAAA", false)
	f.Add(bytes.Repeat([]byte{'a'}, maxWaiting), "not base64url!", true)
	f.Fuzz(func(t *testing.T, request []byte, foreign string, posted bool) {
		want := waiting{ID: "_1", Protocol: protocolSAML, Posted: posted, Request: request, Arrived: now, DeviceID: "mac-1"}
		ticket, err := tickets.seal(&want)
		if err != nil {
			t.Fatal(err)
		}
		if len(request) <= maxWaiting && len(ticket)+100 > MaxRequestBody {
			t.Errorf("a ticket of %d bytes does not fit into its form", len(ticket))
		}
		got, err := tickets.open(ticket, protocolSAML, now.Add(ticketLife))
		if err != nil || !bytes.Equal(got.Request, request) {
			t.Fatalf("%+v, %v", got, err)
		}
		if got.Request = want.Request; !reflect.DeepEqual(got, &want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		for what, refused := range map[string]func() (*waiting, error){
			"late":           func() (*waiting, error) { return tickets.open(ticket, protocolSAML, now.Add(ticketLife+1)) },
			"other protocol": func() (*waiting, error) { return tickets.open(ticket, protocolOIDC, now) },
			"foreign":        func() (*waiting, error) { return tickets.open(foreign, protocolSAML, now) },
			"cut":            func() (*waiting, error) { return tickets.open(ticket[:len(ticket)-4], protocolSAML, now) },
		} {
			if w, err := refused(); err == nil {
				t.Errorf("%s: %+v", what, w)
			}
		}
	})
}

func TestNewTicketsWantsAKey(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewTickets(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
}
