package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValidateURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://posture.example.com", "https://posture.example.com:8443", "https://localhost:8443",
		"https://127.0.0.1:8443", "https://[::1]:8443", "https://xn--gert-7qa.example.com", "https://a--b.example.com",
	} {
		f := newFindings("gatepost.yaml")
		validateURL(f, "issuer", good)
		if len(f.faults) > 0 {
			t.Errorf("%s", lines(f.faults))
		}
	}
	long := "https://" + strings.Repeat("a.", 130) + "example.com"
	for bad, want := range map[string]string{
		"http://posture.example.com":        "is not https; write https://posture.example.com",
		"HTTPS://posture.example.com":       "is not in lower case without port 443; write https://posture.example.com",
		"https://Posture.example.com":       "is not in lower case without port 443; write https://posture.example.com",
		"https://posture.example.com:443":   "is not in lower case without port 443; write https://posture.example.com",
		"https://posture.example.com:":      "is not in lower case without port 443; write https://posture.example.com",
		"https://posture.example.com:08443": "is not in lower case without port 443; write https://posture.example.com:8443",
		"https://posture.example.com/":      "ends in a slash; write https://posture.example.com",
		"https://posture.example.com/idp":   "holds a path; gatepost needs a host of its own; write https://posture.example.com",
		"https://posture.example.com?a=b":   "holds a query; write https://posture.example.com",
		"https://posture.example.com?":      "holds a query; write https://posture.example.com",
		"https://posture.example.com#a":     "holds a fragment; write https://posture.example.com",
		"https://posture.example.com#":      "holds a fragment; write https://posture.example.com",
		"https://a:b@posture.example.com":   "holds a user name; write https://posture.example.com",
		"https://posture.example.com:0":     "has a port that is none; write a port from 1 to 65535, or none for 443",
		"https://posture.example.com:65536": "has a port that is none; write a port from 1 to 65535, or none for 443",
		"https://posture_example.com":       "has no valid host name; write letters, digits, dots and hyphens, others as punycode",
		"https://posture.example.com.":      "has no valid host name; write letters, digits, dots and hyphens, others as punycode",
		"https://-posture.example.com":      "has no valid host name; write letters, digits, dots and hyphens, others as punycode",
		"https://gerät.example.com":         "has no valid host name; write letters, digits, dots and hyphens, others as punycode",
		"https://posture.example.com,x":     "has no valid host name; write letters, digits, dots and hyphens, others as punycode",
		"posture.example.com":               "is no URL; write https:// and a host, such as https://posture.example.com",
		"https://":                          "is no URL; write https:// and a host, such as https://posture.example.com",
		"https:/posture.example.com":        "is no URL; write https:// and a host, such as https://posture.example.com",
		long:                                "has no valid host name; write letters, digits, dots and hyphens, others as punycode",
	} {
		f := newFindings("gatepost.yaml")
		validateURL(f, "issuer", bad)
		if got := lines(f.faults); got != "gatepost.yaml:1: issuer: "+quote(bad)+" "+want+"\n" {
			t.Errorf("%s: got %q, want %q", bad, got, want)
		}
	}
}

