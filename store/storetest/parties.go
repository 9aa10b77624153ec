package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.dev/posture"
	"gatepost.dev/store"
)

func testRelyingParties(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	acme := store.RelyingParty{
		Name: "acme", EntityID: "https://acme.okta.com/saml2?a=b/c", Metadata: []byte("<EntityDescriptor/>\x00\xff"), Policy: "default", Use: "both",
		Sign: "both", OnUnmanaged: "refuse", OnNoncompliant: "assert", BindOwner: posture.BindWarn, Encrypt: true, AllowSHA1: true, AddedAt: day,
	}
	_, err := r.RelyingParty(ctx, "acme")
	wantErr(t, "name that is not there", err, posture.ErrNoRelyingParty)
	_, _, err = r.RelyingPartyByEntity(ctx, acme.EntityID)
	wantErr(t, "entity that is not there", err, posture.ErrNoRelyingParty)
	wantErr(t, "remove nobody", r.RemoveRelyingParty(ctx, "acme"), posture.ErrNoRelyingParty)

	if err := r.AddRelyingParty(ctx, acme); err != nil {
		t.Fatal(err)
	}
	got, err := r.RelyingParty(ctx, "acme")
	byEntity, rev, err2 := r.RelyingPartyByEntity(ctx, acme.EntityID)
	if err != nil || err2 != nil || !reflect.DeepEqual(got, acme) || !reflect.DeepEqual(byEntity, acme) {
		t.Errorf("stored %+v, by name %+v (%v), by entity %+v (%v)", acme, got, err, byEntity, err2)
	}
	for _, spoil := range []func(p *store.RelyingParty){
		func(p *store.RelyingParty) { p.EntityID = "https://other" },
		func(p *store.RelyingParty) { p.Name = "other" },
		func(p *store.RelyingParty) {},
	} {
		p := acme
		spoil(&p)
		wantErr(t, fmt.Sprintf("add %q with %q", p.Name, p.EntityID), r.AddRelyingParty(ctx, p), posture.ErrExists)
	}
	for _, p := range []store.RelyingParty{{EntityID: "x"}, {Name: "x"}, {Name: "\xff", EntityID: "x"}} {
		if err := r.AddRelyingParty(ctx, p); err == nil {
			t.Errorf("%+v was added", p)
		}
	}

	if err := r.RemoveRelyingParty(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.RelyingPartyByEntity(ctx, acme.EntityID)
	wantErr(t, "entity that was removed", err, posture.ErrNoRelyingParty)
	if err := r.AddRelyingParty(ctx, acme); err != nil {
		t.Fatal(err)
	}
	if _, again, err := r.RelyingPartyByEntity(ctx, acme.EntityID); err != nil || again == rev {
		t.Errorf("made anew with the same revision %d: %v", rev, err)
	}
	testOldRelyingParty(t, kv, acme)
	for i := range 150 { // more than a page
		if err := r.AddRelyingParty(ctx, store.RelyingParty{Name: fmt.Sprintf("p%03d", i), EntityID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := r.RelyingParties(ctx)
	if err != nil || len(all) != 151 || all[0].Name != "acme" || all[150].Name != "p149" {
		t.Errorf("%d relying parties: %v", len(all), err)
	}
}

// testOldRelyingParty: in a record from before a binding of owners had a word,
// it is true or false.
func testOldRelyingParty(t *testing.T, kv store.KV, p store.RelyingParty) {
	r, ctx := store.New(kv), t.Context()
	entries, err := kv.Scan(ctx, "party/", "", 2)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d relying parties: %v", len(entries), err)
	}
	for old, want := range map[string]posture.OwnerBinding{"true": posture.BindEnforce, "false": posture.BindOff, `"warn"`: posture.BindWarn} {
		record := bytes.Replace(entries[0].Value, []byte(`"bind_owner":"warn"`), []byte(`"bind_owner":`+old), 1)
		if err := kv.Commit(ctx, store.Op{Kind: store.Put, Key: entries[0].Key, Value: record, Rev: store.Any}); err != nil {
			t.Fatal(err)
		}
		got, err := r.RelyingParty(ctx, p.Name)
		p.BindOwner = want
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("bind_owner %s is read as %+v: %v", old, got, err)
		}
	}
}

func newClient(name, clientID string) store.RelyingParty {
	return store.RelyingParty{
		Name: name, Policy: "default", OnUnmanaged: "assert", AddedAt: day,
		OIDC: &store.OIDCClient{
			ClientID: clientID, RedirectURIs: []string{"https://acme.okta.com/oauth2/v1/authorize/callback", "https://other.example/?a=b"},
			Secrets:    []store.ClientSecret{{Hash: strings.Repeat("ab", 32), AddedAt: day}, {Hash: strings.Repeat("cd", 32), AddedAt: day, ExpiresAt: day.Add(time.Hour)}},
			SecretFile: "/etc/gatepost/acme.secret", Keys: []byte("{\"keys\":[]}\x00\xff"),
			RequirePKCE: true, RequireRequestObject: true, OmitIss: true, IDTokenAlg: "ES256",
		},
	}
}

// testClients: a name is taken by either kind of relying party; what they call
// themselves is apart.
func testClients(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	add := func(p store.RelyingParty) {
		t.Helper()
		if err := r.AddRelyingParty(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	acme := newClient("acme", "0oa1/..\x00")
	_, _, err := r.RelyingPartyByClient(ctx, acme.OIDC.ClientID)
	wantErr(t, "client that is not there", err, posture.ErrNoRelyingParty)
	_, err = r.ClientRevision(ctx, acme.OIDC.ClientID)
	wantErr(t, "revision of nobody", err, posture.ErrNoRelyingParty)
	add(acme)
	got, rev, err := r.RelyingPartyByClient(ctx, acme.OIDC.ClientID)
	if err != nil || !reflect.DeepEqual(got, acme) {
		t.Errorf("stored %+v, by client ID %+v (%v)", acme, got, err)
	}
	if again, err := r.ClientRevision(ctx, acme.OIDC.ClientID); err != nil || again != rev || rev == store.Absent {
		t.Errorf("revision %d, then %d: %v", rev, again, err)
	}
	_, _, err = r.RelyingPartyByEntity(ctx, acme.OIDC.ClientID)
	wantErr(t, "client ID as an entity ID", err, posture.ErrNoRelyingParty)
	add(store.RelyingParty{Name: "okta", EntityID: acme.OIDC.ClientID}) // which are apart
	if p, _, err := r.RelyingPartyByEntity(ctx, acme.OIDC.ClientID); err != nil || p.Name != "okta" {
		t.Errorf("entity ID that is a client ID too: %+v, %v", p, err)
	}

	for _, p := range []store.RelyingParty{
		newClient("okta", "fresh"), newClient("acme", "fresh"), newClient("fresh", acme.OIDC.ClientID), {Name: "acme", EntityID: "fresh"},
	} {
		wantErr(t, fmt.Sprintf("add %q", p.Name), r.AddRelyingParty(ctx, p), posture.ErrExists)
	}
	both := newClient("both", "both")
	both.EntityID = "both"
	for _, p := range []store.RelyingParty{both, newClient("x", ""), newClient("x", "\xff"), newClient("x", strings.Repeat("x", 513)), newClient("", "x")} {
		if err := r.AddRelyingParty(ctx, p); err == nil || errors.Is(err, posture.ErrExists) {
			t.Errorf("%+v was added: %v", p, err)
		}
	}
	add(newClient("fresh", "fresh")) // none of them left anything
	if all, err := r.RelyingParties(ctx); err != nil || len(all) != 3 {
		t.Errorf("%d relying parties: %v", len(all), err)
	}

	if err := r.RemoveRelyingParty(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	_, err = r.ClientRevision(ctx, acme.OIDC.ClientID)
	wantErr(t, "client that was removed", err, posture.ErrNoRelyingParty)
	add(acme)
	if again, err := r.ClientRevision(ctx, acme.OIDC.ClientID); err != nil || again == rev {
		t.Errorf("made anew with the same revision %d: %v", rev, err)
	}
}

// testUpdateRelyingParty: a change gives the index a new revision, and none is
// lost.
func testUpdateRelyingParty(t *testing.T, kv store.KV) {
	r, ctx := store.New(kv), t.Context()
	add := func(p store.RelyingParty) {
		t.Helper()
		if err := r.AddRelyingParty(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	add(newClient("acme", "0oa1"))
	add(store.RelyingParty{Name: "okta", EntityID: "https://okta"})
	rev, err := r.ClientRevision(ctx, "0oa1")
	if err != nil {
		t.Fatal(err)
	}
	want := newClient("acme", "0oa1")
	want.OIDC.Secrets, want.BindOwner = want.OIDC.Secrets[:1], posture.BindEnforce
	err = r.UpdateRelyingParty(ctx, "acme", func(p *store.RelyingParty) error {
		p.OIDC.Secrets, p.BindOwner = p.OIDC.Secrets[:1], posture.BindEnforce
		return nil
	})
	got, after, err2 := r.RelyingPartyByClient(ctx, "0oa1")
	if err != nil || err2 != nil || after == rev || !reflect.DeepEqual(got, want) {
		t.Errorf("changed at revision %d (before %d) to %+v: %v, %v", after, rev, got, err, err2)
	}
	before, err := r.RelyingPartyRevision(ctx, "https://okta")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.UpdateRelyingParty(ctx, "okta", func(p *store.RelyingParty) error { p.Sign = "both"; return nil }); err != nil {
		t.Error(err)
	}
	if rev, err := r.RelyingPartyRevision(ctx, "https://okta"); err != nil || rev == before {
		t.Errorf("changed with the same revision %d: %v", rev, err)
	}

	no := errors.New("no")
	wantErr(t, "change of nobody", r.UpdateRelyingParty(ctx, "nobody", func(*store.RelyingParty) error { return nil }), posture.ErrNoRelyingParty)
	for what, spoil := range map[string]func(p *store.RelyingParty) error{
		"refusal":   func(p *store.RelyingParty) error { p.Policy = "x"; return no },
		"name":      func(p *store.RelyingParty) error { p.Name = "x"; return nil },
		"client ID": func(p *store.RelyingParty) error { p.OIDC.ClientID = "x"; return nil },
		"kind":      func(p *store.RelyingParty) error { p.OIDC, p.EntityID = nil, "x"; return nil },
		"both":      func(p *store.RelyingParty) error { p.EntityID = "x"; return nil },
		"neither":   func(p *store.RelyingParty) error { p.OIDC = nil; return nil },
	} {
		if err := r.UpdateRelyingParty(ctx, "acme", spoil); err == nil || what == "refusal" && !errors.Is(err, no) {
			t.Errorf("%s: %v", what, err)
		}
		if p, rev, err := r.RelyingPartyByClient(ctx, "0oa1"); err != nil || rev != after || !reflect.DeepEqual(p, want) {
			t.Errorf("%s left %+v: %v", what, p, err)
		}
	}

	var calls atomic.Int32
	race(20, func(i int) {
		err := r.UpdateRelyingParty(ctx, "acme", func(p *store.RelyingParty) error {
			calls.Add(1)
			p.OIDC.RedirectURIs = append(p.OIDC.RedirectURIs, fmt.Sprint(i))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	if p, err := r.RelyingParty(ctx, "acme"); err != nil || len(p.OIDC.RedirectURIs) != 22 || calls.Load() < 20 {
		t.Errorf("20 changes at once left %+v: %v", p.OIDC.RedirectURIs, err)
	}
	bind := func(to posture.OwnerBinding) func(p *store.RelyingParty) error {
		return func(p *store.RelyingParty) error { p.BindOwner = to; return nil }
	}
	meddled := store.New(&meddlingKV{KV: kv, meddle: once(0, "party/", func() {
		if err := r.UpdateRelyingParty(ctx, "acme", bind(posture.BindOff)); err != nil {
			t.Error(err)
		}
	})})
	err = meddled.UpdateRelyingParty(ctx, "acme", func(p *store.RelyingParty) error { p.Policy = "strict"; return nil })
	if p, err2 := r.RelyingParty(ctx, "acme"); err != nil || err2 != nil || p.BindOwner != posture.BindOff || p.Policy != "strict" {
		t.Errorf("changed meanwhile, it is %+v: %v, %v", p, err, err2)
	}
	meddled = store.New(&meddlingKV{KV: kv, meddle: once(0, "party/", func() {
		if err := r.RemoveRelyingParty(ctx, "acme"); err != nil {
			t.Error(err)
		}
	})})
	wantErr(t, "removed meanwhile", meddled.UpdateRelyingParty(ctx, "acme", bind(posture.BindEnforce)), posture.ErrNoRelyingParty)
	_, err = r.ClientRevision(ctx, "0oa1")
	wantErr(t, "changed, then removed", err, posture.ErrNoRelyingParty)
}
