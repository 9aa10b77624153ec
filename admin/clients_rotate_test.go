package admin

import (
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRotateSecret(t *testing.T) {
	t.Parallel()
	p, ctx := newParties(t), t.Context()
	first := p.addClient(t, minimal("okta"))
	rev, err := p.records.ClientRevision(ctx, first.Client.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(overlap time.Duration, dropped int, want ...string) string {
		t.Helper()
		issued, err := p.RotateClientSecret(ctx, "okta", overlap)
		if err != nil {
			t.Fatal(err)
		}
		if issued.Dropped != dropped || len(issued.ClientSecret) < 43 || len(issued.Client.Secrets) != len(want)+1 ||
			issued.Client.Origin != FromStore || issued.Client.ClientID != first.Client.ClientID {
			t.Errorf("rotated: %+v, want %d dropped and %d beside", issued, dropped, len(want))
		}
		if got, want := p.hashes(t, "okta"), append(want, hexHash(issued.ClientSecret)); !reflect.DeepEqual(got, want) {
			t.Errorf("kept %q, want %q", got, want)
		}
		p.wantUnseen(t, issued.ClientSecret)
		return issued.ClientSecret
	}
	second := rotate(24*time.Hour, 0, hexHash(first.ClientSecret)+" 24h0m0s")
	if after, err := p.records.ClientRevision(ctx, first.Client.ClientID); err != nil || after == rev {
		t.Errorf("revision %d before and after: %v", rev, err)
	}
	p.later.Store(int64(24*time.Hour - time.Second))
	third := rotate(time.Hour, 1, hexHash(second)+" 24h59m59s") // the first had a second left
	p.later.Store(int64(25*time.Hour - time.Second))            // to the moment
	if list, err := p.Clients(ctx); err != nil || len(list[1].Secrets) != 1 {
		t.Errorf("a secret that ended is listed: %+v, %v", list[1].Secrets, err)
	}
	rotate(30*24*time.Hour, 0, hexHash(third)+" 744h59m59s")
	rotate(0, 1)
	rotate(0, 0)

	// Without a word the former secret counts for a day.
	before := p.hashes(t, "okta")[0]
	p.later.Store(0)
	if response, body := p.ask(t, "POST", "clients/okta/rotate-secret", "application/json", "{}"); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if got := p.hashes(t, "okta"); len(got) != 2 || got[0] != before+" 24h0m0s" {
		t.Errorf("kept %q", got)
	}
}

func TestRotateSecretRefused(t *testing.T) {
	t.Parallel()
	p, ctx := newParties(t), t.Context()
	p.addClient(t, minimal("okta"))
	before := p.hashes(t, "okta")
	inFile, keyed := minimal("infile"), minimal("keyed")
	inFile.Secret, inFile.SecretFile = SecretInFile, "/etc/gatepost/okta.secret"
	keyed.Secret, keyed.JWKS = SecretNone, newJWKS(t, false)
	p.addClient(t, inFile)
	p.addClient(t, keyed)
	if _, err := p.AddRelyingParty(ctx, NewRelyingParty{Name: "org", Metadata: metadata("https://org", "", nil)}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		overlap time.Duration
		status  int
		text    string
	}{
		{"nobody", 0, http.StatusNotFound, "no such relying party"},
		{"a/b", 0, http.StatusNotFound, "no such relying party"},
		{"org", 0, http.StatusNotFound, "no such relying party"},
		{"filed-client", 0, http.StatusConflict, "configuration file; change its secret there"},
		{"infile", 0, http.StatusConflict, `"/etc/gatepost/okta.secret": write a new one on its first line`},
		{"keyed", 0, http.StatusConflict, "proves itself with its keys"},
		{"okta", -time.Second, http.StatusUnprocessableEntity, "overlap: "},
		{"okta", 720*time.Hour + 1, http.StatusUnprocessableEntity, "overlap: "},
	} {
		_, err := p.RotateClientSecret(ctx, test.name, test.overlap)
		wantProblem(t, err, test.status, test.text)
	}
	if after := p.hashes(t, "okta"); !reflect.DeepEqual(after, before) || len(p.hashes(t, "infile"))+len(p.hashes(t, "keyed")) != 0 {
		t.Errorf("secrets went from %q to %q", before, after)
	}
	if r, err := p.records.RelyingParty(ctx, "org"); err != nil || r.OIDC != nil {
		t.Errorf("the organisation is %+v now: %v", r, err)
	}
}

// TestRotateSecretsAtOnce: each gets a secret that was current, two are left.
func TestRotateSecretsAtOnce(t *testing.T) {
	t.Parallel()
	p := newParties(t)
	p.addClient(t, minimal("okta"))
	var mu sync.Mutex
	made := map[string]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			issued, err := p.RotateClientSecret(t.Context(), "okta", time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			made[hexHash(issued.ClientSecret)] = true
		})
	}
	wg.Wait()
	left := p.hashes(t, "okta")
	if len(made) != 16 || len(left) != 2 || !made[left[1]] || !made[strings.TrimSuffix(left[0], " 1h0m0s")] {
		t.Errorf("%d secrets made, left are %q", len(made), left)
	}
}
