package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"
)

func newTestVerifier(t testing.TB, authorities ...TrustedAuthority) *Verifier {
	t.Helper()
	v, err := NewVerifier(authorities)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func builtIn(i issuer) TrustedAuthority {
	return TrustedAuthority{Certificate: i.cert, IDFrom: IDFromURI, BuiltIn: true}
}

func trusted(i issuer, from IDFrom) TrustedAuthority {
	return TrustedAuthority{Certificate: i.cert, IDFrom: from}
}

func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	corp := root("Corporate root")
	issuing := corp.sub("Issuing 1")
	second := issuing.sub("Issuing 2")
	v := newTestVerifier(t, builtIn(ours), trusted(corp, IDFromCN))
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	tests := []struct {
		name  string
		chain []*x509.Certificate
		id    string
		root  issuer
	}{
		{"plain", chain(ours.leaf()), "laptop-1", ours},
		{"authority sent along", chain(ours.leaf(), ours.cert), "laptop-1", ours},
		{"also for servers", chain(ours.leaf(usages(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))), "laptop-1", ours},
		{"no key usage", chain(ours.leaf(func(c *x509.Certificate) { c.KeyUsage = 0 })), "laptop-1", ours},
		{"unknown extension, not critical", chain(ours.leaf(extension(false))), "laptop-1", ours},
		{"P-384", chain(ours.leafFor(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public())), "laptop-1", ours},
		{"RSA-2048", chain(ours.leafFor(rsaKey.Public())), "laptop-1", ours},
		{"Ed25519", chain(ours.leafFor(edKey)), "laptop-1", ours},
		{"one intermediate", chain(issuing.leaf(), issuing.cert), "Laptop 1", corp},
		{"intermediates out of order, root too", chain(second.leaf(), corp.cert, issuing.cert, second.cert), "Laptop 1", corp},
		{"strangers among the intermediates", chain(issuing.leaf(), root("x").cert, ours.cert, issuing.cert), "Laptop 1", corp},
		{"first moment", chain(ours.leaf(dates(0, day))), "laptop-1", ours},
		{"last moment", chain(ours.leaf(dates(-day, 0))), "laptop-1", ours},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			leaf := tt.chain[0]
			want := Identity{
				DeviceID: tt.id, Authority: KeyHash(tt.root.cert), Serial: leaf.SerialNumber.Text(16),
				KeyHash: KeyHash(leaf), NotAfter: leaf.NotAfter, BuiltIn: tt.root == ours,
			}
			for _, time := range []string{"first", "remembered"} {
				got, err := v.Verify(tt.chain, testNow)
				if err != nil {
					t.Fatalf("%s: %v", time, err)
				}
				if got != want {
					t.Errorf("%s: got %+v, want %+v", time, got, want)
				}
			}
		})
	}
}

func extension(critical bool) change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: critical, Value: []byte{5, 0},
		})
	}
}

// rawUsage sets the key usage extension, which crypto/x509 does not write if it
// allows nothing.
func rawUsage(bits ...byte) change {
	return func(c *x509.Certificate) {
		c.KeyUsage = 0
		value := must(asn1.Marshal(asn1.BitString{Bytes: bits, BitLength: 8 * len(bits)}))
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidKeyUsage, Critical: true, Value: value})
	}
}

// broken is the certificate with its last byte, which is the signature's, changed.
func broken(c *x509.Certificate) *x509.Certificate {
	der := append([]byte(nil), c.Raw...)
	der[len(der)-1] ^= 1
	return must(x509.ParseCertificate(der))
}

