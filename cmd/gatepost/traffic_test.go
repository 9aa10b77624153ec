package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"gatepost.dev/conform"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// newInstallation makes an installation for a test in Go.
func newInstallation(t *testing.T) *installation {
	t.Helper()
	dir := t.TempDir()
	in, err := install(dir, func(program string, args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w\n%s", program, args, err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// gatepost runs a command and returns what it printed.
func (in *installation) gatepost(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("gatepost", append(args, "-c", in.config)...)
	cmd.Dir = in.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gatepost %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// serve starts the server and waits until it is ready.
func (in *installation) serve(t *testing.T) *background {
	t.Helper()
	cmd := exec.Command("gatepost", "serve", "-c", in.config)
	cmd.Dir = in.dir
	b, err := startBackground(cmd, filepath.Join(in.dir, "server"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	if _, err := b.ready(); err != nil {
		text, _ := os.ReadFile(b.stderr)
		t.Fatalf("%v\n%s", err, text)
	}
	return b
}

// decided is the decisions in the store, which nobody may have open: the ID of
// the answer by that of the request.
func (in *installation) decided(t *testing.T) map[string]string {
	t.Helper()
	db, err := bolt.Open(filepath.Join(in.dir, "gp", "gatepost.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const page = 500
	out := map[string]string{}
	for after := ""; ; {
		decisions, err := store.New(db).Decisions(t.Context(), after, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range decisions {
			out[d.RequestID] = d.AnswerID
			after = d.ID
		}
		if len(decisions) < page {
			return out
		}
	}
}

// browsers is how many sign in at once.
const browsers = 8

// traffic is browsers that sign in one time after the other, each over a
// connection of its own that it keeps. A browser ends with its first failure.
type traffic struct {
	okta  *conform.Okta
	judge bool // Okta judges every answer; else only its ID is read, and the server has hardly a rest
	wg    sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	stopped  bool
	answered map[string]string // ID of the Response by that of the request
	last     string            // URL of the last request that was answered
	failures []error
	dialled  int // connections
}

func newTraffic(t *testing.T, in *installation) *traffic {
	t.Helper()
	metadata, err := in.fetchMetadata()
	if err != nil {
		t.Fatal(err)
	}
	tr := &traffic{answered: map[string]string{}}
	tr.changed = sync.NewCond(&tr.mu)
	if tr.okta, err = openOkta(filepath.Join(in.dir, "okta"), metadata); err != nil {
		t.Fatal(err)
	}
	return tr
}

// start lets the browsers begin. They use the bindings by turns.
func (tr *traffic) start(t *testing.T, in *installation, bindings ...conform.Binding) {
	t.Helper()
	for i := range browsers {
		client, err := deviceClient(filepath.Join(in.dir, "mac-1.pem"))
		if err != nil {
			t.Fatal(err)
		}
		transport := client.Transport.(*http.Transport)
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			tr.mu.Lock()
			tr.dialled++
			tr.mu.Unlock()
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		tr.wg.Go(func() {
			defer client.CloseIdleConnections()
			for tr.signIn(client, bindings[i%len(bindings)]) {
			}
		})
	}
	t.Cleanup(tr.stop)
}

// signIn signs in once and tells whether to go on.
func (tr *traffic) signIn(client *http.Client, binding conform.Binding) bool {
	request, err := tr.okta.Request(conform.RequestOptions{Binding: binding, Subject: "user@example.com"})
	var answer string
	if err == nil {
		answer, err = tr.answer(client, request)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	defer tr.changed.Broadcast()
	if err != nil {
		tr.failures = append(tr.failures, err)
		return false
	}
	tr.answered[request.ID] = answer
	if request.URL != "" {
		tr.last = request.URL
	}
	return !tr.stopped
}

var responseIDs = regexp.MustCompile(`^<\w+:Response [^>]*\bID="([^"]+)" InResponseTo="([^"]+)"`)

// answer sends the request and returns the ID of the Response to it.
func (tr *traffic) answer(client *http.Client, request *conform.AuthnRequest) (string, error) {
	page, err := oktaSend(client, request)
	if err != nil {
		return "", err
	}
	message, relayState := answerFields(page)
	if tr.judge {
		in, err := tr.okta.Receive(message, relayState)
		if err != nil {
			return "", err
		}
		if !in.Managed || in.Device.ID != "mac-1" {
			return "", fmt.Errorf("signed in as %+v", in)
		}
		return in.ResponseID, nil
	}
	response, err := base64.StdEncoding.DecodeString(message)
	ids := responseIDs.FindSubmatch(response)
	if err != nil || ids == nil || string(ids[2]) != request.ID {
		return "", fmt.Errorf("no answer to request %q: %v\n%.500s", request.ID, err, response)
	}
	return string(ids[1]), nil
}

// more waits until n more sign-ins were answered, or any failed.
func (tr *traffic) more(t *testing.T, n int) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for want := len(tr.answered) + n; len(tr.answered) < want && len(tr.failures) == 0; {
		tr.changed.Wait()
	}
	if len(tr.failures) > 0 {
		t.Fatalf("after %d sign-ins: %v", len(tr.answered), tr.failures)
	}
}

// stop lets every browser finish what it is at.
func (tr *traffic) stop() {
	tr.mu.Lock()
	tr.stopped = true
	tr.mu.Unlock()
	tr.wg.Wait()
}

// wantDecided demands that the store has the decision of every answer and, if
// exactly, no other.
func wantDecided(t *testing.T, answered, decided map[string]string, exactly bool) {
	t.Helper()
	for request, answer := range answered {
		if decided[request] != answer {
			t.Errorf("request %q was answered by %q, and the decision on it names %q", request, answer, decided[request])
		}
	}
	if exactly && !maps.Equal(answered, decided) {
		t.Errorf("%d answers arrived, and %d decisions are recorded", len(answered), len(decided))
	}
}
