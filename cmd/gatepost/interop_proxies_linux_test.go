package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
	"gatepost.dev/conform"
)

// proxyProgram is a proxy that ends TLS, as Debian has it.
type proxyProgram struct {
	name, config, header string
	refusesBad           bool // answers certificates that it finds to be bad itself, with 400 as well
	command              func(config, dir string) *exec.Cmd
}

var proxyPrograms = []proxyProgram{
	{"nginx", "nginx.conf", "ssl-client-cert", true, func(config, dir string) *exec.Cmd {
		return exec.Command("/usr/sbin/nginx", "-p", dir, "-e", filepath.Join(dir, "start.log"), "-c", config)
	}},
	{"haproxy", "haproxy.cfg", "Client-Cert", false, func(config, _ string) *exec.Cmd {
		return exec.Command("/usr/sbin/haproxy", "-db", "-f", config)
	}},
	{"caddy", "Caddyfile", "X-Client-Cert", false, func(config, dir string) *exec.Cmd {
		cmd := exec.Command("/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", config)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	}},
}

// proxied is an installation with a proxy in front of its device host.
type proxied struct {
	*installation
	okta  *conform.Okta
	admin *admin.Client
	port  string // of the proxy
}

// newProxied starts a server that believes the proxy at 127.0.0.1, and nobody
// else, and the proxy.
func newProxied(t *testing.T, program proxyProgram) *proxied {
	t.Helper()
	dir := t.TempDir()
	in, err := installOn(dir, "127.0.0.1", "localhost", func(program string, args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w\n%s", program, args, err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in.gatepost(t, "device", "certificate", "old-3", "--out", filepath.Join(dir, "old-3.pem"))
	if err := editFile(filepath.Join(dir, in.config), "\ndevices:\n", "\ndevices:\n  proxy: { header: "+program.header+", from: [127.0.0.1] }\n"); err != nil {
		t.Fatal(err)
	}
	in.serve(t)
	p := &proxied{installation: in, admin: admin.NewSocketClient(filepath.Join(dir, "gp", "gatepost.sock"))}
	p.startProxy(t, program)
	metadata, err := in.fetchMetadata()
	if err != nil {
		t.Fatal(err)
	}
	if p.okta, err = openOkta(filepath.Join(dir, "okta"), metadata); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *proxied) startProxy(t *testing.T, program proxyProgram) {
	t.Helper()
	var err error
	if p.port, err = claimPort(); err != nil {
		t.Fatal(err)
	}
	dir, gp := t.TempDir(), filepath.Join(p.dir, "gp")
	certificate, key := filepath.Join(gp, "device-tls.crt"), filepath.Join(gp, "device-tls.key")
	pair := filepath.Join(dir, "pair.pem")
	text, err1 := template.ParseFiles("testdata/interop/proxies/" + program.config + ".tmpl")
	config := filepath.Join(dir, program.config)
	file, err2 := os.Create(config)
	err3 := os.WriteFile(pair, append(readAll(t, certificate), readAll(t, key)...), 0o600)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	err = text.Execute(file, map[string]any{
		"Dir": dir, "Root": os.Geteuid() == 0, "Port": p.port, "Host": "localhost", "Upstream": strings.TrimPrefix(p.issuer, "https://"),
		"Certificate": certificate, "Key": key, "Pair": pair,
		"DeviceCA": filepath.Join(gp, "device-ca.crt"), "CA": filepath.Join(gp, "trial-ca.crt"),
	})
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	cmd := program.command(config, dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	b, err := startBackground(cmd, filepath.Join(dir, "proxy"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // all of it, as a terminal does
		select {
		case <-b.ended:
		case <-time.After(patience):
			t.Errorf("%s does not end", program.name)
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("%s:\n%s%s", program.name, readAll(t, b.stdout), readAll(t, b.stderr))
		}
	})
	if err := b.until(program.name, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+p.port)
		return err == nil && conn.Close() == nil
	}); err != nil {
		t.Fatalf("%v\n%s", err, readAll(t, b.stderr))
	}
}

// through is a browser of the device whose connections to the device host go to
// the proxy; with an empty device it has no certificate.
func (p *proxied) through(t *testing.T, device string) *http.Client {
	t.Helper()
	client := p.direct(t, device, "")
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+p.port)
	}
	return client
}

