package conform

import (
	"bytes"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/beevik/etree"
)

// browse asks the handler and returns the answer with its body.
func browse(t *testing.T, o *Okta, method, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	return surf(t, o.Handler(), method, target, form)
}

// result reads the values of <dl id="result">.
func result(t *testing.T, page string) map[string]string {
	t.Helper()
	if !strings.Contains(page, `<dl id="result">`) {
		t.Fatalf("no result in %s", page)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`<dd id="result-([a-z]+)">([^<]*)</dd>`).FindAllStringSubmatch(page, -1) {
		got[m[1]] = html.UnescapeString(m[2])
	}
	return got
}

var acsPath = strings.TrimPrefix(testACS, "https://acme.okta.example")

// signIn starts a sign-in at the handler and returns what its request was
// sent with.
func signIn(t *testing.T, o *Okta, query string) (requestID, relayState string) {
	t.Helper()
	resp, _ := browse(t, o, "GET", "/login?binding=redirect&"+query, nil)
	if resp.StatusCode != http.StatusFound {
		t.Fatalf("status %d", resp.StatusCode)
	}
	to, err := resp.Location()
	if err != nil || !strings.HasPrefix(to.String(), testSSO+"?SAMLRequest=") {
		t.Fatalf("sent to %v, %v", to, err)
	}
	for id := range o.open.m {
		requestID = id
	}
	return requestID, to.Query().Get("RelayState")
}

func TestHandlerSignIn(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := newTestOkta(t, func(c *OktaConfig) { c.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	id, relayState := signIn(t, o, "user="+url.QueryEscape(testUser)+"&app=Wiki")
	p := signedBoth()
	p.app = &AppContext{InstanceID: instanceID("Wiki"), Name: "Wiki"}
	resp, page := browse(t, o, "POST", acsPath, url.Values{"SAMLResponse": {p.answerTo(t, o, id)}, "RelayState": {relayState}})
	got := result(t, page)
	if resp.StatusCode != 200 || got["outcome"] != "signed-in" || got["user"] != testUser || got["managed"] != "true" || got["compliant"] != "false" || got["error"] != "" {
		t.Errorf("%d: %v", resp.StatusCode, got)
	}
	if !strings.Contains(page, "iPhoneX") || !strings.Contains(page, "IsCompliant") || !strings.Contains(page, "Wiki") {
		t.Errorf("the device is not shown: %s", page)
	}
	if !strings.Contains(log.String(), `"outcome":"signed-in"`) || strings.Contains(log.String(), "Assertion") {
		t.Errorf("log %s", log.String())
	}
}

func TestHandlerFailure(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	id, relayState := signIn(t, o, "")
	failed := response{signResponse: true, key: idpKeys(), edit: fail}
	resp, page := browse(t, o, "POST", acsPath, url.Values{"SAMLResponse": {failed.answerTo(t, o, id)}, "RelayState": {relayState}})
	got := result(t, page)
	if resp.StatusCode != 200 || got["outcome"] != "failed" || got["error"] != "DEVICE_NOT_MANAGED" || got["managed"] != "" ||
		!strings.Contains(got["why"], "AuthnFailed: no_certificate") {
		t.Errorf("%d: %v", resp.StatusCode, got)
	}
}

func TestHandlerRejection(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	id, relayState := signIn(t, o, "")
	hostile := spoil(func(r *etree.Element) { at(r, "Issuer").SetText("<script>alert(1)</script>") })
	resp, page := browse(t, o, "POST", acsPath, url.Values{"SAMLResponse": {hostile.answerTo(t, o, id)}, "RelayState": {relayState}})
	got := result(t, page)
	if resp.StatusCode != 400 || got["outcome"] != "rejected" || got["error"] != textIssuer || got["managed"] != "" {
		t.Errorf("%d: %v", resp.StatusCode, got)
	}
	if strings.Contains(page, "<script>alert") {
		t.Errorf("not escaped: %s", page)
	}
}

func TestHandlerPostBinding(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	resp, page := browse(t, o, "GET", "/login?binding=post&user="+url.QueryEscape(testUser), nil)
	value := func(name string) string {
		m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no %s in %s", name, page)
		}
		return html.UnescapeString(m[1])
	}
	if !strings.Contains(page, `action="`+testSSO+`"`) || value("RelayState") != "https://acme.okta.example/app/UserHome" || !strings.HasPrefix(value("SAMLRequest"), "PD94") {
		t.Errorf("got %s", page)
	}
	nonce := regexp.MustCompile(`<script nonce="([0-9a-f]{32})">`).FindStringSubmatch(page)
	csp := resp.Header.Get("Content-Security-Policy")
	if nonce == nil || !strings.Contains(csp, "script-src 'nonce-"+nonce[1]+"'") || !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "form-action") {
		t.Errorf("nonce %v, policy %q", nonce, csp)
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestHandlerRest(t *testing.T) {
	t.Parallel()
	o := newTestOkta(t, nil)
	for name, c := range map[string]struct {
		method, target string
		form           url.Values
		status         int
		contains       string
	}{
		"start":          {"GET", "/", nil, 200, "Simulated Okta"},
		"metadata":       {"GET", "/api/v1/idps/0oa6nxbvzJ7pgD2sk2o4/metadata.xml", nil, 200, testEntityID},
		"other provider": {"GET", "/api/v1/idps/other/metadata.xml", nil, 404, ""},
		"other binding":  {"GET", "/login?binding=artifact", nil, 400, "redirect or post"},
		"get at the ACS": {"GET", acsPath, nil, 405, ""},
		"empty answer":   {"POST", acsPath, url.Values{}, 400, textAssertion},
		"bad form":       {"POST", acsPath + "?a=%zz", url.Values{}, 400, "cannot be read"},
		"huge answer":    {"POST", acsPath, url.Values{"SAMLResponse": {strings.Repeat("A", maxPosted)}}, 413, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, page := browse(t, o, c.method, c.target, c.form)
			if resp.StatusCode != c.status || !strings.Contains(page, c.contains) {
				t.Errorf("%d: %s", resp.StatusCode, page)
			}
		})
	}
}
