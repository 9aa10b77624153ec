package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"testing"
)

func TestDeviceSite(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	key := newECKey()
	for name, version := range versions {
		for _, tt := range []struct {
			name string
			leaf *x509.Certificate
			want string
		}{
			{"good", r.device.leafFor(key.Public()), "laptop-1"},
			{"none", nil, "no client certificate"},
			{"expired", r.device.leafFor(key.Public(), dates(-2*day, -day)), "client certificate is not valid now: device \"laptop-1\", from 2026-11-20T12:00:00Z to 2026-11-21T12:00:00Z"},
			{"foreign", root("Other").leafFor(key.Public()), "client certificate is not trusted: no known authority stands behind its issuer \"CN=Other\""},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				c := r.client(deviceHost)
				c.MinVersion, c.MaxVersion = version, version
				c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
				var names [][]byte
				offering(c, tt.leaf, key, func(info *tls.CertificateRequestInfo) { names = info.AcceptableCAs })
				for i := range 3 {
					names = nil
					conn := r.dial(t, c)
					if status, body := get(t, conn, deviceHost); status != 200 || body != tt.want {
						t.Errorf("answer %d %q, want %q", status, body, tt.want)
					}
					if state := conn.ConnectionState(); state.DidResume || state.NegotiatedProtocol != "http/1.1" || state.Version != version {
						t.Errorf("connection %d: resumed %v, protocol %q, version %x", i, state.DidResume, state.NegotiatedProtocol, state.Version)
					}
					if want := [][]byte{r.device.cert.RawSubject}; !slices.EqualFunc(names, want, slices.Equal) {
						t.Errorf("authorities named: %q, want %q", names, want)
					}
				}
			})
		}
	}
}

// The other site neither asks nor forgoes resumption and HTTP/2; this also
// shows that the tests of the device site would see either.
func TestMainSite(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.client(mainHost)
			c.MinVersion, c.MaxVersion = version, version
			c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			offering(c, nil, nil, func(*tls.CertificateRequestInfo) { t.Error("a certificate was asked for") })
			if p := r.dial(t, c).ConnectionState().NegotiatedProtocol; p != "h2" {
				t.Errorf("protocol %q", p)
			}
			c.NextProtos = []string{"http/1.1"}
			for i := range 2 {
				conn := r.dial(t, c)
				if status, body := get(t, conn, mainHost); status != 200 || body != "no client certificate" {
					t.Errorf("answer %d %q", status, body)
				}
				if i == 1 && !conn.ConnectionState().DidResume {
					t.Error("the second connection was not resumed")
				}
			}
		})
	}
}

// A ticket of the main site must open nothing at the device site.
func TestTicketDoesNotCrossSites(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		both := serverFor(t, r.roots, mainHost, deviceHost)
		r.list[0].Certificate, r.list[1].Certificate = both, both
	})
	shared := oneSession{tls.NewLRUClientSessionCache(1)}
	for _, host := range []string{mainHost, mainHost, deviceHost} {
		c := r.client(host)
		c.NextProtos, c.ClientSessionCache = []string{"http/1.1"}, shared
		conn := r.dial(t, c)
		get(t, conn, host)
		if host == deviceHost && conn.ConnectionState().DidResume {
			t.Error("resumed")
		}
	}
}

// oneSession is a cache that offers any session to any host.
type oneSession struct{ tls.ClientSessionCache }

func (o oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.ClientSessionCache.Get("x") }
func (o oneSession) Put(_ string, s *tls.ClientSessionState)    { o.ClientSessionCache.Put("x", s) }

func TestUnknownServerName(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.client("other.example.com")
			c.MinVersion, c.MaxVersion = version, version
			_, err := tls.Dial("tcp", r.addr, c)
			wantError(t, err, nil, "unrecognized name")
		})
	}
	c := r.client(mainHost)
	c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err := tls.Dial("tcp", r.addr, c)
	wantError(t, err, nil, "protocol version")
}