// direct is a browser that goes to the server itself, from an address of this
// machine.
func (p *proxied) direct(t *testing.T, device, from string) *http.Client {
	t.Helper()
	var file string
	if device != "" {
		file = filepath.Join(p.dir, device+".pem")
	}
	client, err := deviceClient(file)
	if err != nil {
		t.Fatal(err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	transport := client.Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		return d.DialContext(ctx, network, strings.TrimPrefix(p.issuer, "https://"))
	}
	t.Cleanup(transport.CloseIdleConnections)
	return client
}

// headers sends every request with more headers, by their names as they are.
type headers struct {
	http.RoundTripper
	more http.Header
}

func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range h.more {
		r.Header[name] = values
	}
	return h.RoundTripper.RoundTrip(r)
}

func with(client *http.Client, more http.Header) *http.Client {
	c := *client
	c.Transport = headers{client.Transport, more}
	return &c
}

// signIn signs in by SAML and tells "managed DEVICE", "refused REASON" with the
// device after it if one is known, or what else the provider answered.
func (p *proxied) signIn(t *testing.T, client *http.Client) string {
	t.Helper()
	request, err := p.okta.Request(conform.RequestOptions{Binding: conform.Redirect, Subject: "user@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	in, err := oktaRoundTrip(client, p.okta, request)
	if err != nil {
		return err.Error()
	}
	if in.Managed {
		return "managed " + in.Device.ID
	}
	list, err := p.admin.Decisions(t.Context(), admin.DecisionQuery{Last: 1})
	if err != nil || len(list.Decisions) != 1 || list.Decisions[0].RequestID != request.ID {
		t.Fatalf("the last decision is %+v, not on %s: %v", list, request.ID, err)
	}
	d := list.Decisions[0]
	return strings.TrimSpace("refused " + string(d.Reason) + " " + d.DeviceID)
}

// asHeader is a certificate as the header of that name has it.
func asHeader(name string, c *tls.Certificate) string {
	b64 := base64.StdEncoding.EncodeToString(c.Certificate[0])
	text := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	text = strings.ReplaceAll(text, "+", "%20")
	switch strings.ToLower(name) {
	case "client-cert", "client-cert-chain":
		return ":" + b64 + ":"
	case "x-forwarded-client-cert":
		return `Cert="` + text + `"`
	case "x-client-cert", "x-forwarded-tls-client-cert":
		return b64
	}
	return text
}

const answered400 = "the provider answered 400 Bad Request"

// TestProxies has browsers sign in through real proxies that end TLS.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, program := range proxyPrograms {
		t.Run(program.name, func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, program)
			for device, want := range map[string]string{"mac-1": "managed mac-1", "old-3": "refused not_managed old-3", "": "refused no_certificate"} {
				client := p.through(t, device)
				for range 2 { // on one connection
					if got := p.signIn(t, client); got != want {
						t.Errorf("%q: %s, want %s", device, got, want)
					}
				}
			}
			p.forge(t)
			for device, want := range map[string]string{"expired": "refused expired_certificate", "forged": "refused unknown_device", "foreign": "refused unknown_device"} {
				if program.refusesBad && device != "foreign" {
					want = answered400
				}
				if got := p.signIn(t, p.through(t, device)); got != want {
					t.Errorf("%s: %s, want %s", device, got, want)
				}
			}
			t.Run("smuggled", func(t *testing.T) { p.smuggle(t) })
			t.Run("direct", func(t *testing.T) { p.pastProxy(t, program.header) })
			t.Run("OpenID Connect", func(t *testing.T) { p.authTime(t) })
			// What is retired is refused on the connection that is open.
			client := p.through(t, "mac-1")
			if got := p.signIn(t, client); got != "managed mac-1" {
				t.Errorf("before it is retired: %s", got)
			}
			p.gatepost(t, "device", "retire", "mac-1", "--reason", "lost")
			if got := p.signIn(t, client); got != "refused revoked_certificate" && got != "refused revoked_certificate mac-1" {
				t.Errorf("retired: %s", got)
			}
		})
	}
}

