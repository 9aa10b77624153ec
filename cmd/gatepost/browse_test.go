package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// webClient is a browser that speaks HTTP/2 where it is offered, follows no
// redirect, and shows the certificate that it is given, whatever authorities the
// server names. It trusts these authorities, or with nil any server.
func webClient(certificate *tls.Certificate, authorities *x509.CertPool) *http.Client {
	config := &tls.Config{RootCAs: authorities, InsecureSkipVerify: authorities == nil}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true},
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// webAnswer is what came back.
type webAnswer struct {
	status int
	head   string // status line and headers, one a line, sorted
	body   []byte
}

// browse makes one request on a connection of its own; host, unless it is empty,
// stands in the Host header instead of that of the URL.
func browse(client *http.Client, method, url, host string) (*webAnswer, error) {
	defer client.CloseIdleConnections()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	request.Host = host
	resp, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s\n", resp.Proto, resp.Status)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		for _, value := range resp.Header[name] {
			fmt.Fprintf(&head, "%s: %s\n", name, value)
		}
	}
	return &webAnswer{resp.StatusCode, head.String(), body}, nil
}
