package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemdTakesIt has systemd itself read the unit.
func TestSystemdTakesIt(t *testing.T) {
	t.Parallel()
	program, err := os.Executable() // it has to be there
	check(t, err)
	text, err := unit(awkward(program))
	check(t, err)
	path := filepath.Join(t.TempDir(), unitName)
	check(t, os.WriteFile(path, []byte(text), 0o644))
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), unitName) {
		t.Errorf("systemd-analyze (apt-get install systemd): %v\n%s\n%s", err, out, text)
	}
	const want = `run --url "https://device.example.com/?a=1&b=2" "two words" "<\"quoted\"> \\ 100%% $$HOME" ""` + "\n"
	if !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	for _, hides := range []string{"ProtectClock", "PrivateDevices", "DeviceAllow", "DevicePolicy"} {
		if strings.Contains(text, hides) {
			t.Errorf("%s hides the TPM", hides)
		}
	}
	if want := `ReadWritePaths=/var/lib/gatepost-agent -/etc -/home "-/srv/ann's 100%% home"` + "\n"; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
}
