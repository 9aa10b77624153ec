package oidc_test

import (
	"encoding/base64"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"gatepost.dev/contract"
	"gatepost.dev/idp/oidc"
)

// claimsOf reads the claims of a token, unverified.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return objectOf(t, payload)
}

// objectOf reads a JSON object; this reader refuses what is not UTF-8 and a name
// that stands there twice.
func objectOf(t testing.TB, document []byte) map[string]any {
	t.Helper()
	var claims map[string]any
	if err := json.Unmarshal(document, &claims); err != nil {
		t.Fatalf("%q: %v", document, err)
	}
	return claims
}

// userInfoOf is what the UserInfo endpoint says of the grant.
func userInfoOf(t testing.TB, g *oidc.Grant) map[string]any {
	t.Helper()
	document, err := oidc.UserInfo(g)
	if err != nil {
		t.Fatal(err)
	}
	return objectOf(t, document)
}

func TestSubjectOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ user, want string }{
		{"", ""},
		{"ana", "ana"},
		{"Ana@Example.COM", "ana@example.com"},
		{`we"ird\<&>`, `we"ird\<&>`},
		{"u-ana", "u-ana"},
		{strings.Repeat("A", 255), strings.Repeat("a", 255)},
	} {
		if got := oidc.SubjectOf(tt.user); got != tt.want {
			t.Errorf("SubjectOf(%q) = %q, want %q", tt.user, got, tt.want)
		}
	}
	seen := map[string]string{}
	for _, user := range []string{
		"Ana Lima", "ana\u00a0lima", "añá", "ÀNA", "ana\x00", "ana\n", "ana\x7f", "ana\xff", " ana", strings.Repeat("a", 256), "K\u212a",
		oidc.SubjectOf("Ana Lima"), "U" + oidc.SubjectOf("añá")[1:],
	} {
		sub := oidc.SubjectOf(user)
		if len(sub) != len("u-")+64 || !strings.HasPrefix(sub, "u-") {
			t.Errorf("SubjectOf(%q) = %q, want a hash", user, sub)
		}
		if other, ok := seen[sub]; ok {
			t.Errorf("%q and %q are one subject", user, other)
		}
		seen[sub] = user
	}
	if oidc.SubjectOf("Ana Lima") != oidc.SubjectOf("ANA lima") {
		t.Error("case makes two subjects of one user")
	}
}

func TestClaimsAreAlike(t *testing.T) {
	t.Parallel()
	for name, device := range map[string]oidc.DeviceContext{
		"managed and compliant": {Managed: true, Compliant: true, ExternalID: "d-1"},
		"managed":               {Managed: true, ExternalID: `d "1" <&>`},
		"known, not managed":    {ExternalID: "d-2"},
		"not known":             {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := granted(askedFor())
			g.Device = device
			want := map[string]any{"managed": device.Managed, "compliant": device.Compliant}
			if device.ExternalID != "" {
				want["externalId"] = device.ExternalID
			}
			token := claimsOf(t, signed(t, g, signers()[oidc.ES256], "token", issuedAt))
			info := userInfoOf(t, g)
			if !reflect.DeepEqual(token["device_context"], any(want)) {
				t.Errorf("device_context = %v, want %v", token["device_context"], want)
			}
			for name, value := range info {
				if !reflect.DeepEqual(token[name], value) {
					t.Errorf("%s is %v in the ID token and %v in the user info", name, token[name], value)
				}
			}
			wantNames := []string{"OktaAppInstanceId", "OktaAppName", "app_instance_id", "app_name", "device_context", "email", "preferred_username", "sub"}
			if names := slices.Sorted(maps.Keys(info)); !slices.Equal(names, wantNames) {
				t.Errorf("user info has %q, want %q", names, wantNames)
			}
		})
	}
}

