package certs

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
)

var (
	proxyPeer = netip.MustParseAddr("10.0.0.7")
	otherPeer = netip.MustParseAddr("10.0.1.7")
)

func newTestProxy(t testing.TB, header string) *Proxy {
	t.Helper()
	p, err := NewProxy(header, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::7/128")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What each proxy makes of a chain.

func derBase64(c *x509.Certificate) string { return base64.StdEncoding.EncodeToString(c.Raw) }

func byteSequence(c *x509.Certificate) string { return ":" + derBase64(c) + ":" }

func chainPEM(chain []*x509.Certificate) string {
	var b strings.Builder
	for _, c := range chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String()
}

// escaped is percent-encoded as nginx and Envoy do.
func escaped(chain ...*x509.Certificate) string {
	return strings.ReplaceAll(url.QueryEscape(chainPEM(chain)), "+", "%20")
}

// escapedByAWS leaves +, = and / as they are.
func escapedByAWS(chain ...*x509.Certificate) string {
	return strings.NewReplacer("%2B", "+", "%3D", "=", "%2F", "/").Replace(escaped(chain...))
}

func commas(chain ...*x509.Certificate) string {
	var items []string
	for _, c := range chain {
		items = append(items, derBase64(c))
	}
	return strings.Join(items, ",")
}

func testChain() (leaf, issuing, above *x509.Certificate) {
	ca := root("Corporate root")
	sub := ca.sub("Issuing")
	return sub.leaf(), sub.cert, ca.cert
}

func TestForwarded(t *testing.T) {
	t.Parallel()
	leaf, issuing, above := testChain()
	const hash = "By=spiffe://a/b;By=spiffe://a/c;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;"
	subject := `Subject="CN=a\"b,O=x;y=z";URI=spiffe://a/b;DNS=a.example;DNS=b.example;`
	tests := []struct {
		name, configured string
		header           map[string]string
		want             []*x509.Certificate
	}{
		{"RFC 9440", "client-cert", map[string]string{"Client-Cert": byteSequence(leaf)}, chain(leaf)},
		{"RFC 9440 with a chain", "Client-Cert", map[string]string{"Client-Cert": byteSequence(leaf),
			"Client-Cert-Chain": byteSequence(issuing) + " ,\t" + byteSequence(above)}, chain(leaf, issuing, above)},
		{"Envoy", "x-forwarded-client-cert", map[string]string{"X-Forwarded-Client-Cert": hash + subject + `Cert="` + escaped(leaf) + `"`}, chain(leaf)},
		{"Envoy, not quoted", "x-forwarded-client-cert", map[string]string{"X-Forwarded-Client-Cert": "cert=" + escaped(leaf) + ";hash=a"}, chain(leaf)},
		{"Envoy, chain", "x-forwarded-client-cert", map[string]string{"X-Forwarded-Client-Cert": `Chain="` + escaped(leaf, issuing) + `"`}, chain(leaf, issuing)},
		{"Envoy, both", "x-forwarded-client-cert", map[string]string{"X-Forwarded-Client-Cert": `Cert="` + escaped(leaf) + `";Chain="` + escaped(leaf, issuing) + `"`},
			chain(leaf, issuing)},
		{"nginx", "ssl-client-cert", map[string]string{"Ssl-Client-Cert": escaped(leaf)}, chain(leaf)},
		{"AWS", "X-Amzn-Mtls-Clientcert", map[string]string{"X-Amzn-Mtls-Clientcert": escapedByAWS(leaf, issuing, above)}, chain(leaf, issuing, above)},
		{"AWS, verified", "x-amzn-mtls-clientcert-leaf", map[string]string{"X-Amzn-Mtls-Clientcert-Leaf": escapedByAWS(leaf),
			"X-Amzn-Mtls-Clientcert-Subject": "CN=x", "X-Amzn-Mtls-Clientcert-Serial-Number": "03"}, chain(leaf)},
		{"Traefik", "X-Forwarded-Tls-Client-Cert", map[string]string{"X-Forwarded-Tls-Client-Cert": commas(leaf, issuing)}, chain(leaf, issuing)},
		{"Traefik 2", "X-Forwarded-Tls-Client-Cert", map[string]string{"X-Forwarded-Tls-Client-Cert": url.QueryEscape(commas(leaf))}, chain(leaf)},
		{"Caddy", "X-Client-Cert", map[string]string{"X-Client-Cert": derBase64(leaf)}, chain(leaf)},
		{"empty", "X-Client-Cert", map[string]string{"X-Client-Cert": ""}, nil},
		{"none", "Client-Cert", map[string]string{"Accept": "*/*", "X-Ssl-Cert": "x"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newTestProxy(t, tt.configured)
			header := http.Header{}
			for name, value := range tt.header {
				header.Set(name, value)
			}
			for _, peer := range []string{"10.0.0.7", "::ffff:10.0.0.200", "fd00::7", "fd00::7%eth0"} {
				got, forwarded, err := p.Forwarded(netip.MustParseAddr(peer), header)
				if err != nil || !forwarded || !slices.EqualFunc(got, tt.want, (*x509.Certificate).Equal) {
					t.Errorf("from %s: %d certificates, %v, %v", peer, len(got), forwarded, err)
				}
			}
			_, forwarded, err := p.Forwarded(otherPeer, header)
			switch {
			case len(tt.header) > 0 && tt.name != "none":
				wantError(t, err, nil, "where no proxy is configured")
			case forwarded || err != nil:
				t.Errorf("from somebody else: %v, %v", forwarded, err)
			}
		})
	}
}

// TestForwardedRefusesOtherHeaders has each of the eight names, as it is and in
// disguise, beside the one that was agreed and alone, from the proxy and from
// others.
func TestForwardedRefusesOtherHeaders(t *testing.T) {
	t.Parallel()
	leaf, _, _ := testChain()
	names := append(ProxyHeaders(), "Client-Cert-Chain")
	if len(names) != 8 {
		t.Fatalf("%d names", len(names))
	}
	disguises := func(name string) []string {
		return []string{
			name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", "_", 1),
			strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
		}
	}
	for _, configured := range append(ProxyHeaders(), "") {
		var p *Proxy
		if configured != "" {
			p = newTestProxy(t, configured)
		}
		for _, name := range names {
			for _, disguise := range disguises(name) {
				for _, canonical := range []bool{true, false} {
					header := http.Header{}
					if configured != "" {
						header.Set(configured, byteSequence(leaf))
					}
					agreed := textproto.CanonicalMIMEHeaderKey(disguise) == configured || strings.EqualFold(disguise, "Client-Cert-Chain") && configured == "Client-Cert"
					switch {
					case agreed && canonical:
						continue
					case canonical:
						header.Add(disguise, byteSequence(leaf))
					default:
						header[disguise] = append(header[disguise], byteSequence(leaf))
					}
					if agreed && disguise == textproto.CanonicalMIMEHeaderKey(disguise) && len(header[disguise]) == 1 {
						continue
					}
					for _, peer := range []netip.Addr{proxyPeer, otherPeer, {}} {
						if err := p.Check(peer, header); err == nil {
							t.Errorf("%q configured, %v from %v let through", configured, header, peer)
						}
						if chain, ok, err := p.Forwarded(peer, header); err == nil || ok || chain != nil {
							t.Errorf("%q configured, %v from %v believed", configured, header, peer)
						}
					}
				}
			}
		}
	}
}

func TestForwardedRefusesTwice(t *testing.T) {
	t.Parallel()
	leaf, issuing, _ := testChain()
	for _, name := range ProxyHeaders() {
		p := newTestProxy(t, name)
		_, _, err := p.Forwarded(proxyPeer, map[string][]string{name: {derBase64(leaf), derBase64(leaf)}})
		wantError(t, err, nil, "2 times")
	}
	p := newTestProxy(t, headerClientCert)
	_, _, err := p.Forwarded(proxyPeer, map[string][]string{headerClientCert: {byteSequence(leaf)}, headerCertChain: {byteSequence(issuing), byteSequence(issuing)}})
	wantError(t, err, nil, "2 times")
	_, _, err = p.Forwarded(proxyPeer, map[string][]string{headerCertChain: {byteSequence(issuing)}})
	wantError(t, err, nil, "without")
}

func TestForwardedRefusesBadValues(t *testing.T) {
	t.Parallel()
	leaf, issuing, above := testChain()
	other, _, _ := testChain()
	b64 := derBase64(leaf)
	six := chain(leaf, issuing, issuing, issuing, issuing, issuing)
	tests := []struct{ name, header, value string }{
		{"no colons", headerClientCert, b64},
		{"one colon", headerClientCert, ":"},
		{"no end", headerClientCert, ":" + b64},
		{"empty", headerClientCert, "::"},
		{"parameters", headerClientCert, byteSequence(leaf) + ";a=1"},
		{"two", headerClientCert, byteSequence(leaf) + ", " + byteSequence(issuing)},
		{"two joined", headerClientCert, byteSequence(leaf) + "," + byteSequence(leaf)},
		{"space", headerClientCert, ": " + b64 + ":"},
		{"URL alphabet", headerClientCert, ":_-_-:"},
		{"line break", headerClientCert, ":" + b64[:8] + "\n" + b64[8:] + ":"},
		{"no certificate", headerClientCert, ":aGVsbG8=:"},
		{"bytes after it", headerClientCert, ":" + base64.StdEncoding.EncodeToString(append(slices.Clone(leaf.Raw), 0)) + ":"},
		{"cut short", headerClientCert, ":" + base64.StdEncoding.EncodeToString(leaf.Raw[:len(leaf.Raw)-1]) + ":"},
		{"too long", headerClientCert, ":" + strings.Repeat("A", maxForwarded) + ":"},

		{"hash only", headerEnvoy, "By=a;Hash=b"},
		{"two hops", headerEnvoy, `Cert="` + escaped(leaf) + `",Cert="` + escaped(leaf) + `"`},
		{"two hops, the first without", headerEnvoy, `Hash=a,Cert="` + escaped(leaf) + `"`},
		{"two certificates", headerEnvoy, `Cert="` + escaped(leaf, issuing) + `"`},
		{"Cert twice", headerEnvoy, `Cert="` + escaped(leaf) + `";cert="` + escaped(leaf) + `"`},
		{"Chain twice", headerEnvoy, `Chain="` + escaped(leaf) + `";Chain="` + escaped(leaf) + `"`},
		{"another chain", headerEnvoy, `Cert="` + escaped(leaf) + `";Chain="` + escaped(other) + `"`},
		{"quote not closed", headerEnvoy, `Cert="` + escaped(leaf)},
		{"escape at the end", headerEnvoy, `Cert="` + escaped(leaf) + `\"`},
		{"after the quote", headerEnvoy, `Subject="a"b;Cert="` + escaped(leaf) + `"`},
		{"quote inside", headerEnvoy, `Subject=a"b;Cert="` + escaped(leaf) + `"`},
		{"semicolon at the end", headerEnvoy, `Cert="` + escaped(leaf) + `";`},
		{"comma at the end", headerEnvoy, `Cert="` + escaped(leaf) + `",`},
		{"no pair", headerEnvoy, "Cert"},
		{"no key", headerEnvoy, "=" + escaped(leaf)},
		{"space before", headerEnvoy, ` Cert="` + escaped(leaf) + `"`},
		{"plain PEM", headerEnvoy, `Cert="` + chainPEM(chain(leaf)) + `x"`},
		{"empty Cert", headerEnvoy, `Cert=`},

		{"bad escape", headerNginx, "%2"},
		{"not PEM", headerNginx, url.QueryEscape(b64)},
		{"another PEM", headerNginx, strings.ReplaceAll(escaped(leaf), "CERTIFICATE", "PUBLIC%20KEY")},
		{"text before", headerNginx, "subject" + escaped(leaf)},
		{"text after", headerNginx, escaped(leaf) + "text"},
		{"PEM header", headerNginx, strings.Replace(escaped(leaf), "%0A", "%0AProc-Type:%204%0A%0A", 1)},
		{"not ended", headerNginx, strings.Replace(escaped(leaf), "END", "END%20", 1)},
		{"spaces", headerNginx, strings.ReplaceAll(strings.ReplaceAll(escaped(leaf), "%20", " "), "%0A", " ")},
		{"encoded twice", headerNginx, url.QueryEscape(escaped(leaf))},
		{"six", headerALB, escapedByAWS(six...)},
		{"query escaped", headerALBVerified, strings.ReplaceAll(escaped(leaf), "%20", "+")},

		{"six", headerTraefik, commas(six...)},
		{"empty item", headerTraefik, commas(leaf, above) + ","},
		{"PEM", headerTraefik, escaped(leaf)},
		{"bad escape", headerTraefik, b64 + "%"},

		{"colons", headerCaddy, byteSequence(leaf)},
		{"PEM", headerCaddy, escaped(leaf)},
		{"placeholder", headerCaddy, "{http.request.tls.client.certificate_der_base64}"},
	}
	for _, tt := range tests {
		t.Run(tt.header+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			p := newTestProxy(t, tt.header)
			chain, _, err := p.Forwarded(proxyPeer, map[string][]string{tt.header: {tt.value}})
			wantError(t, err, nil, "header")
			if chain != nil {
				t.Error("certificates beside the error")
			}
			if len(err.Error()) > 300 || strings.Contains(err.Error(), b64[:40]) {
				t.Errorf("error of %d bytes repeats what came: %v", len(err.Error()), err)
			}
		})
	}
	p := newTestProxy(t, headerClientCert)
	for _, above := range []string{"x", ",", byteSequence(issuing) + ",", byteSequence(issuing) + ";a", strings.Repeat(byteSequence(issuing)+",", 4) + byteSequence(issuing)} {
		_, _, err := p.Forwarded(proxyPeer, map[string][]string{headerClientCert: {byteSequence(leaf)}, headerCertChain: {above}})
		wantError(t, err, nil, headerCertChain)
	}
}

func TestNewProxyRefuses(t *testing.T) {
	t.Parallel()
	good := netip.MustParsePrefix("10.0.0.0/8")
	for _, tt := range []struct {
		header string
		from   []netip.Prefix
		part   string
	}{
		{"", []netip.Prefix{good}, "forwards a certificate"},
		{"X-Ssl-Cert", []netip.Prefix{good}, "forwards a certificate"},
		{"Client_Cert", []netip.Prefix{good}, "forwards a certificate"},
		{"Client-Cert-Chain", []netip.Prefix{good}, "forwards a certificate"},
		{"Client-Cert", nil, "no address"},
		{"Client-Cert", []netip.Prefix{good, netip.MustParsePrefix("0.0.0.0/0")}, "everybody"},
		{"Client-Cert", []netip.Prefix{netip.MustParsePrefix("::/0")}, "everybody"},
		{"Client-Cert", []netip.Prefix{{}}, "none"},
		{"Client-Cert", []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/120")}, "none"},
	} {
		p, err := NewProxy(tt.header, tt.from)
		wantError(t, err, nil, tt.part)
		if p != nil {
			t.Error("a proxy beside the error")
		}
	}
}

// fuzzForm feeds one form. What it accepts is 1 to 5 certificates, and what a
// proxy would make of them is read as the same.
func fuzzForm(f *testing.F, parse func(string) ([]*x509.Certificate, error), write func([]*x509.Certificate) string, seeds ...string) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := parse(value)
		if err != nil {
			if got != nil {
				t.Fatal("certificates beside the error")
			}
			return
		}
		if len(got) < 1 || len(got) > 1+maxIntermediates {
			t.Fatalf("%d certificates", len(got))
		}
		again, err := parse(write(got))
		if err != nil || !slices.EqualFunc(again, got, (*x509.Certificate).Equal) {
			t.Fatalf("written again: %d certificates, %v", len(again), err)
		}
	})
}

