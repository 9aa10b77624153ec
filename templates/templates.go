// Package templates holds every HTML page, embedded, each rendered from one
// typed value. Write sends a page under a Content Security Policy with a fresh
// nonce.
//
// It decides nothing: which page with which status is the caller's. It imports
// no other package of this module. A new page is a type in pages.go and a file in
// html that defines "title" and "main"; the layout is shared.
package templates

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"sync"
)

// Page is one of the pages of this package.
type Page interface {
	file() string // in html
	render(nonce string) ([]byte, error)
}

// Answer posts the response to the relying party, by script or, without, by a
// button (SAML bindings 3.5.4, OAuth 2.0 form post response mode).
type Answer struct {
	Action    string  // where the relying party takes answers, an http or https URL
	Fields    []Field // at most six; see SurvivesForm
	Notice    Notice
	Reference string
}

// Notice is what an Answer tells the user of itself. It never tells one reason
// why a device is not managed from another.
type Notice int

// The notices.
const (
	Checked      Notice = iota // the device was checked
	NotManaged                 // it was not recognised as managed
	NotCompliant               // it is managed and does not meet the requirements, and that is refused
	NotAnswered                // the request could not be answered, whatever the device is
	notices                    // how many there are
)

// Field is one field of a form.
type Field struct{ Name, Value string }

// BadRequest says that the request cannot be used and what a person can do. It
// shows nothing of the request.
type BadRequest struct{ Reference string }

// Unavailable says that the device could not be checked now.
type Unavailable struct{ Reference string }

func (Answer) file() string      { return "answer.html" }
func (BadRequest) file() string  { return "bad_request.html" }
func (Unavailable) file() string { return "unavailable.html" }

func (p BadRequest) render(nonce string) ([]byte, error)  { return execute(p, nonce) }
func (p Unavailable) render(nonce string) ([]byte, error) { return execute(p, nonce) }

//go:embed html
var files embed.FS

// view is what the layout is rendered from.
type view struct {
	Nonce string
	Page  Page
}

// parse gives the template of one page: the layout with that page's parts.
func parse(file string) *template.Template {
	return template.Must(template.ParseFS(files, "html/layout.html", "html/style.css", "html/demo.html", "html/demo.css", "html/explain.css", "html/"+file)).Lookup("layout")
}

// parsed gives the template of every page by its file.
var parsed = sync.OnceValue(func() map[string]*template.Template {
	byFile := make(map[string]*template.Template)
	for _, p := range []Page{Answer{}, BadRequest{}, Unavailable{}, Explain{}, Challenge{}, Answered{}, DemoStart{}, DemoReplay{}, DemoError{}} {
		byFile[p.file()] = parse(p.file())
	}
	return byFile
})

// Write renders the page and sends it. The policy allows the page's own script
// and style, no framing, and nothing from elsewhere. It has no form-action:
// Chromium applies that to the redirects after the post too, and so would stop a
// relying party that redirects to another origin.
//
// Nothing was written when the page cannot be rendered.
func Write(w http.ResponseWriter, status int, page Page) error {
	nonce := rand.Text()
	body, err := page.render(nonce)
	if err != nil {
		return fmt.Errorf("render %s: %w", page.file(), err)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("write %s: %w", page.file(), err)
	}
	return nil
}

// execute renders any page by html/template.
func execute(page Page, nonce string) ([]byte, error) {
	var body bytes.Buffer
	if err := parsed()[page.file()].Execute(&body, view{nonce, page}); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}
