package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// chromiumHome is a home folder for one Chromium, with its certificates and its
// profile. Chromium's last process may still write there when it is removed.
func chromiumHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("", "chromium-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	nssdb := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(nssdb, 0o700); err != nil {
		t.Fatal(err)
	}
	nss(t, "certutil", "-N", "--empty-password", "-d", "sql:"+nssdb)
	return home
}

// nss runs a program of NSS, where Chromium on Linux keeps certificates.
func nss(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("this test needs %s (apt-get install libnss3-tools)", name)
	}
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// trust makes Chromium trust the demo's TLS certificates.
func trust(t *testing.T, home string, d *demo) {
	t.Helper()
	for i, file := range d.invitation().Authorities {
		rest, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for j := 0; ; j++ {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			name := "ca-" + strconv.Itoa(i) + "-" + strconv.Itoa(j)
			path := filepath.Join(home, name+".pem")
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
			nss(t, "certutil", "-A", "-d", "sql:"+home+"/.pki/nssdb", "-t", "C,,", "-n", name, "-i", path)
		}
	}
}

// hold imports the device's PKCS#12 file, and has Chromium choose it without
// asking.
func hold(t *testing.T, home string, d *demo, device string) {
	t.Helper()
	nss(t, "pk12util", "-d", "sql:"+home+"/.pki/nssdb", "-i", d.device(device).p12File, "-W", d.password)
	choose(t, home, d)
}

// choose has Chromium choose a certificate without asking: headless Chromium
// would wait for ever at a dialogue that nobody sees. The setting in its profile
// is the one that the policy AutoSelectCertificateForUrls makes, which holds for
// the whole machine.
func choose(t *testing.T, home string, d *demo) {
	t.Helper()
	type object = map[string]any
	preferences, err := json.Marshal(object{"profile": object{"content_settings": object{"exceptions": object{
		"auto_select_certificate": object{d.deviceURL() + ",*": object{"setting": object{"filters": []object{{}}}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "profile", "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "profile", "Default", "Preferences"), preferences, 0o600); err != nil {
		t.Fatal(err)
	}
}

// chromium starts the browser.
func chromium(t *testing.T, home string, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium (apt-get install chromium): ", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Env("HOME="+home, "TMPDIR="+home), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Flag("disable-component-update", true))
	options = append(options, more...)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("start Chromium: ", err)
	}
	return ctx
}

// do runs the actions, and keeps a picture when the test was started with
// -artifacts.
func do(t *testing.T, ctx context.Context, picture string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	err := chromedp.Do(ctx, actions...)
	if png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100)); err != nil {
		t.Error(picture, ": ", err)
	} else if err := os.WriteFile(filepath.Join(t.ArtifactDir(), picture+".png"), png, 0o600); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(picture, ": ", err)
	}
}

func textOf(t *testing.T, ctx context.Context, selector string) string {
	t.Helper()
	text, err := chromedp.Run(ctx, chromedp.TextContent(selector))
	if err != nil {
		t.Fatal(selector, ": ", err)
	}
	return strings.TrimSpace(text)
}

func TestChromiumReplays(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	ctx := chromium(t, chromiumHome(t))
	stopped := make(chan string, 100) // by the pages' policy
	if err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok && e.Entry.Source == cdplog.EntrySourceSecurity {
			stopped <- e.Entry.Text
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	for _, s := range d.scenarios {
		do(t, ctx, "start", chromedp.EmulateViewport(390, 844), chromedp.Navigate(d.startPage()+"/"), chromedp.WaitVisible("#replay-"+s.ID))
		do(t, ctx, s.ID, chromedp.Click("#replay-"+s.ID), chromedp.WaitVisible("#verdict"))
		if got := textOf(t, ctx, "#verdict"); !strings.HasPrefix(got, "Right. ") {
			t.Errorf("%s: %s", s.ID, got)
		}
		if got := textOf(t, ctx, "h1"); got != s.Title {
			t.Errorf("%s: heading %q", s.ID, got)
		}
		wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > innerWidth"))
		if err != nil || wide {
			t.Errorf("%s: wider than a phone: %t, %v", s.ID, wide, err)
		}
	}
	select {
	case text := <-stopped:
		t.Error("the policy stopped something: ", text)
	default:
	}
}

// TestChromiumSignsIn signs in by Chromium itself, through the simulated Okta's
// own pages.
func TestChromiumSignsIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		device  string
		binding string
		want    map[string]string
	}{
		"compliant":         {"demo-macbook", "redirect", map[string]string{"outcome": "signed-in", "managed": "true", "compliant": "true", "error": "", "user": "user@example.com"}},
		"compliant by post": {"demo-macbook", "post", map[string]string{"outcome": "signed-in", "managed": "true", "compliant": "true", "error": ""}},
		"no certificate": {"", "redirect", map[string]string{"outcome": "failed", "managed": "", "error": "DEVICE_NOT_MANAGED",
			"why": "urn:oasis:names:tc:SAML:2.0:status:Responder / urn:oasis:names:tc:SAML:2.0:status:AuthnFailed: no_certificate"}},
		"compliant by OIDC":      {"demo-macbook", "oidc", map[string]string{"outcome": "signed-in", "managed": "true", "compliant": "true", "error": "", "user": "user@example.com"}},
		"no certificate by OIDC": {"", "oidc", map[string]string{"outcome": "failed", "managed": "", "error": "DEVICE_NOT_MANAGED", "why": "access_denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startTestDemo(t)
			home := chromiumHome(t)
			trust(t, home, d)
			if c.device != "" {
				hold(t, home, d, c.device)
			}
			ctx := chromium(t, home)
			do(t, ctx, "result", chromedp.Navigate(d.oktaURL()+"/"), chromedp.Click("#login-"+c.binding), chromedp.WaitVisible("#result"))
			for what, want := range c.want {
				if got := textOf(t, ctx, "#result-"+what); got != want {
					t.Errorf("%s: %q instead of %q", what, got, want)
				}
			}
			if n := decisions(t, d); n != 1 {
				t.Errorf("%d decisions are recorded", n)
			}
		})
	}
}

// TestChromiumConnectsAnew: sent to prove the device's key again, Chromium does
// so on a new connection, without asking anybody.
func TestChromiumConnectsAnew(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	home := chromiumHome(t)
	trust(t, home, d)
	hold(t, home, d, "demo-macbook")
	ctx := chromium(t, home)
	proven := func(query string) int64 {
		t.Helper()
		do(t, ctx, "result", chromedp.Navigate(d.oktaURL()+"/oidc/login?user=user%40example.com"+query), chromedp.WaitVisible("#result"))
		if got := textOf(t, ctx, "#result-outcome"); got != "signed-in" {
			t.Fatalf("%q: %s", query, got)
		}
		var claims struct {
			AuthTime int64 `json:"auth_time"`
		}
		if err := json.Unmarshal([]byte(textOf(t, ctx, "#id-token")), &claims); err != nil {
			t.Fatal(err)
		}
		return claims.AuthTime
	}
	first := proven("")
	time.Sleep(1100 * time.Millisecond) // auth_time is in whole seconds
	if again := proven(""); again != first {
		t.Errorf("auth_time is %d after %d, though nobody asked for a new proof", again, first)
	}
	if anew := proven("&prompt=login"); anew <= first {
		t.Errorf("auth_time is %d still", anew)
	}
}
