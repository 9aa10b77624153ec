package main

import (
	"net/url"
	"strings"
	"testing"
)

// sampleObject is {"alg":"RS256"} and {"jti":"j1","login_hint":"ana@example.com",
// "app_name":"A & B","app_instance_id":"0oa1","code_challenge":"c"}, signed by nobody.
const sampleObject = "eyJhbGciOiJSUzI1NiJ9." +
	"eyJqdGkiOiJqMSIsImxvZ2luX2hpbnQiOiJhbmFAZXhhbXBsZS5jb20iLCJhcHBfbmFtZSI6IkEgJiBCIiwiYXBwX2luc3RhbmNlX2lkIjoiMG9hMSIsImNvZGVfY2hhbGxlbmdlIjoiYyJ9.c2ln"

func TestReadAuthorization(t *testing.T) {
	t.Parallel()
	got, err := readAuthorization(url.Values{"client_id": {"okta"}, "request": {sampleObject}})
	want := authorizationMessage{
		ID: "j1", Client: "okta", User: "ana@example.com", App: "A & B", AppID: "0oa1", Signed: "RS256", PKCE: true,
		JSON: `{"app_instance_id":"0oa1","app_name":"A & B","client_id":"okta","code_challenge":"c","jti":"j1","login_hint":"ana@example.com"}` + "\n",
	}
	if err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = readAuthorization(url.Values{"client_id": {"okta"}, "login_hint": {"ben"}, "OktaAppName": {"Wiki"}, "OktaAppInstanceId": {"0oa2"}})
	want = authorizationMessage{
		Client: "okta", User: "ben", App: "Wiki", AppID: "0oa2",
		JSON: `{"OktaAppInstanceId":"0oa2","OktaAppName":"Wiki","client_id":"okta","login_hint":"ben"}` + "\n",
	}
	if err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, object := range []string{"x", "a.b", "!.e30.s", "e30.!.s", "e30.bm90IEpTT04.s", "bm90IEpTT04.e30.s"} {
		if _, err := readAuthorization(url.Values{"request": {object}}); err == nil {
			t.Errorf("%q: no error", object)
		}
	}
}

func TestReadTokens(t *testing.T) {
	t.Parallel()
	claims := `{"sub":"ana","acr":"urn:x","amr":["pop"],"device_context":{"managed":true,"compliant":false,"externalId":"d1"}}`
	m, err := readTokens(map[string]string{"id-token-header": `{"alg":"ES256","kid":"k"}`, "id-token": claims, "userinfo": "{}", "findings": "f"})
	if err != nil {
		t.Fatal(err)
	}
	if m.Algorithm != "ES256" || m.KeyID != "k" || m.Subject != "ana" || !m.Device.Managed || m.Device.Compliant || m.Device.ExternalID != "d1" ||
		m.ACR != "urn:x" || len(m.AMR) != 1 || m.Claims != claims || m.UserInfo != "{}" || m.Findings != "f" {
		t.Errorf("%+v", m)
	}
	if m, err := readTokens(nil); m != nil || err != nil {
		t.Errorf("nothing is shown: %+v, %v", m, err)
	}
	for _, shown := range []map[string]string{
		{"id-token": claims}, {"id-token": "x", "id-token-header": "{}"},
		{"id-token": `{"device_context":{"managed":"true"}}`, "id-token-header": "{}"},
	} {
		if _, err := readTokens(shown); err == nil {
			t.Errorf("%v: no error", shown)
		}
	}
}

func TestLayOutJSON(t *testing.T) {
	t.Parallel()
	lines, err := layOutJSON(`{"iss":"a&b","device_context":{"managed":true,"more":[1]},"exp":1,"sub":"ana"}`)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, l := range lines {
		mark := "  "
		if l.Marked {
			mark = "> "
		}
		got.WriteString(mark + l.Text + "\n")
	}
	want := `  {
    "iss": "a&b",
>   "device_context": {
>     "managed": true,
>     "more": [
>       1
>     ]
>   },
    "exp": 1,
>   "sub": "ana"
  }
`
	if got.String() != want {
		t.Errorf("got\n%s", &got)
	}
	if _, err := layOutJSON("{"); err == nil {
		t.Error("half an object: no error")
	}
}

func TestTokensInWords(t *testing.T) {
	t.Parallel()
	for said, device := range map[string][2]bool{
		"the device is not managed.":               {false, false},
		"the device is managed and not compliant.": {true, false},
		"the device is managed and compliant.":     {true, true},
	} {
		m := &tokensMessage{}
		m.Device.Managed, m.Device.Compliant = device[0], device[1]
		if got := m.chapter().InWords; !strings.HasSuffix(got, said) {
			t.Errorf("%v: %s", device, got)
		}
	}
}