func TestValidateAddress(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		address string
		ok      bool
	}{
		{":8443", true}, {"127.0.0.1:0", true}, {"[::1]:9090", true}, {"localhost:1", true}, {"0.0.0.0:65535", true},
		{"", false}, {"8443", false}, {"127.0.0.1", false}, {"::1:9090", false}, {":65536", false}, {":-1", false},
		{":https", false}, {"a b:1", false}, {":", false}, {"127.0.0.1:9090:1", false}, {"https://:8443", false},
	} {
		f := newFindings("gatepost.yaml")
		if _, _, ok := validateAddress(f, "listen.ops", v.address, defaultOps); ok != v.ok || ok == Refused(f.faults) {
			t.Errorf("%q: ok is %v, faults are %s", v.address, ok, lines(f.faults))
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := keysOf(reflect.TypeFor[RelyingParty]())
	for name, want := range map[string]string{
		"nmae": "name", "Name": "name", "meta": "", "polcy": "policy", "onUnmanaged": "on_unmanaged",
		"on-non-compliant": "on_noncompliant", "signn": "sign", "xyz": "", "": "", strings.Repeat("n", 1000): "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestFaultString(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Fault{
		`gatepost.yaml:12: relying_parties[0].sign: "all" is not known; write both, assertion or response`: {
			File: "gatepost.yaml", Line: 12, Path: "relying_parties[0].sign", Problem: `"all" is not known`, Instead: "write both, assertion or response"},
		"gatepost.yaml:3: warning: tls: is odd": {File: "gatepost.yaml", Line: 3, Path: "tls", Problem: "is odd", Warning: true},
		"gatepost.yaml: is not there":           {File: "gatepost.yaml", Problem: "is not there"},
	} {
		if got := f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// keysOf are the keys of a struct of the configuration that this version knows.
func keysOf(s reflect.Type) []string {
	var keys []string
	for i := range s.NumField() {
		if tag := s.Field(i).Tag; tag.Get("yaml") != "" && tag.Get("later") == "" {
			keys = append(keys, tag.Get("yaml"))
		}
	}
	return keys
}

// FuzzLoadConfig: no panic, no hang, every fault one line of text on a line of
// the file; and what is accepted is complete.
func FuzzLoadConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := readUpTo(file, maxConfig)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(InitialConfig("https://posture.example.com", "https://device.posture.example.com"))
	f.Add([]byte("---"))
	f.Fuzz(func(t *testing.T, data []byte) {
		found := newFindings("gatepost.yaml")
		c := parseConfig(found, data, "/etc/gatepost", environment)
		last := 1 + strings.Count(string(data), "\n")
		for _, fault := range found.sorted() {
			if fault.Line < 1 || fault.Line > last {
				t.Errorf("line %d of %d: %s", fault.Line, last, fault)
			}
			if text := fault.String(); strings.ContainsAny(text, "\n\r\x1b\x00") || fault.Problem == "" {
				t.Errorf("not one line of text: %q", text)
			}
		}
		if !Refused(found.faults) {
			checkAccepted(t, c)
		}
	})
}

func checkAccepted(t *testing.T, c *Config) {
	t.Helper()
	if c == nil {
		t.Fatal("neither a Config nor a fault")
	}
	for _, url := range []string{c.Issuer, c.DeviceURL} {
		if !strings.HasPrefix(url, "https://") || hostname(url) == "" || strings.Count(url, "/") != 2 {
			t.Errorf("URL %q", url)
		}
	}
	paths := []string{c.StorePath(), c.Signing.Keys, c.Devices.Authority.Certificate, c.Devices.Authority.Key}
	if c.Signing.ES256Keys != "" {
		paths = append(paths, c.Signing.ES256Keys)
	}
	for _, pair := range c.TLS {
		paths = append(paths, pair.Cert, pair.Key)
	}
	for _, a := range c.Devices.Authorities {
		paths = append(paths, a.Certificate)
	}
	for _, rp := range c.RelyingParties {
		if _, ok := c.Policies[rp.Policy]; !ok || rp.Name == "" {
			t.Errorf("relying party %+v", rp)
		}
		o := rp.OIDC
		if o.ClientID == "" {
			paths = append(paths, rp.SAML.Metadata)
			if rp.Sign == "" {
				t.Errorf("relying party %+v", rp)
			}
			continue
		}
		if rp.SAML.Metadata != "" || rp.Sign != "" || len(o.RedirectURIs) == 0 || o.IDTokenAlg == "" || o.ClientSecretFile+o.JWKSFile == "" {
			t.Errorf("relying party %+v", rp)
		}
		for _, path := range []string{o.ClientSecretFile, o.JWKSFile} {
			if path != "" {
				paths = append(paths, path)
			}
		}
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			t.Errorf("path %q is not absolute", path)
		}
	}
	for name, p := range c.Policies {
		if p.ManagedMaxAge <= 0 || !nameForm.MatchString(name) {
			t.Errorf("policy %q is %+v", name, p)
		}
	}
	if len(c.TLS) == 0 || len(c.SocketPath()) > maxSocketPath || c.Devices.CertificateLifetime < time.Hour {
		t.Errorf("accepted %+v", c)
	}
}