func TestAppContext(t *testing.T) {
	t.Parallel()
	const trailing = "Payroll ☕\t<&>\"\\ "
	for _, tt := range []struct {
		name string
		app  []oidc.Parameter
		want map[string]any
	}{
		{"none", nil, map[string]any{}},
		{"the guide's names", []oidc.Parameter{{Name: "app_instance_id", Value: "1"}, {Name: "app_name", Value: trailing}},
			map[string]any{"app_instance_id": "1", "app_name": trailing}},
		{"the reference's names", []oidc.Parameter{{Name: contract.AppInstanceID, Value: "1"}, {Name: contract.AppName, Value: trailing}},
			map[string]any{"app_instance_id": "1", "app_name": trailing, "OktaAppInstanceId": "1", "OktaAppName": trailing}},
		{"both", []oidc.Parameter{{Name: "app_name", Value: "a"}, {Name: contract.AppName, Value: "b"}},
			map[string]any{"app_name": "a", "OktaAppName": "b"}},
		{"one", []oidc.Parameter{{Name: contract.AppName, Value: ""}}, map[string]any{"app_name": "", "OktaAppName": ""}},
	} {
		a := askedFor()
		a.App = tt.app
		g, _ := granted(a)
		for place, claims := range map[string]map[string]any{
			"ID token":  claimsOf(t, signed(t, g, signers()[oidc.ES256], "token", issuedAt)),
			"user info": userInfoOf(t, g),
		} {
			got := map[string]any{}
			for name, value := range claims {
				if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "Okta", "")), "app") {
					got[name] = value
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s in the %s: %q, want %q", tt.name, place, got, tt.want)
			}
		}
	}
}

func TestOptionalClaims(t *testing.T) {
	t.Parallel()
	any1 := map[string]oidc.ClaimRequest{"email": {}, "preferred_username": {Essential: true}, "name": {}, "email_verified": {}}
	for _, tt := range []struct {
		name          string
		user          string
		scopes        []string
		asked         oidc.ClaimsRequest
		inToken, info []string
	}{
		{name: "openid alone", user: "a@b"},
		{name: "email", user: "A@b", scopes: []string{"email"}, inToken: []string{"email"}, info: []string{"email"}},
		{name: "email of somebody without", user: "ana", scopes: []string{"email"}},
		{name: "profile", user: "ana", scopes: []string{"profile"}, inToken: []string{"preferred_username"}, info: []string{"preferred_username"}},
		{name: "asked for in the ID token", user: "a@b", asked: oidc.ClaimsRequest{IDToken: any1}, inToken: []string{"email", "preferred_username"}},
		{name: "asked for in the user info", user: "a@b", asked: oidc.ClaimsRequest{UserInfo: any1}, info: []string{"email", "preferred_username"}},
		{name: "scope and claims", user: "a@b", scopes: []string{"email"}, asked: oidc.ClaimsRequest{UserInfo: any1},
			inToken: []string{"email"}, info: []string{"email", "preferred_username"}},
	} {
		a := askedFor()
		a.Scopes, a.Claims = append([]string{"openid"}, tt.scopes...), tt.asked
		g, _ := oidc.NewGrant(a, issuedAt)
		g.User, g.Subject = tt.user, oidc.SubjectOf(tt.user)
		check := func(place string, claims map[string]any, want []string) {
			for _, name := range []string{"email", "preferred_username", "name", "email_verified"} {
				value, given := claims[name]
				if given != slices.Contains(want, name) || given && value != tt.user {
					t.Errorf("%s: %s in the %s is %v, want it there: %t", tt.name, name, place, value, !given)
				}
			}
		}
		check("ID token", claimsOf(t, signed(t, g, signers()[oidc.ES256], "token", issuedAt)), tt.inToken)
		check("user info", userInfoOf(t, g), tt.info)
	}
}

