package conform

import (
	"bytes"
	"encoding/hex"
	"errors"
	"html/template"
	"io"
	"net/http"

	"gatepost.dev/internal/web"
)

// pageWriter writes the pages of pages.go.
type pageWriter struct{ rand io.Reader }

// page renders one template with its own nonce. There is no form-action in the
// policy: browsers apply it to the redirects that follow a form as well.
func (p pageWriter) page(w http.ResponseWriter, status int, name string, data any) error {
	raw := make([]byte, 16)
	if _, err := io.ReadFull(p.rand, raw); err != nil {
		return err
	}
	nonce := hex.EncodeToString(raw)
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, struct {
		Nonce string
		Style template.CSS
		Page  any
	}{nonce, style, data}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; script-src 'nonce-"+nonce+
		"'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, err := body.WriteTo(w)
	return err
}

// writeError is the page for what never got as far as being judged.
func (p pageWriter) writeError(w http.ResponseWriter, r *http.Request, e *web.Error, reference string) {
	if err := p.page(w, e.Status, "error", errorPage{Text: e.Public, Reference: reference}); err != nil {
		http.Error(w, e.Public, e.Status)
	}
}

// parseForm reads query and body; what cannot be read is the browser's fault.
func parseForm(r *http.Request) error {
	err := r.ParseForm()
	if err == nil {
		return nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	return &web.Error{Status: http.StatusBadRequest, Reason: "bad_form", Public: "The form cannot be read.", Err: err}
}