func TestVerifyRefusesLeaf(t *testing.T) {
	t.Parallel()
	ours := root("Device authority")
	v := newTestVerifier(t, builtIn(ours))
	rsaKey := must(rsa.GenerateKey(rand.Reader, 1024))
	weakE := rsa.PublicKey{N: must(rsa.GenerateKey(rand.Reader, 2048)).N, E: 3}
	tests := []struct {
		name string
		leaf *x509.Certificate
		kind error
		part string
	}{
		{"expired", ours.leaf(dates(-2*day, -time.Second)), ErrExpired, `device "laptop-1"`},
		{"not yet valid", ours.leaf(dates(time.Second, day)), ErrExpired, "2026-11-22T12:00:01Z"},
		{"expired and not for clients", ours.leaf(dates(-2*day, -day), usages()), ErrUntrusted, "client authentication"},
		{"foreign", root("Other").leaf(), ErrUntrusted, `"CN=Other"`},
		{"foreign and expired", root("Other").leaf(dates(-2*day, -day)), ErrUntrusted, `"CN=Other"`},
		{"foreign by an authority of the same name", root("Device authority").leaf(), ErrUntrusted, "no known authority"},
		{"never valid under its authority", ours.leaf(dates(-900*day, -800*day)), ErrUntrusted, "never valid"},
		{"signature broken", broken(ours.leaf()), ErrUntrusted, "no known authority"},
		{"no extended key usage", ours.leaf(usages()), ErrUntrusted, "client authentication"},
		{"any extended key usage", ours.leaf(usages(x509.ExtKeyUsageAny)), ErrUntrusted, "client authentication"},
		{"for servers", ours.leaf(usages(x509.ExtKeyUsageServerAuth)), ErrUntrusted, "client authentication"},
		{"an authority", ours.leaf(func(c *x509.Certificate) { c.IsCA = true }), ErrUntrusted, "authority's"},
		{"the authority itself", ours.cert, ErrUntrusted, "authority's"},
		{"may sign certificates", ours.leaf(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), ErrUntrusted, "authority's"},
		{"may only encipher", ours.leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), ErrUntrusted, "forbids signatures"},
		{"key usage of nothing", ours.leaf(rawUsage(0)), ErrUntrusted, "forbids signatures"},
		{"unknown critical extension", ours.leaf(extension(true)), ErrUntrusted, "1.3.6.1.4.1.99999.1"},
		{"RSA-1024", ours.leafFor(rsaKey.Public()), ErrUntrusted, "1024 bits"},
		{"RSA exponent 3", ours.leafFor(&weakE), ErrUntrusted, "exponent 3"},
		{"P-224", ours.leafFor(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).Public()), ErrUntrusted, "elliptic curve"},
		{"SHA-1", ours.leaf(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), ErrUntrusted, "ECDSA-SHA1"},
		{"no URI", ours.leaf(uris()), ErrUntrusted, "0 values for URI"},
		{"two device URIs", ours.leaf(uris("urn:gatepost:device:a", "urn:gatepost:device:b")), ErrUntrusted, "2 values for URI"},
		{"a device URI and another", ours.leaf(uris("urn:gatepost:device:a", "https://a.example/")), ErrUntrusted, "2 values for URI"},
		{"another URI", ours.leaf(uris("https://a.example/laptop-1")), ErrUntrusted, "does not begin"},
		{"URI of another thing", ours.leaf(uris("urn:gatepost:user:laptop-1")), ErrUntrusted, "does not begin"},
		{"device URI without ID", ours.leaf(uris("urn:gatepost:device:")), ErrUntrusted, "0 bytes"},
		{"device URI with an escape", ours.leaf(uris("urn:gatepost:device:a%2Fb")), ErrUntrusted, "character"},
		{"device URI with a query", ours.leaf(uris("urn:gatepost:device:a?b")), ErrUntrusted, "character"},
		{"device URI too long", ours.leaf(uris("urn:gatepost:device:" + strings.Repeat("a", 129))), ErrUntrusted, "129 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second is remembered
				id, err := v.Verify(chain(tt.leaf), testNow)
				wantError(t, err, tt.kind, tt.part)
				if id != (Identity{}) {
					t.Errorf("an identity beside the error: %+v", id)
				}
				if errors.Is(err, ErrExpired) && errors.Is(err, ErrUntrusted) {
					t.Errorf("error %q is of two kinds", err)
				}
			}
		})
	}
}

