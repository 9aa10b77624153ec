package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles lets the process write no file beyond that size; 0: any.
func limitFiles(t *testing.T, b *background, bytes uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if bytes == 0 {
		limit.Cur = unix.RLIM_INFINITY
	}
	if err := unix.Prlimit(b.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// readyz is the status and the text of /readyz.
func (in *installation) readyz(t *testing.T) (int, string) {
	t.Helper()
	answer, err := browse(webClient(nil, nil), "GET", in.ops+"/readyz", "")
	if err != nil {
		t.Fatal(err)
	}
	return answer.status, string(answer.body)
}

// metric is the value of a metric, as it is written; empty: it is not there.
func (in *installation) metric(t *testing.T, name string) string {
	t.Helper()
	answer, err := browse(webClient(nil, nil), "GET", in.ops+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(answer.body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestReadyDiskFull: a server that cannot record decisions is not ready, says so
// by itself and why, and is ready again when there is room, without any sign-in.
func TestReadyDiskFull(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	cmd := exec.Command("gatepost-fullable", "serve", "-c", in.config)
	cmd.Dir = in.dir
	out, err := startBackground(cmd, filepath.Join(in.dir, "server"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.kill)
	if _, err := out.ready(); err != nil {
		t.Fatal(err)
	}
	in.signIn(t, "mac-1")
	if asserted := in.metric(t, `gatepost_decisions_total{outcome="asserted",reason="",relying_party="acme",verdict="compliant"}`); asserted != "1" {
		t.Errorf("%q decisions are counted, want 1", asserted)
	}
	metadata, err := in.fetchMetadata()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(in.dir, "idp.xml"), string(metadata))

	limitFiles(t, out, 4<<10) // no page of the store but its first
	failed := exec.Command("okta", "sign-in", "okta", "idp.xml", "--cert", "mac-1.pem")
	failed.Dir = in.dir
	if text, err := failed.CombinedOutput(); err == nil {
		t.Fatalf("a sign-in that cannot be recorded was answered:\n%s", text)
	}
	status, text := in.readyz(t)
	if status != http.StatusServiceUnavailable || !strings.HasPrefix(text, "not ready\nstore_write: ") || strings.Count(text, "\n") != 2 {
		t.Errorf("on a full disk /readyz is %d: %q", status, text)
	}
	t.Logf("on a full disk: %s", text)
	for name, want := range map[string]string{
		"gatepost_ready": "0", `gatepost_ready_check{check="store_write"}`: "0", `gatepost_ready_check{check="store_read"}`: "1",
		`gatepost_decisions_total{outcome="asserted",reason="",relying_party="acme",verdict="compliant"}`: "1",
	} {
		if got := in.metric(t, name); got != want {
			t.Errorf("on a full disk %s is %q, want %q", name, got, want)
		}
	}
	if failures := in.metric(t, "gatepost_store_commit_failures_total"); failures == "0" || failures == "" {
		t.Errorf("%q commits failed", failures)
	}
	answer, err := browse(webClient(nil, nil), "GET", in.ops+"/healthz", "")
	if err != nil || answer.status != http.StatusOK {
		t.Errorf("/healthz on a full disk: %v, %v", answer, err)
	}

	limitFiles(t, out, 0)
	if err := out.until("/readyz", func() bool { status, text = in.readyz(t); return status == http.StatusOK }); err != nil {
		t.Fatalf("%v: it is %d: %s", err, status, text)
	}
	in.signIn(t, "mac-1")
	if err := out.stop(syscall.SIGTERM, 0); err != nil {
		t.Error(err)
	}
}
