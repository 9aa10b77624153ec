package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
)

// checkCase is one change to a site that is good, and the faults that follow.
type checkCase struct {
	change func(*site)
	want   string // lines without the file's name; DIR is the folder, FILE the configuration, * any text
}

func runChecks(t *testing.T, cases map[string]checkCase) {
	t.Helper()
	for name, v := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			v.change(s)
			file := s.path("gatepost.yaml")
			c, faults := CheckConfig(t.Context(), file, environment, testParsers(), checkedAt)
			if (c == nil) != Refused(faults) {
				t.Errorf("gives a Config: %v; refused: %v", c != nil, Refused(faults))
			}
			var want []string
			if v.want != "" {
				want = strings.Split(strings.NewReplacer("DIR", s.dir, "FILE", file).Replace(v.want), "\n")
			}
			got := strings.Split(strings.TrimSpace(lines(faults)), "\n")
			if len(faults) == 0 {
				got = nil
			}
			if !slices.EqualFunc(got, want, func(got, want string) bool { return like(got, file+":"+want) }) {
				t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// like compares a line with a pattern in which * stands for any text.
func like(line, pattern string) bool {
	parts := strings.Split(pattern, "*")
	line, ok := strings.CutPrefix(line, parts[0])
	for i, part := range parts[1:] {
		at := strings.Index(line, part)
		if i == len(parts)-2 {
			at = len(line) - len(part)
			ok = ok && strings.HasSuffix(line, part)
		}
		if !ok || at < 0 {
			return false
		}
		line = line[at+len(part):]
	}
	return ok && line == ""
}

func TestCheck(t *testing.T) {
	t.Parallel()
	runChecks(t, map[string]checkCase{
		"good": {func(*site) {}, ""},
		"one host": {func(s *site) {
			s.replace("device_url: https://device.posture.example.com\n", "")
		}, "4: warning: tls[1].cert: \"DIR/device-tls.crt\" covers neither the host of issuer nor that of device_url; delete the pair"},
		"a misspelt issuer":                {func(s *site) { s.replace("issuer:", "isuer:") }, "1: isuer: is not a known key; write issuer"},
		"the built-in authority once more": {func(s *site) { s.replace("mdm-ca.crt, id_from: cn", "device-ca.crt, id_from: uri") }, ""},
		"no files": {func(s *site) {
			for _, f := range []string{"tls.crt", "tls.key", "gatepost.db", "keys", "device-ca.crt", "device-ca.key", "mdm-ca.crt", "acme-sp.xml"} {
				s.remove(f)
			}
		}, `1: signing.keys: "DIR/keys" does not exist; make it with ` + "`gatepost init`" + `, or write the path of the folder
4: tls[0].cert: "DIR/tls.crt" does not exist; write the path of the file, relative to FILE
4: tls[0].key: "DIR/tls.key" does not exist; write the path of the file, relative to FILE
6: storage: "DIR/gatepost.db" does not exist; restore a backup, or let ` + "`gatepost serve --create-store`" + ` make an empty one
7: devices.authority.certificate: "DIR/device-ca.crt" does not exist; write the path of the file, relative to FILE
7: devices.authority.key: "DIR/device-ca.key" does not exist; make it with ` + "`gatepost init`" + `, or write its path
9: devices.authorities[0].certificate: "DIR/mdm-ca.crt" does not exist; write the path of the file, relative to FILE
12: relying_parties[0].saml.metadata: "DIR/acme-sp.xml" does not exist; write the path of the file, relative to FILE`},
		// What can be understood is checked in spite of faults in the text.
		"faults of both stages": {func(s *site) {
			s.replace("id_from: cn", "id_from: email")
			s.remove("other-sp.xml")
			s.remove("tls.key")
		}, `4: tls[0].key: "DIR/tls.key" does not exist; write the path of the file, relative to FILE
9: devices.authorities[0].id_from: "email" is not known; write uri, dns, cn or serial
15: relying_parties[1].saml.metadata: "DIR/other-sp.xml" does not exist; write the path of the file, relative to FILE`},
		"no mapping at all": {func(s *site) { s.write("gatepost.yaml", "- x\n") },
			`1: does not hold keys; write keys, such as issuer: https://posture.example.com`},
	})
}

func TestCheckTLS(t *testing.T) {
	t.Parallel()
	notAfter := func(days int) *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{"posture.example.com"},
			NotBefore: checkedAt.AddDate(0, -1, 0), NotAfter: checkedAt.AddDate(0, 0, days)}
	}
	runChecks(t, map[string]checkCase{
		"a key of another certificate": {func(s *site) { s.copy("device-tls.key", "tls.key") },
			`4: tls[0].key: "DIR/tls.key" does not go with the certificate: private key does not match public key; write the path of its private key, PEM and without a password`},
		"a key that is none": {func(s *site) { s.copy("tls.crt", "tls.key") },
			`4: tls[0].key: "DIR/tls.key" does not go with the certificate: *; write the path of its private key, PEM and without a password`},
		"a certificate that is none": {func(s *site) { s.write("tls.crt", "x") },
			`4: tls[0].cert: "DIR/tls.crt" holds no certificate in PEM; write the path of one that does`},
		"a broken certificate": {func(s *site) {
			s.write("tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})))
		}, `4: tls[0].cert: "DIR/tls.crt" holds a broken certificate: *; make it anew`},
		"a host without a certificate": {func(s *site) { s.pair("device-tls", "other.example.com") },
			`3: tls: has no certificate for "device.posture.example.com"; add a pair that covers it
5: warning: tls[1].cert: "DIR/device-tls.crt" covers neither the host of issuer nor that of device_url; delete the pair`},
		// The trap of the two host names: browsers coalesce connections.
		"a certificate for both hosts": {func(s *site) { s.pair("tls", "posture.example.com", "device.posture.example.com") },
			`4: tls[0].cert: "DIR/tls.crt" covers both posture.example.com and device.posture.example.com: browsers then reuse a connection, and a managed device looks unmanaged; use one certificate for each host, and no wildcard for both`},
		"a wildcard for both hosts": {func(s *site) {
			s.self("device-tls", &x509.Certificate{DNSNames: []string{"*.posture.example.com", "posture.example.com"}})
		}, `5: tls[1].cert: "DIR/device-tls.crt" covers both posture.example.com and device.posture.example.com: *`},
		"an expired certificate": {func(s *site) { s.self("tls", notAfter(-1)) },
			`4: tls[0].cert: "DIR/tls.crt" expired at 2026-11-21 12:00 UTC; renew it`},
		"a certificate that expires soon": {func(s *site) { s.self("tls", notAfter(13)) },
			`4: warning: tls[0].cert: "DIR/tls.crt" expires at 2026-12-05 12:00 UTC; renew it`},
		"a certificate with two weeks": {func(s *site) { s.self("tls", notAfter(14)) }, ""},
		"a certificate of tomorrow": {func(s *site) {
			c := notAfter(90)
			c.NotBefore = checkedAt.AddDate(0, 0, 1)
			s.self("tls", c)
		}, `4: tls[0].cert: "DIR/tls.crt" is not valid before 2026-11-23 12:00 UTC; wait, or set the clock`},
		"a client's certificate": {func(s *site) {
			c := notAfter(90)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			s.self("tls", c)
		}, `4: tls[0].cert: "DIR/tls.crt" is not meant for servers; use one with the extended key usage serverAuth`},
		"a key for everyone": {func(s *site) { s.try(os.Chmod(s.path("tls.key"), 0o644)) },
			`4: warning: tls[0].key: "DIR/tls.key" has mode 0644: everyone on this machine can use the key; make it 0600, or 0640`},
		"a key for a group": {func(s *site) { s.try(os.Chmod(s.path("tls.key"), 0o640)) }, ""},
	})
}

func TestCheckOtherFiles(t *testing.T) {
	t.Parallel()
	runChecks(t, map[string]checkCase{
		"folders for files": {func(s *site) {
			s.replace("storage: bolt:gatepost.db", "storage: bolt:keys")
			s.remove("tls.crt")
			s.try(os.Mkdir(s.path("tls.crt"), 0o700))
		}, `4: tls[0].cert: "DIR/tls.crt" is no file; write the path of the file itself
6: storage: "DIR/keys" is no file; write bolt: and the path of a file`},
		"an empty store": {func(s *site) { s.write("gatepost.db", "") },
			`6: storage: "DIR/gatepost.db" is empty, and no inventory; restore a backup, or remove it and let ` + "`gatepost serve --create-store`" + ` make a new one`},
		"a file for the keys": {func(s *site) { s.remove("keys"); s.write("keys", "x") },
			`1: signing.keys: "DIR/keys" is no folder; write the path of the folder of keys`},
		"no signing key": {func(s *site) { s.remove("keys"); s.try(os.Mkdir(s.path("keys"), 0o700)) },
			`1: signing.keys: "DIR/keys": open keys in *; make keys with ` + "`gatepost init`" + `, or put the right ones there`},
		"P-256 keys too": {func(s *site) { s.es256("es256-keys"); s.makeES256("es256-keys") }, ""},
		"no P-256 keys": {func(s *site) { s.es256("es256-keys") },
			`7: signing.es256_keys: "DIR/es256-keys" does not exist; make it with ` + "`gatepost key create --alg ES256`" + `, or write the path of the folder`},
		"RSA keys for P-256": {func(s *site) { s.es256("keys") },
			`7: signing.es256_keys: "DIR/keys": open keys in *the private key is RSA, not P-256*; make keys with ` + "`gatepost key create --alg ES256`" + `, or put the right ones there`},
		"P-256 keys for RSA": {func(s *site) { s.remove("keys"); s.makeES256("keys") },
			`1: signing.keys: "DIR/keys": open keys in *the private key is P-256, not RSA*; make keys with ` + "`gatepost init`" + `, or put the right ones there`},
		"the device authority's key for others": {func(s *site) { s.try(os.Chmod(s.path("device-ca.key"), 0o640)) },
			`7: devices.authority.key: * has mode 0640*; put the right certificate and key there, or make them with ` + "`gatepost init`"},
		"another device authority's key": {func(s *site) { s.copy("mdm-ca.key", "device-ca.key") },
			`7: devices.authority.key: *; put the right certificate and key there, or make them with ` + "`gatepost init`"},
		"an authority that is none": {func(s *site) { s.copy("tls.crt", "mdm-ca.crt") },
			`9: devices.authorities[0].certificate: "DIR/mdm-ca.crt": *not an authority's*`},
		"two authorities in one file": {func(s *site) {
			a, err := os.ReadFile(s.path("mdm-ca.crt"))
			s.try(err)
			s.write("mdm-ca.crt", string(a)+string(a))
		}, `9: devices.authorities[0].certificate: "DIR/mdm-ca.crt" holds 2 certificates; write one item for each authority`},
		"the built-in authority by another part": {func(s *site) { s.copy("device-ca.crt", "mdm-ca.crt") },
			`9: devices.authorities[0].certificate: "DIR/mdm-ca.crt": *named twice; *`},
		"an expired authority": {func(s *site) {
			s.self("mdm-ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true,
				NotBefore: checkedAt.AddDate(-1, 0, 0), NotAfter: checkedAt.AddDate(0, 0, -2)})
		}, `9: warning: devices.authorities[0].certificate: "DIR/mdm-ca.crt" expired at 2026-11-20 12:00 UTC; renew it`},
		"metadata that are none": {func(s *site) { s.write("acme-sp.xml", "<html>") },
			`12: relying_parties[0].saml.metadata: "DIR/acme-sp.xml": not metadata; download the service provider's metadata from Okta again`},
		"metadata out of date": {func(s *site) { s.write("acme-sp.xml", "https://sp.example.com/acme of old") },
			`12: warning: relying_parties[0].saml.metadata: metadata were valid until 2020
13: relying_parties[0].encrypt: "DIR/acme-sp.xml" has no RSA key to encrypt to; write false, or get metadata with an encryption key`},
		"metadata twice": {func(s *site) { s.write("other-sp.xml", "https://sp.example.com/acme") },
			`15: relying_parties[1].saml.metadata: "https://sp.example.com/acme" is relying_parties[0] already; delete one of them`},
		"nothing to encrypt to": {func(s *site) { s.write("acme-sp.xml", "https://sp.example.com/acme") },
			`13: relying_parties[0].encrypt: "DIR/acme-sp.xml" has no RSA key to encrypt to; write false, or get metadata with an encryption key`},
		"large metadata": {func(s *site) { s.write("acme-sp.xml", "https://"+strings.Repeat("x", maxNamed)) },
			`12: relying_parties[0].saml.metadata: "DIR/acme-sp.xml" is larger than 1048576 bytes; see that it is the right file, and readable`},
	})
}

// Check alone, as at a reload, gives what CheckConfig gives, and changes
// nothing.
func TestCheckAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.tree()
	c, faults := LoadConfig(s.path("gatepost.yaml"), environment)
	if c == nil {
		t.Fatal(lines(faults))
	}
	if faults := c.Check(t.Context(), testParsers(), checkedAt); len(faults) > 0 {
		t.Error(lines(faults))
	}
	if after := s.tree(); after != before {
		t.Errorf("the folder was\n%s\nand is\n%s", before, after)
	}
	s.remove("gatepost.db")
	faults = c.Check(t.Context(), testParsers(), checkedAt)
	if len(faults) != 1 || faults[0].Line != 6 || faults[0].Path != "storage" || faults[0].File != c.file {
		t.Errorf("faults are\n%s", lines(faults))
	}
}

func TestCheckInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, faults := CheckConfig(ctx, s.path("gatepost.yaml"), environment, testParsers(), checkedAt)
	if c != nil || len(faults) != 1 || !strings.HasSuffix(faults[0].String(), ": was not checked to the end: context canceled") {
		t.Errorf("faults are\n%s", lines(faults))
	}
}
