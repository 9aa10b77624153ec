package conform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"time"

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
	mux := http.NewServeMux()
	o.mount(mux)
	mountStart(mux, o.cfg.Log, o.cfg.Now, o.writer(), startPage{SAML: o.samlStart()})
	return mux
}

// Handler serves both protocols at one address, with one start page.
func Handler(o *Okta, p *OktaOIDC) http.Handler {
	mux := http.NewServeMux()
	o.mount(mux)
	p.mount(mux)
	mountStart(mux, o.cfg.Log, o.cfg.Now, o.writer(), startPage{SAML: o.samlStart(), OIDC: p.oidcStart()})
	return mux
}

// mount serves all but the start page.
func (o *Okta) mount(mux *http.ServeMux) {
	mountAll(mux, o.cfg.Log, o.cfg.Now, o.writer(), map[string]web.HandlerFunc{
		"GET /login":              o.serveLogin,
		"POST " + o.acs.Path:      o.serveAnswer,
		"GET " + o.metadataPath(): o.serveMetadata,
	})
}

func mountStart(mux *http.ServeMux, log *slog.Logger, now func() time.Time, p pageWriter, start startPage) {
	mountAll(mux, log, now, p, map[string]web.HandlerFunc{
		"GET /{$}": func(w http.ResponseWriter, _ *http.Request) error { return p.page(w, http.StatusOK, "start", start) },
	})
}

func mountAll(mux *http.ServeMux, log *slog.Logger, now func() time.Time, p pageWriter, routes map[string]web.HandlerFunc) {
	options := &web.Options{Log: log, Now: now, WriteError: p.writeError, MaxBody: maxPosted}
	for route, h := range routes {
		mux.Handle(route, web.Handle(route, h, options))
	}
}

func (o *Okta) metadataPath() string { return "/api/v1/idps/" + o.idpID + "/metadata.xml" }

func (o *Okta) samlStart() *samlStart {
	return &samlStart{EntityID: o.cfg.EntityID, Issuer: o.cfg.Issuer, Metadata: o.metadataPath()}
}

func (o *Okta) writer() pageWriter { return pageWriter{o.cfg.Rand} }

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
	return o.writer().page(w, http.StatusOK, "post", req.Form)
}

// instanceID makes up the ID of an application as Okta's look: 0oa and 17
// more characters.
func instanceID(app string) string {
	sum := sha256.Sum256([]byte(app))
	return "0oa" + hex.EncodeToString(sum[:])[:17]
}

func (o *Okta) serveAnswer(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	signIn, err := o.Receive(r.PostForm.Get("SAMLResponse"), r.PostForm.Get("RelayState"))
	if rejection, ok := errors.AsType[*Rejection](err); ok {
		web.Annotate(r.Context(), slog.String("outcome", rejected), slog.String("rule", rejection.Rule))
		return o.writer().page(w, http.StatusBadRequest, "result", resultPage{verdict: rejection.verdict()})
	}
	if err != nil {
		return err
	}
	p := acceptedPage(signIn)
	web.Annotate(r.Context(), slog.String("outcome", p.Outcome), slog.String("request_id", signIn.RequestID))
	return o.writer().page(w, http.StatusOK, "result", p)
}
