package bolt

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatepost.dev/store"
)

// limitedDir names the folder of the process that runs with a limit.
const limitedDir = "GATEPOST_BOLT_LIMITED_DIR"

// TestFileLimit: a write that the system refuses is an error, and later ones
// succeed when there is room. Limits are a process's own, so one is made for it.
func TestFileLimit(t *testing.T) {
	if dir := os.Getenv(limitedDir); dir != "" {
		limited(t, filepath.Join(dir, "store.db"))
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFileLimit$", "-test.count=1")
	cmd.Env = append(os.Environ(), limitedDir+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func limited(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ) // the write then fails with EFBIG
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	setLimit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	fillUp(t, path, func() { setLimit(1 << 20) }, func() { setLimit(limit.Cur) })
}

// TestDiskFull is the same on a disk that is really full.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small disk needs the right to mount (TestFileLimit needs none): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	fillUp(t, filepath.Join(dir, "store.db"),
		func() {
			if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		})
}

// fillUp writes until nothing goes any more, makes room, and goes on.
func fillUp(t *testing.T, path string, shrink, makeRoom func()) {
	d, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, acknowledged := t.Context(), 0
	value := strings.Repeat("v", 10_000)
	write := func() error {
		err := d.Commit(ctx, put(fmt.Sprintf("key/%04d", acknowledged), value, store.Absent), put("last", fmt.Sprint(acknowledged), store.Any))
		if err == nil {
			acknowledged++
		}
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	shrink()
	for err = nil; err == nil && acknowledged < 1000; {
		err = write()
	}
	if err == nil || acknowledged < 10 || strings.Contains(err.Error(), "\n") {
		t.Fatalf("after %d commits: %v", acknowledged, err)
	}
	full := acknowledged
	for range 5 {
		if _, err := d.Get(ctx, "last"); err != nil {
			t.Errorf("reading on a full disk: %v", err)
		}
		if err := write(); err == nil {
			t.Log("a commit found room again")
		}
	}
	makeRoom()
	for range 20 {
		if err := write(); err != nil {
			t.Fatalf("commit when there was room again: %v", err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	keys, err := d.Scan(ctx, "key/", "", 10_000)
	last, lastErr := d.Get(ctx, "last")
	if err != nil || lastErr != nil || len(keys) != acknowledged || string(last.Value) != fmt.Sprint(acknowledged-1) {
		t.Errorf("%d keys, last %s, %d were acknowledged (%d before it was full): %v, %v", len(keys), last.Value, acknowledged, full, err, lastErr)
	}
}
