package admin

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/certs"
)

// newKeyWorld has keys of both kinds.
func newKeyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for _, kind := range []certs.Kind{{Algorithm: certs.RS256, Bits: 2048}, {Algorithm: certs.ES256}} {
		ring, err := certs.CreateKeyring(filepath.Join(t.TempDir(), "keys"), "posture.example.com", kind, now)
		if err != nil {
			t.Fatal(err)
		}
		w.rings = append(w.rings, ring)
	}
	return w
}

// wantKeys demands these keys, each as "algorithm state", and gives their IDs.
func wantKeys(t *testing.T, keys []Key, err error, want ...string) (ids []string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		got = append(got, k.Algorithm+" "+k.State)
		ids = append(ids, k.ID)
		if !strings.HasPrefix(k.Certificate, "-----BEGIN CERTIFICATE-----\n") || k.NotBefore.IsZero() || !k.NotAfter.After(now) || strings.Contains(k.Certificate, "PRIVATE") {
			t.Errorf("key %+v", k)
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Fatalf("keys are %q, want %q", got, want)
	}
	return ids
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	keys, err := w.Client.Keys(t.Context())
	first := wantKeys(t, keys, err, "RS256 signing", "ES256 signing")
	for i, algorithm := range []string{"", "ES256"} {
		next, err := w.RotateKey(t.Context(), algorithm, false)
		if err != nil || next.State != "next" || next.Algorithm != []string{"RS256", "ES256"}[i] {
			t.Fatal(next, err)
		}
		_, err = w.RotateKey(t.Context(), algorithm, true)
		wantProblem(t, err, http.StatusConflict, `"`+next.ID+`" is next already`)
	}
	keys, err = w.Client.Keys(t.Context())
	ids := wantKeys(t, keys, err, "RS256 signing", "RS256 next", "ES256 signing", "ES256 next")

	// A key that is not known everywhere, and then one that may be needed still.
	for _, id := range []string{ids[1], ids[3]} {
		w.later = certs.PublishFor
		_, err = w.ActivateKey(t.Context(), id, false)
		wantProblem(t, err, http.StatusConflict, `so not all may know the key "`+id+`" yet. Wait until 2026-11-22T16:05:10Z, or force it.`)
		w.later += 10 * time.Second
		if _, err = w.ActivateKey(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
	}
	keys, err = w.Client.Keys(t.Context())
	ids = wantKeys(t, keys, err, "RS256 signing", "RS256 previous", "ES256 signing", "ES256 previous")
	if ids[1] != first[0] || ids[3] != first[1] {
		t.Errorf("keys are %q, the first ones were %q", ids, first)
	}
	_, err = w.RotateKey(t.Context(), "ES256", false)
	wantProblem(t, err, http.StatusConflict, `the key "`+ids[3]+`" signed less than 5 minutes ago may still have to be verified, and it would be dropped. Wait until 2026-11-22T16:10:20Z, or force it.`)
	next, err := w.RotateKey(t.Context(), "ES256", true)
	if err != nil {
		t.Fatal(err)
	}
	keys, err = w.ActivateKey(t.Context(), next.ID, true)
	if got := wantKeys(t, keys, err, "RS256 signing", "RS256 previous", "ES256 signing", "ES256 previous"); got[2] != next.ID {
		t.Errorf("keys are %q, %q should sign", got, next.ID)
	}
	if !strings.Contains(w.log.String(), `"reason":"too_soon"`) {
		t.Errorf("the log has %s", w.log)
	}
}

// A body is not needed: without one nothing is forced, and the keys are RSA.
func TestKeysWithoutBody(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	if response, body := w.ask(t, "POST", "keys/rotate", "", ""); response.StatusCode != http.StatusCreated || !strings.Contains(body, `"algorithm":"RS256"`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	next := w.rings[0].Published()[1].ID
	if response, body := w.ask(t, "POST", "keys/"+next+"/activate", "", ""); response.StatusCode != http.StatusConflict {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"keys/rotate", `{"alg":"ES256"}`, http.StatusBadRequest},
		{"keys/rotate", `{"force":"yes"}`, http.StatusBadRequest},
		{"keys/rotate", `{"algorithm":"ES384"}`, http.StatusNotFound},
		{"keys/" + next + "/activate", `{"algorithm":"RS256"}`, http.StatusBadRequest},
		{"keys/0123456789abcdef/activate", `{"force":true}`, http.StatusNotFound},
	} {
		if response, body := w.ask(t, "POST", test.path, "application/json", test.body); response.StatusCode != test.status {
			t.Errorf("%s %s: %d %s, want %d", test.path, test.body, response.StatusCode, body, test.status)
		}
	}
	keys, err := w.Client.Keys(t.Context())
	wantKeys(t, keys, err, "RS256 signing", "RS256 next", "ES256 signing")
}

func TestKeysThatAreNotThere(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	_, err := w.ActivateKey(t.Context(), "key9", true)
	wantProblem(t, err, http.StatusNotFound, `no key "key9"`)
	w.rings = w.rings[:1]
	_, err = w.RotateKey(t.Context(), "ES256", false)
	wantProblem(t, err, http.StatusNotFound, `no keys for "ES256"`)
	keys, err := w.Client.Keys(t.Context())
	wantKeys(t, keys, err, "RS256 signing")
}

// brokenRing is a ring on a disk that fails.
type brokenRing struct{ Keyring }

var errDisk = errors.New("read-only file system at /secret/place")

func (brokenRing) Rotate(time.Time, bool) (*certs.SigningKey, error) { return nil, errDisk }

func (brokenRing) Activate(string, time.Time, bool) error { return errDisk }

func TestKeysThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	w.rings[0] = brokenRing{w.rings[0]}
	_, rotating := w.RotateKey(t.Context(), "RS256", false)
	_, activating := w.ActivateKey(t.Context(), w.rings[0].Published()[0].ID, false)
	for _, err := range []error{rotating, activating} {
		wantProblem(t, err, http.StatusInternalServerError, "")
		if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "reference") || !strings.Contains(w.log.String(), "/secret/place") {
			t.Errorf("the client reads %v, the log has %s", err, w.log)
		}
	}
}
