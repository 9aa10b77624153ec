package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/certs"
	"gatepost.dev/conform"
)

// demoLifetime is how long certificates are valid that the demo makes itself.
const demoLifetime = 30 * 24 * time.Hour

// makeOktaTLS makes the TLS certificate of the simulated Okta.
func (d *demo) makeOktaTLS() error {
	ca, certificate, key, err := certs.NewServerCertificate([]string{"localhost"}, d.now(), demoLifetime)
	if err != nil {
		return err
	}
	if d.oktaTLS, err = tls.X509KeyPair(certificate, key); err != nil {
		return err
	}
	d.roots.AppendCertsFromPEM(ca)
	return os.WriteFile(filepath.Join(d.dir, "okta-ca.crt"), ca, 0o644)
}

// makeOktaKey makes the key by which the simulated Okta signs its requests.
func makeOktaKey(now time.Time) (*rsa.PrivateKey, *x509.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Simulated Okta"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(demoLifetime),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return key, certificate, err
}

// startOkta gives the simulated Okta what the provider says of itself, by both
// protocols, and starts it.
func (d *demo) startOkta(ctx context.Context) error {
	key, certificate, err := makeOktaKey(d.now())
	if err != nil {
		return err
	}
	if err := d.makeOktaSAML(ctx, key, certificate); err != nil {
		return err
	}
	if err := d.makeOktaOIDC(ctx, key); err != nil {
		return err
	}
	s := d.serve(conform.Handler(d.okta, d.oktaOIDC))
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{d.oktaTLS}}
	go func() { d.ended(s.ServeTLS(d.listeners[1], "", "")) }()
	return nil
}

func (d *demo) makeOktaSAML(ctx context.Context, key *rsa.PrivateKey, certificate *x509.Certificate) error {
	b, err := newBrowser(d.roots, nil)
	if err != nil {
		return err
	}
	defer b.close()
	metadata, err := b.load(ctx, step{url: d.issuer() + "/saml/metadata"})
	if err != nil {
		return err
	}
	d.okta, err = conform.NewOkta(conform.OktaConfig{
		EntityID: "https://www.okta.com/saml2/service-provider/spgatepostdemo", ACS: d.oktaURL() + "/sso/saml2/0oagatepostdemo",
		Key: key, Certificate: certificate, IdPMetadata: metadata.body, Now: d.now, Log: d.log,
	})
	return err
}

// makeOktaOIDC chooses the most careful of what Okta offers: requests that are
// signed, PKCE, and a key instead of a secret.
func (d *demo) makeOktaOIDC(ctx context.Context, key *rsa.PrivateKey) error {
	d.oktaHTTP = &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.roots}}
	client := &http.Client{Transport: d.oktaHTTP, Timeout: 30 * time.Second}
	endpoints, err := conform.DiscoverOIDC(ctx, client, d.issuer())
	if err != nil {
		return err
	}
	d.oktaOIDC, err = conform.NewOktaOIDC(conform.OktaOIDCConfig{
		ClientID: "0oagatepostdemo", AuthMethod: "private_key_jwt", Key: key, RedirectURI: d.redirectURI(),
		Issuer: d.issuer(), Endpoints: endpoints, PKCE: true, RequestObject: "RS256",
		HTTPClient: client, Now: d.now, Log: d.log,
	})
	return err
}

func (d *demo) redirectURI() string { return d.oktaURL() + "/oauth2/v1/authorize/callback" }

// register makes both halves of the simulated Okta known to Gatepost.
func (d *demo) register(ctx context.Context) error {
	if _, err := d.admin.AddRelyingParty(ctx, admin.NewRelyingParty{Name: "demo", Metadata: string(d.okta.Metadata())}); err != nil {
		return fmt.Errorf("add organisation: %w", err)
	}
	if _, err := d.admin.AddClient(ctx, admin.NewOIDCClient{
		Name: "demo-oidc", ClientID: "0oagatepostdemo", RedirectURIs: []string{d.redirectURI()},
		Secret: admin.SecretNone, JWKS: string(d.oktaOIDC.KeySet()), RequirePKCE: true, RequireRequestObject: true,
	}); err != nil {
		return fmt.Errorf("add client: %w", err)
	}
	return nil
}
