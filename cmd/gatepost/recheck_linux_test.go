package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecheckReachesTheAgent: the agent, which reports once an hour, reports
// within two seconds when it is asked to, beside the time that it takes to look
// at its machine: where there is apt, that is seconds of work.
func TestRecheckReachesTheAgent(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	c := &commands{t: t, d: d, agent: agentProgram(t), state: filepath.Join(t.TempDir(), "state")}
	token := c.gatepost("token", "create", "--kind", "enroll", "--managed", "--owner", "user@example.com")
	out := c.run(exitOK, token+"\n", "enroll", "--server", d.issuer(), "--token", "-", "--ca", filepath.Join(d.dir, "data", "trial-ca.crt"), "--no-browser", "--no-service", "--tpm", "off")
	_, id, ok := strings.Cut(strings.SplitN(out, ".\n", 2)[0], "enrolled as ")
	if !ok {
		t.Fatalf("enroll: %s", out)
	}
	agent, err := startBackground(exec.CommandContext(t.Context(), c.agent, "--state", c.state, "run"), filepath.Join(t.TempDir(), "agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer agent.kill()
	if err := agent.until("a report", func() bool { return c.device(id).Agent != nil }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.run(exitOK, "", "report", "--dry-run")
	limit := 2*time.Second + 2*time.Since(began)
	for n := range uint64(2) {
		time.Sleep(3 * betweenAsks) // it waits again by now
		if out := c.gatepost("device", "recheck", id); out != id+" is asked for a report" {
			t.Errorf("recheck: %s", out)
		}
		if err := agent.until("another report", func() bool { return c.device(id).Agent.Sequence == n+2 }); err != nil {
			t.Fatal(err)
		}
		device := c.device(id)
		if took := device.Agent.ReceivedAt.Sub(device.RecheckAt); took <= 0 || took > limit {
			t.Errorf("the report came after %s, not within %s", took, limit)
		}
	}
}

// betweenAsks is how long an agent rests before it waits for word again.
const betweenAsks = time.Second
