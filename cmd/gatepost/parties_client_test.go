package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// newRecords is an empty store.
func newRecords(t *testing.T) *store.Records {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "gatepost.db"), bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return store.New(db)
}

// clientRecordOf is a client with a secret that is kept as a hash.
func clientRecordOf(name, id string) store.RelyingParty {
	hash := oidc.HashSecret(goodSecret)
	return store.RelyingParty{Name: name, Policy: defaultPolicy, OIDC: &store.OIDCClient{
		ClientID: id, RedirectURIs: []string{exampleRedirectURI}, Secrets: []store.ClientSecret{{Hash: hex.EncodeToString(hash[:])}},
	}}
}

// TestClientIsAsRegistered: what nobody chose is the default, and a change of
// the store counts at the next request.
func TestClientIsAsRegistered(t *testing.T) {
	t.Parallel()
	records := newRecords(t)
	p, err := newParties(&Config{Signing: Signing{ES256Keys: "es256-keys"}}, records)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ByClientID(t.Context(), "okta"); !errors.Is(err, posture.ErrNoRelyingParty) {
		t.Errorf("not registered: %v", err)
	}
	if err := records.AddRelyingParty(t.Context(), clientRecordOf("acme", "okta")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is remembered
		got, err := p.ByClientID(t.Context(), "okta")
		if err != nil {
			t.Fatal(err)
		}
		c := got.OIDC
		if got.Name != "acme" || got.SAML != nil || got.AssertUnmanaged || got.RefuseNoncompliant || got.BindOwner != "" || c.ID != "okta" ||
			len(c.RedirectURIs) != 1 || c.RedirectURIs[0] != exampleRedirectURI || c.Keys != nil ||
			c.RequirePKCE || c.RequireRequestObject || c.OmitIss || c.IDTokenAlg != oidc.RS256 {
			t.Errorf("registered by default: %+v, client %+v", got, c)
		}
		if len(c.Secrets) != 1 || c.Secrets[0] != (oidc.Secret{Hash: oidc.HashSecret(goodSecret)}) {
			t.Errorf("%d secrets, or another", len(c.Secrets))
		}
	}
	// The entity ID of one kind is not the client ID of the other.
	if _, err := p.ByEntityID(t.Context(), "okta"); !errors.Is(err, posture.ErrNoRelyingParty) {
		t.Errorf("by its client ID as an entity ID: %v", err)
	}

	expires := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	err = records.UpdateRelyingParty(t.Context(), "acme", func(r *store.RelyingParty) error {
		hash := oidc.HashSecret(formerSecret)
		r.OnUnmanaged, r.OnNoncompliant, r.BindOwner = "assert", "refuse", posture.BindWarn
		o := r.OIDC
		o.Secrets[0].ExpiresAt = expires
		o.Secrets = append(o.Secrets, store.ClientSecret{Hash: hex.EncodeToString(hash[:])})
		o.Keys, o.RequirePKCE, o.RequireRequestObject, o.OmitIss, o.IDTokenAlg = []byte(goodKeys), true, true, true, oidc.ES256
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.ByClientID(t.Context(), "okta")
	if err != nil {
		t.Fatal(err)
	}
	c := got.OIDC
	if !got.AssertUnmanaged || !got.RefuseNoncompliant || got.BindOwner != posture.BindWarn || !c.RequirePKCE || !c.RequireRequestObject ||
		!c.OmitIss || c.IDTokenAlg != oidc.ES256 || c.Keys == nil || len(c.Keys.Keys) != 1 {
		t.Errorf("changed: %+v, client %+v", got, c)
	}
	// Whether a secret has expired is decided when it is used.
	if len(c.Secrets) != 2 || !c.Secrets[0].ExpiresAt.Equal(expires) || c.Secrets[1].Hash != oidc.HashSecret(formerSecret) {
		t.Errorf("%d secrets after the change, or others", len(c.Secrets))
	}
	if err := records.RemoveRelyingParty(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ByClientID(t.Context(), "okta"); !errors.Is(err, posture.ErrNoRelyingParty) {
		t.Errorf("removed: %v", err)
	}
}

// A record that cannot be understood is no client, rather than a laxer one.
func TestClientThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		change func(*store.RelyingParty)
		want   string
	}{
		"no policy":         {func(r *store.RelyingParty) { r.Policy = "other" }, `policy "other": no such policy in the configuration`},
		"no keys for ES256": {func(r *store.RelyingParty) { r.OIDC.IDTokenAlg = "ES256" }, "signed by ES256"},
		"none":              {func(r *store.RelyingParty) { r.OIDC.IDTokenAlg = "none" }, "signed by none"},
		"a short hash":      {func(r *store.RelyingParty) { r.OIDC.Secrets[0].Hash = "00" }, "hash"},
		"a long hash":       {func(r *store.RelyingParty) { r.OIDC.Secrets[0].Hash += "00" }, "hash"},
		"no hash":           {func(r *store.RelyingParty) { r.OIDC.Secrets[0].Hash = "" }, "hash"},
		"damaged keys":      {func(r *store.RelyingParty) { r.OIDC.Keys = []byte("{") }, "client keys: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records := newRecords(t)
			r := clientRecordOf("acme", "okta")
			v.change(&r)
			if err := records.AddRelyingParty(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			p, err := newParties(&Config{}, records)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.ByClientID(t.Context(), "okta"); err == nil || got != nil || !strings.Contains(err.Error(), v.want) {
				t.Errorf("got %v, error %v, want one with %q", got, err, v.want)
			}
			err = p.checkStored(t.Context(), slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), `client "acme", added by "gatepost client add": `) || !strings.Contains(err.Error(), v.want) {
				t.Errorf("error of the start is %v, want one with %q", err, v.want)
			}
		})
	}
}

