package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/idp/oidc"
)

const benchRedirectURI = "https://acme.okta.com/oauth2/v1/authorize/callback"

// benchClient is an OpenID Connect client of a benchServer.
type benchClient struct {
	id, secret string
	issuer     string
	device     string
	http       *http.Client
}

// addClient registers a client whose ID tokens are signed by alg.
func (s *benchServer) addClient(b *testing.B, issuer, device, alg string) *benchClient {
	b.Helper()
	c := &benchClient{id: "okta-" + alg, issuer: issuer, device: device}
	out, err := program(b.Context(), "client", "add", "acme-"+alg, "--client-id", c.id, "--redirect-uri", benchRedirectURI,
		"--id-token-alg", alg, "--json", "-c", filepath.Join(s.dir, "gatepost.yaml")).Output()
	if err != nil {
		b.Fatal(err)
	}
	var added struct {
		ClientSecret string `json:"client_secret"`
	}
	if err := json.Unmarshal(out, &added); err != nil || added.ClientSecret == "" {
		b.Fatalf("%v: %s", err, out)
	}
	c.secret = added.ClientSecret
	client := *s.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &client
	return c
}

// read sends the request and reads its answer.
func (c *benchClient) read(r *http.Request, status int) (*http.Response, []byte, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s: %s\n%s", r.Method, r.URL.Path, resp.Status, body)
	}
	return resp, body, err
}

// signIn is one complete sign-in: authorize, token, userinfo.
func (c *benchClient) signIn(n int) error {
	query := url.Values{"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {benchRedirectURI}, "scope": {"openid email profile"},
		"state": {fmt.Sprint("state-", n)}, "nonce": {fmt.Sprint("nonce-", n)}, "login_hint": {"user@example.com"}}
	r, err := http.NewRequest(http.MethodGet, c.device+"/oidc/authorize?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, _, err := c.read(r, http.StatusSeeOther)
	if err != nil {
		return err
	}
	callback, err := resp.Location()
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {callback.Query().Get("code")}, "redirect_uri": {benchRedirectURI}}
	if r, err = http.NewRequest(http.MethodPost, c.issuer+"/oidc/token", strings.NewReader(form.Encode())); err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.id, c.secret)
	_, body, err := c.read(r, http.StatusOK)
	if err != nil {
		return err
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &tokens); err != nil {
		return err
	}
	if r, err = http.NewRequest(http.MethodGet, c.issuer+"/oidc/userinfo", nil); err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
	_, body, err = c.read(r, http.StatusOK)
	if err == nil && !strings.Contains(string(body), `"device_context":{"managed":true`) {
		err = fmt.Errorf("userinfo says %s", body)
	}
	return err
}

// signIns does n of them, 64 at a time over connections that stay open.
func (c *benchClient) signIns(b *testing.B, n int) {
	const clients = 64
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for j := i; j < n; j += clients {
				if err := c.signIn(j); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkOIDCSignIn is complete sign-ins by OpenID Connect (authorize with a
// client certificate, token, userinfo; decision and grant recorded, code used up),
// with RS256 and with ES256 by turns, beside bare RSA-2048 signatures of the same
// run. An operation is a batch of eight hundred of each.
func BenchmarkOIDCSignIn(b *testing.B) {
	const batch = 800
	s := startBenchServer(b, benchDevices[0], "both")
	device, err := url.Parse(s.requests(b, 1)[0])
	if err != nil {
		b.Fatal(err)
	}
	deviceURL, issuer := "https://"+device.Host, "https://localhost:"+device.Port()
	clients := []*benchClient{s.addClient(b, issuer, deviceURL, oidc.RS256), s.addClient(b, issuer, deviceURL, oidc.ES256)}
	cpu := make([]time.Duration, len(clients))
	wall := make([]time.Duration, len(clients))
	var bare time.Duration
	for _, c := range clients {
		c.signIns(b, batch)
	}
	n := 0
	for b.Loop() {
		bare += bareSignature(b, batch)
		for i, c := range clients {
			before, begun := s.cpu(b), time.Now()
			c.signIns(b, batch)
			cpu[i] += s.cpu(b) - before
			wall[i] += time.Since(begun)
		}
		n++
	}
	perBare := float64(bare) / float64(n)
	for i, c := range clients {
		alg := strings.TrimPrefix(c.id, "okta-")
		perSignIn := float64(cpu[i]) / float64(n*batch)
		b.ReportMetric(perSignIn/1e3, alg+"-server-cpu-µs")
		b.ReportMetric(perSignIn/perBare, alg+"-in-bare-rsa")
		b.ReportMetric(float64(n*batch)/wall[i].Seconds(), alg+"-sign-ins/s")
	}
	b.ReportMetric(perBare/1e3, "bare-rsa-µs")
	b.ReportMetric(float64(cpu[0])/float64(cpu[1]), "ES256-sign-ins-per-RS256")
}
