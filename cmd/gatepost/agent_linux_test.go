package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"gatepost.dev/admin"
)

// agentProgram is the real agent, which is built once.
func agentProgram(t *testing.T) string {
	t.Helper()
	path, err := builtAgent()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtAgent = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programs(), "gatepost-agent")
	if out, err := exec.Command("go", "build", "-o", path, "gatepost.dev/cmd/gatepost-agent").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the agent: %w\n%s", err, out)
	}
	return path, nil
})

// commands are both programs on one demo.
type commands struct {
	t     *testing.T
	d     *demo
	agent string // the program
	state string // of the agent
}

// gatepost runs the program as an administrator does.
func (c *commands) gatepost(args ...string) string {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(c.t.Context(), append(args, "--config", c.d.configFile()), &stdout, &stderr); status != exitOK {
		c.t.Fatalf("gatepost %s: status %d: %s", strings.Join(args, " "), status, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// run runs the agent and demands the exit status.
func (c *commands) run(status int, stdin string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.agent, append([]string{"--state", c.state}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		c.t.Fatalf("gatepost-agent %s: status %d, want %d:\n%s", strings.Join(args, " "), got, status, out)
	}
	return string(out)
}

func (c *commands) device(id string) admin.Device {
	c.t.Helper()
	d, err := c.d.admin.Device(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

// TestAgentToBrowser goes the whole way: a token, a real agent that enrols and
// reports, Chromium with the certificate that the agent installed, and a device
// that is retired and refused at the next click.
func TestAgentToBrowser(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	home := chromiumHome(t)
	trust(t, home, d)
	c := &commands{t: t, d: d, agent: agentProgram(t), state: filepath.Join(t.TempDir(), "state")}
	if out := c.run(exitFailed, "", "status"); !strings.Contains(out, "not enrolled") {
		t.Errorf("status before: %s", out)
	}
	token := c.gatepost("token", "create", "--kind", "enroll", "--managed", "--owner", "user@example.com", "--note", "a laptop")
	enroll := []string{"enroll", "--server", d.issuer(), "--token", "-", "--ca", filepath.Join(d.dir, "data", "trial-ca.crt"), "--home", home, "--no-service", "--tpm", "off"}
	out := c.run(exitOK, token+"\n", enroll...)
	_, id, ok := strings.Cut(strings.SplitN(out, ".\n", 2)[0], "enrolled as ")
	if !ok || !strings.Contains(out, "counts as managed") {
		t.Fatalf("enroll: %s", out)
	}
	if os.Geteuid() == 0 {
		t.Cleanup(func() { os.Remove("/etc/chromium/policies/managed/gatepost-device.json") })
		if strings.Contains(out, "do not have its certificate") {
			t.Errorf("enroll: %s", out)
		}
	} else {
		choose(t, home, d) // only root can write policies
	}
	if out := c.run(exitFailed, token, enroll...); !strings.Contains(out, "enrolled already") {
		t.Errorf("enroll again: %s", out)
	}
	if out := c.gatepost("token", "list", "--all"); !strings.Contains(out, " used ") || !strings.Contains(out, id) || strings.Contains(out, token) {
		t.Errorf("tokens: %s", out)
	}

	// The agent runs, and its report arrives.
	agent, err := startBackground(exec.CommandContext(t.Context(), c.agent, "--state", c.state, "run"), filepath.Join(t.TempDir(), "agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer agent.kill()
	if err := agent.until("a report", func() bool { return c.device(id).Agent != nil }); err != nil {
		t.Fatal(err)
	}
	if device := c.device(id); device.Agent.Sequence != 1 || device.OS != "Linux" || device.Agent.BootID == "" || !device.Verdict.Managed || device.Owner != "user@example.com" {
		t.Errorf("%+v", device)
	}
	if out := c.gatepost("device", "show", id); !strings.Contains(out, "DiskEncrypted") || !strings.Contains(out, "report 1") {
		t.Errorf("device show: %s", out)
	}

	// Chromium shows the certificate that the agent installed.
	ctx := chromium(t, home)
	result := func(picture string) (outcome, why string) {
		t.Helper()
		do(t, ctx, picture, chromedp.Navigate(d.oktaURL()+"/"), chromedp.Click("#login-redirect"), chromedp.WaitVisible("#result"))
		return textOf(t, ctx, "#result-outcome") + " " + textOf(t, ctx, "#result-managed"), textOf(t, ctx, "#result-why")
	}
	if outcome, why := result("enrolled"); outcome != "signed-in true" {
		t.Fatalf("signed in as %q: %s", outcome, why)
	}
	if last := c.gatepost("decisions", "--last", "1", "--json"); !strings.Contains(last, `"device":"`+id+`"`) {
		t.Errorf("decided: %s", last)
	}

	// Retired, the next click is refused, and so is the agent.
	c.gatepost("device", "retire", id, "--reason", "lost")
	if outcome, why := result("retired"); !strings.HasPrefix(outcome, "failed") || !strings.Contains(why, "revoked_certificate") {
		t.Errorf("after retiring: %q: %s", outcome, why)
	}
	if out := c.run(exitFailed, "", "report", "--once"); !strings.Contains(out, "does not count any more") || !strings.Contains(out, "1 reports wait") {
		t.Errorf("report of a retired device: %s", out)
	}
	if out := c.run(exitFailed, "", "status"); !strings.Contains(out, "trouble") || !strings.Contains(out, ".pki/nssdb") {
		t.Errorf("status: %s", out)
	}

	// Uninstalled, nothing is left.
	agent.kill()
	c.run(exitOK, "", "uninstall")
	if out, err := exec.CommandContext(t.Context(), "certutil", "-L", "-d", "sql:"+home+"/.pki/nssdb").CombinedOutput(); err != nil || bytes.Contains(out, []byte("gatepost")) {
		t.Errorf("after uninstalling: %v\n%s", err, out)
	}
	if _, err := os.Stat(c.state); !os.IsNotExist(err) {
		t.Errorf("the agent's state is still there: %v", err)
	}
}
