package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Where Debian's packages apache2-bin and libapache2-mod-auth-openidc are.
const (
	apacheProgram = "/usr/sbin/apache2"
	apacheModules = "/usr/lib/apache2/modules"
)

// apache is an Apache as testdata/interop/apache/httpd.conf.tmpl has it.
type apache struct {
	Dir, CA, Issuer string
	Application     string // URL of what it protects
	User, Group     string // whom it becomes, when it starts as root
	ModuleDir       string
	Modules         []string
	Hosts           []*apacheHost
}

// apacheHost is a client.
type apacheHost struct {
	Port, ClientID, Passphrase string
	Directives                 []string
}

func (h *apacheHost) url(path string) string { return "http://127.0.0.1:" + h.Port + path }

func newApache(t *testing.T, in *installation) *apache {
	t.Helper()
	a := &apache{
		Dir: t.TempDir(), Issuer: in.issuer, ModuleDir: apacheModules,
		Modules: []string{"mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_openidc"},
	}
	a.CA = filepath.Join(a.Dir, "ca.crt")
	if os.Geteuid() == 0 {
		// Its workers must be somebody else, who reads the authorities in here.
		a.User, a.Group = "www-data", "www-data"
		if err := errors.Join(os.Chmod(filepath.Dir(a.Dir), 0o711), os.Chmod(a.Dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(a.CA, readAll(t, filepath.Join(in.dir, "gp", "trial-ca.crt")), 0o644); err != nil {
		t.Fatal(err)
	}
	// The application tells what Apache tells it.
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(r.Header)
	}))
	t.Cleanup(application.Close)
	a.Application = application.URL
	return a
}

// addHost makes a client known at both ends.
func (a *apache) addHost(t *testing.T, in *installation, name string, directives []string, flags ...string) *apacheHost {
	t.Helper()
	port, err := claimPort()
	if err != nil {
		t.Fatal(err)
	}
	h := &apacheHost{Port: port, Passphrase: rand.Text(), Directives: directives}
	var secret string
	h.ClientID, secret = in.addClient(t, name, h.url("/protected/callback"), flags...)
	if secret != "" {
		h.Directives = append(h.Directives, "OIDCClientSecret "+secret)
	}
	a.Hosts = append(a.Hosts, h)
	return h
}

// makeKey makes a key in files as mod_auth_openidc wants them, a key set for
// the provider, and directives that name them.
func (a *apache) makeKey(t *testing.T) (jwks string, directives []string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	pkcs8, err2 := x509.MarshalPKCS8PrivateKey(key)
	set, err3 := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "sig"}}})
	private, public, jwks := filepath.Join(a.Dir, "rp.key"), filepath.Join(a.Dir, "rp.crt"), filepath.Join(a.Dir, "rp.jwks")
	if err := errors.Join(err1, err2, err3,
		os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
		os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(jwks, set, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	// Only with keys before it is private_key_jwt a value that is known.
	return jwks, []string{"OIDCPrivateKeyFiles k1#" + private, "OIDCPublicKeyFiles k1#" + public, "OIDCProviderTokenEndpointAuth private_key_jwt"}
}

// start runs Apache and waits until it listens.
func (a *apache) start(t *testing.T) {
	t.Helper()
	text, err := template.ParseFiles("testdata/interop/apache/httpd.conf.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(a.Dir, "httpd.conf")
	file, err := os.Create(config)
	if err := errors.Join(err, text.Execute(file, a), file.Close()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(apacheProgram, "-D", "FOREGROUND", "-f", config)
	cmd.Dir = a.Dir
	// At its end it sends a signal to its whole process group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// The authorities in its configuration are not the only ones with these set.
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE=", "SSL_CERT_DIR=")
	b, err := startBackground(cmd, filepath.Join(a.Dir, "apache"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.stop(syscall.SIGTERM, 0); err != nil {
			t.Error(err)
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("Apache's log:\n%s", readAll(t, filepath.Join(a.Dir, "error.log")))
		}
	})
	err = b.until("Apache", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+a.Hosts[len(a.Hosts)-1].Port)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, readAll(t, b.stderr))
	}
}

// TestModAuthOpenIDC has Debian's Apache with mod_auth_openidc as the relying
// party, between the browser and an application.
func TestModAuthOpenIDC(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.serve(t)
	a := newApache(t, in)
	jwks, keys := a.makeKey(t)
	const pkce = "OIDCPKCEMethod S256"
	hosts := map[string]*apacheHost{
		"basic":     a.addHost(t, in, "basic", []string{"OIDCProviderTokenEndpointAuth client_secret_basic", pkce}, "--no-iss", "--require-pkce"),
		"keys":      a.addHost(t, in, "keys", append(keys, pkce), "--no-iss", "--jwks", jwks, "--no-secret"),
		"form-post": a.addHost(t, in, "form-post", []string{"OIDCProviderTokenEndpointAuth client_secret_post", "OIDCResponseMode form_post"}),
	}
	a.start(t)
	signIn := func(t *testing.T, h *apacheHost) {
		t.Helper()
		p, at := in.openBrowser(t, "mac-1").follow(t, h.url("/protected/page"))
		if p.status != 200 || at.url != h.url("/protected/page") {
			t.Fatalf("the sign-in ends at %s with status %d\n%s", at.url, p.status, p.body)
		}
		checkApplication(t, in, h, p.body)
	}
	for name, h := range hosts {
		t.Run(name, func(t *testing.T) { signIn(t, h) })
	}
	for _, device := range []string{"old-3", ""} {
		t.Run("refused "+device, func(t *testing.T) {
			for _, name := range []string{"basic", "keys"} {
				p, at := in.openBrowser(t, device).follow(t, hosts[name].url("/protected/page"))
				if !strings.HasPrefix(at.url, hosts[name].url("/protected/callback?")) || !strings.Contains(string(p.body), "access_denied") ||
					!strings.Contains(string(p.body), "DEVICE_NOT_MANAGED") {
					t.Errorf("%s: the sign-in ends at %s with status %d\n%s", name, at.url, p.status, p.body)
				}
			}
		})
	}
	// It fetches the keys again for a token of one that it does not know.
	t.Run("key rotation", func(t *testing.T) {
		in.gatepost(t, "key", "rotate", "--activate", in.publishKey(t, "RS256"), "--force")
		signIn(t, hosts["basic"])
	})
}

// checkApplication checks what the application was told: claims as headers,
// device_context as JSON text, and whole what the ID token and UserInfo say.
func checkApplication(t *testing.T, in *installation, h *apacheHost, body []byte) {
	t.Helper()
	var header http.Header
	if err := json.Unmarshal(body, &header); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	for name, want := range map[string]string{
		"X-Remote-User": "ann@example.com", "OIDC_CLAIM_sub": "ann@example.com", "OIDC_CLAIM_email": "ann@example.com",
		"OIDC_CLAIM_iss": in.issuer, "OIDC_CLAIM_aud": h.ClientID, "OIDC_CLAIM_acr": "urn:okta:saml:2.0:DevicePosture",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	found := map[string]json.RawMessage{"its claim": json.RawMessage(header.Get("OIDC_CLAIM_device_context"))}
	for where, name := range map[string]string{"the ID token": "OIDC_id_token_payload", "UserInfo": "OIDC_userinfo_json"} {
		var whole struct {
			DeviceContext json.RawMessage `json:"device_context"`
		}
		if err := json.Unmarshal([]byte(header.Get(name)), &whole); err != nil {
			t.Errorf("%s: %v: %q", name, err, header.Get(name))
		}
		found[where] = whole.DeviceContext
	}
	checkDeviceContext(t, mac1Context, found)
}