func FuzzClientCert(f *testing.F) {
	leaf, issuing, _ := testChain()
	fuzzForm(f, parseClientCertChain, func(chain []*x509.Certificate) string {
		var items []string
		for _, c := range chain {
			items = append(items, byteSequence(c))
		}
		return strings.Join(items, ", ")
	}, byteSequence(leaf), byteSequence(leaf)+", "+byteSequence(issuing), "::", ":", ":aGVsbG8=:;a=1", ",", byteSequence(leaf)+";a")
}

func FuzzForwardedClientCert(f *testing.F) {
	leaf, issuing, _ := testChain()
	fuzzForm(f, parseEnvoy, func(chain []*x509.Certificate) string { return `Chain="` + escaped(chain...) + `"` },
		`By=a;Hash=b;Subject="CN=\"a\"";Cert="`+escaped(leaf)+`"`, `Chain="`+escaped(leaf, issuing)+`";URI=a;DNS=b`,
		`Cert="`+escaped(leaf)+`",By=b`, `Cert="\`, `Cert=""`, `=;=,`, "a=b;;", escaped(leaf))
}

func FuzzEscapedPEM(f *testing.F) {
	leaf, issuing, _ := testChain()
	fuzzForm(f, parseEscapedPEM, func(chain []*x509.Certificate) string { return escapedByAWS(chain...) },
		escaped(leaf), escapedByAWS(leaf, issuing), "%", "-----BEGIN CERTIFICATE----------END CERTIFICATE-----", "%0A")
}

func FuzzTraefikClientCert(f *testing.F) {
	leaf, issuing, _ := testChain()
	fuzzForm(f, parseTraefik, func(chain []*x509.Certificate) string { return commas(chain...) },
		commas(leaf, issuing), url.QueryEscape(commas(leaf)), ",", "%2C", "=")
}
