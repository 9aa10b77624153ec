package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gatepost.dev/admin"
)

// challenged is a demo whose Okta has agents asked, with a device whose agent runs.
type challenged struct {
	*commands
	id      string // of the device
	running *background
}

func startChallenged(t *testing.T) *challenged {
	t.Helper()
	d := startTestDemo(t)
	c := &challenged{commands: &commands{t: t, d: d, agent: agentProgram(t), state: filepath.Join(t.TempDir(), "state")}}
	c.gatepost("org", "remove", "demo")
	if _, err := d.admin.AddRelyingParty(t.Context(), admin.NewRelyingParty{Name: "demo", Metadata: string(d.okta.Metadata()), AgentChallenge: true}); err != nil {
		t.Fatal(err)
	}
	token := c.gatepost("token", "create", "--kind", "enroll", "--managed", "--owner", "user@example.com")
	out := c.run(exitOK, token+"\n", "enroll", "--server", d.issuer(), "--token", "-", "--ca", filepath.Join(d.dir, "data", "trial-ca.crt"), "--no-browser", "--no-service", "--tpm", "off")
	var ok bool
	if _, c.id, ok = strings.Cut(strings.SplitN(out, ".\n", 2)[0], "enrolled as "); !ok {
		t.Fatalf("enroll: %s", out)
	}
	c.startAgent()
	return c
}

// startAgent starts the agent, and waits until it takes challenges: it looks at its
// machine for long first where that is busy, and nothing here is about that.
func (c *challenged) startAgent() {
	c.t.Helper()
	agent, err := startBackground(exec.CommandContext(c.t.Context(), c.commands.agent, "--state", c.state, "run"), filepath.Join(c.t.TempDir(), "agent"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(agent.kill)
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.d.gatepost.current.Load().config.Devices.AgentPort))
	if err := agent.until("the agent's port", func() bool {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}); err != nil {
		c.t.Fatal(err)
	}
	c.running = agent
}

// public makes Chromium take the demo for hosts of the internet, for which alone
// it restricts what pages do on loopback, and block windows that nobody asked for.
func (c *challenged) public() []chromedp.ExecAllocatorOption {
	return []chromedp.ExecAllocatorOption{
		chromedp.Flag("ip-address-space-overrides", "127.0.0.1:"+c.d.listeners.port(0)+"=public,127.0.0.1:"+c.d.listeners.port(1)+"=public"),
		chromedp.Flag("disable-popup-blocking", false),
	}
}

// decided is whose device the last decision was on, and by what.
func (c *challenged) decided() string {
	c.t.Helper()
	return c.gatepost("decisions", "--last", "1", "--json")
}

func TestChallengeInChromium(t *testing.T) {
	t.Parallel()
	c := startChallenged(t)
	home := chromiumHome(t)
	trust(t, home, c.d)
	ctx := chromium(t, home, c.public()...)
	do(t, ctx, "asked", chromedp.Navigate(c.d.oktaURL()+"/"), chromedp.Click("#login-redirect"), chromedp.WaitVisible("#check"))
	do(t, ctx, "signed-in", chromedp.Click("#check"), chromedp.WaitVisible("#result"))
	if outcome := textOf(t, ctx, "#result-outcome") + " " + textOf(t, ctx, "#result-managed"); outcome != "signed-in true" {
		t.Errorf("%s: %s", outcome, textOf(t, ctx, "#result-why"))
	}
	if last := c.decided(); !strings.Contains(last, `"device":"`+c.id+`"`) || !strings.Contains(last, `"proof":{"method":"challenge","rank":"software"}`) {
		t.Errorf("decided: %s", last)
	}

	if out := c.run(exitOK, "", "status"); !strings.Contains(out, "challenges") || !strings.Contains(out, "while the agent runs") {
		t.Errorf("status: %s", out)
	}

	// With no agent the page says what to do, and lets the user go on.
	c.running.kill()
	do(t, ctx, "asked-again", chromedp.Navigate(c.d.oktaURL()+"/"), chromedp.Click("#login-redirect"), chromedp.WaitVisible("#check"))
	began := time.Now()
	do(t, ctx, "absent", chromedp.Click("#check"), chromedp.WaitVisible("#absent"))
	if took := time.Since(began); took > 30*time.Second { // its own clock says 2.5 s; this machine's picture takes time too
		t.Errorf("help came after %s", took)
	}
	if said := textOf(t, ctx, "#check"); said != "Try again" {
		t.Errorf("the button says %q", said)
	}
	do(t, ctx, "without", chromedp.Click("#go button"), chromedp.WaitVisible("#result"))
	if why := textOf(t, ctx, "#result-why"); !strings.Contains(why, "no_certificate") {
		t.Errorf("without the agent: %s", why)
	}
}

// TestChallengeInFirefox: no certificate, no prompt, and no click either where an
// administrator allows windows.
func TestChallengeInFirefox(t *testing.T) {
	t.Parallel()
	c := startChallenged(t)
	for _, clicks := range []bool{true, false} {
		f := startFirefox(t, map[string]string{
			"dom.disable_open_during_load":              strconv.FormatBool(clicks),
			"network.lna.address_space.public.override": `"127.0.0.1:` + c.d.listeners.port(0) + `"`,
			"network.lna.blocking":                      "true",
			"network.lna.enabled":                       "true",
		})
		f.navigate(c.d.oktaURL() + "/")
		f.click("#login-redirect")
		if clicks {
			f.picture("asked", "#check")
			f.click("#check")
		}
		f.picture("result-clicks-"+strconv.FormatBool(clicks), "#result")
		if outcome := f.text("#result-outcome") + " " + f.text("#result-managed"); outcome != "signed-in true" {
			t.Errorf("clicks %t: %s: %s", clicks, outcome, f.text("#result-why"))
		}
		if last := c.decided(); !strings.Contains(last, `"device":"`+c.id+`"`) || !strings.Contains(last, `"proof":{"method":"challenge","rank":"software"}`) {
			t.Errorf("decided: %s", last)
		}
	}
}
