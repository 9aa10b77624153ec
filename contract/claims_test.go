package contract

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What was not sent is not asked back.
func TestParseIDTokenUnasked(t *testing.T) {
	t.Parallel()
	want := expected()
	want.Nonce, want.MaxAge, want.App, want.AccessToken = "", nil, nil, ""
	bare := `{"iss": "https://idp.example.com", "sub": "u", "aud": "okta", "exp": 1795363500, "iat": 1795363200,
		"acr": "urn:okta:saml:2.0:DevicePosture", "amr": [], "device_context": {"managed": false, "compliant": false}}`
	c, found := ParseIDToken([]byte(bare), want)
	if found != nil || c.Managed || c.Compliant || c.ExternalID != "" {
		t.Errorf("got %+v, %v", c, found)
	}
	if _, found := ParseIDToken([]byte(bare), expected()); ids(found) != "token-nonce token-auth-time token-hash-present token-app-context token-app-context token-app-context-names" {
		t.Errorf("asked for, found %v", found)
	}
}

// More ways to be wrong than one for each requirement.
func TestParseIDTokenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, want string }{
		"null":                  {idTokenBase, "null", "token-json"},
		"nothing":               {idTokenBase, "", "token-json"},
		"array":                 {idTokenBase, "[" + idTokenBase + "]", "token-json"},
		"two objects":           {idTokenBase, "{} {}", "token-json"},
		"cut off":               {"}\n}\n", "}\n", "token-json"},
		"invalid UTF-8":         {"Wiki \",\n\"device", "Wiki \", \"x\": \"\xff\",\n\"device", "token-json"},
		"managed twice":         {`"managed": true`, `"managed": true, "managed": false`, "token-json"},
		"deep":                  {`["pop"]`, strings.Repeat("[", 100) + strings.Repeat("]", 100), "token-json"},
		"issuer array":          {`"https://idp.example.com"`, `["https://idp.example.com"]`, "token-issuer"},
		"issuer missing":        {`"iss"`, `"Iss"`, "token-issuer"},
		"audience missing":      {`"aud"`, `"Aud"`, "token-audience"},
		"audience empty":        {`"okta"`, `[]`, "token-audience"},
		"audience twice":        {`"okta"`, `["okta", "okta"]`, "token-audience"},
		"audience null":         {`"okta"`, `[null]`, "token-audience"},
		"other party":           {`"okta"`, `"okta", "azp": "other"`, "token-audience"},
		"nonce missing":         {`"nonce": "n-0S6_WzA2Mj",`, ``, "token-nonce"},
		"nonce null":            {`"n-0S6_WzA2Mj"`, `null`, "token-nonce"},
		"expiry a string":       {`1795363500`, `"1795363500"`, "token-expiry token-issued"},
		"expiry in ms":          {`1795363500`, `1795363500000`, "token-expiry token-issued"},
		"expiry negative":       {`1795363500`, `-1`, "token-expiry token-issued"},
		"expiry before issue":   {`"iat": 1795363200`, `"iat": 1795363500`, "token-issued"},
		"issue missing":         {`"iat"`, `"Iat"`, "token-issued"},
		"auth_time missing":     {`"auth_time"`, `"authTime"`, "token-auth-time"},
		"auth_time a string":    {`"auth_time": 1795363200`, `"auth_time": "1795363200"`, "token-auth-time"},
		"hash null":             {`"Pxa-1wifRlPl7yG_0oJNfw"`, `null`, "token-hash"},
		"hash whole":            {`Pxa-1wifRlPl7yG_0oJNfw`, `Pxa-1wifRlPl7yG_0oJNfyDbW7lBk_Fjlrh7dzAwjY`, "token-hash"},
		"subject empty":         {`"sub": "user@example.com"`, `"sub": ""`, "token-subject"},
		"subject a number":      {`"sub": "user@example.com"`, `"sub": 7`, "token-subject"},
		"subject too long":      {`"sub": "user@example.com"`, `"sub": "` + strings.Repeat("u", 256) + `"`, "token-subject"},
		"subject with a line":   {`"sub": "user`, `"sub": "\nuser`, "token-subject"},
		"acr missing":           {`"acr"`, `"Acr"`, "token-acr"},
		"amr of numbers":        {`["pop"]`, `["pop", 1]`, "token-amr"},
		"amr null":              {`["pop"]`, `null`, "token-amr"},
		"context missing":       {`"device_context"`, `"deviceContext"`, "device-context"},
		"context null":          {`{"managed": true, "compliant": true, "externalId": "123"}`, `null`, "device-context"},
		"context array":         {`{"managed": true, "compliant": true, "externalId": "123"}`, `[]`, "device-context"},
		"managed missing":       {`"managed": true, `, ``, "device-context-managed"},
		"managed null":          {`"managed": true`, `"managed": null`, "device-context-managed"},
		"managed a number":      {`"managed": true`, `"managed": 1`, "device-context-managed"},
		"managed in upper case": {`"managed"`, `"Managed"`, "device-context-managed"},
		"compliant a string":    {`"compliant": true`, `"compliant": "false"`, "device-context-compliant"},
		"compliant null":        {`"compliant": true`, `"compliant": null`, "device-context-compliant"},
		"ID empty":              {`"123"`, `""`, "device-context-id"},
		"ID null":               {`"123"`, `null`, "device-context-id"},
		"app missing":           {`"app_instance_id": "0oa1",`, ``, "token-app-context"},
		"app in another case":   {`"0oa1"`, `"0OA1"`, "token-app-context"},
		"app a number":          {`"0oa1"`, `1`, "token-app-context"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := strings.Count(idTokenBase, c.old); n != 1 {
				t.Fatalf("%q is %d times in the base", c.old, n)
			}
			_, found := ParseIDToken([]byte(strings.Replace(idTokenBase, c.old, c.new, 1)), expected())
			if ids(found) != c.want {
				t.Errorf("found %v, want %s", found, c.want)
			}
		})
	}
}

func TestCheckUserInfoRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing":           {userInfoBase, "", "userinfo-json"},
		"subject missing":   {`"sub": "user@example.com",`, ``, "userinfo-subject"},
		"not managed":       {`"managed": true`, `"managed": false`, "userinfo-device-context"},
		"another device":    {`"123"`, `"124"`, "userinfo-device-context"},
		"ID a number":       {`"123"`, `123`, "userinfo-device-context"},
		"more in it":        {`"123"`, `"123", "os": "x"`, "userinfo-device-context"},
		"context null":      {`{"managed": true, "compliant": true, "externalId": "123"}`, `null`, "userinfo-device-context"},
		"other application": {`"email"`, `"app_name": "Wiki", "email"`, "userinfo-claims"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := checkClaims(t, "userinfo", []byte(strings.Replace(userInfoBase, c.old, c.new, 1)))
			if ids(found) != c.want {
				t.Errorf("found %v, want %s", found, c.want)
			}
		})
	}
}

func TestAccessTokenHash(t *testing.T) {
	t.Parallel()
	for alg, want := range map[string]string{
		"RS256": "Pxa-1wifRlPl7yG_0oJNfw", "ES256": "Pxa-1wifRlPl7yG_0oJNfw", "PS256": "Pxa-1wifRlPl7yG_0oJNfw",
		"ES384": "fPnQAsvCEwe-sRB6O4tsdPgfI-EaOvsY",
		"PS512": "Rb10lsqrobcpd02MQ_878ctvfDDbaRese_Z50nFw5Jw", "EdDSA": "Rb10lsqrobcpd02MQ_878ctvfDDbaRese_Z50nFw5Jw",
	} {
		if got := accessTokenHash(alg, "access-token"); got != want {
			t.Errorf("%s: %s, want %s", alg, got, want)
		}
	}
}

func TestLeeway(t *testing.T) {
	t.Parallel()
	for now, want := range map[int64]string{
		1795363140 - 1: "token-issued", 1795363140: "", 1795363320: "", 1795363320 + 1: "token-auth-time",
		1795363560: "token-expiry token-auth-time",
	} {
		e := expected()
		e.Now, e.Leeway = time.Unix(now, 0), time.Minute
		if _, found := ParseIDToken([]byte(idTokenBase), e); ids(found) != want {
			t.Errorf("at %d found %v, want %q", now, found, want)
		}
	}
}

func FuzzParseIDToken(f *testing.F) {
	f.Add([]byte(idTokenBase), []byte(userInfoBase))
	for _, v := range claimVectors {
		if base := strings.Replace(idTokenBase, v.bad.old, v.bad.new, 1); base != idTokenBase {
			f.Add([]byte(base), []byte(userInfoBase))
		} else {
			f.Add([]byte(idTokenBase), []byte(strings.Replace(userInfoBase, v.bad.old, v.bad.new, 1)))
		}
	}
	f.Fuzz(func(t *testing.T, token, info []byte) {
		c, found := ParseIDToken(token, expected())
		if c == nil {
			if ids(found) != "token-json" {
				t.Fatalf("no claims, found %v", found)
			}
			return
		}
		if !json.Valid(token) {
			t.Fatal("read what is no JSON")
		}
		if !Failed(found) {
			// Whoever reads it with encoding/json reads the same.
			var other struct {
				Sub    string `json:"sub"`
				Device struct {
					Managed    *bool  `json:"managed"`
					ExternalID string `json:"externalId"`
				} `json:"device_context"`
			}
			if err := json.Unmarshal(token, &other); err == nil && !bytes.ContainsAny(token, "MESDmesd\\") {
				if other.Sub != c.Subject || other.Device.Managed == nil || *other.Device.Managed != c.Managed {
					t.Fatalf("got %+v, encoding/json %+v", c, other)
				}
			}
		}
		c.CheckUserInfo(info)
	})
}