// TestClientOfFile: a client of the configuration, its secrets read once, until
// a reload makes new parties.
func TestClientOfFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, keys := filepath.Join(dir, "okta.secret"), filepath.Join(dir, "okta.jwks.json")
	writeSecret := func(text string) {
		t.Helper()
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeSecret(goodSecret + "\n")
	write(t, keys, goodKeys)
	records := newRecords(t)
	config := &Config{RelyingParties: []RelyingParty{{
		Name: "acme", Policy: defaultPolicy, OnUnmanaged: "assert", OnNoncompliant: "refuse", BindOwner: posture.BindEnforce,
		OIDC: OIDC{ClientID: "okta", ClientSecretFile: secret, JWKSFile: keys, RedirectURIs: []string{exampleRedirectURI}, RequirePKCE: true},
	}}}
	p, err := newParties(config, records)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.ByClientID(t.Context(), "okta")
	if err != nil {
		t.Fatal(err)
	}
	c := got.OIDC
	if !got.AssertUnmanaged || !got.RefuseNoncompliant || got.BindOwner != posture.BindEnforce || !c.RequirePKCE || !c.OmitIss || len(c.Keys.Keys) != 1 ||
		len(c.Secrets) != 1 || c.Secrets[0] != (oidc.Secret{Hash: oidc.HashSecret(goodSecret), Clear: goodSecret}) {
		t.Errorf("got %+v", got)
	}
	if listed := p.listFileClients(); len(listed) != 1 || listed[0].ClientID != "okta" || listed[0].Secrets != nil || len(p.listFile()) != 0 {
		t.Errorf("listed are %+v", listed)
	}

	writeSecret(formerSecret + "\n" + goodSecret + "\n")
	if p, err = newParties(config, records); err != nil {
		t.Fatal(err)
	}
	if got, err = p.ByClientID(t.Context(), "okta"); err != nil {
		t.Fatal(err)
	}
	if s := got.OIDC.Secrets; len(s) != 2 || s[0].Clear != formerSecret || s[1].Clear != goodSecret {
		t.Errorf("%d secrets, or in another order", len(s))
	}

	// In the store under the same client ID, or another client by that name.
	for _, r := range []store.RelyingParty{clientRecordOf("other", "okta"), clientRecordOf("acme", "okta-2")} {
		if err := records.AddRelyingParty(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	err = p.checkStored(t.Context(), slog.New(slog.DiscardHandler))
	if err == nil || strings.Count(err.Error(), `is in the configuration and was added by "gatepost client add" too`) != 2 {
		t.Errorf("there twice: %v", err)
	}
}

// TestLostSecretFile: it costs its own client the sign-ins and nobody else, and
// neither log nor error tells a secret.
func TestLostSecretFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "okta.secret")
	records := newRecords(t)
	r := clientRecordOf("acme", "okta")
	r.OIDC.Secrets, r.OIDC.SecretFile = nil, path
	if err := records.AddRelyingParty(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	p, err := newParties(&Config{}, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", goodSecret[:31], goodSecret + "\n\n"} {
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		if err := p.checkStored(t.Context(), slog.New(slog.NewJSONHandler(&log, nil))); err != nil {
			t.Errorf("holding %q: %v", text, err)
		}
		if !strings.Contains(log.String(), `"level":"WARN","msg":"client cannot be used","client":"acme"`) || strings.Contains(log.String(), goodSecret[:8]) {
			t.Errorf("holding %q: the log is %s", text, &log)
		}
		_, err := p.ByClientID(t.Context(), "okta")
		if !errors.Is(err, errSecretFile) || errors.Is(err, posture.ErrNoRelyingParty) || strings.Contains(err.Error(), goodSecret[:8]) {
			t.Errorf("holding %q: %v", text, err)
		}
	}
	// It is mended without a reload: nothing was remembered.
	if err := os.WriteFile(path, []byte(goodSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := p.ByClientID(t.Context(), "okta"); err != nil || got.OIDC.Secrets[0].Clear != goodSecret {
		t.Errorf("mended: %v", err)
	}
}

// TestAddReadableClient: the server looks at the file itself, whoever asks.
func TestAddReadableClient(t *testing.T) {
	t.Parallel()
	records := newRecords(t)
	clients := readableClients{clientRecords{records}}
	path := filepath.Join(t.TempDir(), "okta.secret")
	client := admin.OIDCClient{NewOIDCClient: admin.NewOIDCClient{
		Name: "acme", ClientID: "okta", Policy: defaultPolicy, RedirectURIs: []string{exampleRedirectURI},
		Secret: admin.SecretInFile, SecretFile: path,
	}}
	refused := func(what string) {
		t.Helper()
		err := clients.AddClient(t.Context(), client)
		if e, ok := errors.AsType[*web.Error](err); !ok || e.Status != 422 || !strings.Contains(e.Public, path) || strings.Contains(e.Public, goodSecret) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("without the file")
	write(t, path, goodSecret)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("for everyone")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := clients.AddClient(t.Context(), client); err != nil {
		t.Error(err)
	}
	if got, err := clients.Clients(t.Context()); err != nil || len(got) != 1 || got[0].SecretFile != path {
		t.Errorf("clients are %+v, %v", got, err)
	}
}
