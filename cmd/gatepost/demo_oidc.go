package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"gatepost.dev/contract"
)

// authorizationMessage is an authorization request as it passed by.
type authorizationMessage struct {
	ID     string `json:"id"` // of a signed request; may be ""
	Client string `json:"client_id"`
	User   string `json:"login_hint"`
	App    string `json:"app,omitempty"`
	AppID  string `json:"app_id,omitempty"`
	Signed string `json:"signed,omitempty"` // algorithm
	PKCE   bool   `json:"pkce"`
	JSON   string `json:"json"` // the parameters, or what was signed of them
}

// callbackMessage is an authorization response as it passed by.
type callbackMessage struct {
	Code        string `json:"code,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
	State       string `json:"state"`
	Issuer      string `json:"iss"`
}

// tokensMessage is what the client was given for the code, as it says.
type tokensMessage struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Subject   string `json:"sub"`
	Device    struct {
		Managed    bool   `json:"managed"`
		Compliant  bool   `json:"compliant"`
		ExternalID string `json:"externalId"`
	} `json:"device_context"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	Claims   string   `json:"claims"` // of the ID token, JSON
	UserInfo string   `json:"userinfo"`
	Findings string   `json:"findings,omitempty"` // what Okta would like better
}

// readAuthorization reads the request out of its query, from inside a request
// object where there is one. It verifies nothing: that is for the provider.
func readAuthorization(query url.Values) (*authorizationMessage, error) {
	m := &authorizationMessage{Client: query.Get("client_id")}
	asked := map[string]any{}
	for name := range query {
		asked[name] = query.Get(name)
	}
	if object := query.Get("request"); object != "" {
		header, payload, err := splitJWT(object)
		if err != nil {
			return nil, fmt.Errorf("request object: %w", err)
		}
		var h struct {
			Alg string `json:"alg"`
		}
		if err := errors.Join(json.Unmarshal(header, &h), json.Unmarshal(payload, &asked)); err != nil {
			return nil, fmt.Errorf("request object: %w", err)
		}
		delete(asked, "request")
		m.Signed = h.Alg
	}
	text := func(names ...string) string {
		for _, name := range names {
			if value, ok := asked[name].(string); ok && value != "" {
				return value
			}
		}
		return ""
	}
	m.ID, m.User, m.PKCE = text("jti"), text("login_hint"), text("code_challenge") != ""
	m.App, m.AppID = text(contract.ClaimAppName, contract.AppName), text(contract.ClaimAppInstanceID, contract.AppInstanceID)
	var written bytes.Buffer
	e := json.NewEncoder(&written)
	e.SetEscapeHTML(false)
	if err := e.Encode(asked); err != nil {
		return nil, err
	}
	m.JSON = written.String()
	return m, nil
}

// splitJWT gives header and payload of a JWS in compact form.
func splitJWT(token string) (header, payload []byte, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("%d parts instead of three", len(parts))
	}
	if header, err = base64.RawURLEncoding.DecodeString(parts[0]); err != nil {
		return nil, nil, err
	}
	payload, err = base64.RawURLEncoding.DecodeString(parts[1])
	return header, payload, err
}

func readCallback(values url.Values) *callbackMessage {
	return &callbackMessage{
		Code: values.Get("code"), Error: values.Get("error"), Description: values.Get("error_description"),
		State: values.Get("state"), Issuer: values.Get("iss"),
	}
}

// readTokens reads what Okta shows of the tokens; nil when it shows none.
func readTokens(shown map[string]string) (*tokensMessage, error) {
	claims, ok := shown["id-token"]
	if !ok {
		return nil, nil
	}
	m := &tokensMessage{}
	if err := errors.Join(json.Unmarshal([]byte(shown["id-token-header"]), m), json.Unmarshal([]byte(claims), m)); err != nil {
		return nil, fmt.Errorf("ID token as Okta shows it: %w", err)
	}
	m.Claims, m.UserInfo, m.Findings = claims, shown["userinfo"], shown["findings"]
	return m, nil
}

// layOutJSON breaks an object into lines for people, like layOut.
func layOutJSON(object string) ([]messageLine, error) {
	var laidOut bytes.Buffer
	if err := json.Indent(&laidOut, []byte(object), "", "  "); err != nil {
		return nil, err
	}
	var lines []messageLine
	marked := false
	for line := range strings.Lines(laidOut.String()) {
		line = strings.TrimSuffix(line, "\n")
		if member, ok := strings.CutPrefix(line, `  "`); ok {
			name, _, _ := strings.Cut(member, `"`)
			marked = tellingMember(name)
		}
		lines = append(lines, messageLine{Text: line, Marked: marked && strings.HasPrefix(line, "  ")})
	}
	return lines, nil
}

// tellingMember says which members are marked.
func tellingMember(name string) bool {
	switch name {
	case "login_hint", "sub", "acr", contract.ClaimDeviceContext,
		contract.ClaimAppInstanceID, contract.ClaimAppName, contract.AppInstanceID, contract.AppName:
		return true
	}
	return false
}
