package saml_test

import (
	"errors"
	"strings"
	"testing"

	"gatepost.dev/contract"
	"gatepost.dev/idp/saml"
)

// TestClassIsChosen is SAML core 3.3.2.2.1, for every use of a relying party.
func TestClassIsChosen(t *testing.T) {
	t.Parallel()
	const (
		ours     = contract.DevicePosture
		password = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
		kerberos = "urn:oasis:names:tc:SAML:2.0:ac:classes:Kerberos"
	)
	for _, tt := range []struct {
		use        saml.Use
		comparison string // empty: no RequestedAuthnContext
		asked      []string
		want       string // empty: NoAuthnContext
	}{
		{saml.UsePosture, "", nil, ours},
		{saml.UsePosture, "exact", []string{password, ours}, ours},
		{saml.UsePosture, "exact", []string{saml.ClassX509}, ""},
		{saml.UsePosture, "minimum", []string{password}, ""},
		{saml.UsePosture, "better", []string{password}, ""},
		{saml.UseFactor, "", nil, saml.ClassX509},
		{saml.UseFactor, "exact", []string{saml.ClassTLSClient, saml.ClassX509}, saml.ClassTLSClient},
		{saml.UseFactor, "exact", []string{password, " " + saml.ClassUnspecified + "\n"}, saml.ClassUnspecified},
		{saml.UseFactor, "exact", []string{password}, ""},
		{saml.UseFactor, "exact", []string{ours}, ""},
		{saml.UseFactor, "minimum", []string{password}, saml.ClassX509},
		{saml.UseFactor, "minimum", []string{saml.ClassTLSClient}, saml.ClassTLSClient},
		{saml.UseFactor, "minimum", []string{kerberos}, ""},
		{saml.UseFactor, "minimum", []string{kerberos, password}, saml.ClassX509},
		{saml.UseFactor, "minimum", []string{ours}, ""},
		{saml.UseFactor, "maximum", []string{saml.ClassX509}, saml.ClassX509},
		{saml.UseFactor, "maximum", []string{password}, ""},
		{saml.UseFactor, "better", []string{password}, saml.ClassX509},
		{saml.UseFactor, "better", []string{password, kerberos}, ""},
		{saml.UseFactor, "better", []string{saml.ClassX509}, ""},
		{saml.UseBoth, "", nil, saml.ClassX509},
		{saml.UseBoth, "exact", []string{ours}, ours},
		{saml.UseBoth, "minimum", []string{ours}, ours},
		{saml.UseBoth, "exact", []string{saml.ClassX509}, saml.ClassX509},
		{saml.UseBoth, "exact", []string{ours, saml.ClassX509}, ours},
		{saml.UseBoth, "exact", []string{saml.ClassX509, ours}, saml.ClassX509},
		{saml.UseBoth, "minimum", []string{password}, saml.ClassX509},
		{saml.UseBoth, "better", []string{ours}, ""},
		{saml.UseBoth, "exact", []string{kerberos}, ""},
	} {
		start := strings.Index(reqBase, "<samlp:RequestedAuthnContext")
		end := strings.Index(reqBase, "</samlp:AuthnRequest>")
		context := ""
		if tt.comparison != "" {
			context = `<samlp:RequestedAuthnContext Comparison="` + tt.comparison + `">`
			for _, c := range tt.asked {
				context += `<saml:AuthnContextClassRef xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">` + c + `</saml:AuthnContextClassRef>`
			}
			context += `</samlp:RequestedAuthnContext>`
		}
		sp := reqProvider()
		sp.Use = tt.use
		r, err := reqCheck(t, "r.xml", reqBase[:start]+context+reqBase[end:], sp)
		if tt.want == "" {
			if s, ok := errors.AsType[*saml.StatusError](err); !ok || s.Sub != saml.StatusNoAuthnContext {
				t.Errorf("%+v: %+v, %v", tt, r, err)
			}
			continue
		}
		if err != nil || r.Class != tt.want || r.Factor() != (tt.want != ours) {
			t.Errorf("%+v: %+v, %v", tt, r, err)
		}
	}
}

// factor is an assertion of a factor.
func factor() *saml.Assertion {
	a := sample()
	a.Class, a.Posture = saml.ClassX509, contract.Posture{}
	return a
}

func TestFactorAssertion(t *testing.T) {
	t.Parallel()
	xml := string(signed(t, factor()))
	if !strings.Contains(xml, ">"+saml.ClassX509+"</saml:AuthnContextClassRef></saml:AuthnContext>") || strings.Contains(xml, "DevicePosture") || strings.Contains(xml, "Fact") {
		t.Errorf("%s", xml)
	}
	for name, change := range map[string]func(*saml.Assertion){
		"no class":          func(a *saml.Assertion) { a.Class = "" },
		"class of a lie":    func(a *saml.Assertion) { a.Class = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password" },
		"with a device":     func(a *saml.Assertion) { a.Posture.Device.ID = "mac-1" },
		"with facts":        func(a *saml.Assertion) { a.Posture.Facts = sample().Posture.Facts },
		"posture of none":   func(a *saml.Assertion) { a.Class = contract.DevicePosture },
		"with attestations": func(a *saml.Assertion) { a.Posture.Attestations = sample().Posture.Attestations },
	} {
		a := factor()
		change(a)
		if _, err := saml.PrepareAssertion(a); err == nil {
			t.Errorf("%s: prepared", name)
		}
	}
}
