package conform

import (
	"errors"
	"log/slog"
	"net/http"

	"gatepost.dev/internal/web"
)

// keysPath is where Okta publishes its keys.
const keysPath = "/oauth2/v1/keys"

// Handler serves the simulated Okta to a browser:
//
//	GET  /                                   what this is, and a form that signs in
//	GET  /oidc/login?user=&app=&prompt=      starts a sign-in
//	GET, POST the path of the redirect URI   what Okta makes of an answer
//	GET  /oauth2/v1/keys                     the key by which this Okta signs, as a JWK Set
//
// The answer's page is 200 for claims and for a refusal, 400 for what Okta
// rejects; its outcome stands in <dl id="result"> for programs.
func (o *OktaOIDC) Handler() http.Handler {
	mux := http.NewServeMux()
	o.mount(mux)
	mountStart(mux, o.cfg.Log, o.cfg.Now, o.writer(), startPage{OIDC: o.oidcStart()})
	return mux
}

func (o *OktaOIDC) mount(mux *http.ServeMux) {
	mountAll(mux, o.cfg.Log, o.cfg.Now, o.writer(), map[string]web.HandlerFunc{
		"GET /oidc/login":         o.serveLogin,
		"GET " + o.callback.Path:  o.serveAnswer,
		"POST " + o.callback.Path: o.serveAnswer,
		"GET " + keysPath:         o.serveKeys,
	})
}

func (o *OktaOIDC) writer() pageWriter { return pageWriter{o.cfg.Rand} }

func (o *OktaOIDC) oidcStart() *oidcStart {
	return &oidcStart{ClientID: o.cfg.ClientID, Issuer: o.cfg.Issuer, RedirectURI: o.cfg.RedirectURI, Keys: keysPath}
}

func (o *OktaOIDC) serveLogin(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	opts := OIDCRequestOptions{LoginHint: query.Get("user"), Prompt: query.Get("prompt")}
	if app := query.Get("app"); app != "" {
		opts.AppContext = &AppContext{InstanceID: instanceID(app), Name: app}
	}
	req, err := o.Request(opts)
	if err != nil {
		return err
	}
	http.Redirect(w, r, req.URL, http.StatusFound)
	return nil
}

func (o *OktaOIDC) serveKeys(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(o.KeySet())
	return err
}

func (o *OktaOIDC) serveAnswer(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	values := r.URL.Query()
	if r.Method == http.MethodPost {
		values = r.PostForm
	}
	signIn, err := o.Receive(r.Context(), r.Method, values)
	if rejection, ok := errors.AsType[*Rejection](err); ok {
		web.Annotate(r.Context(), slog.String("outcome", rejected), slog.String("rule", rejection.Rule))
		return o.writer().page(w, http.StatusBadRequest, "oidc-result", oidcPage{verdict: rejection.verdict()})
	}
	if err != nil {
		return err
	}
	p := oidcAccepted(signIn)
	web.Annotate(r.Context(), slog.String("outcome", p.Outcome))
	return o.writer().page(w, http.StatusOK, "oidc-result", p)
}
