package acme

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/certs"
	"gatepost.dev/posture"
)

// TestDeviceAttest: evidence of the device's own TPM, for a key, gets a certificate
// for that key; by its serial number too, if the hardware vouches for that.
func TestDeviceAttest(t *testing.T) {
	t.Parallel()
	for identifier, change := range map[string]func(s *said){
		"mac-1":  nil,
		"C02ABC": func(s *said) { s.EK, s.Serial = "", "C02ABC" },
	} {
		w := newWorld(t)
		w.device("mac-1", "ek-1", "C02ABC")
		c, key := w.client(), newKey(t)
		id, token := c.order(identifier)
		if a := c.post(pathChallenge+id, c.evidence(token, key.Public(), change)); a.status != http.StatusOK || a.body["status"] != "valid" {
			t.Fatalf("%s: challenge %+v", identifier, a)
		}
		if a := c.finalize(id, key); a.status != http.StatusOK || a.body["status"] != "valid" {
			t.Fatalf("%s: finalize %+v", identifier, a)
		}
		a := c.post(pathCertificate+id, nil)
		block, rest := pem.Decode([]byte(a.text))
		if block == nil || !strings.Contains(string(rest), "BEGIN CERTIFICATE") {
			t.Fatalf("%s: %+v", identifier, a)
		}
		issued, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !key.PublicKey.Equal(issued.PublicKey) || issued.URIs[0].String() != "urn:gatepost:device:mac-1" {
			t.Errorf("%s: %v, %v", identifier, issued, err)
		}
		known, err := w.records.Certificate(t.Context(), certs.KeyHash(w.server.Authority), certs.Serial(issued))
		d, _ := w.records.Device(t.Context(), "mac-1")
		if err != nil || known.Rank != posture.RankAttested || known.Channel != posture.ByACME || d.AttestedKey(known.KeyHash) == nil || d.Enrolled != nil {
			t.Errorf("%s: %+v, %+v, %v", identifier, known, d, err)
		}
		if a := c.finalize(id, key); a.status != http.StatusForbidden || a.kind != "orderNotReady" || w.issued("mac-1") != 1 {
			t.Errorf("%s: finalized twice: %+v", identifier, a)
		}
	}
}

// TestEvidenceIsRefused: what does not prove the ordered device for this very order
// ends the order, and nothing is issued.
func TestEvidenceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", "ek-1", "C02ABC")
	w.device("mac-2", "ek-2", "C02TWO")
	w.device("mac-3", "", "C02SAME")
	w.device("mac-4", "", "C02SAME")
	w.device("mac-5", "ek-5", "")
	if _, err := w.records.UpdateDevice(t.Context(), "mac-5", func(d *posture.Device, _ bool) error { d.RetiredAt = begin; return nil }); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	other := w.client()
	_, otherToken := other.order("mac-1")
	copied := other.evidence(otherToken, key.Public(), nil)
	for _, tt := range []struct {
		what, identifier, kind string
		evidence               func(c *client, token string) map[string]string
	}{
		{"a wrong nonce", "mac-1", "badAttestationStatement", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Nonce[0] ^= 1 })
		}},
		{"no nonce", "mac-1", "badAttestationStatement", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Nonce = nil })
		}},
		{"copied from another order", "mac-1", "badAttestationStatement", func(*client, string) map[string]string { return copied }},
		{"an identifier that it does not prove", "mac-2", "rejectedIdentifier", func(c *client, token string) map[string]string { return c.evidence(token, key.Public(), nil) }},
		{"no identifier", "mac-1", "rejectedIdentifier", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Identifiers = nil })
		}},
		{"another TPM that says it is the device", "mac-2", "rejectedIdentifier", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Identifiers = []string{"mac-2"} })
		}},
		{"a serial number that no hardware vouches for", "C02ABC", "rejectedIdentifier", func(c *client, token string) map[string]string { return c.evidence(token, key.Public(), nil) }},
		{"a serial number of two", "C02SAME", "rejectedIdentifier", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Identifiers, s.Serial = []string{"C02SAME"}, "C02SAME" })
		}},
		{"a device that nobody knows", "mac-9", "rejectedIdentifier", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Identifiers = []string{"mac-9"} })
		}},
		{"a retired device", "mac-5", "rejectedIdentifier", func(c *client, token string) map[string]string {
			return c.evidence(token, key.Public(), func(s *said) { s.Identifiers, s.EK = []string{"mac-5"}, "ek-5" })
		}},
		{"a format that is not taken", "mac-1", "badAttestationStatement", func(c *client, _ string) map[string]string {
			return map[string]string{"attObj": c.object("none", map[string]any{})}
		}},
		{"noise", "mac-1", "badAttestationStatement", func(*client, string) map[string]string { return map[string]string{"attObj": "bm9pc2U"} }},
	} {
		c := w.client()
		id, token := c.order(tt.identifier)
		a := c.post(pathChallenge+id, tt.evidence(c, token))
		problem, _ := a.body["error"].(map[string]any)
		if kind, _ := problem["type"].(string); a.status != http.StatusOK || a.body["status"] != "invalid" || !strings.HasSuffix(kind, ":"+tt.kind) {
			t.Errorf("%s: %+v", tt.what, a)
		}
		if a := c.finalize(id, key); a.status != http.StatusForbidden || a.kind != "orderNotReady" {
			t.Errorf("%s: finalized: %+v", tt.what, a)
		}
		// A second try with better evidence comes too late.
		c.post(pathChallenge+id, c.evidence(token, key.Public(), nil))
		if a := c.finalize(id, key); a.status != http.StatusForbidden {
			t.Errorf("%s: finalized at the second try: %+v", tt.what, a)
		}
	}
	for _, id := range []string{"mac-1", "mac-2", "mac-3", "mac-4", "mac-5"} {
		if n := w.issued(id); n != 0 {
			t.Errorf("%d issued to %s", n, id)
		}
	}
}