// forge makes certificates of mac-1: expired.pem, which has expired, forged.pem,
// by an authority of the name of ours that is not ours, and foreign.pem, by one
// that nobody knows.
func (p *proxied) forge(t *testing.T) {
	t.Helper()
	gp := filepath.Join(p.dir, "gp")
	ours, err1 := tls.LoadX509KeyPair(filepath.Join(gp, "device-ca.crt"), filepath.Join(gp, "device-ca.key"))
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	pkcs8, err3 := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, leaf := range map[string]struct {
		signer   crypto.PrivateKey
		issuer   []byte
		notAfter time.Time
	}{
		"expired": {ours.PrivateKey, ours.Leaf.RawSubject, now.Add(-time.Minute)},
		"forged":  {key, ours.Leaf.RawSubject, now.Add(time.Hour)},
		"foreign": {key, nil, now.Add(time.Hour)},
	} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "mac-1"}, NotBefore: ours.Leaf.NotBefore, NotAfter: leaf.notAfter,
			URIs: []*url.URL{{Scheme: "urn", Opaque: "gatepost:device:mac-1"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		issuer := &x509.Certificate{RawSubject: leaf.issuer, Subject: pkix.Name{CommonName: "Nobody's authority"}}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), leaf.signer)
		if err != nil {
			t.Fatal(err)
		}
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
		if err := os.WriteFile(filepath.Join(p.dir, name+".pem"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// smuggle has browsers send the certificate of mac-1 in every header and in
// disguise. The proxy may overwrite it, drop it or let it through; nobody becomes
// mac-1 by it.
func (p *proxied) smuggle(t *testing.T) {
	file := filepath.Join(p.dir, "mac-1.pem")
	mac, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	without, old := p.through(t, ""), p.through(t, "old-3")
	outcomes := map[string]int{}
	for _, name := range append(certs.ProxyHeaders(), "Client-Cert-Chain") {
		value := asHeader(name, &mac)
		for what, more := range map[string]http.Header{
			"as it is":    {name: {value}},
			"lower case":  {strings.ToLower(name): {value}},
			"underscores": {strings.ReplaceAll(name, "-", "_"): {value}},
			"underscore":  {strings.Replace(name, "-", "_", 1): {value}},
			"twice":       {name: {value, value}},
			"both cases":  {name: {value}, strings.ToUpper(name): {value}},
			"both signs":  {name: {value}, strings.ReplaceAll(name, "-", "_"): {value}},
		} {
			got, gotOld := p.signIn(t, with(without, more)), p.signIn(t, with(old, more))
			outcomes[got]++
			if got != answered400 && got != "refused no_certificate" {
				t.Errorf("%s %s, without a certificate: %s", name, what, got)
			}
			if gotOld != answered400 && gotOld != "refused not_managed old-3" {
				t.Errorf("%s %s, from old-3: %s", name, what, gotOld)
			}
		}
	}
	t.Log(outcomes)
	if outcomes[answered400] == 0 || outcomes["refused no_certificate"] == 0 {
		t.Errorf("only %v: the proxy overwrites its own header and lets others through", outcomes)
	}
}

// pastProxy connects to the server itself, from 127.0.0.3 and from its own address.
func (p *proxied) pastProxy(t *testing.T, header string) {
	file := filepath.Join(p.dir, "mac-1.pem")
	mac, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	forged := http.Header{header: {asHeader(header, &mac)}}
	const proxy, stranger = "127.0.0.1", "127.0.0.3"
	for _, tt := range []struct {
		what, device, from string
		more               http.Header
		want               string
	}{
		{"a browser past the proxy", "mac-1", stranger, nil, "managed mac-1"},
		{"the header from a stranger", "", stranger, forged, answered400},
		{"the header from a stranger with a certificate", "mac-1", stranger, forged, answered400},
		{"the header from the proxy's address", "", proxy, forged, "managed mac-1"},
		{"the header from the proxy's address with its own certificate", "old-3", proxy, forged, "managed mac-1"},
		{"the proxy's own certificate", "mac-1", proxy, nil, "refused no_certificate"},
		{"an empty header", "mac-1", proxy, http.Header{header: {""}}, "refused no_certificate"},
		{"no certificate in it", "mac-1", proxy, http.Header{header: {"x"}}, answered400},
		{"another header", "", proxy, http.Header{"X-Forwarded-Tls-Client-Cert": {asHeader("x-client-cert", &mac)}}, answered400},
	} {
		if got := p.signIn(t, with(p.direct(t, tt.device, tt.from), tt.more)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	// Refused everywhere, and so by name: the other host, no such page, another method.
	client := with(p.direct(t, "", stranger), forged)
	for _, target := range []string{p.issuer + "/saml/metadata", p.issuer + "/oidc/jwks", p.issuer + "/nothing"} {
		if answer, err := browse(client, http.MethodGet, target, ""); err != nil || answer.status != http.StatusBadRequest {
			t.Errorf("%s: %v %v", target, answer, err)
		}
	}
	if answer, err := browse(client, http.MethodDelete, p.issuer+"/saml/metadata", ""); err != nil || answer.status != http.StatusBadRequest {
		t.Errorf("DELETE: %v %v", answer, err)
	}
	if log := string(readAll(t, filepath.Join(p.dir, "server.stderr"))); !strings.Contains(log, `"reason":"proxy_header"`) || strings.Contains(log, asHeader("x-client-cert", &mac)[:64]) {
		t.Error("the log lacks the reason, or holds the certificate")
	}
}

// authTime signs in by OpenID Connect: behind a proxy a request that wants a new
// proof is answered, for there is no other connection to be sent to.
func (p *proxied) authTime(t *testing.T) {
	added := p.gatepost(t, "client", "add", "proxied", "--json", "--redirect-uri", testRedirectURI)
	device := "https://localhost:" + p.issuer[strings.LastIndex(p.issuer, ":")+1:]
	rp := newOIDCParty(t, []byte(added), p.issuer, device, p.through(t, "mac-1"))
	fetches := *rp
	fetches.http = p.direct(t, "", "127.0.0.3")
	for range 2 {
		code, err := rp.authorize(1)
		if err != nil {
			t.Fatal(err)
		}
		accessToken, _, err := fetches.redeem(code, http.StatusOK)
		if err != nil {
			t.Fatal(err)
		}
		if err := fetches.userInfo(accessToken, http.StatusOK); err != nil {
			t.Error(err)
		}
	}
	query := url.Values{"response_type": {"code"}, "client_id": {rp.id}, "redirect_uri": {testRedirectURI}, "scope": {"openid"},
		"login_hint": {"user@example.com"}, "prompt": {"login"}, "max_age": {"0"}}
	resp, err := rp.http.Get(device + "/oidc/authorize?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if to, err := resp.Location(); resp.StatusCode != http.StatusSeeOther || err != nil || !to.Query().Has("code") {
		t.Errorf("prompt=login: %s, to %v", resp.Status, to)
	}
}

// TestProxiesInTheGuide: the configurations in the operator's guide are those
// that TestProxies runs, but for addresses and files.
func TestProxiesInTheGuide(t *testing.T) {
	t.Parallel()
	guide := string(readAll(t, "../../docs/operators-guide.md"))
	for name, file := range map[string]string{"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddyfile": "Caddyfile"} {
		text, err := template.ParseFiles("testdata/interop/proxies/" + file + ".tmpl")
		if err != nil {
			t.Fatal(err)
		}
		var run strings.Builder
		if err := text.Execute(&run, map[string]any{
			"Dir": "/tmp", "Root": false, "Port": "443", "Host": "device.posture.example.com", "Upstream": "10.0.0.8:443",
			"Certificate": "device-tls.crt", "Key": "device-tls.key", "Pair": "device-tls.pem", "DeviceCA": "device-ca.crt", "CA": "gatepost-ca.crt",
		}); err != nil {
			t.Fatal(err)
		}
		tested := map[string]bool{}
		for line := range strings.Lines(strings.NewReplacer("127.0.0.1:443", "443", "https://device.posture.example.com:443 {", "device.posture.example.com {").Replace(run.String())) {
			tested[strings.TrimSpace(line)] = true
		}
		_, rest, ok := strings.Cut(guide, "```"+name+"\n")
		shown, _, ok2 := strings.Cut(rest, "```")
		if !ok || !ok2 || strings.Count(shown, "\n") < 8 {
			t.Errorf("the guide shows no %s", name)
		}
		for line := range strings.Lines(shown) {
			line, _, _ = strings.Cut(line, "   # ")
			if line = strings.TrimSpace(strings.ReplaceAll(line, "bind :443", "bind 443")); !tested[line] {
				t.Errorf("%s: %q is not what is tested", name, line)
			}
		}
	}
}