func TestAllowsSubject(t *testing.T) {
	t.Parallel()
	named := func(subs ...string) map[string]oidc.ClaimRequest {
		return map[string]oidc.ClaimRequest{"sub": {Values: subs}}
	}
	for _, tt := range []struct {
		name  string
		asked oidc.ClaimsRequest
		want  bool
	}{
		{"nothing", oidc.ClaimsRequest{}, true},
		{"any", oidc.ClaimsRequest{IDToken: named()}, true},
		{"this one", oidc.ClaimsRequest{IDToken: named("ana")}, true},
		{"one of two", oidc.ClaimsRequest{UserInfo: named("bo", "ana")}, true},
		{"another one", oidc.ClaimsRequest{IDToken: named("bo")}, false},
		{"another one in the user info", oidc.ClaimsRequest{IDToken: named("ana"), UserInfo: named("Ana")}, false},
	} {
		a := oidc.Authorization{Claims: tt.asked}
		if got := a.AllowsSubject("ana"); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// untrue are changes that make a grant one that must not be answered.
var untrue = map[string]func(*oidc.Grant){
	"no client":                    func(g *oidc.Grant) { g.ClientID = "" },
	"no user":                      func(g *oidc.Grant) { g.User, g.Subject = "", "" },
	"no subject":                   func(g *oidc.Grant) { g.Subject = "" },
	"subject of another user":      func(g *oidc.Grant) { g.Subject = "bo@example.com" },
	"device for a subject":         func(g *oidc.Grant) { g.Subject = g.Device.ExternalID },
	"no time":                      func(g *oidc.Grant) { g.AuthTime = time.Time{} },
	"compliant and not managed":    func(g *oidc.Grant) { g.Device.Managed = false },
	"managed without an ID":        func(g *oidc.Grant) { g.Device.ExternalID = "" },
	"device ID that is not UTF-8":  func(g *oidc.Grant) { g.Device.ExternalID = "d\xff" },
	"user that is not UTF-8":       func(g *oidc.Grant) { g.User = "a\xff"; g.Subject = oidc.SubjectOf(g.User) },
	"nonce that is not UTF-8":      func(g *oidc.Grant) { g.Nonce = "\xc0\xaf" },
	"client that is not UTF-8":     func(g *oidc.Grant) { g.ClientID = "\xed\xa0\x80" },
	"app name that is not UTF-8":   func(g *oidc.Grant) { g.App = []oidc.Parameter{{Name: "app_name", Value: "\xff"}} },
	"app parameter twice":          func(g *oidc.Grant) { g.App = []oidc.Parameter{{Name: "app_name"}, {Name: "app_name"}} },
	"claim by way of the app":      func(g *oidc.Grant) { g.App = []oidc.Parameter{{Name: "sub", Value: "bo"}} },
	"JSON by way of the app":       func(g *oidc.Grant) { g.App = []oidc.Parameter{{Name: `app_name":"","sub`, Value: "bo"}} },
	"empty authentication method":  func(g *oidc.Grant) { g.AMR = []string{""} },
	"authentication method twice":  func(g *oidc.Grant) { g.AMR = []string{"pop", "pop"} },
	"authentication method of two": func(g *oidc.Grant) { g.AMR = []string{"pop mfa"} },
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, change := range untrue {
		g, _ := granted(askedFor())
		change(g)
		if err := g.Check(); err == nil {
			t.Errorf("%s: passed", name)
		}
		if document, err := oidc.UserInfo(g); err == nil {
			t.Errorf("%s: user info is %s", name, document)
		}
		if _, err := oidc.PrepareIDToken(g, provider(), oidc.RS256, "token", issuedAt); err == nil {
			t.Errorf("%s: an ID token was prepared", name)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("Ana@Example.com", "okta", "nonce-1", "d-1", "0oa1", `Payroll "two" <&> ☕ `)
	f.Add("ana\x00\x1f\x7f\\\"", "</script>", "\u2028\u2029", "\r\n\t", "\\u0000", "\xff\xfe")
	f.Add("añá", "a b", "", "\ufeff", "\U0010ffff", "\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, user, client, nonce, device, instance, app string) {
		a := askedFor()
		a.Nonce, a.App = nonce, []oidc.Parameter{{Name: "OktaAppInstanceId", Value: instance}, {Name: "app_name", Value: app}}
		g, _ := oidc.NewGrant(a, issuedAt)
		g.ClientID, g.User, g.Subject = client, user, oidc.SubjectOf(user)
		g.Device = oidc.DeviceContext{Managed: device != "", ExternalID: device}
		document, err := oidc.UserInfo(g)
		prepared, tokenErr := oidc.PrepareIDToken(g, provider(), oidc.ES256, "token", issuedAt)
		if (err == nil) != (tokenErr == nil) {
			t.Fatalf("user info: %v; ID token: %v", err, tokenErr)
		}
		for _, s := range []string{user, client, nonce, device, instance, app} {
			if err == nil && !utf8.ValidString(s) {
				t.Fatalf("%q passed", s)
			}
		}
		if err != nil {
			return
		}
		token, err := prepared.Sign(t.Context(), &oidc.Signer{ID: "k" + device, Alg: oidc.ES256, Key: free(64)})
		if err != nil {
			t.Fatal(err)
		}
		claims, info := claimsOf(t, token), objectOf(t, document)
		for name, want := range map[string]string{"sub": oidc.SubjectOf(user), "preferred_username": user,
			"app_name": app, "OktaAppInstanceId": instance, "app_instance_id": instance} {
			if claims[name] != want || info[name] != want {
				t.Errorf("%s: %q in the ID token, %q in the user info, want %q", name, claims[name], info[name], want)
			}
		}
		if claims["aud"] != client || (nonce != "" && claims["nonce"] != nonce) {
			t.Errorf("aud %q, nonce %q; want %q, %q", claims["aud"], claims["nonce"], client, nonce)
		}
		if got := claims["device_context"].(map[string]any)["externalId"]; device != "" && got != device {
			t.Errorf("externalId %q, want %q", got, device)
		}
	})
}
