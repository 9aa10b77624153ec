package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// browser does what a sign-in needs of a browser: TLS with or without a client
// certificate, cookies, redirects, and forms that submit themselves.
type browser struct {
	http      *http.Client
	transport *http.Transport
}

// newBrowser makes a browser that trusts only these roots. A nil certificate is
// none.
func newBrowser(roots *x509.CertPool, certificate *tls.Certificate) (*browser, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true} // no proxy: all is on loopback
	return &browser{transport: transport, http: &http.Client{
		Transport: transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (b *browser) close() { b.transport.CloseIdleConnections() }

// step is one request of a browser: a POST when there is a form.
type step struct {
	url  string
	form url.Values
}

// page is what came back.
type page struct {
	status int
	next   *step             // where a redirect, or a form that submits itself, leads
	result map[string]string // of <dl id="result">, by the names in the IDs of its values
	shown  map[string]string // texts of <pre> and of the findings, by ID
	said   string            // the heading, for errors
	body   []byte
}

// maxPage is more than any page of a sign-in has.
const maxPage = 4 << 20

// load takes a step.
func (b *browser) load(ctx context.Context, s step) (*page, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if s.form != nil {
		method, body = http.MethodPost, strings.NewReader(s.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html, */*") // who sends none is no browser to some
	if s.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	p := &page{status: res.StatusCode}
	if p.body, err = io.ReadAll(http.MaxBytesReader(nil, res.Body, maxPage)); err != nil {
		return nil, err
	}
	if to, err := res.Location(); err == nil && res.StatusCode/100 == 3 {
		p.next = &step{url: to.String()}
		return p, nil
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return p, p.read(req.URL)
	}
	return p, nil
}

// read finds in the page's HTML what a sign-in goes on with.
func (p *page) read(base *url.URL) error {
	doc, err := html.Parse(bytes.NewReader(p.body))
	if err != nil {
		return fmt.Errorf("page of %s: %w", base.Host, err)
	}
	for n := range doc.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "h1":
			p.said = text(n)
		case n.Data == "form" && strings.EqualFold(attribute(n, "method"), "post"):
			action, err := base.Parse(attribute(n, "action"))
			if err != nil {
				return fmt.Errorf("form of %s: %w", base.Host, err)
			}
			p.next = &step{action.String(), hiddenInputs(n)}
		case n.Data == "dl" && attribute(n, "id") == "result":
			p.result = results(n)
		case n.Data == "pre" || attribute(n, "id") == "findings":
			if p.shown == nil {
				p.shown = map[string]string{}
			}
			p.shown[attribute(n, "id")] = text(n)
		}
	}
	return nil
}

func hiddenInputs(form *html.Node) url.Values {
	values := url.Values{}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attribute(n, "type") == "hidden" {
			values.Add(attribute(n, "name"), attribute(n, "value"))
		}
	}
	return values
}

func results(list *html.Node) map[string]string {
	values := map[string]string{}
	for n := range list.Descendants() {
		if name, ok := strings.CutPrefix(attribute(n, "id"), "result-"); ok {
			values[name] = text(n)
		}
	}
	return values
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// exchange is what passed through the browser in one sign-in.
type exchange struct {
	request  *requestMessage // by SAML
	response *responseMessage
	asked    *authorizationMessage // by OpenID Connect
	answered *callbackMessage
	tokens   *tokensMessage    // as Okta shows them: they did not pass by
	result   map[string]string // what Okta made of it
}

// maxSteps is more than a sign-in takes: Okta, the provider, Okta.
const maxSteps = 6

// signIn goes to where a sign-in starts and on from there, until Okta says what
// it makes of the answer.
func (b *browser) signIn(ctx context.Context, start string) (*exchange, error) {
	x := &exchange{}
	at := &step{url: start}
	for range maxSteps {
		if err := x.see(at); err != nil {
			return x, err
		}
		p, err := b.load(ctx, *at)
		if err != nil {
			return x, err
		}
		if p.result != nil {
			x.result = p.result
			x.tokens, err = readTokens(p.shown)
			return x, err
		}
		if p.next == nil {
			return x, fmt.Errorf("the sign-in ends at a page with status %d: %q", p.status, p.said)
		}
		at = p.next
	}
	return x, errors.New("the sign-in goes on and on")
}

// see takes the messages out of a step.
func (x *exchange) see(s *step) (err error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	switch query := u.Query(); {
	case s.form == nil && query.Has("SAMLRequest"):
		x.request, err = readRedirect(query)
	case s.form.Has("SAMLRequest"):
		x.request, err = readPost(s.form)
	case s.form.Has("SAMLResponse"):
		x.response, err = readResponse(s.form)
	case s.form == nil && query.Has("client_id"):
		x.asked, err = readAuthorization(query)
	case s.form == nil && query.Has("state"):
		x.answered = readCallback(query)
	case s.form.Has("state"):
		x.answered = readCallback(s.form)
	}
	return err
}
