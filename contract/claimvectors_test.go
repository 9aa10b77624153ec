package contract

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// idTokenBase and userInfoBase are the published sample's device_context among
// the claims of a sign-in. Every vector is an edit of one of them.
const (
	idTokenBase = `{
"iss": "https://idp.example.com",
"sub": "user@example.com",
"aud": "okta",
"exp": 1795363500,
"iat": 1795363200,
"auth_time": 1795363200,
"nonce": "n-0S6_WzA2Mj",
"acr": "urn:okta:saml:2.0:DevicePosture",
"amr": ["pop"],
"at_hash": "Pxa-1wifRlPl7yG_0oJNfw",
"email": "user@example.com",
"app_instance_id": "0oa1",
"app_name": "Wiki ",
"OktaAppName": "Wiki ",
"device_context": {"managed": true, "compliant": true, "externalId": "123"}
}
`
	userInfoBase = `{
"sub": "user@example.com",
"email": "user@example.com",
"device_context": {"managed": true, "compliant": true, "externalId": "123"}
}
`
)

// expected is what the base answers.
func expected() *Expected {
	maxAge := time.Minute
	return &Expected{
		Issuer: "https://idp.example.com", ClientID: "okta", Nonce: "n-0S6_WzA2Mj", MaxAge: &maxAge,
		App:         map[string]string{"app_instance_id": "0oa1", "OktaAppName": "Wiki "},
		AccessToken: "access-token", Alg: "RS256", Now: time.Unix(1795363230, 0),
	}
}

// claimVectors has, for each requirement, an edit that breaks it and one that
// comes near without breaking it.
var claimVectors = []struct {
	id        string
	bad, good edit
}{
	{"token-json", edit{`"sub": "user@example.com",`, `"sub": "user@example.com", "s\u0075b": "admin@example.com",`},
		edit{`"sub": "user@example.com",`, `"sub": "user@example.com", "Sub": "admin@example.com",`}},
	{"token-issuer", edit{`example.com",` + "\n" + `"sub"`, `example.com/",` + "\n" + `"sub"`}, edit{`idp.example.com`, `idp\u002eexample.com`}},
	{"token-audience", edit{`"okta"`, `["okta", "other"]`}, edit{`"okta"`, `["okta"], "azp": "okta"`}},
	{"token-nonce", edit{`"n-0S6_WzA2Mj"`, `"N-0S6_WzA2Mj"`}, edit{`"n-0S6_WzA2Mj"`, `"n-0S6_WzA2M\u006a"`}},
	{"token-expiry", edit{`1795363500`, `1795363230`}, edit{`1795363500`, `1795363230.5`}},
	{"token-issued", edit{`"iat": 1795363200`, `"iat": 1795363231`}, edit{`"iat": 1795363200`, `"iat": 1795363230`}},
	{"token-auth-time", edit{`"auth_time": 1795363200`, `"auth_time": 1795363169`}, edit{`"auth_time": 1795363200`, `"auth_time": 1795363170`}},
	{"token-hash", edit{`Pxa-1wifRlPl7yG_0oJNfw`, `Pxa-1wifRlPl7yG_0oJNfg`}, edit{`Pxa-1wifRlPl7yG_0oJNfw`, `Pxa\u002d1wifRlPl7yG_0oJNfw`}},
	{"token-hash-present", edit{`"at_hash"`, `"c_hash"`}, edit{`"at_hash"`, `"c_hash": "x", "at_hash"`}},
	{"token-subject", edit{`"sub": "user@example.com"`, `"sub": "usér@example.com"`},
		edit{`"sub": "user@example.com"`, `"sub": "` + strings.Repeat("u", 255) + `"`}},
	{"token-acr", edit{`"urn:okta:saml:2.0:DevicePosture"`, `"urn:okta:saml:2.0:deviceposture"`},
		edit{`"urn:okta:saml:2.0:DevicePosture"`, `"urn:okta:saml:2\u002e0:DevicePosture"`}},
	{"token-amr", edit{`["pop"]`, `"pop"`}, edit{`["pop"]`, `[]`}},
	{"token-amr-present", edit{`"amr": ["pop"],`, ``}, edit{`["pop"]`, `["hwk", "pop"]`}},
	{"device-context", edit{`{"managed": true, "compliant": true, "externalId": "123"}`, `"{\"managed\": true, \"compliant\": true}"`},
		edit{`{"managed": true,`, `{ "since" : {"day": 1} , "managed" : true ,`}},
	{"device-context-managed", edit{`"managed": true`, `"managed": "true"`}, edit{`"managed": true`, `"managed": false`}},
	{"device-context-compliant", edit{`"compliant": true`, `"compliant": 1`}, edit{`"compliant": true`, `"compliant": false`}},
	{"device-context-compliant-present", edit{`"compliant"`, `"Compliant"`}, edit{`"compliant": true`, `"Compliant": 1, "compliant": true`}},
	{"device-context-id", edit{`"123"`, `123`}, edit{`"123"`, `"é"`}},
	{"device-context-id-present", edit{`, "externalId": "123"`, ``}, edit{`true, "compliant": true, "externalId": "123"`, `false, "compliant": true`}},
	{"token-app-context", edit{`"OktaAppName": "Wiki "`, `"OktaAppName": "Wiki"`}, edit{`"OktaAppName": "Wiki "`, `"OktaAppName": "Wiki\u0020"`}},
	{"token-app-context-names", edit{`"app_name": "Wiki ",`, ``}, edit{`"app_name": "Wiki ",`, `"app_name": "Wi\u006bi ",`}},
	{"userinfo-json", edit{`"sub"`, `"sub": "admin", "sub"`}, edit{`"sub"`, `"locale": "en", "sub"`}},
	{"userinfo-subject", edit{`"sub": "user`, `"sub": "User`}, edit{`"sub": "user`, `"sub": "\u0075ser`}},
	{"userinfo-device-context", edit{`"compliant": true`, `"compliant": "true"`}, edit{`"managed": true, "compliant": true`, `"compliant":true,"managed" : true `}},
	{"userinfo-device-context-present", edit{`"device_context"`, `"deviceContext"`}, edit{`{"managed": true`, "{\n" + `"managed": true`}},
	{"userinfo-claims", edit{`"email": "user`, `"email": "admin`}, edit{`"email": "user@example.com",`, `"name": "User", "exp": 1,`}},
}

