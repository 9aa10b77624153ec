package templates

import (
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/text/language"
)

// Explain tells the user what is wrong with the device that is at hand, and lets
// it be checked again or the sign-in go on. It posts the fields "ticket" and
// "choice", the latter "check" or "continue". It works without script and loads
// nothing.
type Explain struct {
	Language  Language
	Action    string    // that takes the form, an https or http URL
	Ticket    string    // base64url
	Device    string    // what its user knows it by, such as its model; may be empty
	Blocking  []Failing // what the device is not compliant for
	Others    []Failing // what is only said, or has time yet
	CheckedAt time.Time
	Again     bool      // the user asked for the check
	GoodUntil time.Time // how long the form can be sent
	Reference string
}

// Failing is one demand that a device does not meet, in the words of whoever made
// the demand.
type Failing struct {
	Why   string
	Help  string    // may be empty
	Link  string    // shown if it is an http or https URL
	Until time.Time // how long it is let pass; zero: not for any time
}

// Language is one of those that Explain speaks.
type Language int

// The languages. The first is for whoever understands none of them.
const (
	English Language = iota
	German
	Spanish
	French
	Japanese
	languages // how many there are
)

// maxAcceptLanguage bounds the header that is read, in bytes. Browsers send a
// tenth of it.
const maxAcceptLanguage = 1000

var matcher = sync.OnceValue(func() language.Matcher {
	return language.NewMatcher([]language.Tag{language.English, language.German, language.Spanish, language.French, language.Japanese})
})

// MatchLanguage gives the language that suits a browser best by its
// Accept-Language header (RFC 9110 section 12.5.4).
func MatchLanguage(accept string) Language {
	if len(accept) > maxAcceptLanguage {
		return English
	}
	_, i := language.MatchStrings(matcher(), accept)
	return Language(i)
}

func (Explain) file() string { return "explain.html" }

// explained is an Explain with its words.
type explained struct {
	Explain
	Words                   words
	AgainNote, GoodNote     string
	BlockingList, OtherList items
}

// items is a list of what fails, with the words for it.
type items struct {
	Items []item
	Words words
}

// item is a Failing as it is shown.
type item struct {
	Why, Help, Link string
	Until, UntilISO string
}

func (p Explain) render(nonce string) ([]byte, error) {
	if p.Language < 0 || p.Language >= languages {
		return nil, fmt.Errorf("language %d is not known", p.Language)
	}
	if !isWeb(p.Action) {
		return nil, fmt.Errorf("action %q is not an http or https URL", p.Action)
	}
	w := explainWords[p.Language]
	const clock = "15:04 UTC"
	return execute(explained{
		Explain: p, Words: w,
		AgainNote:    fmt.Sprintf(w.Again, p.CheckedAt.UTC().Format(clock)),
		GoodNote:     fmt.Sprintf(w.GoodUntil, p.GoodUntil.UTC().Format(clock)),
		BlockingList: items{w.items(p.Blocking), w}, OtherList: items{w.items(p.Others), w},
	}, nonce)
}

// isWeb tells whether s is an http or https URL.
func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func (w *words) items(failing []Failing) []item {
	var items []item
	for _, f := range failing {
		i := item{Why: f.Why, Help: f.Help}
		if isWeb(f.Link) {
			i.Link = f.Link
		}
		if !f.Until.IsZero() {
			until := f.Until.UTC()
			i.UntilISO, i.Until = until.Format(time.RFC3339), fmt.Sprintf(w.Until, w.date(until))
		}
		items = append(items, i)
	}
	return items
}

// date writes a time in the way of the language, in UTC.
func (w *words) date(t time.Time) string {
	day := strconv.Itoa(t.Day())
	if t.Day() == 1 && w.first != "" {
		day = w.first
	}
	return fmt.Sprintf(w.dateForm, day, w.months[t.Month()-1], t.Year(), t.Format("15:04 UTC"))
}
