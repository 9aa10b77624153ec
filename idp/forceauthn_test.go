package idp_test

import (
	"net/http"
	"testing"
	"time"

	"gatepost.dev/conform"
)

// TestForceAuthnConnectsAnew: a request that wants the user to authenticate anew
// has the browser prove its key anew; what it connected for is new enough, and
// who has nothing to prove is answered as he is.
func TestForceAuthnConnectsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	force := conform.RequestOptions{Subject: user, ForceAuthn: true}
	if in := w.signIn(client, force); !in.OK() {
		t.Errorf("what it connected for: %+v", in)
	}
	for _, binding := range []conform.Binding{conform.Redirect, conform.Post} {
		force.Binding = binding
		w.signIn(client, conform.RequestOptions{Subject: user}) // so that the next request is not the first
		w.offset.Add(int64(time.Second))
		request := must(w.okta.Request(force))(t)
		before := len(must(w.records.LastDecisions(t.Context(), 100))(t))
		got := w.send(client, request)
		if got.status != http.StatusTemporaryRedirect {
			t.Fatalf("%s: on an older connection: %d", binding, got.status)
		}
		if after := len(must(w.records.LastDecisions(t.Context(), 100))(t)); after != before {
			t.Errorf("%s: a request that is sent to connect anew was decided", binding)
		}
		// The same request, on the new connection, is not a replay.
		p := w.send(client, request)
		if p.status != http.StatusOK {
			t.Fatalf("%s: on the new connection: %d", binding, p.status)
		}
		if in, err := w.okta.Receive(p.response, p.relay); err != nil || !in.Managed {
			t.Errorf("%s: %+v, %v", binding, in, err)
		}
	}
	none := browser(nil)
	w.signIn(none, conform.RequestOptions{Subject: user})
	w.offset.Add(int64(time.Second))
	if in := w.signIn(none, force); in.OK() || in.StatusMessage != "DEVICE_NOT_MANAGED" {
		t.Errorf("without a certificate: %+v", in)
	}
}
