package main

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/idp/oidc"
	"gatepost.dev/posture"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

// setAll gives every field of a struct a value that is not its zero.
func setAll(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name + " of it")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			if f.Type().Elem().Kind() == reflect.Struct {
				f.Set(reflect.MakeSlice(f.Type(), 2, 2))
				setAll(t, f.Index(0))
				setAll(t, f.Index(1))
				break
			}
			f.Set(reflect.ValueOf([]string{"https://a.example/", "https://b.example/"}))
		default:
			t.Fatalf("%s is a %v", v.Type().Field(i).Name, f.Kind())
		}
	}
}

// TestAdminRecords: all that the API registers comes back from the store, and
// neither kind of relying party is taken for the other.
func TestAdminRecords(t *testing.T) {
	t.Parallel()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	records, ctx := store.New(db), t.Context()
	organisations, clients := partyRecords{records}, clientRecords{records}
	added := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

	org := admin.RelyingParty{EntityID: "https://okta", Origin: admin.FromStore, AddedAt: added}
	setAll(t, reflect.ValueOf(&org.NewRelyingParty).Elem())
	org.Name = "org"
	inFile := admin.OIDCClient{Origin: admin.FromStore, AddedAt: added}
	setAll(t, reflect.ValueOf(&inFile.NewOIDCClient).Elem())
	inFile.Name, inFile.Secret = "in-file", admin.SecretInFile
	hashed := inFile
	hashed.Name, hashed.ClientID, hashed.Secret, hashed.SecretFile = "hashed", "hashed", admin.SecretHashed, ""
	hashed.Secrets = []admin.ClientSecret{
		{Hash: oidc.HashSecret("a"), AddedAt: added, ExpiresAt: added.Add(time.Hour)}, {Hash: oidc.HashSecret("b"), AddedAt: added},
	}
	keyed := inFile
	keyed.Name, keyed.ClientID, keyed.Secret, keyed.SecretFile = "keyed", "keyed", admin.SecretNone, ""

	if err := organisations.AddRelyingParty(ctx, org); err != nil {
		t.Fatal(err)
	}
	for _, c := range []admin.OIDCClient{inFile, hashed, keyed} {
		if err := clients.AddClient(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := organisations.RelyingParties(ctx); err != nil || !reflect.DeepEqual(all, []admin.RelyingParty{org}) {
		t.Errorf("organisations: %+v, want %+v: %v", all, org, err)
	}
	want := []admin.OIDCClient{hashed, inFile, keyed}
	if all, err := clients.Clients(ctx); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("clients:\n%+v, want\n%+v: %v", all, want, err)
	}

	refused := errors.New("refused")
	change := func(err error) func(c *admin.OIDCClient) error {
		return func(c *admin.OIDCClient) error {
			if !reflect.DeepEqual(*c, hashed) {
				t.Errorf("change of %+v, want %+v", c, hashed)
			}
			c.Secrets = c.Secrets[1:]
			return err
		}
	}
	if err := clients.UpdateClient(ctx, "hashed", change(refused)); !errors.Is(err, refused) {
		t.Errorf("change that is refused: %v", err)
	}
	if err := clients.UpdateClient(ctx, "hashed", change(nil)); err != nil {
		t.Error(err)
	}
	want[0].Secrets = hashed.Secrets[1:]
	if all, err := clients.Clients(ctx); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("changed to\n%+v, want\n%+v: %v", all, want, err)
	}

	for what, err := range map[string]error{
		"change of an organisation": clients.UpdateClient(ctx, "org", change(nil)),
		"change of nobody":          clients.UpdateClient(ctx, "nobody", change(nil)),
		"organisation as a client":  clients.RemoveClient(ctx, "org"),
		"client as an organisation": organisations.RemoveRelyingParty(ctx, "keyed"),
		"nobody as a client":        clients.RemoveClient(ctx, "nobody"),
	} {
		if !errors.Is(err, posture.ErrNoRelyingParty) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(organisations.RemoveRelyingParty(ctx, "org"), clients.RemoveClient(ctx, "keyed")); err != nil {
		t.Error(err)
	}
	if all, err := records.RelyingParties(ctx); err != nil || len(all) != 2 {
		t.Errorf("%d are left: %v", len(all), err)
	}

	damaged := store.RelyingParty{Name: "damaged", OIDC: &store.OIDCClient{ClientID: "damaged", Secrets: []store.ClientSecret{{Hash: "abc"}}}}
	if err := records.AddRelyingParty(ctx, damaged); err != nil {
		t.Fatal(err)
	}
	if _, err := clients.Clients(ctx); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("damaged hash: %v", err)
	}
}
