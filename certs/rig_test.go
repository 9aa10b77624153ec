package certs

import (
	"bufio"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"
)

const (
	mainHost   = "posture.example.com"
	deviceHost = "device.posture.example.com"
)

// serverFor makes a server certificate that the pool trusts.
func serverFor(t *testing.T, pool *x509.CertPool, hosts ...string) *tls.Certificate {
	t.Helper()
	ca, cert, key, err := NewServerCertificate(hosts, testNow, day)
	if err != nil {
		t.Fatal(err)
	}
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("the authority is not PEM")
	}
	pair := must(tls.X509KeyPair(cert, key))
	return &pair
}

// rig is a listener with a main and a device site.
type rig struct {
	sites  *Sites
	list   []Site
	addr   string
	roots  *x509.CertPool
	device issuer
}

func newRig(t *testing.T, change func(r *rig)) *rig {
	t.Helper()
	r := &rig{roots: x509.NewCertPool(), device: root("Device authority")}
	v := newTestVerifier(t, builtIn(r.device))
	r.list = []Site{
		{Host: mainHost, Certificate: serverFor(t, r.roots, mainHost)},
		{Host: deviceHost, Certificate: serverFor(t, r.roots, deviceHost), AskClientCertificate: true, ClientCAs: v.ClientCAs()},
	}
	if change != nil {
		change(r)
	}
	var err error
	if r.sites, err = NewSites(r.list); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	srv := &http.Server{
		TLSConfig: NewTLSConfig(r.sites),
		ErrorLog:  log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if r.sites.Misdirected(req.TLS.ServerName, req.Host) {
				w.WriteHeader(http.StatusMisdirectedRequest)
				return
			}
			id, err := v.Verify(req.TLS.PeerCertificates, testNow)
			if err != nil {
				_, _ = io.WriteString(w, err.Error())
				return
			}
			_, _ = io.WriteString(w, id.DeviceID)
		}),
	}
	done := make(chan error)
	go func() { done <- srv.ServeTLS(ln, "", "") }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return r
}

func (r *rig) client(serverName string) *tls.Config {
	return &tls.Config{
		ServerName: serverName, RootCAs: r.roots, NextProtos: []string{"h2", "http/1.1"},
		Time: func() time.Time { return testNow },
	}
}

func (r *rig) dial(t *testing.T, c *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", r.addr, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// get makes one request over HTTP/1.1.
func get(t *testing.T, conn *tls.Conn, host string) (status int, body string) {
	t.Helper()
	req := must(http.NewRequest(http.MethodGet, "https://"+host+"/", nil))
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, string(must(io.ReadAll(res.Body)))
}

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// offering sends this certificate, whatever the server's list of authorities.
func offering(c *tls.Config, leaf *x509.Certificate, key crypto.PrivateKey, asked func(*tls.CertificateRequestInfo)) {
	c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if asked != nil {
			asked(info)
		}
		if leaf == nil {
			return &tls.Certificate{}, nil
		}
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, nil
	}
}
