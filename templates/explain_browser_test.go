package templates

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestBrowserShowsWhatIsWrong: the page fits a phone, is styled and stays within
// its policy. Screenshots go to the folder that GATEPOST_SCREENSHOTS names, if it
// does.
func TestBrowserShowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	violations := watch(t, ctx)
	for l := range languages {
		for _, size := range [][2]int64{{360, 740}, {1280, 900}} {
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(serve(t, anExplain(l))), chromedp.WaitReady("form")); err != nil {
				t.Fatal(err)
			}
			got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).display + " " + (document.documentElement.scrollWidth <= innerWidth) + " " +
				[...document.querySelectorAll("button")].every(b => b.getBoundingClientRect().height >= 44)`))
			if err != nil {
				t.Fatal(err)
			}
			if got != "flex true true" {
				t.Errorf("%s at %v: styled, not wider than the window, buttons that a finger hits: %q", explainWords[l].Tag, size, got)
			}
			if dir := os.Getenv("GATEPOST_SCREENSHOTS"); dir != "" {
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("explain-%s-%d.png", explainWords[l].Tag, size[0])), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	select {
	case v := <-violations:
		t.Error("the policy stopped something: ", v)
	default:
	}
}

// TestBrowserSendsTheChoice: by keys and without script, the button that was
// chosen arrives.
func TestBrowserSendsTheChoice(t *testing.T) {
	t.Parallel()
	posted := make(chan url.Values, 4)
	party := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			posted <- r.PostForm
		}
		fmt.Fprint(w, `<p id=done>`)
	}))
	t.Cleanup(party.Close)
	p := anExplain(English)
	p.Action, p.Blocking, p.Others = party.URL+"/saml/sso/continue", p.Blocking[1:], nil // no links
	ctx := browser(t)
	for _, script := range []bool{true, false} {
		if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}); err != nil {
			t.Fatal(err)
		}
		for tabs, want := range []string{"check", "continue"} {
			if err := chromedp.Do(ctx, chromedp.Navigate(serve(t, p)), chromedp.WaitReady("form")); err != nil {
				t.Fatal(err)
			}
			for range tabs + 1 {
				if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
					t.Fatal(err)
				}
			}
			if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#done")); err != nil {
				t.Fatal(err)
			}
			if got := <-posted; len(got) != 2 || got.Get("choice") != want || got.Get("ticket") != p.Ticket {
				t.Errorf("script %t, tabs %d: posted %v", script, tabs+1, got)
			}
		}
	}
}
