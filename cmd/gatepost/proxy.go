package main

import (
	"crypto/x509"
	"net/http"
	"net/netip"

	"gatepost.dev/certs"
	"gatepost.dev/idp"
	"gatepost.dev/internal/web"
)

// peer is the address at the other end of the connection; it is not valid where
// that has none, and then it is no proxy's.
func peer(r *http.Request) netip.Addr {
	address, _ := netip.ParseAddrPort(r.RemoteAddr)
	return address.Addr()
}

// onlyAgreed serves only requests whose certificate headers are as agreed with
// the proxy.
func onlyAgreed(proxy *certs.Proxy, serve web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := proxy.Check(peer(r), r.Header); err != nil {
			return badProxyHeader(err)
		}
		return serve(w, r)
	}
}

// forwarded gives the certificates that the proxy forwards with a request.
func forwarded(proxy *certs.Proxy) idp.Forwarded {
	return func(r *http.Request) ([]*x509.Certificate, bool, error) {
		chain, ok, err := proxy.Forwarded(peer(r), r.Header)
		if err != nil {
			return nil, false, badProxyHeader(err)
		}
		return chain, ok, nil
	}
}

func badProxyHeader(err error) error {
	return &web.Error{Status: http.StatusBadRequest, Reason: "proxy_header", Err: err}
}
