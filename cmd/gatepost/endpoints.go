package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/idp"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
	"gatepost.dev/templates"
)

// endpoint is a route with what serves it.
type endpoint struct {
	route   string
	serve   web.HandlerFunc
	options *web.Options
}

// mount wires the endpoints of both hosts: on the device host, where browsers
// prove their device, and on the issuer's, where everybody else asks.
func (g *generation) mount(records *store.Records, verifier idp.Verifier, former *generation, p process, options *web.Options) {
	pages := *options
	pages.WriteError = writeErrorPage
	pages.MaxBody = idp.MaxRequestBody
	agents, waits, enroll, acme := g.agentEndpoints(records, verifier, former, p, options)
	each(p.gate.Patient, agents, enroll, acme) // but not those that wait, which would hold its turns
	explainer := &idp.Explainer{
		Tickets: g.tickets, Inventory: records,
		Rechecker: &devices.Rechecker{Actor: &devices.Actor{Records: records, Notifier: p.notifier, Now: pages.Now}},
	}
	sso, authorize, token := g.sso(records, verifier, explainer, pages.Now), g.authorize(records, verifier, explainer, pages.Now), g.tokenEndpoints(records, options)
	challenger := g.challenger(records, pages.Now)
	sso.Challenger, authorize.Challenger = challenger, challenger
	sso.Recorder, authorize.Recorder = p.signIns.recorder(records), p.signIns.recorder(records)
	sso.Inventory, authorize.Inventory = p.signIns.inventory(records), p.signIns.inventory(records)
	signIns := []endpoint{
		{"GET /saml/sso", sso.ServeSSO, &pages}, {"POST /saml/sso", sso.ServeSSO, &pages},
		{"GET /oidc/authorize", authorize.ServeAuthorize, &pages}, {"POST /oidc/authorize", authorize.ServeAuthorize, &pages},
	}
	each(p.gate.Urgent, signIns, token)
	// What waits for a report must not hold reports up: it is not urgent.
	waiting := []endpoint{
		{"POST /saml/sso" + idp.ContinuePath, sso.ServeContinue, &pages},
		{"POST /oidc/authorize" + idp.ContinuePath, authorize.ServeContinue, &pages},
	}
	waiting = append(waiting, challengeEndpoints(challenger, &pages)...)
	device := slices.Concat(signIns, waiting, agents, waits)
	issuer := slices.Concat(g.metadataEndpoints(&pages), token, enroll, acme)
	if g.config.IssuerHost() == g.config.DeviceHost() {
		// One host does both, as for trials.
		device = append(device, issuer...)
	}
	notFound := endpoint{"/", func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: http.StatusNotFound, Reason: "not_found"}
	}, &pages}
	g.device, g.issuer = newMux(append(device, notFound), g.proxy), newMux(append(issuer, notFound), g.proxy)
	withAPI := g.issuer
	if g.config.IssuerHost() == g.config.DeviceHost() {
		withAPI = g.device
	}
	withAPI.Handle(admin.Prefix, g.api)
}

// each puts around what serves the endpoints.
func each(around func(web.HandlerFunc) web.HandlerFunc, endpoints ...[]endpoint) {
	for _, some := range endpoints {
		for i := range some {
			some[i].serve = around(some[i].serve)
		}
	}
}

// newMux serves the endpoints; another method on the path of one is answered as
// that endpoint answers errors. Certificate headers that were not agreed with the
// proxy are refused before anything else.
func newMux(endpoints []endpoint, proxy *certs.Proxy) *http.ServeMux {
	mux := http.NewServeMux()
	allowed := map[string][]string{} // by path
	options := map[string]*web.Options{}
	for _, e := range endpoints {
		mux.Handle(e.route, web.Handle(e.route, onlyAgreed(proxy, e.serve), e.options))
		if method, path, ok := strings.Cut(e.route, " "); ok {
			allowed[path] = append(allowed[path], method)
			options[path] = e.options
		}
	}
	for path, methods := range allowed {
		allow := strings.Join(methods, ", ")
		mux.Handle(path, web.Handle(path, onlyAgreed(proxy, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Allow", allow)
			return &web.Error{Status: http.StatusMethodNotAllowed, Reason: "method"}
		}), options[path]))
	}
	return mux
}

func (g *generation) sso(records *store.Records, verifier idp.Verifier, explainer *idp.Explainer, now func() time.Time) *idp.SAML {
	return &idp.SAML{
		EntityID:       g.config.EntityID(),
		SSOURL:         g.config.SSOURL(),
		RelyingParties: g.parties,
		Inventory:      records,
		Noter:          records,
		Recorder:       records,
		Verifier:       verifier,
		Forwarded:      forwarded(g.proxy),
		Keys:           g.keyring.Signing,
		Explainer:      explainer,
		Now:            now,
	}
}

