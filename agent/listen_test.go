package agent

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"gatepost.dev/agentapi"
)

// selfSigned is a certificate for the key.
func selfSigned(t *testing.T, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// listening is a rig whose agent has a certificate and a server that answers its
// waits by answer.
func listening(t *testing.T, answer http.HandlerFunc) *rig {
	t.Helper()
	r := newRig(t)
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	key, err := softwareKey()
	if err != nil {
		t.Fatal(err)
	}
	certificate := selfSigned(t, key.signer)
	if err := r.writeCredential(credentialFile, key, certificate, certificate); err != nil {
		t.Fatal(err)
	}
	if err := r.writeState(State{DeviceURL: s.URL, Every: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestListenAsks: each word of the server is one report, and the server is asked
// again when that is made.
func TestListenAsks(t *testing.T) {
	t.Parallel()
	waits := 0
	r := listening(t, func(w http.ResponseWriter, q *http.Request) {
		waits++
		if q.Method != http.MethodGet || q.URL.Path != agentapi.WaitPath {
			t.Errorf("%s %s", q.Method, q.URL)
		}
		json.NewEncoder(w).Encode(agentapi.Word{Report: true})
	})
	var pauses []time.Duration
	r.Wait = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked, ended := make(chan Ask), make(chan struct{})
	go func() {
		defer close(ended)
		r.Listen(ctx, asked)
	}()
	(<-asked) <- nil
	(<-asked) <- errors.New("connection refused")
	<-asked
	if waits != 3 || len(pauses) != 2 || pauses[0] != betweenAsks || pauses[1] <= spread/2 || pauses[1] > spread/2+firstWait {
		t.Errorf("%d waits, pauses %v", waits, pauses)
	}
	cancel()
	<-ended
}

// TestListenGivesUpForAWhile: the worse the answer, the later the next question.
func TestListenGivesUpForAWhile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status   int
		min, max time.Duration // of the third pause
	}{
		"no word, at once":     {http.StatusNoContent, spread/2 + firstWait, spread/2 + 4*firstWait},
		"an old server":        {http.StatusNotFound, noSuchPath * 9 / 10, noSuchPath},
		"refused":              {http.StatusForbidden, noSuchPath * 9 / 10, noSuchPath},
		"the server is broken": {http.StatusServiceUnavailable, spread/2 + firstWait, spread/2 + 4*firstWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := listening(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) })
			var pauses []time.Duration
			r.Wait = func(_ context.Context, d time.Duration) error {
				if pauses = append(pauses, d); len(pauses) == 3 {
					return context.Canceled
				}
				return nil
			}
			r.Listen(t.Context(), nil)
			if d := pauses[2]; d < tt.min || d > tt.max {
				t.Errorf("pauses %v", pauses)
			}
		})
	}
}

// TestPauseEndsWhenAsked: whoever asks is not kept waiting for the next report.
func TestPauseEndsWhenAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan Ask)
		a := &Agent{Asked: asked, Wait: func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		}}
		if ask, err := a.pause(t.Context(), time.Hour); ask != nil || err != nil {
			t.Errorf("%v, %v; want all of the hour", ask, err)
		}
		mine := make(Ask, 1)
		go func() { asked <- mine }()
		began := time.Now()
		if ask, err := a.pause(t.Context(), time.Hour); ask != mine || err != nil || time.Since(began) != 0 {
			t.Errorf("%v, %v after %s", ask, err, time.Since(began))
		}
	})
}
