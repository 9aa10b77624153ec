package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Site is one host name of the public listener.
type Site struct {
	Host        string // lower-case host name, or IP address, without port and brackets
	Certificate *tls.Certificate
	// AskClientCertificate makes it the site where devices prove themselves:
	// a client certificate is asked for and not insisted on, so that a client
	// without one, or with an expired or foreign one, gets an answer and not an
	// alert; whoever uses the connection verifies what came. HTTP/1.1 only and no
	// session tickets: each connection proves anew.
	AskClientCertificate bool
	// ClientCAs are named to the client, which offers its user only certificates
	// of theirs. Required where a certificate is asked for.
	ClientCAs *x509.CertPool
}

// Sites are the sites of one listener. They can be replaced while connections
// are open. Safe for concurrent use.
type Sites struct {
	table atomic.Pointer[siteTable]
}

type siteTable struct {
	byHost  map[string]*served
	unnamed *served // for clients that name no host; nil if there is none
}

type served struct {
	host   string
	config *tls.Config
}

// NewSites makes a table of sites. Its error names every fault.
func NewSites(sites []Site) (*Sites, error) {
	s := new(Sites)
	if err := s.Replace(sites); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace makes these the sites of all handshakes from now on; open connections
// stay. After an error the former sites go on.
func (s *Sites) Replace(sites []Site) error {
	t := &siteTable{byHost: make(map[string]*served)}
	if len(sites) == 0 {
		return errors.New("sites: there is none")
	}
	var faults []error
	for _, site := range sites {
		if err := t.add(site); err != nil {
			faults = append(faults, fmt.Errorf("site %q: %w", site.Host, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	t.unnamed = t.forUnnamed(sites)
	s.table.Store(t)
	return nil
}

func (t *siteTable) add(site Site) error {
	host := normalHost(site.Host)
	switch {
	case host == "" || host != site.Host:
		return errors.New("not a host name in lower case, without port")
	case t.byHost[host] != nil:
		return errors.New("named twice")
	case site.Certificate == nil || site.Certificate.Leaf == nil:
		return errors.New("no certificate")
	case site.AskClientCertificate && (site.ClientCAs == nil || site.ClientCAs.Equal(x509.NewCertPool())):
		return errors.New("no authority to ask client certificates of")
	}
	if err := site.Certificate.Leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("its certificate is for another host: %w", err)
	}
	t.byHost[host] = &served{host: host, config: site.config()}
	return nil
}

func (site Site) config() *tls.Config {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{*site.Certificate},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if site.AskClientCertificate {
		c.ClientAuth = tls.RequestClientCert
		c.ClientCAs = site.ClientCAs
		// A ticket would bring back a certificate of up to seven days ago, and
		// browsers send requests for other hosts over an HTTP/2 connection.
		c.SessionTicketsDisabled = true
		c.NextProtos = []string{"http/1.1"}
	}
	return c
}

// forUnnamed chooses the site for clients that name no host, as those do that
// connect to an IP address (RFC 6066 section 3): the one whose host is an IP
// address, if there is exactly one; else the one that asks for certificates.
func (t *siteTable) forUnnamed(sites []Site) *served {
	var byIP, asking []*served
	for _, site := range sites {
		if _, err := netip.ParseAddr(site.Host); err == nil {
			byIP = append(byIP, t.byHost[site.Host])
		}
		if site.AskClientCertificate {
			asking = append(asking, t.byHost[site.Host])
		}
	}
	switch {
	case len(byIP) == 1:
		return byIP[0]
	case len(asking) > 0:
		return asking[0]
	}
	return nil
}

func (s *Sites) find(serverName string) *served {
	t := s.table.Load()
	if serverName == "" {
		return t.unnamed
	}
	return t.byHost[normalHost(serverName)]
}

// SiteFor returns the Host of the site that serves connections with this server
// name (SNI), which is empty if the client named none; it returns "" if there
// is no such site.
func (s *Sites) SiteFor(serverName string) string {
	if site := s.find(serverName); site != nil {
		return site.host
	}
	return ""
}

// Misdirected tells whether a request came over a connection to another site
// than its own and must be answered with 421 (RFC 9110 section 15.5.20):
// browsers reuse connections for any host that the certificate covers.
// serverName is the connection's, host is the request's, with or without a port.
func (s *Sites) Misdirected(serverName, host string) bool {
	h := normalHost(withoutPort(host))
	return h == "" || h != s.SiteFor(serverName)
}

// NewTLSConfig makes the configuration of a listener that serves these sites by
// server name (SNI), with HTTP/2 and HTTP/1.1 except where Site says otherwise.
// A handshake for another host ends with the alert unrecognized_name.
func NewTLSConfig(s *Sites) *tls.Config {
	// A configuration without certificates is what sends that alert.
	unknown := &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// net/http looks here whether to prepare for HTTP/2.
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if site := s.find(hello.ServerName); site != nil {
				return site.config, nil
			}
			return unknown, nil
		},
	}
}

// normalHost is the form in which hosts are compared; "" for what is none.
func normalHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if strings.ContainsAny(host, ":/[]*@ \t\r\n") {
		return ""
	}
	return host
}

// withoutPort takes the port off a Host header, and the brackets off an IPv6
// address.
func withoutPort(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		address, _, _ := strings.Cut(rest, "]")
		return address
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}
