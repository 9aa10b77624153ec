package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"gatepost.dev/admin"
	"gatepost.dev/idp"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
	"gatepost.dev/store"
)

// errSecretFile says that the file of a client's secrets cannot be used.
var errSecretFile = errors.New("client secret")

// record is the relying party as the store would keep it, the files it names
// read but for the one of its secrets.
func (r *RelyingParty) record() (store.RelyingParty, error) {
	record := store.RelyingParty{
		Name: r.Name, Use: r.Use, Policy: r.Policy, Sign: r.Sign, Encrypt: r.Encrypt,
		OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, AllowSHA1: r.AllowSHA1Digests, BindOwner: r.BindOwner, Applications: r.appPolicies(),
		AgentChallenge: r.AgentChallenge, Attestation: r.Attestation,
	}
	var err error
	if r.OIDC.ClientID == "" {
		record.Metadata, err = os.ReadFile(r.SAML.Metadata)
		return record, err
	}
	record.OIDC = &store.OIDCClient{
		ClientID: r.OIDC.ClientID, RedirectURIs: r.OIDC.RedirectURIs, SecretFile: r.OIDC.ClientSecretFile,
		RequirePKCE: r.OIDC.RequirePKCE, RequireRequestObject: r.OIDC.RequireRequestObject,
		OmitIss: !r.OIDC.IssParameter, IDTokenAlg: r.OIDC.IDTokenAlg,
	}
	if r.OIDC.JWKSFile != "" {
		record.OIDC.Keys, err = os.ReadFile(r.OIDC.JWKSFile)
	}
	return record, err
}

// listedParty is an organisation as the API shows it.
func listedParty(r store.RelyingParty, origin admin.Origin) admin.RelyingParty {
	return admin.RelyingParty{
		NewRelyingParty: admin.NewRelyingParty{
			Name: r.Name, Metadata: string(r.Metadata), Use: cmp.Or(r.Use, usePosture), Policy: r.Policy, Sign: r.Sign, Encrypt: r.Encrypt,
			OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, BindOwner: cmp.Or(r.BindOwner, posture.BindOff), Applications: r.Applications, AllowSHA1Digests: r.AllowSHA1,
			AgentChallenge: r.AgentChallenge, Attestation: r.Attestation,
		},
		EntityID: r.EntityID, Origin: origin, AddedAt: r.AddedAt,
	}
}

// listedClient is an OpenID Connect client as the API shows it.
func listedClient(r store.RelyingParty, origin admin.Origin) admin.OIDCClient {
	c := admin.OIDCClient{
		NewOIDCClient: admin.NewOIDCClient{
			Name: r.Name, ClientID: r.OIDC.ClientID, RedirectURIs: r.OIDC.RedirectURIs, Secret: admin.SecretNone,
			SecretFile: r.OIDC.SecretFile, JWKS: string(r.OIDC.Keys), RequirePKCE: r.OIDC.RequirePKCE,
			RequireRequestObject: r.OIDC.RequireRequestObject, OmitIss: r.OIDC.OmitIss, IDTokenAlg: r.OIDC.IDTokenAlg,
			Policy: r.Policy, OnUnmanaged: r.OnUnmanaged, OnNoncompliant: r.OnNoncompliant, BindOwner: cmp.Or(r.BindOwner, posture.BindOff), Applications: r.Applications,
			AgentChallenge: r.AgentChallenge,
		},
		Origin: origin, AddedAt: r.AddedAt,
	}
	if r.OIDC.SecretFile != "" {
		c.Secret = admin.SecretInFile
	}
	return c
}

// parse makes a relying party of its record.
func (p *parties) parse(r store.RelyingParty) (*idp.RelyingParty, error) {
	policy := p.policies[r.Policy]
	if policy == nil {
		return nil, fmt.Errorf("policy %q: %w", r.Policy, errNoPolicy)
	}
	party := &idp.RelyingParty{
		Name: r.Name, Policy: policy,
		AssertUnmanaged:    r.OnUnmanaged == "assert",
		RefuseNoncompliant: r.OnNoncompliant == "refuse", ExplainNoncompliant: r.OnNoncompliant == "explain",
		BindOwner:      r.BindOwner,
		Shared:         p.shared,
		AgentChallenge: r.AgentChallenge,
		Attestation:    r.Attestation,
	}
	for _, a := range r.Applications {
		policy := p.policies[a.Policy]
		if policy == nil {
			return nil, fmt.Errorf("policy %q: %w", a.Policy, errNoPolicy)
		}
		party.Applications = append(party.Applications, idp.Application{Names: a, Policy: policy})
	}
	var err error
	if r.OIDC != nil {
		party.OIDC, err = p.parseClient(r.OIDC)
	} else {
		err = parseServiceProvider(party, r)
	}
	if err != nil {
		return nil, err
	}
	return party, nil
}

// parseServiceProvider fills in what makes it a SAML service provider.
func parseServiceProvider(party *idp.RelyingParty, r store.RelyingParty) error {
	sp, err := saml.ParseMetadata(r.Metadata)
	if err != nil {
		return err
	}
	sp.AllowSHA1 = r.AllowSHA1
	party.SAML = sp
	switch r.Use {
	case "", usePosture: // the former where it was added before there were others
	case useFactor:
		sp.Use = saml.UseFactor
	case useBoth:
		sp.Use = saml.UseBoth
	default:
		return fmt.Errorf("use %q is not known", r.Use)
	}
	switch r.Sign {
	case "assertion":
		party.Scope = saml.SignAssertion
	case "response":
		party.Scope = saml.SignResponse
	}
	if r.Encrypt {
		party.Encrypt, err = saml.NewEncryptionKey(sp.Encryption)
	}
	return err
}

// parseClient makes an OpenID Connect client of its record, with the secrets
// that are in its file now.
func (p *parties) parseClient(r *store.OIDCClient) (*oidc.Client, error) {
	client := &oidc.Client{
		ID: r.ClientID, RedirectURIs: r.RedirectURIs, RequirePKCE: r.RequirePKCE,
		RequireRequestObject: r.RequireRequestObject, OmitIss: r.OmitIss, IDTokenAlg: r.IDTokenAlg,
	}
	client.IDTokenAlg = cmp.Or(client.IDTokenAlg, oidc.RS256)
	if !p.hasAlg(client.IDTokenAlg) {
		return nil, fmt.Errorf("its ID tokens are signed by %s, and the configuration has no keys for that (signing.es256_keys)", client.IDTokenAlg)
	}
	var err error
	if len(r.Keys) > 0 {
		if client.Keys, err = oidc.ParseKeys(r.Keys); err != nil {
			return nil, fmt.Errorf("client keys: %w", err)
		}
	}
	client.Secrets, err = clientSecrets(r)
	return client, err
}

func clientSecrets(r *store.OIDCClient) ([]oidc.Secret, error) {
	var secrets []oidc.Secret
	for _, s := range r.Secrets {
		hash, err := hex.DecodeString(s.Hash)
		if err != nil || len(hash) != sha256.Size {
			return nil, errors.New("the hash of a client secret is damaged")
		}
		secrets = append(secrets, oidc.Secret{Hash: [sha256.Size]byte(hash), ExpiresAt: s.ExpiresAt})
	}
	if r.SecretFile == "" {
		return secrets, nil
	}
	clear, err := readSecrets(r.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSecretFile, err)
	}
	for _, s := range clear {
		secrets = append(secrets, oidc.Secret{Hash: oidc.HashSecret(s), Clear: s})
	}
	return secrets, nil
}
