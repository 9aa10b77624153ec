package saml_test

import (
	"encoding/base64"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.dev/contract"
	"gatepost.dev/idp/saml"
	"gatepost.dev/posture"
)

// TestContractSample reads the request that Okta's device posture data contract
// shows: NameIDPolicy before Subject, newlines around the name.
func TestContractSample(t *testing.T) {
	t.Parallel()
	sample, err := os.ReadFile("../../testdata/contract/sample-authnrequest.xml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := saml.DecodePost([]byte(form(string(sample), "RelayState", "https://acme.okta.com/")))
	if err != nil {
		t.Fatal(err)
	}
	const entityID, acs = "https://www.okta.com/saml2/service-provider/spqunojxmhwsxjdesder", "https://www.okta.com/sso/saml2/0oa6nxbvzJ7pgD2sk2o4"
	if m.Issuer() != entityID {
		t.Errorf("issuer %q", m.Issuer())
	}
	sp := &saml.ServiceProvider{EntityID: entityID, AssertionConsumers: []saml.AssertionConsumer{{URL: acs, Default: true}}}
	issued := time.Date(2018, 8, 14, 22, 15, 29, 753e6, time.UTC)
	got, err := m.Check(sp, "https://www.example.com/sso", issued.Add(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	want := &saml.Request{
		ID: "id259293517205908671989782748", Issuer: entityID, ACS: acs, RelayState: "https://acme.okta.com/", HasRelayState: true,
		IssueInstant: issued, Subject: &saml.NameID{Value: "user@example.com"}, NameIDFormat: saml.FormatUnspecified, Class: contract.DevicePosture,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// accepted checks a document that must be accepted.
func accepted(t *testing.T, name, content string) *saml.Request {
	t.Helper()
	r, err := reqCheck(t, name, content, reqProvider())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestValues(t *testing.T) {
	t.Parallel()
	full := change(reqBase, ` ID="id1"`, ` ID="id1" IsPassive="1"`, "<saml:NameID>",
		`<saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress" NameQualifier="q" SPNameQualifier="s">`,
		"user@example.com", "\t üser+\u00a0&lt;x&gt;@example.com\u00a0 ",
		reqIssuer, reqIssuer+`<samlp:Extensions><x:OktaAppName xmlns:x="urn:x"> Acme &amp; Co
</x:OktaAppName><OktaAppInstanceId>0oa </OktaAppInstanceId><samlp:OktaAppName>no</samlp:OktaAppName></samlp:Extensions>`)
	want := &saml.Request{
		ID: "id1", Issuer: reqEntityID, ACS: reqACS, RelayState: " a\r\n&b=ü", HasRelayState: true, IssueInstant: reqNow(),
		// The no-break space is no white space of XML: it stays.
		Subject: &saml.NameID{Value: "üser+\u00a0<x>@example.com\u00a0", Format: saml.FormatEmail,
			NameQualifier: "q", SPNameQualifier: "s"},
		NameIDFormat: saml.FormatUnspecified, Class: contract.DevicePosture, ForceAuthn: true, IsPassive: true,
		App: posture.AppContext{InstanceID: "0oa ", Name: " Acme & Co\n"}, Signed: true,
	}
	for name, content := range map[string]string{
		".form":  form(reqSigner{}.sign(full), "RelayState", want.RelayState),
		".query": reqSigner{}.query(full, want.RelayState),
	} {
		if got := accepted(t, name, content); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

// TestEmptyApplicationContext: what was there and empty comes back as it was.
func TestEmptyApplicationContext(t *testing.T) {
	t.Parallel()
	r := accepted(t, ".query", query(change(reqBase, reqIssuer, reqIssuer+`<samlp:Extensions><OktaAppName></OktaAppName></samlp:Extensions>`)))
	if r.EmptyApp != (saml.EmptyApp{Name: true}) || r.App != (posture.AppContext{}) {
		t.Errorf("%+v %+v", r.App, r.EmptyApp)
	}
	a := sample()
	a.App, a.EmptyApp = r.App, r.EmptyApp
	var values []string
	for _, e := range parse(t, signed(t, a)).FindElements("//AttributeStatement/Attribute") {
		values = append(values, e.SelectAttrValue("Name", "")+"="+e.FindElement("AttributeValue").Text())
	}
	if strings.Join(values, " ") != "OktaAppName=" {
		t.Errorf("echoed: %q", values)
	}
}

func TestRelayState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query, value string
		has          bool
	}{
		{"", "", false},
		{"&RelayState=", "", true},
		{"&RelayState", "", true},
		{"&RelayState=a+b%2Bc", "a b+c", true},
		{"&RelayState=" + strings.Repeat("%C3%A9", 4096), strings.Repeat("é", 4096), true},
	} {
		r := accepted(t, ".query", query(reqBase)+c.query)
		if r.RelayState != c.value || r.HasRelayState != c.has {
			t.Errorf("%.40q: %.40q, %v", c.query, r.RelayState, r.HasRelayState)
		}
	}
}

func TestRequestTimes(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"2026-11-22T15:55:00Z":           "accepted",
		"2026-11-22T15:54:59.999Z":       "bad request: stale",
		"2026-11-22T16:01:00Z":           "accepted",
		"2026-11-22T16:01:00.000000001Z": "bad request: future",
		"2026-11-22T16:00:00":            "bad request: time_invalid",
		"2026-11-22T6:00:00Z":            "bad request: time_invalid",
		"2026-11-22 16:00:00Z":           "bad request: time_invalid",
		"2026-11-31T16:00:00Z":           "bad request: time_invalid",
		"2026-11-22T16:00:00.Z":          "bad request: time_invalid",
		"2026-11-22T24:00:00Z":           "bad request: time_invalid",
		"":                               "bad request: time_invalid",
	} {
		_, err := reqCheck(t, ".xml", change(reqBase, "2026-11-22T16:00:00.000Z", at), reqProvider())
		if got := outcome(err); got != want {
			t.Errorf("%s: got %s, want %s", at, got, want)
		}
	}
}

// TestRelyingPartySigns holds that whoever says AuthnRequestsSigned is not
// believed without a signature, and that a signature without a registered key is
// worth nothing.
func TestRelyingPartySigns(t *testing.T) {
	t.Parallel()
	strict, keyless := reqProvider(), reqProvider()
	strict.RequestsSigned = true
	keyless.Keys = nil
	signed, redirected := reqSigner{}.sign(reqBase), reqSigner{}.query(reqBase)
	for _, c := range []struct {
		sp            *saml.ServiceProvider
		name, content string
		want          string
	}{
		{strict, ".xml", reqBase, "bad request: signature_missing"},
		{strict, ".query", query(reqBase), "bad request: signature_missing"},
		{strict, ".xml", change(reqBase, `"minimum"`, `"better"`), "bad request: signature_missing"},
		{strict, ".xml", signed, "accepted"},
		{strict, ".query", redirected, "accepted"},
		{keyless, ".xml", signed, "bad request: signature_no_key"},
		{keyless, ".query", redirected, "bad request: signature_no_key"},
		{keyless, ".xml", reqBase, "accepted"},
	} {
		r, err := reqCheck(t, c.name, c.content, c.sp)
		if got := outcome(err); got != c.want {
			t.Errorf("%s %.60s: got %s, want %s", c.name, c.content, got, c.want)
		}
		if err == nil && r.Signed != (c.sp == strict) {
			t.Errorf("%s: signed is %v", c.name, r.Signed)
		}
	}
}

// TestSHA1Switch holds that the switch lets a SHA-1 digest pass and nothing
// else, and that its use can be logged.
func TestSHA1Switch(t *testing.T) {
	t.Parallel()
	lenient := reqProvider()
	lenient.AllowSHA1 = true
	for want, s := range map[string]reqSigner{
		"accepted":                         {digest: xmldsig + "sha1"},
		"bad request: signature_algorithm": {method: xmldsig + "rsa-sha1", digest: xmldsig + "sha1"},
	} {
		r, err := reqCheck(t, ".xml", s.sign(reqBase), lenient)
		if got := outcome(err); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if err == nil && !r.SHA1Digest {
			t.Error("SHA1Digest is not set")
		}
	}
	if r := accepted(t, ".xml", reqSigner{}.sign(reqBase)); r.SHA1Digest {
		t.Error("SHA1Digest is set for SHA-256")
	}
}

func TestAssertionConsumers(t *testing.T) {
	t.Parallel()
	const second = reqACS + "/second"
	sp := reqProvider()
	sp.AssertionConsumers[0].Default, sp.AssertionConsumers[1].Default = false, true
	for attribute, want := range map[string]string{
		"":                                  second,
		`AssertionConsumerServiceIndex="0"`: reqACS,
		`AssertionConsumerServiceIndex="7"`: second,
		reqConsumer:                         reqACS,
		`ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"`:                  second,
		reqConsumer + ` ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"`:   reqACS,
		`AssertionConsumerServiceURL="` + second + `" AttributeConsumingServiceIndex="999"`: second,
	} {
		r, err := reqCheck(t, ".xml", change(reqBase, reqConsumer, attribute), sp)
		if err != nil || r.ACS != want {
			t.Errorf("%s: %+v, %v", attribute, r, err)
		}
	}
}

// TestSignedBytesAreTheOnesSent holds that a redirect's signature covers the
// encoded values as they came, however they were encoded.
func TestSignedBytesAreTheOnesSent(t *testing.T) {
	t.Parallel()
	lower := func(s string) string {
		e := url.QueryEscape(s)
		for i := 0; i+2 < len(e); i++ {
			if e[i] == '%' {
				e = e[:i] + strings.ToLower(e[i:i+3]) + e[i+3:]
			}
		}
		return e
	}
	octets := "SAMLRequest=" + lower(deflate(reqBase)) + "&RelayState=" + lower("https://x/?y") + "&SigAlg=" + lower(moreSig+"rsa-sha256")
	value := reqSigner{}.raw(moreSig+"rsa-sha256", []byte(octets))
	r := accepted(t, ".query", octets+"&Signature="+lower(base64.StdEncoding.EncodeToString(value)))
	if !r.Signed || r.RelayState != "https://x/?y" {
		t.Errorf("got %+v", r)
	}
	// The order of the parameters in the query is free, in what is signed it is not.
	p := strings.Split(octets, "&")
	r = accepted(t, ".query", "Signature="+lower(base64.StdEncoding.EncodeToString(value))+"&"+p[2]+"&"+p[1]+"&"+p[0])
	if !r.Signed {
		t.Errorf("got %+v", r)
	}
}

// TestHalfSimpleSigned: either parameter of HTTP-POST-SimpleSign is enough to
// show that the form was signed in a way that is not verified here.
func TestHalfSimpleSigned(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"SigAlg", "Signature"} {
		_, err := reqCheck(t, ".form", form(reqBase, name, "x"), reqProvider())
		if got := outcome(err); got != "bad request: binding_unsupported" {
			t.Errorf("%s alone: %s", name, got)
		}
	}
}

// TestECDSASignatureHasOneForm: zeros between r and s change no number, but the
// signature is as long as the curve demands.
func TestECDSASignatureHasOneForm(t *testing.T) {
	t.Parallel()
	octets := encodePairs("SAMLRequest", deflate(reqBase), "SigAlg", moreSig+"ecdsa-sha256")
	value := reqSigner{key: "sp-ec"}.raw(moreSig+"ecdsa-sha256", []byte(octets))
	for zeros, want := range map[int]string{0: "accepted", 1: "bad request: signature_invalid", 32: "bad request: signature_invalid"} {
		padded := slices.Concat(value[:32], make([]byte, zeros), value[32:])
		query := octets + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(padded))
		_, err := reqCheck(t, ".query", query, reqProvider())
		if got := outcome(err); got != want {
			t.Errorf("%d zeros: %s, want %s", zeros, got, want)
		}
	}
}

// TestPiecesOfTextAreBounded: five thousand CDATA sections fit into a document
// and would take a megabyte.
func TestPiecesOfTextAreBounded(t *testing.T) {
	t.Parallel()
	for pieces, want := range map[int]string{500: "accepted", 1100: "bad request: too_large", 4500: "bad request: too_large"} {
		doc := change(reqBase, reqIssuer, reqIssuer+strings.Repeat("<![CDATA[ ]]>", pieces))
		_, err := reqCheck(t, ".xml", doc, reqProvider())
		if got := outcome(err); got != want {
			t.Errorf("%d pieces: %s, want %s", pieces, got, want)
		}
	}
}