// Clients of an IP address name no host.
func TestNoServerName(t *testing.T) {
	t.Parallel()
	ip := func(host string) func(*rig) {
		return func(r *rig) {
			r.list = append(r.list, Site{Host: host, Certificate: serverFor(t, r.roots, host)})
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*rig)
		want   string // the site
	}{
		{"one IP address", ip("127.0.0.1"), "127.0.0.1"},
		{"two IP addresses", func(r *rig) { ip("127.0.0.1")(r); ip("::1")(r) }, deviceHost},
		{"no IP address", nil, deviceHost},
		{"no device site either", func(r *rig) { r.list = r.list[:1] }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, tt.change)
			if got := r.sites.SiteFor(""); got != tt.want {
				t.Fatalf("site %q, want %q", got, tt.want)
			}
			c := r.client("")
			c.InsecureSkipVerify = true // the name is what the test looks at
			conn, err := tls.Dial("tcp", r.addr, c)
			if tt.want == "" {
				wantError(t, err, nil, "unrecognized name")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.ConnectionState().PeerCertificates[0].VerifyHostname(tt.want); err != nil {
				t.Error(err)
			}
		})
	}
}

// Certificates are replaced under open connections.
func TestReplaceSites(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c := r.client(deviceHost)
	before := r.dial(t, c)
	get(t, before, deviceHost)

	fresh := serverFor(t, r.roots, deviceHost)
	list := slices.Clone(r.list)
	list[1].Certificate = fresh
	if err := r.sites.Replace(list); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, before, deviceHost); status != 200 {
		t.Errorf("open connection: %d", status)
	}
	if got := r.dial(t, c).ConnectionState().PeerCertificates[0]; !got.Equal(fresh.Leaf) {
		t.Error("a new connection gets the old certificate")
	}

	wantError(t, r.sites.Replace(nil), nil, "none")
	if got := r.dial(t, c).ConnectionState().PeerCertificates[0]; !got.Equal(fresh.Leaf) {
		t.Error("a refused replacement changed the sites")
	}
}

func TestNewSitesRefuses(t *testing.T) {
	t.Parallel()
	pool := x509.NewCertPool()
	cert := serverFor(t, pool, mainHost)
	good := Site{Host: mainHost, Certificate: cert}
	for _, tt := range []struct {
		name  string
		sites []Site
		part  string
	}{
		{"none", nil, "none"},
		{"no host", []Site{{Certificate: cert}}, "not a host name"},
		{"upper case", []Site{{Host: "Posture.Example.Com", Certificate: cert}}, "not a host name"},
		{"port", []Site{{Host: mainHost + ":443", Certificate: cert}}, "not a host name"},
		{"twice", []Site{good, good}, "named twice"},
		{"no certificate", []Site{{Host: mainHost}}, "no certificate"},
		{"another host's certificate", []Site{{Host: deviceHost, Certificate: cert}}, "another host"},
		{"no authorities", []Site{{Host: mainHost, Certificate: cert, AskClientCertificate: true}}, "no authority"},
		{"no authority in the pool", []Site{{Host: mainHost, Certificate: cert, AskClientCertificate: true, ClientCAs: x509.NewCertPool()}}, "no authority"},
		{"every fault", []Site{{Host: "A"}, {Host: mainHost}}, `"A"`},
		{"every fault, the second too", []Site{{Host: "A"}, {Host: mainHost}}, "no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewSites(tt.sites)
			wantError(t, err, nil, tt.part)
		})
	}
}

func TestMisdirected(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct {
		serverName, host string
		want             bool
	}{
		{mainHost, mainHost, false},
		{mainHost, mainHost + ":8443", false},
		{mainHost, "POSTURE.example.com", false},
		{mainHost, mainHost + ".", false},
		{"Posture.Example.Com", mainHost, false},
		{"", deviceHost, false},
		{mainHost, deviceHost, true},
		{deviceHost, mainHost, true},
		{mainHost, deviceHost + ":8443", true},
		{mainHost, "other.example.com", true},
		{"other.example.com", "other.example.com", true},
		{deviceHost, "", true},
		{"", "", true},
		{"other.example.com", "", true},
		{mainHost, ":8443", true},
		{mainHost, mainHost + "@" + deviceHost, true},
	} {
		if got := r.sites.Misdirected(tt.serverName, tt.host); got != tt.want {
			t.Errorf("%q over %q: %v, want %v", tt.host, tt.serverName, got, tt.want)
		}
	}
	for host, want := range map[string]string{
		"[::1]:8443": "::1", "[::1]": "::1", "127.0.0.1:1": "127.0.0.1", "a.example": "a.example", "a.example:1": "a.example",
	} {
		if got := withoutPort(host); got != want {
			t.Errorf("host of %q is %q, want %q", host, got, want)
		}
	}

	conn := r.dial(t, r.client(deviceHost))
	if status, _ := get(t, conn, mainHost); status != http.StatusMisdirectedRequest {
		t.Errorf("the main host over the device site's connection: %d", status)
	}
}
