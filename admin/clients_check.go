package admin

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"gatepost.dev/idp/oidc"
	"gatepost.dev/posture"
)

// check fills in what was not said, and gives every fault of what was.
func (h *Clients) check(c *NewOIDCClient) error {
	c.ClientID = cmp.Or(c.ClientID, strings.ToLower(rand.Text()))
	c.Secret = cmp.Or(c.Secret, SecretHashed)
	c.IDTokenAlg = cmp.Or(c.IDTokenAlg, oidc.RS256)
	c.Policy = cmp.Or(c.Policy, "default")
	c.OnUnmanaged = cmp.Or(c.OnUnmanaged, "refuse")
	c.OnNoncompliant = cmp.Or(c.OnNoncompliant, "assert")
	c.BindOwner = cmp.Or(c.BindOwner, posture.BindOff)

	faults := checkAnswers(c.Name, c.Policy, c.OnUnmanaged, c.OnNoncompliant, c.BindOwner, h.HasPolicy)
	faults = append(faults, checkApplications(c.Applications, h.HasPolicy)...)
	if err := oidc.CheckClientID(c.ClientID); err != nil {
		faults = append(faults, fmt.Errorf("client_id: %w", err))
	}
	faults = append(faults, checkRedirectURIs(c.RedirectURIs)...)
	faults = append(faults, c.checkProof()...)
	if err := oneOf("id_token_alg", c.IDTokenAlg, oidc.RS256, oidc.ES256); err != nil {
		faults = append(faults, err)
	} else if !h.HasAlg(c.IDTokenAlg) {
		faults = append(faults, fmt.Errorf("id_token_alg: there are no keys for %s", c.IDTokenAlg))
	}
	return errors.Join(faults...)
}

const maxRedirectURIs = 32

func checkRedirectURIs(uris []string) (faults []error) {
	if n := len(uris); n < 1 || n > maxRedirectURIs {
		faults = append(faults, fmt.Errorf("redirect_uris: there are %d; there must be 1 to %d", n, maxRedirectURIs))
	}
	seen := map[string]bool{}
	for i, uri := range uris[:min(len(uris), maxRedirectURIs)] {
		if err := oidc.CheckRedirectURI(uri); err != nil {
			faults = append(faults, fmt.Errorf("redirect_uris[%d]: %w", i, err))
		} else if seen[uri] {
			faults = append(faults, fmt.Errorf("redirect_uris[%d]: %q is there already", i, uri))
		}
		seen[uri] = true
	}
	return faults
}

// checkProof finds what is wrong with that by which the client proves itself.
func (c *NewOIDCClient) checkProof() (faults []error) {
	if err := oneOf("secret", string(c.Secret), string(SecretHashed), string(SecretInFile), string(SecretNone)); err != nil {
		faults = append(faults, err)
	}
	switch {
	case c.Secret == SecretInFile && (!filepath.IsAbs(c.SecretFile) || c.SecretFile != filepath.Clean(c.SecretFile)):
		// What stands there may be the secret itself, so it is not shown.
		faults = append(faults, errors.New("secret_file: it must be the absolute path of a file, without \"..\""))
	case c.Secret != SecretInFile && c.SecretFile != "":
		faults = append(faults, fmt.Errorf("secret_file: it goes with secret %q only", SecretInFile))
	}
	if c.JWKS == "" {
		if c.Secret == SecretNone {
			faults = append(faults, errors.New("jwks: a client without a secret needs keys, or it cannot prove itself"))
		}
		if c.Secret == SecretHashed && c.RequireRequestObject {
			// A MAC needs the secret itself (RFC 7518 section 3.2).
			faults = append(faults, errors.New("require_request_object: a signature is checked with keys, or with a secret in a file"))
		}
	} else if _, err := oidc.ParseKeys([]byte(c.JWKS)); err != nil {
		faults = append(faults, fmt.Errorf("jwks: %w", err))
	}
	return faults
}