func TestVerifyRefusesChain(t *testing.T) {
	t.Parallel()
	pathLen0 := func(c *x509.Certificate) { c.MaxPathLenZero = true }
	ours := root("Device authority", pathLen0)
	corp := root("Corporate root")
	named := root("Constrained", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"corp.example"}
	})
	v := newTestVerifier(t, builtIn(ours), trusted(corp, IDFromCN), trusted(named, IDFromDNS))
	issuing := corp.sub("Issuing")
	dns := func(c *x509.Certificate) { c.DNSNames = []string{"evil.example"} }

	deviceKey := newECKey()
	device := corp.leafFor(deviceKey.Public())
	byDevice := issuer{device, deviceKey}.leaf()
	below := ours.sub("Below")
	expired := corp.sub("Expired", dates(-300*day, -day))
	forServers := corp.sub("For servers", usages(x509.ExtKeyUsageServerAuth))
	noSign := corp.sub("May not sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	bySHA1 := corp.sub("By SHA-1", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	weakKey := must(rsa.GenerateKey(rand.Reader, 1024))
	weak := issuer{must(sign(caTemplate("Weak", nil), corp.cert, weakKey.Public(), corp.key)), weakKey}
	big := corp.leaf(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, maxChainBytes)}}
	})
	tests := []struct {
		name  string
		chain []*x509.Certificate
		kind  error
		part  string
	}{
		{"nothing", nil, ErrNoCertificate, ""},
		{"not parsed", chain(&x509.Certificate{}), ErrUntrusted, "not parsed"},
		{"a hole", chain(corp.leaf(), nil), ErrUntrusted, "not parsed"},
		{"intermediate missing", chain(issuing.leaf()), ErrUntrusted, "no known authority"},
		{"too many", chain(issuing.leaf(), issuing.cert, issuing.cert, issuing.cert, issuing.cert, issuing.cert), ErrUntrusted, "6 certificates"},
		{"too large", chain(big), ErrUntrusted, "bytes of certificates"},
		{"issued by a device", chain(byDevice, device), ErrUntrusted, "no known authority"},
		{"below an authority that allows none", chain(below.leaf(), below.cert), ErrUntrusted, "too many intermediates"},
		{"intermediate expired", chain(expired.leaf(), expired.cert), ErrExpired, "Laptop 1"},
		{"intermediate for servers", chain(forServers.leaf(), forServers.cert), ErrUntrusted, "incompatible key usage"},
		{"intermediate may not sign", chain(noSign.leaf(), noSign.cert), ErrUntrusted, "no known authority"},
		{"intermediate signed by SHA-1", chain(bySHA1.leaf(), bySHA1.cert), ErrUntrusted, "no known authority"},
		{"intermediate of a weak key", chain(weak.leaf(), weak.cert), ErrUntrusted, "no known authority"},
		{"intermediate's signature broken", chain(issuing.leaf(), broken(issuing.cert)), ErrUntrusted, "no known authority"},
		{"outside the authority's names", chain(named.leaf(uris(), dns)), ErrUntrusted, "evil.example"},
		{"authority first", chain(corp.cert, corp.leaf()), ErrUntrusted, "authority's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(tt.chain, testNow)
			wantError(t, err, tt.kind, tt.part)
		})
	}
}

func TestVerifyIDFrom(t *testing.T) {
	t.Parallel()
	corp := root("Corporate root")
	subject := func(names ...pkix.AttributeTypeAndValue) change {
		return func(c *x509.Certificate) { c.Subject = pkix.Name{ExtraNames: names} }
	}
	attribute := func(oid asn1.ObjectIdentifier, s string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: s}
	}
	dns := func(names ...string) change {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	tests := []struct {
		name   string
		from   IDFrom
		change change
		id     string // empty: refused
	}{
		{"device URI", IDFromURI, uris("urn:gatepost:device:L-7"), "L-7"},
		{"other URI", IDFromURI, uris("https://mdm.example/device/7"), "https://mdm.example/device/7"},
		{"two URIs", IDFromURI, uris("urn:gatepost:device:L-7", "tag:x:y"), ""},
		{"malformed device URI", IDFromURI, uris("urn:gatepost:device:a/b"), ""},
		{"DNS name", IDFromDNS, dns("L7.Corp.Example"), "l7.corp.example"},
		{"no DNS name", IDFromDNS, dns(), ""},
		{"two DNS names", IDFromDNS, dns("a.example", "b.example"), ""},
		{"wildcard", IDFromDNS, dns("*.corp.example"), ""},
		{"CN", IDFromCN, subject(attribute(oidCommonName, "L 7")), "L 7"},
		{"no CN", IDFromCN, subject(attribute(oidSerialNumber, "7")), ""},
		{"two CNs", IDFromCN, subject(attribute(oidCommonName, "a"), attribute(oidCommonName, "b")), ""},
		{"CN with a control character", IDFromCN, subject(attribute(oidCommonName, "a\nb")), ""},
		{"CN too long", IDFromCN, subject(attribute(oidCommonName, strings.Repeat("a", 257))), ""},
		{"serial", IDFromSerial, subject(attribute(oidSerialNumber, "C02XG"), attribute(oidCommonName, "b")), "C02XG"},
		{"two serials", IDFromSerial, subject(attribute(oidSerialNumber, "a"), attribute(oidSerialNumber, "b")), ""},
		{"no serial", IDFromSerial, subject(attribute(oidCommonName, "a")), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := newTestVerifier(t, trusted(corp, tt.from)).Verify(chain(corp.leaf(tt.change)), testNow)
			if tt.id == "" {
				wantError(t, err, ErrUntrusted, "")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.DeviceID != tt.id || id.BuiltIn {
				t.Errorf("got %+v, want device %q", id, tt.id)
			}
		})
	}
}
