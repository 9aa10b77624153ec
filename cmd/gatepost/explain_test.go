package main

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

// encrypted is a rule that wants the agent to say that the disk is encrypted.
type encrypted struct{}

func (encrypted) Name() string { return "disk-encrypted" }

func (encrypted) Check(in *posture.Input) (posture.Failure, bool) {
	for _, f := range in.Device.Facts {
		if f.Name == "DiskEncrypted" && f.Source.Kind == posture.Agent && f.Value == "true" {
			return posture.Failure{}, true
		}
	}
	return posture.Failure{Rule: "disk-encrypted", Why: "The disk is not encrypted.", Help: "Turn on FileVault.", Link: "https://help.example.com/filevault"}, false
}

func (encrypted) Explain(*posture.Input) posture.Finding {
	return posture.Finding{Rule: "disk-encrypted"}
}

// explainingDemo is a demo whose Okta has explained what is wrong, on a device
// whose disk is not encrypted.
func explainingDemo(t *testing.T) *demo {
	t.Helper()
	d := startTestDemo(t)
	d.gatepost.current.Load().parties.policies[defaultPolicy].Rules = []posture.Rule{encrypted{}}
	ctx := t.Context()
	if err := d.admin.RemoveRelyingParty(ctx, "demo"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.admin.AddRelyingParty(ctx, admin.NewRelyingParty{Name: "demo", Metadata: string(d.okta.Metadata()), OnNoncompliant: "explain"}); err != nil {
		t.Fatal(err)
	}
	setDisk(t, d, "false")
	return d
}

// setDisk has the device's agent say whether its disk is encrypted.
func setDisk(t *testing.T, d *demo, encrypted string) {
	t.Helper()
	_, err := d.gatepost.records.UpdateDevice(t.Context(), "demo-macbook", func(device *posture.Device, _ bool) error {
		device.Apply(&posture.Report{DeviceID: device.ID, Facts: map[string]string{"DiskEncrypted": encrypted}}, posture.Source{Name: "agent", Kind: posture.Agent}, d.now())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestChromiumIsExplained: from Okta to the page, mended, checked and back; and
// on without mending.
func TestChromiumIsExplained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ choice, binding, compliant string }{{"check", "redirect", "true"}, {"check", "post", "true"}, {"continue", "redirect", "false"}} {
		t.Run(c.choice+" "+c.binding, func(t *testing.T) {
			t.Parallel()
			d := explainingDemo(t)
			home := chromiumHome(t)
			trust(t, home, d)
			hold(t, home, d, "demo-macbook")
			ctx := chromium(t, home)
			step := func(actions ...chromedp.Action[chromedp.Void]) {
				t.Helper()
				if err := chromedp.Do(ctx, actions...); err != nil {
					t.Fatal(err)
				}
			}
			step(chromedp.Navigate(d.oktaURL()+"/"), chromedp.Click("#login-"+c.binding), chromedp.WaitVisible("#blocking"))
			if got := textOf(t, ctx, "#blocking ~ ul h3"); got != "The disk is not encrypted." {
				t.Errorf("explained: %q", got)
			}
			step(chromedp.Click(`button[value="check"]`), chromedp.WaitVisible("[role=status]"))
			if n := decisions(t, d); n != 0 {
				t.Errorf("%d decisions are recorded before there is one", n)
			}
			if c.choice == "check" {
				setDisk(t, d, "true")
			}
			step(chromedp.Click(`button[value="`+c.choice+`"]`), chromedp.WaitVisible("#result"))
			for what, want := range map[string]string{"outcome": "signed-in", "managed": "true", "compliant": c.compliant, "error": "", "user": "user@example.com"} {
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

// TestContinueEndpoints: both are there, for forms of their own only, and tell
// nothing to who has no ticket.
func TestContinueEndpoints(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots}}}
	for _, path := range []string{"/saml/sso/continue", "/oidc/authorize/continue"} {
		for method, want := range map[string]int{http.MethodGet: http.StatusMethodNotAllowed, http.MethodPost: http.StatusBadRequest} {
			request, err := http.NewRequestWithContext(t.Context(), method, d.deviceURL()+path, strings.NewReader(url.Values{"ticket": {"x"}, "choice": {"continue"}}.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d", method, path, resp.StatusCode)
			}
		}
	}
}
