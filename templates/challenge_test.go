package templates

import (
	"strings"
	"testing"
)

func aChallenge(l Language) Challenge {
	const endpoint = "https://device.example.com/saml/sso"
	return Challenge{Language: l, Ask: endpoint + "/challenge", Action: endpoint + "/continue", Ticket: "dGlja2V0", SignIn: "_1234", Reference: reference}
}

// TestChallenge: every language says everything, and the forms go where they
// should.
func TestChallenge(t *testing.T) {
	t.Parallel()
	for l := range languages {
		w := challengeTexts[l]
		_, html := write(t, aChallenge(l))
		for _, want := range []string{
			`<html lang="` + w.Tag + `">`, w.Name + "</header>", "<h1>" + w.Title + "</h1>", w.Lead, ">" + w.Check + "</button>", w.Hint, w.Checking, w.Absent, w.AbsentDo,
			`data-again="` + w.Again + `"`, ">" + w.Continue + "</button>", w.Onward, w.NoScript, w.Reference, reference,
			`action="https://device.example.com/saml/sso/challenge" target="gatepost-agent"`, `action="https://device.example.com/saml/sso/continue" id="go" data-sign-in="_1234"`,
		} {
			if strings.HasSuffix(want, ">") && len(want) < 12 || !strings.Contains(html, want) {
				t.Errorf("%d: %q is missing in %s", l, want, html)
			}
		}
		_, html = write(t, Answered{Language: l})
		if w.DoneTitle == "" || !strings.Contains(html, w.DoneTitle) || w.Done == "" || !strings.Contains(html, w.Done) || !strings.Contains(html, `<html lang="`+w.Tag+`">`) {
			t.Errorf("%d: %s", l, html)
		}
	}
	bad := aChallenge(English)
	bad.Ask = "javascript:alert(1)"
	for _, page := range []Page{bad, Challenge{Language: languages}, Answered{Language: languages}} {
		if _, err := page.render("n"); err == nil {
			t.Errorf("rendered %+v", page)
		}
	}
}
