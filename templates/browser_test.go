package templates

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// relayStates is what a browser posts for a relay state: itself, but for what no
// form can carry.
var relayStates = map[string]string{
	"":                            "",
	"https://acme.okta.com/?a=b&": "https://acme.okta.com/?a=b&",
	`"><script>document.title='owned'</script>`: `"><script>document.title='owned'</script>`,
	"  spaces and\ttabs\t ":                     "  spaces and\ttabs\t ",
	"emoji 🙂 é \u2028\u0085\ufffe\ufeff":        "emoji 🙂 é \u2028\u0085\ufffe\ufeff",
	"controls \x01\x08\x0b\x0c\x1b\x7f":         "controls \x01\x08\x0b\x0c\x1b\x7f",
	"&amp; &#34; %41 + &notit;":                 "&amp; &#34; %41 + &notit;",
	"line\r\nfeeds\r\n":                         "line\r\nfeeds\r\n",
	"line\nfeed":                                "line\r\nfeed",
	"carriage\rreturn":                          "carriage\r\nreturn",
	"\n\r":                                      "\r\n\r\n",
	"nul\x00":                                   "nul\uFFFD",
	"\xff":                                      "\uFFFD",
}

const samlResponse = "PHNhbWxwOlJlc3BvbnNl+/+/PHNhbWxwOlJlc3BvbnNl=="

// party is a relying party that is posted to and redirects to another origin, as
// Okta may.
type party struct {
	acs  string
	form chan url.Values // what was posted
	done int             // how often check saw the page that ends a sign-in
}

func newParty(t *testing.T) *party {
	p := &party{form: make(chan url.Values, 1)}
	var arrivals atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/done" {
			fmt.Fprintf(w, "<p id=done-%d>", arrivals.Add(1))
		}
	}))
	t.Cleanup(other.Close)
	acs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		p.form <- form
		http.Redirect(w, r, other.URL+"/done", http.StatusSeeOther)
	}))
	t.Cleanup(acs.Close)
	p.acs = acs.URL + "/sso/saml2/0oa1?x=1&y='2'"
	return p
}

// browser starts a Chromium for one test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium (apt-get install chromium): ", err)
	}
	folder := home(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Env("HOME="+folder, "TMPDIR="+folder), chromedp.Flag("disable-component-update", true))
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

// home is removed without complaint: Chromium's last process may still write.
func home(t *testing.T) string {
	dir, err := os.MkdirTemp("", "chromium-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// watch collects what the page's policy stopped.
func watch(t *testing.T, ctx context.Context) <-chan string {
	t.Helper()
	violations := make(chan string, 100)
	err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok && e.Entry.Source == cdplog.EntrySourceSecurity {
			violations <- e.Entry.Text
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return violations
}

func serve(t *testing.T, page Page) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		if err := Write(w, http.StatusOK, page); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (p *party) check(t *testing.T, ctx context.Context, relay *string) {
	t.Helper()
	select {
	case form := <-p.form:
		if got := form["SAMLResponse"]; len(got) != 1 || got[0] != samlResponse {
			t.Errorf("SAMLResponse arrived as %q", got)
		}
		got := form["RelayState"]
		switch {
		case relay == nil && got != nil:
			t.Errorf("RelayState %q arrived, none was sent", got)
		case relay != nil && (len(got) != 1 || got[0] != relayStates[*relay]):
			t.Errorf("RelayState %q arrived as %q, want %q", *relay, got, relayStates[*relay])
		}
	case <-ctx.Done():
		t.Fatal("nothing was posted")
	}
	p.done++
	if err := chromedp.Do(ctx, chromedp.WaitReady(fmt.Sprintf("#done-%d", p.done))); err != nil {
		t.Fatal("the relying party's redirect to another origin was not followed: ", err)
	}
}

func TestBrowserPostsTheAnswerByScript(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	violations := watch(t, ctx)
	p := newParty(t)
	try := func(relay *string, notice Notice) {
		a := Answer{Action: p.acs, Fields: []Field{{"SAMLResponse", samlResponse}}, Notice: notice, Reference: reference}
		if relay != nil {
			a.Fields = append(a.Fields, Field{"RelayState", *relay})
		}
		// The page is gone before it has loaded; only the post tells.
		if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void]("location.href = '"+serve(t, a)+"';undefined")); err != nil {
			t.Fatal(err)
		}
		p.check(t, ctx, relay)
	}
	try(nil, Checked)
	try(nil, NotManaged)
	for relay := range relayStates {
		try(&relay, Checked)
	}
	select {
	case v := <-violations:
		t.Error("the policy stopped something: ", v)
	default:
	}
}

func TestBrowserPostsTheAnswerWithoutScript(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	p := newParty(t)
	for _, relay := range []string{"line\r\nfeeds\r\n", `"><script>document.title='owned'</script>`} {
		page := serve(t, Answer{Action: p.acs, Fields: []Field{{"SAMLResponse", samlResponse}, {"RelayState", relay}}, Notice: NotManaged, Reference: reference})
		if err := chromedp.Do(ctx, chromedp.Navigate(page), chromedp.WaitReady("button")); err != nil {
			t.Fatal(err)
		}
		title, err := chromedp.Run(ctx, chromedp.Title())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(title, "not recognised") {
			t.Errorf("title %q", title)
		}
		select {
		case <-p.form:
			t.Fatal("posted without script and without the button")
		default:
		}
		// The button has the focus.
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
			t.Fatal(err)
		}
		p.check(t, ctx, &relay)
	}
}

func TestBrowserShowsThePages(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	violations := watch(t, ctx)
	for name, page := range map[string]Page{"bad request": BadRequest{reference}, "unavailable": Unavailable{reference}} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(320, 640), chromedp.Navigate(serve(t, page))); err != nil {
			t.Fatal(err)
		}
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](
			`getComputedStyle(document.body).display + " " + (document.documentElement.scrollWidth <= innerWidth)`))
		if err != nil {
			t.Fatal(err)
		}
		if got != "flex true" {
			t.Errorf("%s: style applied and not wider than 320 px: %q", name, got)
		}
	}
	select {
	case v := <-violations:
		t.Error("the policy stopped something: ", v)
	default:
	}
}
