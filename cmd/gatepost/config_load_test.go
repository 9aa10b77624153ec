package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
)

// environment is what the files in testdata/config refer to.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"KEYS":  "/run/secrets",
		"NAME":  "acme",
		"HOST":  "device.example.com",
		"EMPTY": "",
		"PEM":   "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
	}[name]
	return value, ok
}

func lines(faults []Fault) string {
	var b strings.Builder
	for _, f := range faults {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// Every NAME.yaml has the faults of NAME.want, to the letter; good-*.yaml have
// none but warnings.
func TestLoadConfigFaults(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			c, faults := LoadConfig(file, environment)
			got := strings.ReplaceAll(lines(faults), file, "gatepost.yaml")
			if got != string(want) {
				t.Errorf("faults:\n%s\nwant:\n%s", got, want)
			}
			good := strings.HasPrefix(name, "good-")
			if Refused(faults) == good {
				t.Errorf("refused: %v", Refused(faults))
			}
			if (c != nil) != good {
				t.Errorf("gives a Config: %v, want %v", c != nil, good)
			}
		})
	}
}

func TestLoadConfigFull(t *testing.T) {
	t.Parallel()
	c, faults := LoadConfig("testdata/config/good-full.yaml", environment)
	if len(faults) > 0 {
		t.Fatal(lines(faults))
	}
	dir, err := filepath.Abs("testdata/config")
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, v := range []struct{ what, got, want string }{
		{"issuer", c.Issuer, "https://posture.example.com"},
		{"device_url", c.DeviceURL, "https://device.posture.example.com:8443"},
		{"issuer host", c.IssuerHost(), "posture.example.com"},
		{"device host", c.DeviceHost(), "device.posture.example.com"},
		{"https", c.Listen.HTTPS, ":8443"},
		{"ops", c.Listen.Ops, "[::1]:9090"},
		{"cert", c.TLS[0].Cert, in("tls.crt")},
		{"second cert", c.TLS[1].Cert, "/etc/ssl/device-tls.crt"},
		{"second key", c.TLS[1].Key, "/run/secrets/device-tls.key"},
		{"storage", c.Storage, "bolt:/var/lib/gatepost/gatepost.db"},
		{"store path", c.StorePath(), "/var/lib/gatepost/gatepost.db"},
		{"data", c.DataDir(), "/var/lib/gatepost"},
		{"socket", c.SocketPath(), "/var/lib/gatepost/gatepost.sock"},
		{"keys", c.Signing.Keys, in("keys")},
		{"es256_keys", c.Signing.ES256Keys, in("es256-keys")},
		{"tracing", fmt.Sprint(c.Tracing), "{https://device.example.com/otlp 0.25 /run/secrets/traces.headers}"},
		{"authority key", c.Devices.Authority.Key, "/run/secrets/device-ca.key"},
		{"authorities", c.Devices.Authorities[1].Certificate, in("mdm-ca.crt")},
		{"match", c.Devices.Authorities[1].Match, "serial"},
		{"match of another", c.Devices.Authorities[0].Match, "id"},
		{"id_from", c.Devices.Authorities[1].IDFrom, "cn"},
		{"proxy header", c.Devices.Proxy.Header, "ssl-client-cert"},
		{"proxy addresses", strings.Join(c.Devices.Proxy.From, " "), "10.0.0.7 10.1.0.0/16 fd00::/64"},
		{"policy", c.RelyingParties[0].Policy, "strict"},
		{"sign", c.RelyingParties[0].Sign, "response"},
		{"use", c.RelyingParties[0].Use, "both"},
		{"on_unmanaged", c.RelyingParties[0].OnUnmanaged, "assert"},
		{"on_noncompliant", c.RelyingParties[0].OnNoncompliant, "refuse"},
		{"on_noncompliant of a client", c.RelyingParties[1].OnNoncompliant, "explain"},
		{"client_id", c.RelyingParties[1].OIDC.ClientID, "okta/acme"},
		{"client_secret_file", c.RelyingParties[1].OIDC.ClientSecretFile, "/run/secrets/okta.secret"},
		{"id_token_alg", c.RelyingParties[1].OIDC.IDTokenAlg, "ES256"},
		{"jwks_file", c.RelyingParties[1].OIDC.JWKSFile, in("okta.jwks.json")},
		{"redirect_uris", c.RelyingParties[1].OIDC.RedirectURIs[1], "https://device.example.com/oauth2/v1/authorize/callback?a=b"},
		{"name from environment", c.RelyingParties[3].Name, "acme.test-2"},
		{"escaped", c.RelyingParties[3].SAML.Metadata, "/srv/${metadata}/$NAME.xml"},
	} {
		if v.got != v.want {
			t.Errorf("%s is %q, want %q", v.what, v.got, v.want)
		}
	}
	if rp := c.RelyingParties[0]; !rp.Encrypt || rp.AllowSHA1Digests || rp.BindOwner != posture.BindEnforce {
		t.Errorf("relying party is %+v", rp)
	}
	if rp := c.RelyingParties[1]; !rp.OIDC.RequirePKCE || !rp.OIDC.RequireRequestObject || rp.OIDC.IssParameter || rp.BindOwner != posture.BindWarn {
		t.Errorf("relying party is %+v", rp)
	}
	if shared := c.sharedDevices(); len(shared) != 2 || !shared["kiosk-1"] || !shared["acme-lab"] {
		t.Errorf("shared devices are %v", shared)
	}
	if c.RelyingParties[2].BindOwner != posture.BindOff || c.RelyingParties[3].BindOwner != posture.BindOff {
		t.Errorf("relying parties are %+v", c.RelyingParties[2:])
	}
	if want := []string{filepath.Join(dir, "tpm-roots.pem"), "/run/secrets/more-tpms.pem"}; !slices.Equal(c.Devices.Attestation.TPMRoots, want) {
		t.Errorf("roots of TPMs are %q, want %q", c.Devices.Attestation.TPMRoots, want)
	}
	if c.Devices.Reports != (Reports{Every: 15 * time.Minute, PerMinute: 120}) {
		t.Errorf("reports are %+v", c.Devices.Reports)
	}
	if c.Devices.CertificateLifetime != 720*time.Hour {
		t.Errorf("certificate_lifetime is %v", c.Devices.CertificateLifetime)
	}
	want := map[string]Policy{
		"lenient": {ManagedMaxAge: 168 * time.Hour, MaxAge: 24 * time.Hour}, "default": {ManagedMaxAge: 168 * time.Hour, MaxAge: 24 * time.Hour},
		"strict": {
			ManagedMaxAge: 24 * time.Hour, MaxAge: 12 * time.Hour, Baselines: []string{"firewall"}, OSVersion: map[string]string{"macOS": "14.0", "Windows": "10.0.19045"},
			Facts: map[string]string{"SecureBoot": "true"}, Emit: []string{"DiskEncrypted", "EDR"}, Shadow: "lenient",
			Rules: []Rule{
				{
					Name: "updates", Require: "int(facts.PendingSecurityUpdates) < 5", Platforms: []string{"Linux", "macOS"}, MaxAge: 72 * time.Hour,
					Unknown: "pass", Severity: "warn", Grace: 48 * time.Hour, Help: "Install them: ${NAME}.", Link: "https://it.example.com/updates",
				},
				{Name: "lines", Require: "device.vendor != \"ACME\" ||\n  device.model.startsWith(\"X2\")\n", Help: "two\nlines\n"},
			},
		},
	}
	if !reflect.DeepEqual(c.Policies, want) {
		t.Errorf("policies are %+v\nwant %+v", c.Policies, want)
	}
	if apps := c.RelyingParties[0].Applications; !slices.Equal(apps, []Application{{ID: "0oa1", Policy: "lenient"}, {ID: "0oa2", Name: "Wiki 2", Policy: "default"}}) {
		t.Errorf("applications are %+v", apps)
	}
}

