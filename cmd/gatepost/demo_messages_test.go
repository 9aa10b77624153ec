package main

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const sampleRequest = `<saml2p:AuthnRequest xmlns:saml2p="urn:oasis:names:tc:SAML:2.0:protocol" ID="id1"><saml2:Issuer xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion">okta</saml2:Issuer>` +
	`<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:Reference URI="#id1"></ds:Reference></ds:SignedInfo></ds:Signature>` +
	`<saml2p:Extensions><okta:OktaAppInstanceId xmlns:okta="urn:x">0oa1</okta:OktaAppInstanceId><okta:OktaAppName xmlns:okta="urn:x">A &amp; B</okta:OktaAppName></saml2p:Extensions>` +
	`<saml2:Subject xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"><saml2:NameID>ana@example.com</saml2:NameID></saml2:Subject>` +
	`<saml2p:NameIDPolicy Format="a&quot;b"></saml2p:NameIDPolicy></saml2p:AuthnRequest>`

const sampleRefusal = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1"><samlp:Status>` +
	`<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"></samlp:StatusCode></samlp:StatusCode>` +
	`<samlp:StatusMessage>DEVICE_NOT_MANAGED</samlp:StatusMessage><samlp:StatusDetail><gp:Reason xmlns:gp="urn:gp"> stale </gp:Reason></samlp:StatusDetail></samlp:Status></samlp:Response>`

func form(name, message string) url.Values {
	return url.Values{name: {base64.StdEncoding.EncodeToString([]byte(message))}}
}

func TestReadMessages(t *testing.T) {
	t.Parallel()
	want := requestMessage{Binding: "post", ID: "id1", Subject: "ana@example.com", App: "A & B", AppID: "0oa1", Signed: true, XML: sampleRequest}
	if got, err := readPost(form("SAMLRequest", sampleRequest)); err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(sampleRequest))
	w.Close()
	want.Binding, want.Signed = "redirect", false // an enveloped signature does not count there
	if got, err := readRedirect(form("SAMLRequest", packed.String())); err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	got, err := readResponse(form("SAMLResponse", sampleRefusal))
	if err != nil || !slices.Equal(got.Status, []string{"Responder", "AuthnFailed"}) || got.Message != "DEVICE_NOT_MANAGED" ||
		got.Detail != "stale" || got.ResponseSigned || got.AssertionSigned || got.Facts != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for name, err := range map[string]error{
		"base64":    second2(readPost(url.Values{"SAMLRequest": {"!"}})),
		"XML":       second2(readPost(form("SAMLRequest", "<a>"))),
		"not small": second2(readRedirect(form("SAMLRequest", "not deflated"))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, message := range []string{"", "<a", "<a></b>"} {
		if _, err := readResponse(form("SAMLResponse", message)); err == nil {
			t.Errorf("%q: no error", message)
		}
	}
}

func second2[T any](_ T, err error) error { return err }

func TestLayOut(t *testing.T) {
	t.Parallel()
	lines, err := layOut(sampleRequest)
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
	want := `  <saml2p:AuthnRequest
      xmlns:saml2p="urn:oasis:names:tc:SAML:2.0:protocol"
      ID="id1">
    <saml2:Issuer xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion">
      okta
    </saml2:Issuer>
    <ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">…</ds:Signature>
>   <saml2p:Extensions>
>     <okta:OktaAppInstanceId xmlns:okta="urn:x">0oa1</okta:OktaAppInstanceId>
>     <okta:OktaAppName xmlns:okta="urn:x">A &amp; B</okta:OktaAppName>
>   </saml2p:Extensions>
    <saml2:Subject xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion">
>     <saml2:NameID>ana@example.com</saml2:NameID>
    </saml2:Subject>
    <saml2p:NameIDPolicy Format="a&quot;b"/>
  </saml2p:AuthnRequest>
`
	if got.String() != want {
		t.Errorf("got\n%s", &got)
	}
	for _, message := range []string{"</a>", "<a></a></b>", "<a", "<a b>"} {
		if _, err := layOut(message); err == nil {
			t.Errorf("%q: no error", message)
		}
	}
	if lines, err = layOut("<a>" + strings.Repeat("é", 100) + "</a>"); err != nil || len(lines) != 3 || lines[1].Text != "  "+strings.Repeat("é", 36)+"… (100 characters)" {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestReadPage(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("https://localhost/login?a=b")
	if err != nil {
		t.Fatal(err)
	}
	p := &page{body: []byte(`<form method=get action=/no><input type=hidden name=x value=y></form><h1>A <b>b</b></h1>
		<FORM METHOD="POST" ACTION="acs?c&amp;d"><input type="hidden" name="SAMLResponse" value="a&#43;b"><input name=other value=no><button>`)}
	if err := p.read(base); err != nil {
		t.Fatal(err)
	}
	if p.next == nil || p.next.url != "https://localhost/acs?c&d" || p.next.form.Encode() != "SAMLResponse=a%2Bb" || p.said != "A b" || p.result != nil {
		t.Errorf("%+v", p)
	}
	p = &page{body: []byte(`<dl id="result"><dt>x</dt><dd id="result-outcome">signed-in</dd><dd id="other">no</dd></dl><dl><dd id="result-user">no</dd></dl>`)}
	if err := p.read(base); err != nil || len(p.result) != 1 || p.result["outcome"] != "signed-in" || p.next != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if err := (&page{body: []byte(`<form method=post action="https://a b%zz/">`)}).read(base); err == nil {
		t.Error("a form that leads nowhere: no error")
	}
}

// FuzzMessages shows that nothing that a message or a page may hold stops the
// demo.
func FuzzMessages(f *testing.F) {
	f.Add(sampleRequest)
	f.Add(sampleRefusal)
	f.Add("<Signature><Signature></Signature></Signature>")
	f.Add("<a>b<c/>d</a><!-- e --><?f g?>")
	f.Add(sampleObject)
	f.Add(`{"device_context": {"managed": "yes"}}`)
	f.Add(`<dl id=result><dd id=result-><form method=post action=":">`)
	f.Fuzz(func(t *testing.T, message string) {
		if _, err := readResponse(form("SAMLResponse", message)); err == nil {
			if lines, err := layOut(message); err == nil && len(lines) == 0 {
				t.Error("nothing is shown of a message")
			}
		}
		_, _ = layOut(message)
		_, _ = readPost(form("SAMLRequest", message))
		_, _ = readRedirect(form("SAMLRequest", message))
		_, _ = readAuthorization(url.Values{"request": {message}, "login_hint": {message}})
		_, _ = readTokens(map[string]string{"id-token-header": message, "id-token": message})
		_, _ = layOutJSON(message)
		_ = (&page{body: []byte(message)}).read(&url.URL{Scheme: "https", Host: "localhost"})
	})
}