// TestFinalizeIsRefused: only the attested key, once, and only of a device that is
// in service then.
func TestFinalizeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", "ek-1", "")
	prove := func() (c *client, id string) {
		t.Helper()
		c = w.client()
		key := newKey(t)
		id, token := c.order("mac-1")
		if a := c.post(pathChallenge+id, c.evidence(token, key.Public(), nil)); a.body["status"] != "valid" {
			t.Fatalf("%+v", a)
		}
		return c, id
	}
	c, id := prove()
	if a := c.finalize(id, newKey(t)); a.kind != "badCSR" {
		t.Errorf("another key: %+v", a)
	}
	if a := c.post(pathOrder+id+"/finalize", map[string]string{"csr": "AAAA"}); a.kind != "badCSR" {
		t.Errorf("no request: %+v", a)
	}
	if a := w.client().finalize(id, newKey(t)); a.status != http.StatusNotFound {
		t.Errorf("another account's order: %+v", a)
	}
	c, id = prove()
	w.offset.Add(int64(2 * orderLife))
	if a := c.finalize(id, newKey(t)); a.status == http.StatusOK {
		t.Errorf("expired: %+v", a)
	}
	w.offset.Store(0)

	c, key := w.client(), newKey(t)
	id, token := c.order("mac-1")
	c.post(pathChallenge+id, c.evidence(token, key.Public(), nil))
	if _, err := w.records.UpdateDevice(t.Context(), "mac-1", func(d *posture.Device, _ bool) error {
		d.Suspected = &posture.Suspicion{At: begin, Why: "two"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if a := c.finalize(id, key); a.status == http.StatusOK || w.issued("mac-1") != 0 {
		t.Errorf("suspected meanwhile: %+v", a)
	}
}

// TestOneOrderOneCertificate, however many ask at once.
func TestOneOrderOneCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", "ek-1", "")
	c, key := w.client(), newKey(t)
	id, token := c.order("mac-1")
	c.post(pathChallenge+id, c.evidence(token, key.Public(), nil))
	var all sync.WaitGroup
	for range 10 {
		one := *c
		one.serve(http.MethodGet, pathNewNonce, "", "")
		all.Go(func() { one.finalize(id, key) })
	}
	all.Wait()
	if n := w.issued("mac-1"); n != 1 {
		t.Errorf("%d issued", n)
	}
}

// TestMessageIsRefused: RFC 8555 section 6.
func TestMessageIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	id, _ := c.order("mac-1")
	path := pathOrder + id
	fresh := func() { c.serve(http.MethodGet, pathNewNonce, "", "") }
	for _, tt := range []struct {
		what, kind string
		do         func() answer
	}{
		{"a nonce twice", "badNonce", func() answer {
			body := c.jws(issuer+path, nil, nil)
			c.serve("POST", path, "application/jose+json", body)
			return c.serve("POST", path, "application/jose+json", body)
		}},
		{"a nonce of somebody else", "badNonce", func() answer { c.nonce = "AAAA"; return c.post(path, nil) }},
		{"an old nonce", "badNonce", func() answer {
			defer w.offset.Store(0)
			w.offset.Add(int64(nonceLife + time.Minute))
			return c.post(path, nil)
		}},
		{"another url", "unauthorized", func() answer {
			return c.serve("POST", path, "application/jose+json", c.jws(issuer+pathNewOrder, nil, nil))
		}},
		{"another key", "unauthorized", func() answer {
			one := *c
			one.key = newKey(t)
			return one.post(path, nil)
		}},
		{"jwk where kid must be", "malformed", func() answer {
			one := *c
			one.kid = ""
			return one.post(path, nil)
		}},
		{"kid where jwk must be", "malformed", func() answer { return c.post(pathNewAccount, map[string]any{}) }},
		{"jwk and kid", "malformed", func() answer {
			return c.serve("POST", path, "application/jose+json", c.jws(issuer+path, nil, func(o *jose.SignerOptions) { o.WithHeader("jwk", jose.JSONWebKey{Key: c.key.Public()}) }))
		}},
		{"an account that there is not", "accountDoesNotExist", func() answer {
			one := *c
			one.kid = issuer + pathAccount + "none"
			return one.post(path, nil)
		}},
		{"no JWS", "malformed", func() answer { return c.serve("POST", path, "application/jose+json", "[]") }},
		{"an unprotected header", "malformed", func() answer {
			return c.serve("POST", path, "application/jose+json", strings.Replace(c.jws(issuer+path, nil, nil), `{`, `{"header":{},`, 1))
		}},
		{"an algorithm with a shared secret", "badSignatureAlgorithm", func() answer {
			return c.serve("POST", path, "application/jose+json", `{"protected":"eyJhbGciOiJIUzI1NiIsIm5vbmNlIjoiQSIsInVybCI6IkEiLCJraWQiOiJBIn0","payload":"","signature":"AAAA"}`)
		}},
		{"no algorithm", "badSignatureAlgorithm", func() answer {
			return c.serve("POST", path, "application/jose+json", `{"protected":"eyJhbGciOiJub25lIiwibm9uY2UiOiJBIiwidXJsIjoiQSIsImtpZCI6IkEifQ","payload":"","signature":""}`)
		}},
		{"another media type", "malformed", func() answer { return c.serve("POST", path, "application/json", c.jws(issuer+path, nil, nil)) }},
		{"a key change", "unauthorized", func() answer { return c.post(pathKeyChange, map[string]any{}) }},
		{"a revocation", "unauthorized", func() answer { return c.post(pathRevoke, map[string]any{}) }},
		{"another account's order", "malformed", func() answer { return w.client().post(path, nil) }},
		{"an order for a name", "unsupportedIdentifier", func() answer {
			return c.post(pathNewOrder, map[string]any{"identifiers": []map[string]string{{"type": "dns", "value": "example.com"}}})
		}},
		{"an order for two", "malformed", func() answer {
			return c.post(pathNewOrder, map[string]any{"identifiers": []map[string]string{{"type": "permanent-identifier", "value": "a"}, {"type": "permanent-identifier", "value": "b"}}})
		}},
		{"an order that says how long", "malformed", func() answer {
			return c.post(pathNewOrder, map[string]any{"identifiers": []map[string]string{{"type": "permanent-identifier", "value": "a"}}, "notAfter": "2030-01-01T00:00:00Z"})
		}},
	} {
		fresh()
		if a := tt.do(); a.kind != tt.kind || a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d %q, want %q: %s", tt.what, a.status, a.kind, tt.kind, a.text)
		}
	}
	fresh()
	if a := c.post(path, nil); a.status != http.StatusOK || a.body["status"] != "pending" {
		t.Errorf("after all that: %+v", a)
	}
}

// FuzzPayload reads what anybody may send.
func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"","signature":""}`), []byte(`{"attObj":"oWNmbXRkbm9uZQ"}`))
	f.Add([]byte(`{}`), []byte(`{"identifiers":[{"type":"permanent-identifier","value":"a"}],"csr":"AAAA"}`))
	f.Fuzz(func(t *testing.T, body, payload []byte) {
		if m, err := parseMessage(body); err == nil && (m.url == "" || m.nonce == "" || (m.key != nil) == (m.kid != "")) {
			t.Errorf("%+v", m)
		}
		if p, err := parsePayload[response](payload); err == nil {
			if o, err := p.object(); err == nil && (o.Format == "" || len(o.Statement) == 0) {
				t.Errorf("%+v", o)
			}
		}
		if p, err := parsePayload[newOrder](payload); err == nil {
			if id, err := p.check(); err == nil && !plain(id) {
				t.Errorf("%q", id)
			}
		}
		if p, err := parsePayload[finalize](payload); err == nil {
			if key, err := p.key(); err == nil && key == nil {
				t.Error("no key")
			}
		}
	})
}
