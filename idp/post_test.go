package idp_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatepost.dev/conform"
	"gatepost.dev/idp/saml"
	"gatepost.dev/internal/web"
)

// TestEmptyRelayStateComesBack: a parameter that is there and empty is one
// (SAML bindings 3.5.3).
func TestEmptyRelayStateComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	for _, tt := range []struct {
		form url.Values
		want int // fields of this name
	}{{url.Values{"RelayState": {""}}, 1}, {url.Values{}, 0}} {
		r := must(w.okta.Request(conform.RequestOptions{Subject: user}))(t)
		tt.form.Set("SAMLRequest", r.Form.SAMLRequest)
		resp := must(client.PostForm(r.Form.Action, tt.form))(t)
		p := readPage(t, resp)
		resp.Body.Close()
		if p.status != http.StatusOK || p.relay != "" || strings.Count(p.body, `name="RelayState"`) != tt.want {
			t.Errorf("status %d, want %d fields RelayState: %s", p.status, tt.want, p.body)
		}
		if in, err := w.okta.Receive(p.response, p.relay); err != nil || !in.OK() {
			t.Errorf("%+v, %v", in, err)
		}
	}
}

// TestNameIDFormatAsAsked: who wishes an e-mail address gets the name as one
// (SAML core 3.4.1.1), if it can be one.
func TestNameIDFormatAsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	client := browser(w.certificate("mac-1", time.Hour))
	for _, tt := range []struct{ subject, asked, want string }{
		{user, saml.FormatEmail, saml.FormatEmail},
		{user, saml.FormatUnspecified, saml.FormatUnspecified},
		{"user", saml.FormatEmail, saml.FormatUnspecified},
	} {
		p := w.send(client, must(w.okta.Request(conform.RequestOptions{Subject: tt.subject, NameIDFormat: tt.asked}))(t))
		answer := etree.NewDocument()
		if err := answer.ReadFromBytes(must(base64.StdEncoding.DecodeString(p.response))(t)); err != nil {
			t.Fatal(err)
		}
		id := answer.FindElement("/Response/Assertion/Subject/NameID")
		if id == nil || id.Text() != tt.subject || id.SelectAttrValue("Format", "") != tt.want {
			t.Errorf("%+v: %s", tt, must(base64.StdEncoding.DecodeString(p.response))(t))
		}
	}
}

// TestBodyLimit: of a posted request no more is read than needs to be, also when
// the server around does not limit it.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", managed)
	const limit = 128 << 10
	r := must(w.okta.Request(conform.RequestOptions{Subject: user}))(t)
	body := url.Values{"SAMLRequest": {r.Form.SAMLRequest}}.Encode() + "&padding="
	body += strings.Repeat("x", limit-len(body))

	long := &counting{Reader: strings.NewReader(body + strings.Repeat("x", 1<<20))}
	direct := httptest.NewRequestWithContext(t.Context(), http.MethodPost, w.ssoURL, long)
	direct.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	err := w.provider.ServeSSO(httptest.NewRecorder(), direct)
	if e, ok := errors.AsType[*web.Error](err); !ok || e.Status != http.StatusBadRequest || e.Reason != "too_large" {
		t.Errorf("a byte more and then some: %v", err)
	}
	if long.n > limit+1 {
		t.Errorf("%d bytes were read", long.n)
	}

	client := browser(w.certificate("mac-1", time.Hour))
	for _, tt := range []struct {
		name   string
		body   io.Reader
		served bool
	}{
		{"too large", strings.NewReader(body + "x"), false},
		{"too large, of no told length", struct{ io.Reader }{strings.NewReader(body + "x")}, false},
		{"just so", strings.NewReader(body), true}, // last, as it uses the request up
	} {
		resp := must(client.Post(r.Form.Action, "application/x-www-form-urlencoded", tt.body))(t)
		p := readPage(t, resp)
		resp.Body.Close()
		if refused := p.status/100 == 4; refused == tt.served || (p.response != "") != tt.served {
			t.Errorf("%s: status %d: %s", tt.name, p.status, p.body)
		}
	}
}

// counting counts the bytes that are read of it.
type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}
