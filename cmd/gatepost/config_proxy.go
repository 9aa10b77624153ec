package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gatepost.dev/certs"
)

// Proxy is what is agreed with a proxy that ends TLS in front of gatepost. It
// must ask clients for a certificate, connect by HTTPS with the host name of the
// request, and overwrite the header in every request. Whoever can connect from
// its addresses can pass for any device: a certificate is no secret.
type Proxy struct {
	// Header is the one in which it forwards the certificate. The form goes
	// with the name: Client-Cert (RFC 9440), X-Forwarded-Client-Cert (Envoy),
	// ssl-client-cert (nginx), X-Amzn-Mtls-Clientcert or
	// X-Amzn-Mtls-Clientcert-Leaf (AWS), X-Forwarded-Tls-Client-Cert (Traefik)
	// or X-Client-Cert (Caddy). Required.
	Header string `yaml:"header"`

	// From are the addresses that the proxy connects from, such as 10.0.0.7 or
	// 10.0.0.0/24. Required.
	From []string `yaml:"from"`
}

const exampleFrom = "10.0.0.7 or 10.0.0.0/24"

// validateProxy wants both keys or neither, and a proxy that is not everybody.
func (c *Config) validateProxy(f *findings) {
	const path = "devices.proxy"
	if !c.written(path) || f.faulty(path) {
		return
	}
	p, known := c.Devices.Proxy, certs.ProxyHeaders()
	if require(f, path+".header", p.Header, "write header: and one of "+list(known)) &&
		!slices.ContainsFunc(known, func(header string) bool { return strings.EqualFold(header, p.Header) }) {
		f.add(path+".header", quote(p.Header)+" is not known", "write "+list(known))
	}
	if len(p.From) == 0 && !f.faulty(path+".from") {
		problem := missing
		if f.written(path + ".from") {
			problem = "holds no address"
		}
		f.add(path+".from", problem, "write from: and the addresses that the proxy connects from, such as ["+strings.ReplaceAll(exampleFrom, " or ", ", ")+"]")
	}
	for i, text := range p.From {
		path := fmt.Sprintf("%s.from[%d]", path, i)
		if f.faulty(path) {
			continue
		}
		switch prefix, err := parsePrefix(text); {
		case err != nil || prefix.Addr().Is4In6():
			f.add(path, quote(text)+" is no address or range of addresses", "write "+exampleFrom)
		case prefix.Bits() == 0:
			f.add(path, quote(text)+" is everybody, who could then pass for any device", "write the proxy's own addresses, such as "+exampleFrom)
		case prefix != prefix.Masked():
			f.add(path, quote(text)+" is no range of addresses", "write "+prefix.Masked().String()+" or "+prefix.Addr().String())
		}
	}
}

// newProxy makes what the configuration says; nil if it says nothing.
func newProxy(c Proxy) (*certs.Proxy, error) {
	if c.Header == "" {
		return nil, nil
	}
	var from []netip.Prefix
	for _, text := range c.From {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("devices.proxy.from: %w", err)
		}
		from = append(from, prefix)
	}
	return certs.NewProxy(c.Header, from)
}

// parsePrefix reads an address, or a range of them.
func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return address.Prefix(address.BitLen())
}
