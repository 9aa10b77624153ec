package oidc

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"gatepost.dev/contract"
)

// configuration is the discovery document (OpenID Connect Discovery 3, RFC 8414
// section 2).
type configuration struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	UserInfoEndpoint      string `json:"userinfo_endpoint"`
	JWKSURI               string `json:"jwks_uri"`

	Scopes        []string `json:"scopes_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	ACRValues     []string `json:"acr_values_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`

	IDTokenAlgs       []string                  `json:"id_token_signing_alg_values_supported"`
	RequestObjectAlgs []jose.SignatureAlgorithm `json:"request_object_signing_alg_values_supported"`
	AuthMethods       []string                  `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs          []jose.SignatureAlgorithm `json:"token_endpoint_auth_signing_alg_values_supported"`

	ClaimTypes           []string `json:"claim_types_supported"`
	Claims               []string `json:"claims_supported"`
	ClaimsParameter      bool     `json:"claims_parameter_supported"`
	RequestParameter     bool     `json:"request_parameter_supported"`
	RequestURIParameter  bool     `json:"request_uri_parameter_supported"` // true unless said otherwise
	CodeChallengeMethods []string `json:"code_challenge_methods_supported"`
	IssParameter         bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 section 3
}

// Configuration is the document at /.well-known/openid-configuration. It says
// what the provider does, no more and no less.
func Configuration(p *Provider) ([]byte, error) {
	for _, u := range [...]string{p.Issuer, p.AuthorizeURL, p.TokenURL, p.UserInfoURL, p.JWKSURL} {
		if u == "" {
			return nil, errors.New("write discovery document: an address is missing")
		}
	}
	if !slices.Contains(p.IDTokenAlgs, RS256) {
		return nil, errors.New("write discovery document: there must be a key for RS256 (OpenID Connect Discovery 3)")
	}
	document, err := json.Marshal(configuration{
		Issuer:                p.Issuer,
		AuthorizationEndpoint: p.AuthorizeURL,
		TokenEndpoint:         p.TokenURL,
		UserInfoEndpoint:      p.UserInfoURL,
		JWKSURI:               p.JWKSURL,

		Scopes:        supportedScopes(),
		ResponseTypes: []string{"code"},
		ResponseModes: []string{"query", "form_post"},
		GrantTypes:    []string{"authorization_code"},
		ACRValues:     []string{contract.DevicePosture},
		SubjectTypes:  []string{"public"},

		IDTokenAlgs:       p.IDTokenAlgs,
		RequestObjectAlgs: requestAlgs,
		AuthMethods:       []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		AuthAlgs:          assertionAlgs,

		ClaimTypes: []string{"normal"},
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "device_context",
			claimEmail, claimUsername, contract.ClaimAppInstanceID, contract.ClaimAppName, contract.AppInstanceID, contract.AppName},
		ClaimsParameter:      true,
		RequestParameter:     true,
		RequestURIParameter:  false,
		CodeChallengeMethods: []string{"S256"},
		IssParameter:         true,
	})
	if err != nil {
		return nil, fmt.Errorf("write discovery document: %w", err)
	}
	return document, nil
}

// supportedScopes are the scopes that make a difference; any other is ignored
// (OpenID Connect core 3.1.2.1).
func supportedScopes() []string { return []string{"openid", "email", "profile"} }
