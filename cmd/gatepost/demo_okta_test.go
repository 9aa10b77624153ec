package main

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatepost.dev/admin"
	"gatepost.dev/conform"
	"gatepost.dev/posture"
)

var oktaTestKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// TestOktaByOpenIDConnect registers a client for each way in which Okta can be
// set up, and signs in there by a browser on a managed device, or on none.
func TestOktaByOpenIDConnect(t *testing.T) {
	t.Parallel()
	key, err := oktaTestKey()
	if err != nil {
		t.Fatal(err)
	}
	d := startTestDemo(t)
	app := &conform.AppContext{InstanceID: "0oa1", Name: "Wiki "}
	for name, c := range map[string]struct {
		okta   conform.OktaOIDCConfig
		client admin.NewOIDCClient
		device string // "": demo-macbook; "none": no certificate
		want   map[string]string
	}{
		"as it is by default": {},
		"secret posted, form_post, PKCE": {
			okta:   conform.OktaOIDCConfig{AuthMethod: "client_secret_post", ResponseMode: "form_post", PKCE: true},
			client: admin.NewOIDCClient{RequirePKCE: true},
		},
		"signed by HS256": {okta: conform.OktaOIDCConfig{RequestObject: "HS256"}, client: admin.NewOIDCClient{Secret: admin.SecretInFile, RequireRequestObject: true}},
		"signed by HS512": {okta: conform.OktaOIDCConfig{RequestObject: "HS512", ResponseMode: "form_post"}, client: admin.NewOIDCClient{Secret: admin.SecretInFile}},
		"key alone, signed by RS384": {
			okta:   conform.OktaOIDCConfig{AuthMethod: "private_key_jwt", Key: key, RequestObject: "RS384"},
			client: admin.NewOIDCClient{Secret: admin.SecretNone, RequireRequestObject: true},
		},
		"application context":             {okta: conform.OktaOIDCConfig{SendAppContext: app}},
		"application context, Okta names": {okta: conform.OktaOIDCConfig{SendAppContext: app, OktaAppNames: true}},
		"ES256":                           {okta: conform.OktaOIDCConfig{IDTokenAlgs: []string{"ES256"}}, client: admin.NewOIDCClient{IDTokenAlg: "ES256"}},
		"without iss":                     {client: admin.NewOIDCClient{OmitIss: true}},
		"not managed": {
			device: "demo-tablet", client: admin.NewOIDCClient{OnUnmanaged: "assert"},
			want: map[string]string{"outcome": "signed-in", "managed": "false", "compliant": "false"},
		},
		"no device, but an answer": {
			device: "none", client: admin.NewOIDCClient{OnUnmanaged: "assert"},
			want: map[string]string{"outcome": "signed-in", "managed": "false", "compliant": "false"},
		},
		"no device": {device: "none", want: map[string]string{"outcome": "failed", "error": "DEVICE_NOT_MANAGED", "why": "access_denied"}},
		"bound to another owner": {
			client: admin.NewOIDCClient{BindOwner: posture.BindEnforce},
			want:   map[string]string{"outcome": "failed", "error": "DEVICE_NOT_MANAGED", "why": "access_denied"},
		},
		"not what was promised": {
			client: admin.NewOIDCClient{IDTokenAlg: "ES256"}, okta: conform.OktaOIDCConfig{IDTokenAlgs: []string{"RS256"}},
			want: map[string]string{"outcome": "rejected"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := serveOkta(t, d, c.okta, c.client)
			device := c.device
			if device == "" {
				device = "demo-macbook"
			}
			p := signInAtOkta(t, d, device, start)
			if c.want == nil {
				c.want = map[string]string{"outcome": "signed-in", "managed": "true", "compliant": "true", "error": "", "user": "user@example.com"}
			}
			for what, want := range c.want {
				if p.result[what] != want {
					t.Errorf("%s: %q instead of %q; %v", what, p.result[what], want, p.result)
				}
			}
			if p.tokens != nil && p.tokens.Findings != "" {
				t.Errorf("what Okta would like better: %s", p.tokens.Findings)
			}
		})
	}
}

// serveOkta serves an Okta that is registered as client; what is not set is what
// Okta has by default.
func serveOkta(t *testing.T, d *demo, cfg conform.OktaOIDCConfig, client admin.NewOIDCClient) (start string) {
	t.Helper()
	okta := httptest.NewUnstartedServer(nil)
	origin := "http://" + okta.Listener.Addr().String()
	cfg.RedirectURI = origin + "/oauth2/v1/authorize/callback"
	client.Name, client.RedirectURIs = "okta"+strings.ToLower(rand.Text()), []string{cfg.RedirectURI}
	if client.Secret == admin.SecretInFile {
		cfg.ClientSecret = strings.Repeat("secret", 11)
		client.SecretFile = filepath.Join(t.TempDir(), "okta.secret")
		if err := os.WriteFile(client.SecretFile, []byte(cfg.ClientSecret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := &http.Client{Transport: d.oktaHTTP}
	endpoints, err := conform.DiscoverOIDC(t.Context(), roots, d.issuer())
	if err != nil {
		t.Fatal(err)
	}
	endpoints.IssParameter = !client.OmitIss
	cfg.Issuer, cfg.Endpoints, cfg.HTTPClient, cfg.Now = d.issuer(), endpoints, roots, d.now
	if cfg.Key != nil {
		named := cfg
		named.ClientID, named.ClientSecret, named.AuthMethod, named.RequestObject = "x", "x", "", ""
		o, err := conform.NewOktaOIDC(named)
		if err != nil {
			t.Fatal(err)
		}
		client.JWKS = string(o.KeySet())
	}
	issued, err := d.admin.AddClient(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClientID = issued.Client.ClientID
	if issued.ClientSecret != "" {
		cfg.ClientSecret = issued.ClientSecret
	}
	o, err := conform.NewOktaOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	okta.Config.Handler = o.Handler()
	okta.Start()
	t.Cleanup(okta.Close)
	return origin + "/oidc/login?user=user%40example.com"
}

func signInAtOkta(t *testing.T, d *demo, device, start string) *exchange {
	t.Helper()
	var b *browser
	var err error
	if device == "none" {
		b, err = newBrowser(d.roots, nil)
	} else {
		b, err = newBrowser(d.roots, d.device(device).certificate)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	x, err := b.signIn(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