func (g *generation) metadataEndpoints(pages *web.Options) []endpoint {
	metadata := &idp.Metadata{EntityID: g.config.EntityID(), SSOURL: g.config.SSOURL(), Keys: g.keyring.Published, Now: pages.Now}
	return []endpoint{{"GET /saml/metadata", metadata.ServeMetadata, pages}}
}

func (g *generation) authorize(records *store.Records, verifier idp.Verifier, explainer *idp.Explainer, now func() time.Time) *idp.OIDC {
	return &idp.OIDC{
		Provider:  g.provider(),
		Clients:   g.parties,
		Inventory: records,
		Noter:     records,
		Recorder:  records,
		Verifier:  verifier,
		Forwarded: forwarded(g.proxy),
		Keys:      g.publicKeys,
		Explainer: explainer,
		Now:       now,
	}
}

func (g *generation) tokenEndpoints(records *store.Records, options *web.Options) []endpoint {
	configuration := &idp.Configuration{Provider: g.provider(), MaxAge: certs.PublishFor}
	keySet := &idp.KeySet{Keys: g.publicKeys, MaxAge: certs.PublishFor}
	token := &idp.Token{Provider: g.provider(), Clients: g.parties, Grants: records, Claimer: records, Signer: g.signer, Now: options.Now}
	userInfo := &idp.UserInfo{Clients: g.parties, Grants: records, Now: options.Now}

	forms, bearers := *options, *options
	forms.WriteError, forms.MaxBody = idp.WriteTokenError, idp.MaxRequestBody
	bearers.WriteError, bearers.MaxBody = idp.WriteBearerError, idp.MaxRequestBody
	return []endpoint{
		{"GET /.well-known/openid-configuration", configuration.ServeConfiguration, options},
		{"GET /oidc/jwks", keySet.ServeKeySet, options},
		{"POST /oidc/token", token.ServeToken, &forms},
		{"GET /oidc/userinfo", userInfo.ServeUserInfo, &bearers},
		{"POST /oidc/userinfo", userInfo.ServeUserInfo, &bearers},
	}
}

// provider is what the OpenID Provider says of itself.
func (g *generation) provider() *oidc.Provider {
	p := g.config.Provider()
	for _, ring := range g.keyrings() {
		p.IDTokenAlgs = append(p.IDTokenAlgs, ring.Signing().Algorithm())
	}
	return p
}

// keyrings are the keys of ID tokens: RSA, and P-256 if the configuration has
// them.
func (g *generation) keyrings() []*certs.Keyring {
	if g.es256 == nil {
		return []*certs.Keyring{g.keyring}
	}
	return []*certs.Keyring{g.keyring, g.es256}
}

// signer is the key that signs ID tokens by alg now, or nil.
func (g *generation) signer(alg string) *oidc.Signer {
	for _, ring := range g.keyrings() {
		if key := ring.Signing(); key.Algorithm() == alg {
			return &oidc.Signer{ID: key.ID, Alg: alg, Key: key}
		}
	}
	return nil
}

// publicKeys are those that relying parties should know.
func (g *generation) publicKeys() []oidc.PublicKey {
	var keys []oidc.PublicKey
	for _, ring := range g.keyrings() {
		for _, key := range ring.Published() {
			keys = append(keys, oidc.PublicKey{ID: key.ID, Alg: key.Algorithm(), Key: key.Certificate.PublicKey})
		}
	}
	return keys
}

// writeErrorPage answers an error of a browser's request with a page that tells
// nothing of the request.
func writeErrorPage(w http.ResponseWriter, _ *http.Request, e *web.Error, reference string) {
	var page templates.Page = templates.BadRequest{Reference: reference}
	if e.Status >= http.StatusInternalServerError {
		page = templates.Unavailable{Reference: reference}
	}
	if err := templates.Write(w, e.Status, page); err != nil {
		http.Error(w, http.StatusText(e.Status), e.Status)
	}
}

// ServeHTTP serves a request on the host that it is for.
func (g *generation) ServeHTTP(w http.ResponseWriter, r *http.Request, site string) {
	if site == g.config.DeviceHost() {
		g.device.ServeHTTP(w, r)
		return
	}
	g.issuer.ServeHTTP(w, r)
}

// sparing is a store whose commits, for requests that can wait, let others
// compute while the disk writes.
type sparing struct{ store.KV }

func (s sparing) Commit(ctx context.Context, ops ...store.Op) error {
	return web.Aside(ctx, func() error { return s.KV.Commit(ctx, ops...) })
}