func TestLoadConfigDefaults(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gatepost.yaml")
	write(t, file, `issuer: https://posture.example.com:8443
tls: [{ cert: tls.crt, key: tls.key }]
storage: bolt:gatepost.db
relying_parties:
  - { name: acme, saml: { metadata: sp.xml } }
  - { name: acme-oidc, oidc: { client_id: okta, jwks_file: k.json, redirect_uris: [https://acme.okta.com/cb] } }
`)
	c, faults := LoadConfig(file, environment)
	if len(faults) > 0 {
		t.Fatal(lines(faults))
	}
	dir := filepath.Dir(file)
	for _, v := range []struct{ what, got, want string }{
		{"device_url", c.DeviceURL, c.Issuer},
		{"https", c.Listen.HTTPS, ":8443"},
		{"ops", c.Listen.Ops, "127.0.0.1:9090"},
		{"keys", c.Signing.Keys, filepath.Join(dir, "keys")},
		{"es256_keys", c.Signing.ES256Keys, ""},
		{"tracing", fmt.Sprint(c.Tracing), "{ 1 }"},
		{"authority", c.Devices.Authority.Certificate, filepath.Join(dir, "device-ca.crt")},
		{"authority's key", c.Devices.Authority.Key, filepath.Join(dir, "device-ca.key")},
		{"lifetime", c.Devices.CertificateLifetime.String(), "2160h0m0s"},
		{"max age", c.Policies["default"].ManagedMaxAge.String(), "168h0m0s"},
		{"storage", c.Storage, "bolt:" + filepath.Join(dir, "gatepost.db")},
	} {
		if v.got != v.want {
			t.Errorf("%s is %q, want %q", v.what, v.got, v.want)
		}
	}
	want := []RelyingParty{{
		Name: "acme", SAML: SAML{Metadata: filepath.Join(dir, "sp.xml")}, Policy: "default",
		Use: "posture", Sign: "both", OnUnmanaged: "refuse", OnNoncompliant: "assert", BindOwner: posture.BindOff,
	}, {
		Name: "acme-oidc", Policy: "default", OnUnmanaged: "refuse", OnNoncompliant: "assert", BindOwner: posture.BindOff,
		OIDC: OIDC{
			ClientID: "okta", JWKSFile: filepath.Join(dir, "k.json"), RedirectURIs: []string{"https://acme.okta.com/cb"},
			IssParameter: true, IDTokenAlg: "RS256",
		},
	}}
	if !reflect.DeepEqual(c.RelyingParties, want) {
		t.Errorf("relying parties are %+v, want %+v", c.RelyingParties, want)
	}
}

func TestLoadConfigUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	write(t, large, "# "+strings.Repeat("x", maxConfig))
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "cannot be read: no such file or directory",
		dir:                             "cannot be read: is a directory",
		large:                           "is larger than 1048576 bytes",
	} {
		c, faults := LoadConfig(file, environment)
		if got := lines(faults); c != nil || got != file+": "+want+"\n" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Found by trying: quoting the value once for each of its faults took minutes.
// Hanging is the failure; nothing is timed.
func TestLoadConfigManyFaults(t *testing.T) {
	t.Parallel()
	var policies strings.Builder
	policies.WriteString("policies:\n")
	for i := range 20000 {
		fmt.Fprintf(&policies, "  p%d: {}\n", i)
	}
	for name, text := range map[string]string{
		"references": "issuer: " + strings.Repeat("${", 1<<17),
		"policies":   policies.String() + "relying_parties:\n" + strings.Repeat("- policy: x\n", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFindings("gatepost.yaml")
			parseConfig(f, []byte(text), "/etc/gatepost", environment)
			if !Refused(f.faults) {
				t.Error("was accepted")
			}
		})
	}
}

func TestInitialConfig(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		issuer, device, https string
		pairs                 int
	}{
		{"https://posture.example.com", "", ":443", 1},
		{"https://posture.example.com", "https://posture.example.com", ":443", 1},
		{"https://localhost:8443", "https://device.localhost:8443", ":8443", 2},
	} {
		file := filepath.Join(t.TempDir(), "gatepost.yaml")
		write(t, file, string(InitialConfig(v.issuer, v.device)))
		c, faults := LoadConfig(file, environment)
		if len(faults) > 0 {
			t.Fatal(lines(faults))
		}
		device := v.device
		if device == "" {
			device = v.issuer
		}
		if c.Issuer != v.issuer || c.DeviceURL != device || c.Listen.HTTPS != v.https || len(c.TLS) != v.pairs {
			t.Errorf("%q, %q gives %+v", v.issuer, v.device, c)
		}
	}
}

// What init is told must come back as it is, and must not write keys.
func TestInitialConfigHostile(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"https://a' \nstorage: bolt:/x #", "https://${HOST}", "{{.}}", `https://a"b\n`} {
		file := filepath.Join(t.TempDir(), "gatepost.yaml")
		write(t, file, string(InitialConfig(issuer, "")))
		c, faults := LoadConfig(file, environment)
		if c != nil || !slices.ContainsFunc(faults, func(f Fault) bool { return f.Path == "issuer" }) || len(faults) > 2 {
			t.Errorf("%q: faults are\n%s", issuer, lines(faults))
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
