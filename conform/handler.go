package conform

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"

	"gatepost.dev/internal/web"
)

// maxPosted leaves room for a response of maxResponse in base64, percent-encoded.
const maxPosted = 1 << 20

// Handler serves the simulated Okta to a browser:
//
//	GET  /                                      what this is, and a form for each binding
//	GET  /login?binding=&user=&app=             starts a sign-in; binding is redirect or post
//	POST the path of the ACS                    what Okta makes of an answer
//	GET  /api/v1/idps/IDPID/metadata.xml        the service provider's metadata
//
// The answer's page is 200 for a posture and for a signed failure, 400 for what
// Okta rejects; its outcome stands in <dl id="result"> for programs.
func (o *Okta) Handler() http.Handler {
	options := &web.Options{Log: o.cfg.Log, Now: o.cfg.Now, WriteError: o.writeError, MaxBody: maxPosted}
	mux := http.NewServeMux()
	for route, h := range map[string]web.HandlerFunc{
		"GET /{$}":                o.serveStart,
		"GET /login":              o.serveLogin,
		"POST " + o.acs.Path:      o.serveAnswer,
		"GET " + o.metadataPath(): o.serveMetadata,
	} {
		mux.Handle(route, web.Handle(route, h, options))
	}
	return mux
}

func (o *Okta) metadataPath() string { return "/api/v1/idps/" + o.idpID + "/metadata.xml" }

func (o *Okta) serveStart(w http.ResponseWriter, r *http.Request) error {
	return o.page(w, http.StatusOK, "start", startPage{
		EntityID: o.cfg.EntityID, Issuer: o.cfg.Issuer, Metadata: o.metadataPath(),
	})
}

func (o *Okta) serveMetadata(w http.ResponseWriter, r *http.Request) error {
	// As Okta serves it.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "filename=metadata.xml")
	_, err := w.Write(o.Metadata())
	return err
}

func (o *Okta) serveLogin(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	opts := RequestOptions{Subject: query.Get("user"), Binding: Binding(query.Get("binding"))}
	switch opts.Binding {
	case "":
		opts.Binding = Redirect
	case Redirect, Post:
	default:
		return &web.Error{Status: http.StatusBadRequest, Reason: "bad_binding", Public: "The binding is either redirect or post."}
	}
	// Okta's RelayState is the address where the user wants to go (relayState
	// format FROM_URL).
	opts.RelayState = o.acs.Scheme + "://" + o.acs.Host + "/app/UserHome"
	if app := query.Get("app"); app != "" {
		opts.AppContext = &AppContext{InstanceID: instanceID(app), Name: app}
	}
	req, err := o.Request(opts)
	if err != nil {
		return err
	}
	web.Annotate(r.Context(), slog.String("request_id", req.ID))
	if req.URL != "" {
		http.Redirect(w, r, req.URL, http.StatusFound)
		return nil
	}
	return o.page(w, http.StatusOK, "post", req.Form)
}

// instanceID makes up the ID of an application as Okta's look: 0oa and 17
// more characters.
func instanceID(app string) string {
	sum := sha256.Sum256([]byte(app))
	return "0oa" + hex.EncodeToString(sum[:])[:17]
}

func (o *Okta) serveAnswer(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return &web.Error{Status: http.StatusBadRequest, Reason: "bad_form", Public: "The form cannot be read.", Err: err}
	}
	signIn, err := o.Receive(r.PostForm.Get("SAMLResponse"), r.PostForm.Get("RelayState"))
	if rejection, ok := errors.AsType[*Rejection](err); ok {
		web.Annotate(r.Context(), slog.String("outcome", "rejected"), slog.String("rule", rejection.Rule))
		return o.page(w, http.StatusBadRequest, "result", rejectedPage(rejection))
	}
	if err != nil {
		return err
	}
	p := acceptedPage(signIn)
	web.Annotate(r.Context(), slog.String("outcome", p.Outcome), slog.String("request_id", signIn.RequestID))
	return o.page(w, http.StatusOK, "result", p)
}

// page renders one template with its own nonce. There is no form-action in the
// policy: browsers apply it to the redirects that follow a form as well.
func (o *Okta) page(w http.ResponseWriter, status int, name string, data any) error {
	raw := make([]byte, 16)
	if _, err := io.ReadFull(o.cfg.Rand, raw); err != nil {
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
func (o *Okta) writeError(w http.ResponseWriter, r *http.Request, e *web.Error, reference string) {
	if err := o.page(w, e.Status, "error", errorPage{Text: e.Public, Reference: reference}); err != nil {
		http.Error(w, e.Public, e.Status)
	}
}
