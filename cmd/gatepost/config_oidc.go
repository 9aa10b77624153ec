package main

import (
	"fmt"
	"strings"

	"gatepost.dev/idp/oidc"
)

// OIDC is what is known of a relying party as an OpenID Connect client. It
// needs a secret, keys, or both.
type OIDC struct {
	// ClientID is what the client calls itself: at most 255 printable ASCII
	// characters without a space. Required.
	ClientID string `yaml:"client_id"`

	// ClientSecretFile is the path of the file with the client's secret, mode
	// 0600 or 0400 and owned by the user that gatepost runs as. It holds one
	// line, or during a rotation two: the secret, and the former one. Each has
	// 32 printable ASCII characters or more, without a space.
	ClientSecretFile string `yaml:"client_secret_file"`

	// JWKSFile is the path of a JWK Set (RFC 7517) with the client's public
	// keys, for private_key_jwt and for signed requests.
	JWKSFile string `yaml:"jwks_file"`

	// RedirectURIs are where answers may go, compared letter by letter: https,
	// or http on loopback. Required.
	RedirectURIs []string `yaml:"redirect_uris"`

	// RequirePKCE refuses a request without a code challenge (RFC 7636). A
	// challenge that was sent is always held to. Defaults to false.
	RequirePKCE bool `yaml:"require_pkce"`

	// RequireRequestObject refuses a request that is not signed (RFC 9101).
	// Defaults to false.
	RequireRequestObject bool `yaml:"require_request_object"`

	// IssParameter names the issuer in authorization responses (RFC 9207), which
	// clients without support for it ignore; mod_auth_openidc 2.4 does not.
	// Defaults to true.
	IssParameter bool `yaml:"iss_parameter"`

	// IDTokenAlg is what ID tokens are signed with: RS256, or ES256 if there are
	// keys for it. Defaults to RS256.
	IDTokenAlg string `yaml:"id_token_alg"`
}

// Provider is what the OpenID Provider says of itself, but for its algorithms.
func (c *Config) Provider() *oidc.Provider {
	return &oidc.Provider{
		Issuer:       c.Issuer,
		AuthorizeURL: c.DeviceURL + "/oidc/authorize", // where browsers prove their device
		TokenURL:     c.Issuer + "/oidc/token",
		UserInfoURL:  c.Issuer + "/oidc/userinfo",
		JWKSURL:      c.Issuer + "/oidc/jwks",
	}
}

// exampleRedirectURI is Okta's.
const exampleRedirectURI = "https://acme.okta.com/oauth2/v1/authorize/callback"

// setDefaults fills in what is not written.
func (o *OIDC) setDefaults(issWritten bool) {
	if !issWritten {
		o.IssParameter = true
	}
	if o.IDTokenAlg == "" {
		o.IDTokenAlg = oidc.RS256
	}
}

// validateOIDC finds the faults of an OpenID Connect client, whose path is
// party's. It tells whether there is a client ID.
func (rp *RelyingParty) validateOIDC(f *findings, party string) (named bool) {
	path := party + ".oidc"
	if f.written(party + ".saml") {
		f.add(path, "stands beside saml", "write two relying parties, one for each")
	}
	for _, saml := range [][2]string{
		{"sign", "ID tokens are always signed"},
		{"use", "an ID token always tells the posture"},
		{"encrypt", "the ID token does not travel through the browser"},
		{"allow_sha1_digests", "signed requests have none"},
		{"attestation", "device_context has no place for it"},
	} {
		if key := party + "." + saml[0]; f.written(key) {
			f.add(key, "is for saml only", "delete it: "+saml[1])
		}
	}
	if f.faulty(path) {
		return false
	}
	o := &rp.OIDC
	if named = require(f, path+".client_id", o.ClientID, "write client_id: and what the client calls itself, such as okta"); named {
		if oidc.CheckClientID(o.ClientID) != nil {
			f.add(path+".client_id", quote(o.ClientID)+" is no client ID", "write at most 255 printable ASCII characters, without a space")
		}
	}
	o.validateRedirectURIs(f, path+".redirect_uris")
	if o.ClientSecretFile == "" && o.JWKSFile == "" && !f.written(path+".client_secret_file") && !f.written(path+".jwks_file") {
		f.add(path, "has neither client_secret_file nor jwks_file", "write one of them, or both: the client must prove itself")
	}
	oneOf(f, path+".id_token_alg", o.IDTokenAlg, oidc.RS256, oidc.ES256)
	if o.IDTokenAlg == oidc.ES256 && !f.written("signing.es256_keys") {
		f.add(path+".id_token_alg", "is ES256, and there are no keys for it", "write RS256, or name their folder as signing.es256_keys")
	}
	return named
}

func (o *OIDC) validateRedirectURIs(f *findings, path string) {
	if len(o.RedirectURIs) == 0 && !f.faulty(path) {
		problem := missing
		if f.written(path) {
			problem = "holds no address"
		}
		f.add(path, problem, "write redirect_uris: ["+exampleRedirectURI+"]")
	}
	first := map[string]bool{}
	for i, uri := range o.RedirectURIs {
		item := fmt.Sprintf("%s[%d]", path, i)
		if uri == "" {
			continue // a fault already
		}
		if err := oidc.CheckRedirectURI(uri); err != nil {
			f.add(item, strings.TrimPrefix(err.Error(), "redirect URI "), "write it as the client sends it, such as "+exampleRedirectURI)
		} else if first[uri] {
			f.add(item, quote(uri)+" is there already", "delete one of them")
		}
		first[uri] = true
	}
}
