package templates

import (
	"regexp"
	"strings"
	"testing"
)

const markup = `"'><script>alert(1)</script>`

func demoPages() map[string]Page {
	c := DemoCase{ID: "compliant", Title: markup, Who: markup, Device: "demo-macbook", Expected: markup}
	without := DemoCase{ID: "no-certificate", Title: "None"}
	replay := DemoReplay{
		ID: "compliant", Title: markup, Expected: markup, Next: c,
		Chapters: []DemoChapter{{
			Title: markup, InWords: markup, Rows: []DemoRow{{markup, markup}},
			Message: []DemoLine{{markup, false}, {markup, true}},
		}},
	}
	wrong := replay
	wrong.Wrong = []string{markup}
	return map[string]Page{
		"start": DemoStart{Cases: []DemoCase{c, without}, Okta: "https://localhost:8444/", DeviceURL: markup, Password: markup},
		"right": replay, "wrong": wrong, "error": DemoError{markup},
	}
}

func TestDemoPages(t *testing.T) {
	t.Parallel()
	element := regexp.MustCompile(`<(script|style|link|img|iframe|object|embed|base)[^>]*>`)
	for name, page := range demoPages() {
		header, html := write(t, page)
		policy := header.Get("Content-Security-Policy")
		for _, tag := range element.FindAllString(html, -1) {
			nonce, ok := strings.CutPrefix(tag, `<style nonce="`)
			if nonce = strings.TrimSuffix(nonce, `">`); !ok || !strings.Contains(policy, "style-src 'nonce-"+nonce+"'") {
				t.Errorf("%s: element %s", name, tag)
			}
		}
		for _, want := range []string{"<!doctype html>", "<main>", "<h1>", "</svg>Gatepost demo</header>", `<meta name="referrer" content="same-origin">`, "</html>"} {
			if strings.Count(html, want) != 1 {
				t.Errorf("%s: %d times %s", name, strings.Count(html, want), want)
			}
		}
		if strings.Contains(html, "ZgotmplZ") || strings.Contains(html, markup) {
			t.Errorf("%s: %s", name, html)
		}
	}
}

func TestDemoReplaySaysRightOrWrong(t *testing.T) {
	t.Parallel()
	_, right := write(t, demoPages()["right"])
	_, wrong := write(t, demoPages()["wrong"])
	if !strings.Contains(right, "<strong>Right.</strong>") || strings.Contains(right, "<strong>Wrong.</strong>") {
		t.Error("a right outcome is not said to be right")
	}
	if !strings.Contains(wrong, "<strong>Wrong.</strong>") || strings.Contains(wrong, "<strong>Right.</strong>") {
		t.Error("a wrong outcome is not said to be wrong")
	}
	if strings.Count(right, "<mark>") != 1 {
		t.Error("not the marked line alone is marked")
	}
}

func TestDemoStartOffersKeysOfDevices(t *testing.T) {
	t.Parallel()
	_, html := write(t, demoPages()["start"])
	if strings.Count(html, ".p12") != 1 || !strings.Contains(html, `href="/devices/demo-macbook.p12"`) || !strings.Contains(html, "Sign in without a certificate") {
		t.Error(html)
	}
}
