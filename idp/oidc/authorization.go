package oidc

import "time"

// Authorization is an authorization request of a known client to a registered
// redirect URI (OpenID Connect core 3.1.2.1).
type Authorization struct {
	Client        *Client
	RedirectURI   string
	State         string
	HasState      bool
	FormPost      bool // response_mode form_post, else query
	Nonce         string
	Scopes        []string // all that were asked for, openid among them
	LoginHint     string
	IDTokenHint   string
	CodeChallenge string // S256; empty: none
	PromptNone    bool
	MaxAge        *time.Duration
	ACRValues     []string
	Claims        ClaimsRequest
	App           []Parameter // the application context under the names it came with, verbatim

	RequestID  string    // what makes a signed request unique; empty: the request was not signed
	ClaimUntil time.Time // how long RequestID must stay claimed
}

// ClaimsRequest is the claims parameter (OpenID Connect core 5.5), by claim name.
type ClaimsRequest struct {
	IDToken  map[string]ClaimRequest `json:"id_token,omitempty"`
	UserInfo map[string]ClaimRequest `json:"userinfo,omitempty"`
}

// ClaimRequest is what is asked of one claim (OpenID Connect core 5.5.1).
type ClaimRequest struct {
	Essential bool     `json:"essential,omitempty"`
	Values    []string `json:"values,omitempty"` // of value and values; empty: any. What is no string is left out.
}
