package templates

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// anExplain has everything that the page can show.
func anExplain(l Language) Explain {
	now := time.Date(2026, 11, 28, 14, 2, 0, 0, time.FixedZone("", 3600))
	return Explain{
		Language: l, Action: "https://device.example.com/saml/sso/continue", Ticket: "dGlja2V0", Device: "Apple Mac15,3", Again: true,
		CheckedAt: now, GoodUntil: now.Add(13 * time.Minute), Reference: reference,
		Blocking: []Failing{
			{Why: "The disk is not encrypted", Help: "Open System Settings › Privacy & Security › FileVault\nand turn it on.", Link: "https://help.example.com/filevault?a=1&b=2"},
			{Why: "The firewall is off"},
		},
		Others: []Failing{
			{Why: "macOS is out of date", Help: "Install the newest version.", Until: now.Add(72 * time.Hour)},
			{Why: "The screen locks late", Link: "javascript:alert(1)"},
		},
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for l, want := range map[Language][]string{
		English:  {`<html lang="en">`, "Check again", "Continue to Okta", "Accepted until 1 December 2026, 13:02 UTC", "Checked again at 13:02 UTC", "until 13:15 UTC", "Device check</header>"},
		German:   {`<html lang="de">`, "Erneut prüfen", "Weiter zu Okta", "Zulässig bis 1. Dezember 2026, 13:02 UTC", "Geräteprüfung</header>"},
		Spanish:  {`<html lang="es">`, "Comprobar de nuevo", "Continuar a Okta", "Se admite hasta el 1 de diciembre de 2026, 13:02 UTC"},
		French:   {`<html lang="fr">`, "Vérifier à nouveau", "Continuer vers Okta", "Toléré jusqu’au 1er décembre 2026, 13:02 UTC"},
		Japanese: {`<html lang="ja">`, "もう一度確認する", "Okta に進む", "2026年12月1日 13:02 UTCまで許容されます"},
	} {
		_, html := write(t, anExplain(l))
		want = append(want, `<form method="post" action="https://device.example.com/saml/sso/continue">`, `name="ticket" value="dGlja2V0"`,
			`datetime="2026-12-01T13:02:00Z"`, `name="choice" value="check"`, `name="choice" value="continue"`,
			"The disk is not encrypted", "The firewall is off", "macOS is out of date", "Mac15,3", reference,
			`href="https://help.example.com/filevault?a=1&amp;b=2"`, `rel="noopener noreferrer"`, `<main>`, `role="status"`)
		for _, w := range want {
			if !strings.Contains(html, w) {
				t.Errorf("%d: %s is missing in %s", l, w, html)
			}
		}
		if strings.Contains(html, "javascript:") || strings.Contains(html, "ZgotmplZ") || strings.Contains(html, "%!") || strings.Count(html, "<h1>") != 1 {
			t.Errorf("%d: %s", l, html)
		}
		words := explainWords[l]
		if blocking, others := strings.Index(html, words.Blocking), strings.Index(html, words.Others); !(blocking < strings.Index(html, "The firewall") &&
			strings.Index(html, "The firewall") < others && others < strings.Index(html, "macOS is out of date")) {
			t.Errorf("%d: what blocks does not stand apart: %s", l, html)
		}
	}
	few := anExplain(English)
	few.Others, few.Again, few.Device = nil, false, ""
	if _, html := write(t, few); strings.Contains(html, "right soon") || strings.Contains(html, `role="status"`) || strings.Contains(html, "This device:") {
		t.Errorf("shows what there is not: %s", html)
	}
}

func TestExplainKeepsWordsText(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		p := anExplain(English)
		p.Device, p.Blocking, p.Others = text, []Failing{{text, text, text, time.Time{}}}, nil
		if _, html := write(t, p); strings.Count(html, "<script") != 1 || strings.Contains(html, "<img") {
			t.Errorf("%q: %s", text, html)
		}
	}
}

func TestExplainRefuses(t *testing.T) {
	t.Parallel()
	language, action := anExplain(languages), anExplain(English)
	action.Action = "/saml/sso/continue"
	for _, p := range []Explain{language, anExplain(-1), action} {
		if err := Write(httptest.NewRecorder(), 200, p); err == nil {
			t.Errorf("accepted: %+v", p)
		}
	}
}

func TestMatchLanguage(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]Language{
		"": English, "en-GB,en;q=0.9": English, "de-AT": German, "de-CH,fr;q=0.9,en;q=0.8": German, "es-419,es;q=0.9": Spanish, "fr-CA": French, "ja": Japanese,
		"ja-JP,en;q=0.5": Japanese, "fr;q=0.2,de;q=0.8": German, "zh-TW,de;q=0.3": German, "sw": English, "*": English, ";;;": English, "de;q=0,fr": French,
		strings.Repeat("de,", 1000): English, "\x00\xff": English,
	} {
		if got := MatchLanguage(accept); got != want {
			t.Errorf("%.40q: %d, want %d", accept, got, want)
		}
	}
}

// TestWordsAreWhole: no language lacks a word.
func TestWordsAreWhole(t *testing.T) {
	t.Parallel()
	for l, w := range explainWords {
		all := append([]string{w.Tag, w.Name, w.Title, w.Lead, w.Device, w.Blocking, w.Others, w.Until, w.More, w.NewTab, w.Check, w.CheckHint, w.Continue, w.Onward,
			w.Again, w.GoodUntil, w.Reference, w.dateForm}, w.months[:]...)
		if slices.Contains(all, "") || strings.Count(w.Until, "%s") != 1 || strings.Count(w.Again, "%s") != 1 || strings.Count(w.GoodUntil, "%s") != 1 {
			t.Errorf("language %d: %q", l, all)
		}
	}
}

func FuzzMatchLanguage(f *testing.F) {
	for _, s := range []string{"de-AT,de;q=0.9", "*", "en;q=x", "-", "a-b-c-d-e-f;q=1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if l := MatchLanguage(accept); l < 0 || l >= languages {
			t.Errorf("%q: %d", accept, l)
		}
	})
}
