package templates

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const reference = "01ktcqz9m4v8x2b7n5jw3hgt6y"

// all is one of every page, and every shape of the answer.
func all() map[string]Page {
	answer := Answer{Action: "https://acme.okta.com/sso/saml2/0oa1", Fields: []Field{{"SAMLResponse", "PD94bWw+"}}, Reference: reference}
	relay, refused := answer, answer
	relay.Fields = append(relay.Fields[:1:1], Field{"RelayState", "state-1"})
	refused.Notice = NotManaged
	return map[string]Page{
		"answer": answer, "answer with relay state": relay, "refusal": refused,
		"bad request": BadRequest{reference}, "unavailable": Unavailable{reference},
		"explanation": anExplain(English), "challenge": aChallenge(English), "answered": Answered{Reference: reference},
	}
}

func write(t *testing.T, page Page) (http.Header, string) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := Write(w, http.StatusTeapot, page); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusTeapot {
		t.Errorf("status %d", w.Code)
	}
	return w.Header(), w.Body.String()
}

func TestPagesCarryAPolicyThatFitsThem(t *testing.T) {
	t.Parallel()
	policy := regexp.MustCompile(`^default-src 'none'; script-src 'nonce-([A-Z2-7]{26})'; style-src 'nonce-([A-Z2-7]{26})'; base-uri 'none'; frame-ancestors 'none'$`)
	element := regexp.MustCompile(`<(script|style|link|img|iframe|object|embed|base)[^>]*>`)
	handler := regexp.MustCompile(`(?i)\s(on[a-z]+|style|src|href)\s*=|javascript:`)
	seen := make(map[string]bool)
	for name, page := range all() {
		for range 2 {
			header, html := write(t, page)
			m := policy.FindStringSubmatch(header.Get("Content-Security-Policy"))
			if m == nil || m[1] != m[2] || seen[m[1]] {
				t.Fatalf("%s: policy %q, seen %v", name, header.Get("Content-Security-Policy"), seen)
			}
			seen[m[1]] = true
			for _, tag := range element.FindAllString(html, -1) {
				if tag != `<script nonce="`+m[1]+`">` && tag != `<style nonce="`+m[1]+`">` {
					t.Errorf("%s: element %s", name, tag)
				}
			}
			// A link loads nothing by itself.
			if bad := handler.FindString(strings.ReplaceAll(html, `<a href="https:`, "")); bad != "" {
				t.Errorf("%s: %q in the page", name, bad)
			}
			for key, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
				"Referrer-Policy": "no-referrer",
			} {
				if got := header.Get(key); got != want {
					t.Errorf("%s: %s = %q", name, key, got)
				}
			}
		}
	}
}

func TestPagesAreWholeAndAccessible(t *testing.T) {
	t.Parallel()
	for name, page := range all() {
		_, html := write(t, page)
		for _, want := range []string{"<!doctype html>", `<html lang="en">`, `<meta charset="utf-8">`, `content="width=device-width, initial-scale=1"`,
			"<title>", "<main>", "<h1>", reference, "</html>"} {
			if strings.Count(html, want) != 1 {
				t.Errorf("%s: %d times %s", name, strings.Count(html, want), want)
			}
		}
		if strings.Contains(html, "ZgotmplZ") || strings.Contains(html, "gatepost-mark") {
			t.Errorf("%s: left over from the template: %s", name, html)
		}
	}
}

func TestAnswerForm(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`(?s)<form.*</form>`)
	tests := []struct {
		name string
		want []string
		not  []string
	}{
		{"answer", []string{`method="post" action="https://acme.okta.com/sso/saml2/0oa1"`, `name="SAMLResponse" value="PD94bWw&#43;"`, `<button type="submit" autofocus>Continue</button>`}, []string{"RelayState"}},
		{"answer with relay state", []string{`name="RelayState" value="state-1"`}, nil},
	}
	for _, test := range tests {
		_, html := write(t, all()[test.name])
		got := form.FindString(html)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s is missing in %s", test.name, want, got)
			}
		}
		for _, not := range test.not {
			if strings.Contains(got, not) {
				t.Errorf("%s: %s in %s", test.name, not, got)
			}
		}
	}
	_, html := write(t, Answer{Action: "https://x/", Fields: []Field{{"RelayState", ""}}})
	if !strings.Contains(html, `name="RelayState" value=""`) {
		t.Error("an empty relay state is left out")
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	words := map[Notice]string{
		Checked: "Your device was checked", NotManaged: "not recognised as managed", NotCompliant: "does not meet the requirements", NotAnswered: "could not be checked",
	}
	for notice := range notices {
		_, html := write(t, Answer{Action: "https://acme.okta.com/", Notice: notice})
		for of, text := range words {
			if strings.Contains(html, text) != (of == notice) {
				t.Errorf("notice %d: %q in the page: %v", notice, text, of != notice)
			}
		}
	}
	for _, unknown := range []Notice{-1, notices} {
		if err := Write(httptest.NewRecorder(), 200, Answer{Action: "https://acme.okta.com/", Notice: unknown}); err == nil {
			t.Errorf("notice %d was accepted", unknown)
		}
	}
}

