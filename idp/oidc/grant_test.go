package oidc_test

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.dev/idp/oidc"
)

func TestNewGrant(t *testing.T) {
	t.Parallel()
	now := issuedAt.Add(300 * time.Millisecond)
	a := askedFor()
	g, code := oidc.NewGrant(a, now)
	if id, ok := oidc.GrantID(code); !ok || id != g.ID {
		t.Errorf("GrantID(code) = %q, %t; want %q", id, ok, g.ID)
	}
	until := issuedAt.Add(oidc.CodeLifetime + oidc.TokenLifetime + time.Second)
	if !g.Until().Equal(until) {
		t.Errorf("until %v, want the whole second after the last token's end: %v", g.Until(), until)
	}
	if seconds, err := strconv.ParseInt(g.ID[:8], 16, 64); err != nil || seconds != until.Unix() || len(g.ID) != 32 {
		t.Errorf("ID %q: want 32 digits, the first eight the seconds of %v (%v)", g.ID, until, err)
	}
	if strings.Contains(string(g.Encode()), code) {
		t.Error("the record holds the code itself")
	}
	if want := []string{"openid", "email", "profile"}; !reflect.DeepEqual(g.Scopes, want) {
		t.Errorf("scopes = %q, want %q", g.Scopes, want)
	}
	if g.ClientID != "okta" || g.RedirectURI != a.RedirectURI || g.Nonce != a.Nonce || g.CodeChallenge != a.CodeChallenge ||
		!reflect.DeepEqual(g.App, a.App) || g.State != oidc.Issued || !g.AuthTime.Equal(now) || !g.CodeUntil.Equal(now.Add(time.Minute)) {
		t.Errorf("grant = %+v", g)
	}
	if other, otherCode := oidc.NewGrant(a, now); other.ID == g.ID || otherCode == code {
		t.Error("two grants share ID or code")
	}
}

func TestGrantID(t *testing.T) {
	t.Parallel()
	good := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	if id, ok := oidc.GrantID(good); !ok || id != strings.Repeat("0", 32) {
		t.Errorf("GrantID(%q) = %q, %t", good, id, ok)
	}
	for _, bad := range []string{
		"", "x", good[:42], good + "A", good[:42] + "B", "\n" + good, good[:20] + "\n" + good[21:], good + "=", strings.Repeat("+", 43), strings.Repeat("A", 1<<16),
	} {
		if id, ok := oidc.GrantID(bad); ok {
			t.Errorf("GrantID(%.60q) = %q", bad, id)
		}
	}
}

func TestDecodeGrant(t *testing.T) {
	t.Parallel()
	g, code := granted(askedFor())
	if _, _, err := g.Redeem(code, g.ClientID, g.RedirectURI, verifier, issuedAt); err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(*g)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("field %s is empty: the round trip says nothing of it", v.Type().Field(i).Name)
		}
	}
	again, err := oidc.DecodeGrant(g.Encode())
	if err != nil || !reflect.DeepEqual(again, g) {
		t.Errorf("DecodeGrant = %+v, %v; want %+v", again, err, g)
	}

	for name, change := range map[string]func(*oidc.Grant){
		"ID":               func(g *oidc.Grant) { g.ID = "../x" },
		"ID in capitals":   func(g *oidc.Grant) { g.ID = strings.ToUpper(g.ID[:31]) + "A" },
		"ID of other time": func(g *oidc.Grant) { g.ID = "00000001" + g.ID[8:] },
		"state":            func(g *oidc.Grant) { g.State = "" },
		"code hash":        func(g *oidc.Grant) { g.CodeHash = "" },
		"token hash":       func(g *oidc.Grant) { g.TokenHash = "" },
	} {
		bad := *g
		change(&bad)
		if got, err := oidc.DecodeGrant(bad.Encode()); err == nil {
			t.Errorf("%s: decoded %+v", name, got)
		}
	}
	for _, bad := range []string{"", "null", "{}", "[]", `{"id":1}`, string(g.Encode()) + "x"} {
		if got, err := oidc.DecodeGrant([]byte(bad)); err == nil {
			t.Errorf("%.40q: decoded %+v", bad, got)
		}
	}
}

