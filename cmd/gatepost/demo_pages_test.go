package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

// ask sends one request to the start page's server.
func ask(t *testing.T, d *demo, method, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.startPage()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func decisions(t *testing.T, d *demo) int {
	t.Helper()
	list, err := d.gatepost.records.LastDecisions(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestDemoPages(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	res, start := ask(t, d, "GET", "/", nil)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'nonce-") {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	for _, want := range []string{d.password, d.oktaURL(), d.deviceURL(), `href="/devices/demo-tablet.p12"`, `content="same-origin"`} {
		if !strings.Contains(start, want) {
			t.Errorf("the start page does not say %q", want)
		}
	}
	for id, wants := range map[string][]string{
		"compliant":      {"the device is managed and compliant.", "<mark>", "demo-macbook", "&lt;saml2p:AuthnRequest", "&lt;saml:Assertion", "Fact Name=&#34;IsCompliant&#34; Value=&#34;true&#34;", "0oa"},
		"noncompliant":   {"the device is managed and not compliant.", "not_compliant", "HTTP-POST, signed", "signed-in"},
		"unmanaged":      {"nothing can be said for this device (not_managed)", "DEVICE_NOT_MANAGED", "demo-tablet"},
		"no-certificate": {"nothing can be said for this device (no_certificate)", "<dt>certificate</dt><dd>none</dd>"},
		"oidc-compliant": {"Gatepost signs: the device is managed and compliant.", "<mark>  &#34;device_context&#34;: {</mark>", "<mark>    &#34;externalId&#34;: &#34;demo-macbook&#34;",
			"<mark>  &#34;login_hint&#34;: &#34;ana@example.com&#34;", "&#34;code_challenge_method&#34;: &#34;S256&#34;", "0oa"},
		"oidc-noncompliant":   {"the device is managed and not compliant.", "not_compliant", "signed (RS256), with PKCE", "signed-in"},
		"oidc-unmanaged":      {"nothing can be said for this device.", "access_denied", "DEVICE_NOT_MANAGED", "not_managed", "demo-tablet"},
		"oidc-no-certificate": {"nothing can be said for this device.", "access_denied", "no_certificate", "<dt>certificate</dt><dd>none</dd>"},
	} {
		if !strings.Contains(start, `action="/replay/`+id+`"`) {
			t.Errorf("the start page has no button for %s", id)
		}
		before := decisions(t, d)
		res, page := ask(t, d, "POST", "/replay/"+id, nil)
		if res.StatusCode != 200 || decisions(t, d) != before+1 {
			t.Errorf("%s: status %d, %d decisions more", id, res.StatusCode, decisions(t, d)-before)
		}
		for _, want := range append(wants, "<strong>Right.</strong>") {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page does not say %q", id, want)
			}
		}
	}
}

func TestDemoPageSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	d.scenarios[0].Want.Compliant = false
	res, page := ask(t, d, "POST", "/replay/compliant", nil)
	if res.StatusCode != 200 || !strings.Contains(page, "<strong>Wrong.</strong>") || !strings.Contains(page, "compliant: &#34;yes&#34; instead of &#34;no&#34;") {
		t.Errorf("%d %s", res.StatusCode, page)
	}
	d.devices = nil
	if res, page = ask(t, d, "POST", "/replay/unmanaged", nil); res.StatusCode != 200 || !strings.Contains(page, "no device &#34;demo-tablet&#34;") {
		t.Errorf("%d %s", res.StatusCode, page)
	}
}

func TestDemoDownload(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	for _, device := range d.devices {
		res, body := ask(t, d, "GET", "/devices/"+device.ID+".p12", nil)
		_, certificate, authorities, err := pkcs12.DecodeChain([]byte(body), d.password)
		if err != nil {
			t.Fatalf("%d: %v", res.StatusCode, err)
		}
		if !certificate.Equal(device.certificate.Leaf) || len(authorities) != 1 || certificate.CheckSignatureFrom(authorities[0]) != nil {
			t.Errorf("%s: another certificate", device.ID)
		}
		if got := res.Header.Get("Content-Disposition"); got != `attachment; filename="`+device.ID+`.p12"` {
			t.Errorf("%s: %s", device.ID, got)
		}
	}
}

func TestDemoPagesRefuse(t *testing.T) {
	t.Parallel()
	d := startTestDemo(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	port := d.listeners.port(2)
	for name, c := range map[string]struct {
		method, path string
		change       func(*http.Request)
		status       int
	}{
		"other site":         {"POST", "/replay/compliant", header("Sec-Fetch-Site", "cross-site"), 403},
		"other port":         {"POST", "/replay/compliant", header("Sec-Fetch-Site", "same-site"), 403},
		"other origin":       {"POST", "/replay/compliant", header("Origin", "https://evil.example"), 403},
		"no origin":          {"POST", "/replay/compliant", header("Origin", "null"), 403},
		"this origin":        {"POST", "/replay/compliant", header("Origin", d.startPage()), 200},
		"this site":          {"POST", "/replay/compliant", header("Sec-Fetch-Site", "same-origin"), 200},
		"rebound name":       {"GET", "/", host("evil.example:" + port), 421},
		"rebound post":       {"POST", "/replay/compliant", host("evil.example:" + port), 421},
		"rebound key":        {"GET", "/devices/demo-macbook.p12", host("evil.example:" + port), 421},
		"no port":            {"GET", "/", host("127.0.0.1"), 421},
		"suffix":             {"GET", "/", host("localhost:" + port + ".evil.example"), 421},
		"localhost":          {"GET", "/", host("localhost:" + port), 200},
		"get a replay":       {"GET", "/replay/compliant", nil, 404},
		"unknown sign-in":    {"POST", "/replay/other", nil, 404},
		"unknown device":     {"GET", "/devices/other.p12", nil, 404},
		"no device":          {"GET", "/devices/.p12", nil, 404},
		"other file":         {"GET", "/devices/demo-macbook", nil, 404},
		"out of the folder":  {"GET", "/devices/..%2Fdemo-macbook.p12", nil, 404},
		"unknown page":       {"GET", "/other", nil, 404},
		"post to start page": {"POST", "/", nil, 404},
	} {
		before := decisions(t, d)
		res, body := ask(t, d, c.method, c.path, c.change)
		if res.StatusCode != c.status {
			t.Errorf("%s: status %d instead of %d", name, res.StatusCode, c.status)
		}
		if c.status != 200 && (decisions(t, d) != before || strings.Contains(body, d.password)) {
			t.Errorf("%s: something came of it", name)
		}
	}
}
