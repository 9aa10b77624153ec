package main

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gatepost.dev/conform"
)

// TestReloadDropsNoRequest reloads a busy server again and again, and rotates
// its key: no sign-in fails, and connections stay open.
func TestReloadDropsNoRequest(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	server := in.serve(t)
	first := regexp.MustCompile(`(\S+) +signing`).FindStringSubmatch(in.gatepost(t, "key", "list"))[1]
	second := regexp.MustCompile(`Key (\S+) is published`).FindStringSubmatch(in.gatepost(t, "key", "rotate"))[1]
	tr := newTraffic(t, in) // with an Okta that holds the certificates of both
	tr.judge = true
	tr.start(t, in, conform.Redirect, conform.Post)

	reloads := 0
	reload := func() {
		t.Helper()
		reloads++
		if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if err := server.says(server.stderr, `"msg":"configuration reloaded"`, reloads); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		tr.more(t, browsers)
		reload()
	}
	for _, args := range [][]string{{"--activate", second}, {"--activate", first}, {"--activate", second}, {}} {
		tr.more(t, browsers)
		in.gatepost(t, append([]string{"key", "rotate", "--force"}, args...)...)
	}
	reload()
	tr.more(t, browsers)
	tr.stop()
	if err := server.stop(syscall.SIGTERM, exitOK); err != nil {
		t.Error(err)
	}

	if len(tr.failures) > 0 {
		t.Errorf("failed: %v", tr.failures)
	}
	// On a machine that is very busy a client now and then gives a connection up.
	if tr.dialled >= 2*browsers {
		t.Errorf("%d browsers needed %d connections", browsers, tr.dialled)
	}
	wantDecided(t, tr.answered, in.decided(t), true)
	log, err := os.ReadFile(server.stderr)
	if err != nil {
		t.Fatal(err)
	}
	if bad := regexp.MustCompile(`.*("status":[45]|"level":"(WARN|ERROR)").*`).Find(log); bad != nil {
		t.Errorf("the log has %s", bad)
	}
}

// TestShutdownDropsNoRequest stops a busy server: what it began it finishes, and
// then nobody can connect any more.
func TestShutdownDropsNoRequest(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	answered := map[string]string{}
	for range 3 {
		server := in.serve(t)
		tr := newTraffic(t, in)
		// A browser repeats a GET when its connection was closed unanswered.
		tr.start(t, in, conform.Redirect)
		tr.more(t, 20*browsers)
		if err := server.stop(syscall.SIGTERM, exitOK); err != nil {
			t.Fatal(err)
		}
		tr.wg.Wait()
		for _, err := range tr.failures {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("a sign-in failed otherwise than because nobody listens any more: %v", err)
			}
		}
		maps.Copy(answered, tr.answered)
		wantDecided(t, answered, in.decided(t), true)
	}
}

// TestKillLosesNoAnswer kills a busy server five times: whatever was answered is
// recorded, and is not answered again.
func TestKillLosesNoAnswer(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	answered := map[string]string{}
	server := in.serve(t)
	for range 5 {
		tr := newTraffic(t, in)
		tr.start(t, in, conform.Redirect, conform.Post)
		tr.more(t, 20*browsers)
		server.kill()
		tr.wg.Wait()
		maps.Copy(answered, tr.answered)
		wantDecided(t, answered, in.decided(t), false)

		// The commands do not take the socket that is left for a server.
		if list := in.gatepost(t, "decisions", "--last", "1"); !strings.Contains(list, " mac-1 ") {
			t.Errorf("decisions: %s", list)
		}
		server = in.serve(t)
		wantReplayed(t, in, server, tr.last)
	}
	if err := server.stop(syscall.SIGTERM, exitOK); err != nil {
		t.Error(err)
	}
}

// wantReplayed demands that a request that was answered before is refused.
func wantReplayed(t *testing.T, in *installation, server *background, url string) {
	t.Helper()
	client, err := deviceClient(filepath.Join(in.dir, "mac-1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusBadRequest || strings.Contains(string(page), "SAMLResponse") {
		t.Fatalf("a request that was answered before is answered by %s, %v\n%s", resp.Status, err, page)
	}
	if err := server.says(server.stderr, `"status":400,.*"reason":"replayed"`, 1); err != nil {
		t.Error(err)
	}
}
