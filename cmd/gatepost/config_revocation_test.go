package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// list writes a revocation list by the authority NAME, good until then.
func (s *site) list(file, name string, until time.Time) {
	s.t.Helper()
	ca, err := readCertificate(s.path(name + ".crt"))
	s.try(err)
	data, err := os.ReadFile(s.path(name + ".key"))
	s.try(err)
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	s.try(err)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: until.Add(-48 * time.Hour), NextUpdate: until,
	}, ca, key.(crypto.Signer))
	s.try(err)
	s.write(file, string(der))
}

// lookUp gives the further authority more keys.
func (s *site) lookUp(keys string) {
	s.t.Helper()
	s.replace("{ certificate: mdm-ca.crt, id_from: cn }", "{ certificate: mdm-ca.crt, id_from: cn, "+keys+" }")
}

func TestCheckRevocation(t *testing.T) {
	t.Parallel()
	const unknown = "; until it is there and current, no device of the authority is recognised"
	good := checkedAt.Add(24 * time.Hour)
	runChecks(t, map[string]checkCase{
		"a good list": {func(s *site) {
			s.lookUp("crl: [mdm.crl], ocsp: on")
			s.list("mdm.crl", "mdm-ca", good)
		}, ""},
		"a URL is left alone": {func(s *site) { s.lookUp(`crl: ["http://127.0.0.1:1/mdm.crl"], ocsp: "http://127.0.0.1:1"`) }, ""},
		"no list": {func(s *site) { s.lookUp("crl: [mdm.crl]") },
			`9: warning: devices.authorities[0].crl[0]: "DIR/mdm.crl" cannot be read: no such file or directory` + unknown},
		"a folder": {func(s *site) { s.lookUp("crl: [keys]") },
			`9: warning: devices.authorities[0].crl[0]: "DIR/keys" is no file` + unknown},
		"something else": {func(s *site) { s.lookUp("crl: [tls.crt]") },
			`9: warning: devices.authorities[0].crl[0]: "DIR/tls.crt": PEM of "CERTIFICATE", not of X509 CRL` + unknown},
		"another authority's": {func(s *site) {
			s.lookUp("crl: [mdm.crl]")
			s.list("mdm.crl", "device-ca", good)
		}, `9: warning: devices.authorities[0].crl[0]: "DIR/mdm.crl": revocation list of "CN=device-ca", not of "CN=mdm-ca"` + unknown},
		"out of date": {func(s *site) {
			s.lookUp("crl: [mdm.crl]")
			s.list("mdm.crl", "mdm-ca", checkedAt.Add(-time.Hour))
		}, `9: warning: devices.authorities[0].crl[0]: "DIR/mdm.crl" was good until 2026-11-22 11:00 UTC` + unknown},
		"the built-in authority": {func(s *site) {
			s.replace("{ certificate: mdm-ca.crt, id_from: cn }", "{ certificate: device-ca.crt, id_from: uri, ocsp: on }")
		}, `9: devices.authorities[0]: looks up revocation for the built-in authority, whose revocations are in the inventory; delete crl and ocsp here`},
	})
}

// What is configured arrives, paths made absolute and URLs left as they are.
func TestLoadRevocation(t *testing.T) {
	t.Parallel()
	c, faults := LoadConfig("testdata/config/good-full.yaml", environment)
	if c == nil {
		t.Fatal(lines(faults))
	}
	dir, err := filepath.Abs("testdata/config")
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Devices.Authorities[0], c.Devices.Authorities[1]
	if a.OCSP != "off" || len(a.CRL) != 0 {
		t.Errorf("without a word it is %+v", a)
	}
	host, _ := environment("HOST")
	if b.OCSP != "on" || !slices.Equal(b.CRL, []string{filepath.Join(dir, "mdm.crl"), "http://crl." + host + "/mdm.crl"}) {
		t.Errorf("it is %+v", b)
	}
}