// wantError checks that err is an Error of that code and reason.
func wantError(t *testing.T, err error, code, reason string) {
	t.Helper()
	e, ok := errors.AsType[*oidc.Error](err)
	if !ok || e.Code != code || (reason != "" && e.Reason != reason) || e.Description == "" {
		t.Errorf("error = %#v, want %s for %q with a description", err, code, reason)
	}
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	g, code := granted(askedFor())
	token, changed, err := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt.Add(oidc.CodeLifetime-1))
	if err != nil || !changed || g.State != oidc.Redeemed {
		t.Fatalf("Redeem = %t, %v; state %q", changed, err, g.State)
	}
	if id, ok := oidc.GrantID(token); !ok || id != g.ID || token == code {
		t.Errorf("access token %q is not one of grant %q", token, g.ID)
	}
	if strings.Contains(string(g.Encode()), token) {
		t.Error("the record holds the access token itself")
	}
	if g.TokenUntil.After(g.Until()) {
		t.Errorf("token until %v, but the grant until %v", g.TokenUntil, g.Until())
	}
}

func TestRedeemRefuses(t *testing.T) {
	t.Parallel()
	fresh, code := granted(askedFor())
	_, otherCode := granted(askedFor())
	sameID := base64.RawURLEncoding.EncodeToString(append(mustDecode(t, code)[:16], make([]byte, 16)...))
	for _, tt := range []struct {
		name                             string
		code, client, redirect, verifier string
		after                            time.Duration
		reason                           string
	}{
		{"another grant's code", otherCode, "okta", fresh.RedirectURI, verifier, 0, "code_unknown"},
		{"guess at the code", sameID, "okta", fresh.RedirectURI, verifier, 0, "code_unknown"},
		{"no code", "", "okta", fresh.RedirectURI, verifier, 0, "code_unknown"},
		{"another client", code, "okta2", fresh.RedirectURI, verifier, 0, "code_client"},
		{"no client", code, "", fresh.RedirectURI, verifier, 0, "code_client"},
		{"another redirect URI", code, "okta", fresh.RedirectURI + "/", verifier, 0, "code_redirect_uri"},
		{"no redirect URI", code, "okta", "", verifier, 0, "code_redirect_uri"},
		{"another verifier", code, "okta", fresh.RedirectURI, strings.Repeat("a", 43), 0, ""},
		{"no verifier", code, "okta", fresh.RedirectURI, "", 0, ""},
		{"expired", code, "okta", fresh.RedirectURI, verifier, oidc.CodeLifetime, "code_expired"},
		{"long expired", code, "okta", fresh.RedirectURI, verifier, time.Hour, "code_expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := *fresh
			token, changed, err := g.Redeem(tt.code, tt.client, tt.redirect, tt.verifier, issuedAt.Add(tt.after))
			wantError(t, err, oidc.InvalidGrant, tt.reason)
			if token != "" || changed || !reflect.DeepEqual(&g, fresh) {
				t.Errorf("Redeem = %q, changed %t: want nothing given and nothing changed", token, changed)
			}
			if _, _, err := g.Redeem(code, "okta", fresh.RedirectURI, verifier, issuedAt); err != nil {
				t.Errorf("the code is burnt for its client: %v", err)
			}
		})
	}
}

func mustDecode(t *testing.T, code string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(code)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRedeemWithoutChallenge(t *testing.T) {
	t.Parallel()
	a := askedFor()
	a.CodeChallenge = ""
	g, code := granted(a)
	_, changed, err := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt)
	wantError(t, err, oidc.InvalidGrant, "")
	if changed {
		t.Error("a verifier without a challenge changed the grant")
	}
	if _, _, err := g.Redeem(code, "okta", g.RedirectURI, "", issuedAt); err != nil {
		t.Error(err)
	}
}