// claimVector reads the vector as it lies in testdata, after making sure that it
// is the edit that stands above.
func claimVector(t *testing.T, id, kind string, e edit) []byte {
	t.Helper()
	base := idTokenBase
	if strings.HasPrefix(id, "userinfo") {
		base = userInfoBase
	}
	if n := strings.Count(base, e.old); n != 1 {
		t.Fatalf("%q is %d times in the base", e.old, n)
	}
	want := []byte(strings.Replace(base, e.old, e.new, 1))
	file := filepath.Join(vectorDir, "claims-"+id+"-"+kind+".json")
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc, want) {
		t.Fatalf("%s is not the edit that its test describes; run with -update", file)
	}
	return doc
}

// checkClaims reads an ID token, or compares UserInfo with the base.
func checkClaims(t *testing.T, id string, doc []byte) []Finding {
	t.Helper()
	if !strings.HasPrefix(id, "userinfo") {
		_, found := ParseIDToken(doc, expected())
		return found
	}
	c, found := ParseIDToken([]byte(idTokenBase), expected())
	if found != nil {
		t.Fatalf("the base: %v", found)
	}
	return c.CheckUserInfo(doc)
}

func TestClaimVectors(t *testing.T) {
	t.Parallel()
	for _, v := range claimVectors {
		t.Run(v.id, func(t *testing.T) {
			t.Parallel()
			if found := checkClaims(t, v.id, claimVector(t, v.id, "good", v.good)); found != nil {
				t.Errorf("good: %v", found)
			}
			found := checkClaims(t, v.id, claimVector(t, v.id, "bad", v.bad))
			if ids(found) != v.id {
				t.Errorf("bad: found %v, want %s alone", found, v.id)
			}
			for _, f := range found {
				if f.Message == "" || f.Citation == "" || f.Severity == "" {
					t.Errorf("finding with a hole: %#v", f)
				}
			}
		})
	}
}

func TestParseIDToken(t *testing.T) {
	t.Parallel()
	c, found := ParseIDToken([]byte(idTokenBase), expected())
	if found != nil {
		t.Fatalf("found %v", found)
	}
	if c.Subject != "user@example.com" || !c.Managed || !c.Compliant || c.ExternalID != "123" ||
		c.ACR != DevicePosture || len(c.AMR) != 1 || c.AMR[0] != "pop" {
		t.Errorf("got %+v", c)
	}
	if found := c.CheckUserInfo([]byte(userInfoBase)); found != nil {
		t.Errorf("found %v", found)
	}
}
