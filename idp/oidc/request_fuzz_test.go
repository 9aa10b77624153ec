package oidc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/idp/oidc"
)

// wellRefused holds that an error is one that callers know what to do with.
func wellRefused(t *testing.T, a *oidc.Authorization, err error) {
	t.Helper()
	var b *oidc.BadRequest
	var e *oidc.Error
	switch {
	case errors.As(err, &b):
		if b.Reason == "" || strings.ContainsAny(b.Reason, " <\"'") || a != nil {
			t.Fatalf("%+v beside %+v", b, a)
		}
	case errors.As(err, &e):
		if e.Code == "" || e.Description == "" || strings.ContainsAny(e.Reason, " <\"'") || a == nil || !slices.Contains(rpClient().RedirectURIs, a.RedirectURI) {
			t.Fatalf("%+v beside %+v", e, a)
		}
	default:
		t.Fatalf("error of another kind: %v", err)
	}
}

// wellFormed holds what every accepted request keeps to.
func wellFormed(t *testing.T, a *oidc.Authorization) {
	t.Helper()
	if !slices.Contains(a.Client.RedirectURIs, a.RedirectURI) || !slices.Contains(a.Scopes, "openid") ||
		len(a.State) > 4096 || len(a.Nonce) > 4096 || strings.ContainsAny(a.State+a.Nonce+a.LoginHint, "\r\n\x00") ||
		a.CodeChallenge != "" && len(a.CodeChallenge) != 43 || a.MaxAge != nil && *a.MaxAge < 0 ||
		(a.RequestID == "") != a.ClaimUntil.IsZero() || a.ClaimUntil.After(rpNow().Add(time.Hour+2*time.Minute)) {
		t.Fatalf("accepted %+v", a)
	}
}

func FuzzDecodeAuthorization(f *testing.F) {
	f.Add(form(baseRequest()))
	f.Add(form(changed(baseRequest(), fields{"code_challenge": challenge, "code_challenge_method": "S256", "max_age": "1", "prompt": "none", "claims": `{"id_token":{}}`})))
	f.Add(minimal(jwt(f, "HS256", rpSecret, baseObject())))
	f.Add("client_id=okta&client_id=okta")
	c := rpClient()
	f.Fuzz(func(t *testing.T, parameters string) {
		m, err := oidc.DecodeAuthorization(parameters)
		if err != nil {
			wellRefused(t, nil, err)
			return
		}
		if a, err := m.Check(c, provider(), rpNow()); err != nil {
			wellRefused(t, a, err)
		} else {
			wellFormed(t, a)
		}
	})
}

// FuzzRequestObject puts what the client itself might sign between a good header
// and a good signature.
func FuzzRequestObject(f *testing.F) {
	f.Add(encode(f, baseObject()))
	f.Add(encode(f, changed(baseObject(), claims{"jti": without, "max_age": 1, "claims": claims{"userinfo": nil}, "aud": []string{"x", provider().Issuer}})))
	f.Add([]byte(`{"client_id":"okta","request":"x"}`))
	f.Add([]byte(`{"exp":1e400,"iat":-0,"nbf":1.5,"state":"\ud800"}`))
	c := rpClient()
	f.Fuzz(func(t *testing.T, payload []byte) {
		request := jws(`{"alg":"HS256"}`, payload, withHMAC(rpSecret))
		m, err := oidc.DecodeAuthorization(form(changed(baseRequest(), fields{"request": request})))
		if err != nil {
			wellRefused(t, nil, err)
			return
		}
		a, err := m.Check(c, provider(), rpNow())
		if err != nil {
			wellRefused(t, a, err)
			return
		}
		wellFormed(t, a)
		if a.RequestID == "" {
			t.Fatalf("nothing makes %q unique", payload)
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	f.Add("", "", form(changed(baseToken(), fields{"client_id": rpID, "client_secret": rpSecret})))
	f.Add(basic(rpID, rpSecret), "", form(baseToken()))
	f.Add("", "", form(changed(baseToken(), fields{"client_assertion_type": bearer, "client_assertion": jwt(f, "ES256", "p256", baseAssertion())})))
	f.Add("Basic Og==", "x", "grant_type=refresh_token")
	c := rpClient()
	f.Fuzz(func(t *testing.T, header, query, body string) {
		r, err := oidc.DecodeToken(header, query, body)
		if err == nil {
			if query != "" || r.Code == "" || r.RedirectURI == "" {
				t.Fatalf("accepted %q: %+v", query, r)
			}
			_, err = r.Authenticate(c, provider(), rpNow())
		}
		var e *oidc.Error
		if err != nil && (!errors.As(err, &e) || e.Code == "" || e.Description == "") {
			t.Fatalf("error %#v", err)
		}
		// Nobody comes upon a secret or a signature by chance: it was in the seeds.
		if err == nil && r.ClientID() != rpID {
			t.Fatalf("authenticated %q", r.ClientID())
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(keySet(jwk(f, rpKeys()["rsa"].Public(), claims{"kid": "1", "alg": "RS256"}), jwk(f, rpKeys()["p521"].Public(), nil))))
	f.Add([]byte(keySet(jwk(f, rpKeys()["p256"], nil))))
	f.Add([]byte(keySet(jwk(f, []byte(rpSecret), nil))))
	f.Add([]byte(`{"keys":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := oidc.ParseKeys(data)
		if err != nil {
			return
		}
		if n := len(set.Keys); n < 1 || n > 16 {
			t.Fatalf("%d keys", n)
		}
		kids := map[string]bool{}
		for _, k := range set.Keys {
			if !k.IsPublic() || !k.Valid() || k.Use != "" && k.Use != "sig" || k.KeyID != "" && kids[k.KeyID] {
				t.Fatalf("accepted %+v", k)
			}
			kids[k.KeyID] = true
		}
		if _, err := oidc.ParseKeys(encode(t, set)); err != nil {
			t.Fatalf("written, it is not read again: %v", err)
		}
	})
}