func TestSecondUseRevokes(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, oidc.CodeLifetime, 4 * time.Minute} {
		g, code := granted(askedFor())
		token, _, err := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt)
		if err != nil {
			t.Fatal(err)
		}
		now := issuedAt.Add(after)

		// What would not have been right the first time revokes nothing.
		for _, wrong := range [][3]string{{"okta2", g.RedirectURI, verifier}, {"okta", "https://x.example", verifier}, {"okta", g.RedirectURI, strings.Repeat("a", 43)}} {
			if _, changed, err := g.Redeem(code, wrong[0], wrong[1], wrong[2], now); changed || err == nil {
				t.Errorf("%q: changed %t, %v", wrong, changed, err)
			}
		}
		if err := g.CheckToken(token, now); err != nil {
			t.Errorf("the access token is gone: %v", err)
		}

		second, changed, err := g.Redeem(code, "okta", g.RedirectURI, verifier, now)
		wantError(t, err, oidc.InvalidGrant, "code_used")
		if second != "" || !changed || g.State != oidc.Revoked {
			t.Errorf("second use: %q, changed %t, state %q", second, changed, g.State)
		}
		stored, err := oidc.DecodeGrant(g.Encode())
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, stored.CheckToken(token, now), oidc.InvalidToken, "token_revoked")

		_, changed, err = stored.Redeem(code, "okta", g.RedirectURI, verifier, now)
		wantError(t, err, oidc.InvalidGrant, "code_used")
		if changed {
			t.Error("a third use changed something again")
		}
	}
}

// TestParallelRedemptions keeps one grant as a store does, by compare-and-swap
// with a retry.
func TestParallelRedemptions(t *testing.T) {
	t.Parallel()
	g, code := granted(askedFor())
	var (
		mu       sync.Mutex
		revision int
		value    = g.Encode()
		good     int
	)
	redeem := func() error {
		for {
			mu.Lock()
			seen, read := revision, value
			mu.Unlock()
			g, err := oidc.DecodeGrant(read)
			if err != nil {
				return err
			}
			_, changed, refused := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt)
			if !changed {
				return refused
			}
			mu.Lock()
			stored := seen == revision
			if stored {
				revision, value = revision+1, g.Encode()
			}
			mu.Unlock()
			if stored {
				return refused
			}
		}
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := redeem(); err == nil {
				mu.Lock()
				good++
				mu.Unlock()
			} else if e, ok := errors.AsType[*oidc.Error](err); !ok || e.Code != oidc.InvalidGrant {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good != 1 || revision != 2 {
		t.Errorf("%d successes and %d changes; want 1, and the revocation after it", good, revision)
	}
}

func TestCheckToken(t *testing.T) {
	t.Parallel()
	g, code := granted(askedFor())
	wantError(t, g.CheckToken("", issuedAt), oidc.InvalidToken, "token_unknown")
	wantError(t, g.CheckToken(code, issuedAt), oidc.InvalidToken, "token_unknown")
	token, _, err := g.Redeem(code, "okta", g.RedirectURI, verifier, issuedAt)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.CheckToken(token, issuedAt.Add(oidc.TokenLifetime-1)); err != nil {
		t.Error(err)
	}
	wantError(t, g.CheckToken(token, issuedAt.Add(oidc.TokenLifetime)), oidc.InvalidToken, "token_expired")
	wantError(t, g.CheckToken(code, issuedAt), oidc.InvalidToken, "token_unknown")
	wantError(t, g.CheckToken(token+"A", issuedAt), oidc.InvalidToken, "token_unknown")
	wantError(t, g.CheckToken(g.TokenHash, issuedAt), oidc.InvalidToken, "token_unknown")
}

func FuzzDecodeGrant(f *testing.F) {
	g, code := granted(askedFor())
	f.Add(g.Encode())
	g.Redeem(code, g.ClientID, g.RedirectURI, verifier, issuedAt)
	f.Add(g.Encode())
	f.Add([]byte(`{"id":"00000168000000000000000000000000","state":"issued","code_until":"0001-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		g, err := oidc.DecodeGrant(value)
		if err != nil {
			return
		}
		again, err := oidc.DecodeGrant(g.Encode())
		if err != nil || again.ID != g.ID || again.State != g.State || !again.CodeUntil.Equal(g.CodeUntil) {
			t.Fatalf("%+v became %+v, %v", g, again, err)
		}
		_, _, _ = g.Redeem("code", g.ClientID, g.RedirectURI, "", issuedAt)
		_ = g.CheckToken("token", issuedAt)
		_, _ = oidc.UserInfo(g)
	})
}
