package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

const testRedirectURI = "https://acme.okta.com/oauth2/v1/authorize/callback"

// oidcParty is a relying party that does as little as it can, one step of an
// OpenID Connect sign-in at a time. It judges nothing; conform does.
type oidcParty struct {
	id, secret     string
	issuer, device string // URLs
	http           *http.Client
}

// newOIDCParty makes one of what "gatepost client add --json" printed. The
// client is the browser of its sign-ins as well.
func newOIDCParty(t testing.TB, added []byte, issuer, device string, client *http.Client) *oidcParty {
	t.Helper()
	var c struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	if err := json.Unmarshal(added, &c); err != nil || c.ClientID == "" || c.ClientSecret == "" {
		t.Fatalf("%v: %s", err, added)
	}
	stays := *client
	stays.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &oidcParty{id: c.ClientID, secret: c.ClientSecret, issuer: issuer, device: device, http: &stays}
}

// read sends the request and reads its answer, which must have that status.
func (rp *oidcParty) read(r *http.Request, status int) (*http.Response, []byte, error) {
	resp, err := rp.http.Do(r)
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

// authorize gets a code.
func (rp *oidcParty) authorize(n int) (code string, err error) {
	query := url.Values{"response_type": {"code"}, "client_id": {rp.id}, "redirect_uri": {testRedirectURI}, "scope": {"openid email profile"},
		"state": {"state-" + strconv.Itoa(n)}, "nonce": {"nonce-" + strconv.Itoa(n)}, "login_hint": {"user@example.com"}}
	r, err := http.NewRequest(http.MethodGet, rp.device+"/oidc/authorize?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	resp, _, err := rp.read(r, http.StatusSeeOther)
	if err != nil {
		return "", err
	}
	callback, err := resp.Location()
	if err != nil {
		return "", err
	}
	if code = callback.Query().Get("code"); code == "" {
		return "", fmt.Errorf("no code: %v", callback)
	}
	return code, nil
}

// redeem takes the code to the token endpoint, which must answer with status.
func (rp *oidcParty) redeem(code string, status int) (accessToken, idToken string, err error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirectURI}}
	r, err := http.NewRequest(http.MethodPost, rp.issuer+"/oidc/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(rp.id, rp.secret)
	_, body, err := rp.read(r, status)
	if err != nil || status != http.StatusOK {
		return "", "", err
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
		IDToken     string `json:"id_token"`
	}
	err = json.Unmarshal(body, &tokens)
	return tokens.AccessToken, tokens.IDToken, err
}

// userInfo takes the access token to the UserInfo endpoint, which must answer
// with status.
func (rp *oidcParty) userInfo(accessToken string, status int) error {
	r, err := http.NewRequest(http.MethodGet, rp.issuer+"/oidc/userinfo", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	_, body, err := rp.read(r, status)
	if err == nil && status == http.StatusOK && !strings.Contains(string(body), `"device_context":{"managed":true`) {
		err = fmt.Errorf("userinfo says %s", body)
	}
	return err
}

// signIn is one complete sign-in.
func (rp *oidcParty) signIn(n int) (idToken string, err error) {
	code, err := rp.authorize(n)
	if err != nil {
		return "", err
	}
	accessToken, idToken, err := rp.redeem(code, http.StatusOK)
	if err != nil {
		return "", err
	}
	return idToken, rp.userInfo(accessToken, http.StatusOK)
}
