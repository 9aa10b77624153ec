package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// TestPartyIsAsRegistered: what nobody chose is the strict side, and a change of
// the store counts at the next request.
func TestPartyIsAsRegistered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := oktaInit(dir); err != nil {
		t.Fatal(err)
	}
	metadata, err := os.ReadFile(filepath.Join(dir, "metadata.xml"))
	if err != nil {
		t.Fatal(err)
	}
	sp, err := saml.ParseMetadata(metadata)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "gatepost.db"), bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	records := store.New(db)
	p, err := newParties(&Config{}, records)
	if err != nil {
		t.Fatal(err)
	}
	strict := store.RelyingParty{Name: "acme", EntityID: sp.EntityID, Metadata: metadata, Policy: defaultPolicy}
	lax := strict
	lax.Sign, lax.OnUnmanaged, lax.OnNoncompliant, lax.AllowSHA1 = "response", "assert", "refuse", true
	for i, r := range []store.RelyingParty{strict, lax, strict} {
		if i > 0 {
			if err := records.RemoveRelyingParty(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
		}
		if err := records.AddRelyingParty(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		scope := saml.SignBoth
		if r.Sign == "response" {
			scope = saml.SignResponse
		}
		for range 2 { // the second is remembered
			got, err := p.ByEntityID(t.Context(), sp.EntityID)
			if err != nil {
				t.Fatal(err)
			}
			if got.SAML.AllowSHA1 != r.AllowSHA1 || got.AssertUnmanaged != r.AllowSHA1 || got.RefuseNoncompliant != r.AllowSHA1 ||
				got.Scope != scope || !got.SAML.RequestsSigned || got.Policy.Name != defaultPolicy {
				t.Errorf("registered %+v, got %+v", r, got)
			}
		}
	}
	if err := records.RemoveRelyingParty(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ByEntityID(t.Context(), sp.EntityID); !errors.Is(err, posture.ErrNoRelyingParty) {
		t.Errorf("removed: %v", err)
	}
}