func TestAnswerRefusesOtherActions(t *testing.T) {
	t.Parallel()
	for _, action := range []string{
		"", "javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "mailto:a@b", "//acme.okta.com/", "/sso", "sso",
		"https:", "https:///path", "https:opaque", "ftp://x/", "https://x/\n", "https://x/\x00", "ht\ntps://x/", "https://x:port/",
	} {
		w := httptest.NewRecorder()
		if err := Write(w, 200, Answer{Action: action}); err == nil {
			t.Errorf("action %q accepted", action)
		}
		if w.Body.Len() != 0 || len(w.Header()) != 0 {
			t.Errorf("action %q: something was written", action)
		}
	}
}

func TestAnswerRefusesTooManyFields(t *testing.T) {
	t.Parallel()
	a := Answer{Action: "https://acme.okta.com/", Fields: make([]Field, maxFields)}
	if err := Write(httptest.NewRecorder(), 200, a); err != nil {
		t.Error(err)
	}
	a.Fields = append(a.Fields, Field{})
	if err := Write(httptest.NewRecorder(), 200, a); err == nil {
		t.Error("a field too many was accepted")
	}
}

func TestWriteReportsABrokenConnection(t *testing.T) {
	t.Parallel()
	for name, page := range all() {
		if err := Write(broken{httptest.NewRecorder()}, 200, page); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

var hostile = []string{
	"", "plain", `"><script>alert(1)</script>`, `'"><img src=x onerror=alert(1)>`, "a\r\nb", "a\nb", "a\rb", "a\x00b", "\xff\xfe", "a\xc3", "\xed\xa0\x80",
	"tab\tand  spaces ", "emoji 🙂 é", "&amp;&lt;&#34;", "</form></main>", "{{.Nonce}}", "\u2028\u2029\ufffe\ufeff", "a+b/c==",
	string(markNonce), string(markAction), "gatepost-mark-relaygatepost-mark-reference", "`${x}`", "<!--", "]]>", "\x1b[2J\x7f\u0085",
}

var actions = []string{
	"https://acme.okta.com/sso/saml2/0oa1?a=b&c=%3d%zz", "http://127.0.0.1:8080/acs", `https://x/"><script>alert(1)</script>`, "https://x/'quoted'(1)",
	"https://x/é🙂?q=\xff#f", "HTTPS://X/{a}|b^c`d\\", "https://user:p@ss@x/", "https://[::1]:8/a b", string(markAction) + string(markNonce), "https://x/%", "https://x/?a+b%2",
}

func TestFastAnswerEqualsTemplate(t *testing.T) {
	t.Parallel()
	rendered := 0
	for _, action := range actions {
		for i, value := range hostile {
			a := Answer{Action: action, Notice: Notice(i % int(notices)), Reference: value}
			for n := range i % (maxFields + 1) {
				a.Fields = append(a.Fields, Field{value, hostile[(i+n)%len(hostile)]})
			}
			if compare(t, a, "nonce+"+value) {
				rendered++
			}
		}
	}
	if want := (len(actions) - 1) * len(hostile); rendered < want {
		t.Errorf("only %d of at least %d were rendered", rendered, want)
	}
}

func FuzzAnswer(f *testing.F) {
	for i, value := range hostile {
		f.Add(actions[i%len(actions)], "SAMLResponse", value, hostile[(i+1)%len(hostile)], reference, "N0NCE", i)
	}
	f.Fuzz(func(t *testing.T, action, name, value, other, reference, nonce string, notice int) {
		fields := []Field{{name, value}, {"RelayState", other}, {value, name}}
		compare(t, Answer{Action: action, Fields: fields[len(other)%4%len(fields):], Notice: Notice(notice), Reference: reference}, nonce)
	})
}

// compare holds both ways of rendering equal and tells whether there was
// anything to compare.
func compare(t *testing.T, a Answer, nonce string) bool {
	t.Helper()
	fast, err := a.render(nonce)
	if err != nil {
		return false
	}
	slow, err := execute(a, nonce)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fast, slow) {
		t.Fatalf("%+v\nfast: %s\nslow: %s", a, fast, slow)
	}
	return true
}

func TestSurvivesForm(t *testing.T) {
	t.Parallel()
	for value, want := range relayStates {
		if got := SurvivesForm(value); got != (value == want) {
			t.Errorf("SurvivesForm(%q) = %v", value, got)
		}
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkAnswer writes the page with a response of 5 KB, as a signed one is,
// encoded to 7 KB.
func BenchmarkAnswer(b *testing.B) {
	a := Answer{Action: "https://acme.okta.com/sso/saml2/0oa1b2c3d4", Reference: reference, Fields: []Field{
		{"SAMLResponse", strings.Repeat("PHNhbWxwOlJlc3BvbnNlIHhtbG5zOnNhbWxwPSJ1cm46b2FzaXM6bmFtZXM6+dGM", 107)},
		{"RelayState", "https://acme.okta.com/app/x?y=z&w=1"}}}
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		if err := Write(w, 200, a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnswerByTemplate(b *testing.B) {
	a := Answer{Action: "https://acme.okta.com/", Fields: []Field{{"SAMLResponse", strings.Repeat("PHNhbWxwOlJlc3Bv", 437)}}, Reference: time.Now().String()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := execute(a, "nonce"); err != nil {
			b.Fatal(err)
		}
	}
}
