package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// TestReleaseKeepsSuspicion: the end of a quarantine settles no suspicion, however
// often it is asked for, and whether or not there was a quarantine; only --suspicion
// or a word on the key does.
func TestReleaseKeepsSuspicion(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "gp")
	gatepost := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append(args, "--config", filepath.Join(data, "gatepost.yaml")), &stdout, &stderr); status != exitOK {
			t.Fatalf("gatepost %v: %d, %s", args, status, &stderr)
		}
		return stdout.String()
	}
	gatepost("init", "--issuer", "https://localhost:8443", "--device-url", "https://127.0.0.1:8443", "--data", data, "--trial-tls")
	files, err := filepath.Glob(filepath.Join(data, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	kv, err := bolt.Open(files[0], bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"both", "suspected"} {
		_, err := store.New(kv).UpdateDevice(t.Context(), id, func(d *posture.Device, _ bool) error {
			d.ID, d.Suspected = id, &posture.Suspicion{At: time.Now(), Why: "two systems are up"}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	const still = "both is still suspected to be two: two systems are up; \"gatepost device release both --suspicion\" settles that\n"
	for _, step := range []struct{ args, want string }{
		{"quarantine both --reason alert --by soc", still},
		{"release both", "both is not in quarantine any more\n" + still},
		{"release both", "both is in no quarantine; nothing changed\n" + still},
		{"quarantine both --reason again --by soc", still},
		{"release both --keep old", "both is not suspected any more\nboth is still in quarantine since "},
		{"release both", "both is not in quarantine any more\n"},
		{"release suspected", "suspected is in no quarantine; nothing changed\nsuspected is still suspected"},
		{"release suspected --suspicion", "suspected is not suspected any more\n"},
		{"release suspected", "suspected is in no quarantine; nothing changed\n"},
	} {
		if out := gatepost(append([]string{"device"}, strings.Fields(step.args)...)...); !strings.Contains(out, step.want) {
			t.Errorf("%s: %q, want %q", step.args, out, step.want)
		}
	}
}
