package collect

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestThisMachine observes the machine that the test runs on, whatever it is,
// and compares with what can be read here in another way.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	o := New(time.Now).Collect(t.Context())
	bounded(t, o)
	t.Logf("\n%s", show(o))
	if o.Device.OS != "Linux" {
		t.Errorf("OS %q", o.Device.OS)
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || o.BootID != strings.TrimSpace(string(id)) {
		t.Errorf("boot ID %q, want %q (%v)", o.BootID, id, err)
	}
	for _, p := range o.Problems {
		if what, _, ok := strings.Cut(p, ": "); !ok || o.Facts[what] != "" {
			t.Errorf("both a problem and a fact: %q", p)
		}
	}
	for _, name := range []string{"DiskEncrypted", "FirewallOn", "ScreenLock", "SecureBoot", "TPMPresent", "PendingSecurityUpdates", "EDR"} {
		if o.Facts[name] == "" && !strings.Contains(strings.Join(o.Problems, "\n"), name+": ") {
			t.Errorf("%s is absent, and nobody says why", name)
		}
	}
	again := (&Collector{New(time.Now).probes[:3]}).Collect(t.Context()) // without the slow ones
	if again.BootID != o.BootID || again.Device != o.Device {
		t.Errorf("another device in the same boot: %+v, then %+v", o.Device, again.Device)
	}
}

// TestChildrenEnd: when time is up, what the program started ends with it.
func TestChildrenEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	out, _, err := runProgram(ctx, program(t, "sleep 60 & echo $!; exec sleep 60"))
	pid := strings.TrimSpace(out)
	if err == nil || pid == "" {
		t.Fatalf("%q, %v", out, err)
	}
	for range 100 {
		text, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil || strings.Contains(string(text), "\nState:\tZ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("process %s goes on", pid)
}
