package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Headers in which proxies that end TLS forward the client's certificate.
const (
	headerClientCert  = "Client-Cert"                 // RFC 9440 section 2.2
	headerCertChain   = "Client-Cert-Chain"           // RFC 9440 section 2.3, beside the former
	headerEnvoy       = "X-Forwarded-Client-Cert"     // Envoy, "x-forwarded-client-cert"
	headerNginx       = "Ssl-Client-Cert"             // nginx, $ssl_client_escaped_cert; the name is ingress-nginx's
	headerALB         = "X-Amzn-Mtls-Clientcert"      // AWS Application Load Balancer, mutual TLS passthrough
	headerALBVerified = "X-Amzn-Mtls-Clientcert-Leaf" // the same, mutual TLS verify
	headerTraefik     = "X-Forwarded-Tls-Client-Cert" // Traefik, PassTLSClientCert with pem
	headerCaddy       = "X-Client-Cert"               // Caddy, {http.request.tls.client.certificate_der_base64}
)

// forms reads the value of each header that can be configured.
var forms = map[string]func(value string) ([]*x509.Certificate, error){
	headerClientCert:  parseClientCert,
	headerEnvoy:       parseEnvoy,
	headerNginx:       parseEscapedPEM,
	headerALB:         parseEscapedPEM,
	headerALBVerified: parseEscapedPEM,
	headerTraefik:     parseTraefik,
	headerCaddy:       parseCaddy,
}

// ProxyHeaders are the headers of which NewProxy takes one.
func ProxyHeaders() []string {
	return []string{headerClientCert, headerEnvoy, headerNginx, headerALB, headerALBVerified, headerTraefik, headerCaddy}
}

// Proxy is what is agreed with the proxies that end TLS in front of the server:
// in which header they forward the client's certificate, and where they are. A
// nil Proxy trusts nobody. It does not change.
type Proxy struct {
	header string
	from   []netip.Prefix
}

// NewProxy takes one of ProxyHeaders, in any case, and the addresses of the
// proxies.
func NewProxy(header string, from []netip.Prefix) (*Proxy, error) {
	p := &Proxy{}
	for _, known := range ProxyHeaders() {
		if strings.EqualFold(header, known) {
			p.header = known
		}
	}
	if p.header == "" {
		return nil, fmt.Errorf("header %.60q is none that forwards a certificate", header)
	}
	if len(from) == 0 {
		return nil, errors.New("no address that a proxy could have")
	}
	for _, prefix := range from {
		switch {
		case !prefix.IsValid() || prefix.Addr().Is4In6():
			return nil, fmt.Errorf("addresses %q are none", prefix)
		case prefix.Bits() == 0: // anybody could send a certificate whose key he does not have
			return nil, fmt.Errorf("addresses %q are those of everybody", prefix)
		}
		p.from = append(p.from, prefix.Masked())
	}
	return p, nil
}

// Check refuses a request with a header that speaks of a client's certificate
// and that was not agreed, whoever sent it: another header, the right one from
// somebody else, or twice, or written with underscores, which some take for
// hyphens. Whatever lets one of them through could let a forged one through.
//
// Peer is the address at the other end of the connection; names in header are in
// the canonical form of net/http.
func (p *Proxy) Check(peer netip.Addr, header map[string][]string) error {
	for name, values := range header {
		known := certificateHeader(name)
		switch {
		case known == "":
		case p == nil:
			return fmt.Errorf("header %q, and no proxy is configured", known)
		case !p.agreed(known):
			return fmt.Errorf("header %q, and %q is the one that is configured", known, p.header)
		case !p.trusts(peer):
			return fmt.Errorf("header %q from %s, where no proxy is configured", known, peer)
		case name != known:
			return fmt.Errorf("header %q is written as %q", known, name)
		case len(values) != 1:
			return fmt.Errorf("header %q is there %d times", known, len(values))
		}
	}
	return nil
}

// Forwarded tells which certificates the client presented to the proxy at peer,
// its own first. Nothing of them is verified but that they are certificates. It
// is false for a peer that is no proxy: that is the client itself. A proxy
// without the header, or with an empty one, has a client that presented none;
// what the proxy itself presented says nothing of any client.
//
// The error is Check's, or that the value is not as the header's form has it.
func (p *Proxy) Forwarded(peer netip.Addr, header map[string][]string) (chain []*x509.Certificate, forwarded bool, err error) {
	if err := p.Check(peer, header); err != nil {
		return nil, false, err
	}
	if p == nil || !p.trusts(peer) {
		return nil, false, nil
	}
	value, above := first(header[p.header]), first(header[headerCertChain])
	if value == "" {
		if above != "" {
			return nil, false, fmt.Errorf("header %q without %q", headerCertChain, headerClientCert) // RFC 9440 section 2.3
		}
		return nil, true, nil
	}
	if len(value)+len(above) > maxForwarded {
		return nil, false, fmt.Errorf("header %q of %d bytes, more than %d", p.header, len(value)+len(above), maxForwarded)
	}
	if chain, err = forms[p.header](value); err != nil {
		return nil, false, fmt.Errorf("header %q: %w", p.header, err)
	}
	if above != "" {
		issuers, err := parseClientCertChain(above)
		if err != nil {
			return nil, false, fmt.Errorf("header %q: %w", headerCertChain, err)
		}
		chain = append(chain, issuers...)
	}
	return chain, true, nil
}

func (p *Proxy) agreed(known string) bool {
	return known == p.header || known == headerCertChain && p.header == headerClientCert
}

func (p *Proxy) trusts(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(p.from, func(prefix netip.Prefix) bool { return prefix.Contains(peer) })
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// certificateHeader gives the certificate header that somebody could take name
// for, or "".
func certificateHeader(name string) string {
	if sameHeader(name, headerCertChain) {
		return headerCertChain
	}
	for known := range forms {
		if sameHeader(name, known) {
			return known
		}
	}
	return ""
}

// sameHeader tells whether a name is the known one but for case and underscores.
func sameHeader(name, known string) bool {
	if len(name) != len(known) {
		return false
	}
	for i := range len(name) {
		if plainByte(name[i]) != plainByte(known[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case c == '_':
		return '-'
	}
	return c
}
