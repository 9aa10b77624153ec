package idp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gatepost.dev/internal/web"
)

// TestForwardedCertificates: what a proxy forwards takes the place of what is on
// the connection, and with it goes what is known of when that was proven.
func TestForwardedCertificates(t *testing.T) {
	t.Parallel()
	onConnection, inHeader := new(x509.Certificate), new(x509.Certificate)
	connected := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now := connected.Add(time.Hour)
	r := httptest.NewRequest(http.MethodGet, "/saml/sso", nil)
	r = r.WithContext(web.Accepted(func() time.Time { return connected })(context.Background(), nil))
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{onConnection}}
	forwarded := func(chain []*x509.Certificate, ok bool) Forwarded {
		return func(*http.Request) ([]*x509.Certificate, bool, error) { return chain, ok, nil }
	}
	for _, tt := range []struct {
		what      string
		forwarded Forwarded
		chain     []*x509.Certificate
		proven    time.Time
	}{
		{"no proxy", nil, []*x509.Certificate{onConnection}, connected},
		{"past the proxy", forwarded(nil, false), []*x509.Certificate{onConnection}, connected},
		{"by the proxy", forwarded([]*x509.Certificate{inHeader}, true), []*x509.Certificate{inHeader}, now},
		{"by the proxy, without", forwarded(nil, true), nil, now},
	} {
		s, err := newSignIn(r, tt.forwarded, &RelyingParty{}, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.shown.chain) != len(tt.chain) || len(s.shown.chain) > 0 && s.shown.chain[0] != tt.chain[0] {
			t.Errorf("%s: another chain: %d certificates", tt.what, len(s.shown.chain))
		}
		if proxied := s.shown.proxied; proxied != tt.proven.Equal(now) {
			t.Errorf("%s: a proxy says so: %t", tt.what, proxied)
		}
		if !s.proven.Equal(tt.proven) || s.proofOlder(0) != tt.proven.Before(now) {
			t.Errorf("%s: proven %v, too old: %v", tt.what, s.proven, s.proofOlder(0))
		}
	}
	bad := &web.Error{Status: http.StatusBadRequest, Reason: "proxy_header"}
	_, err := newSignIn(r, func(*http.Request) ([]*x509.Certificate, bool, error) { return nil, false, bad }, &RelyingParty{}, now)
	if !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
}
