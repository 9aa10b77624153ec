package idp

import (
	"testing"

	"gatepost.dev/idp/saml"
)

// TestNameIDMatchesTheSubject: a subject is named again with the attributes that
// it was asked for with (SAML core 3.4.1.4).
func TestNameIDMatchesTheSubject(t *testing.T) {
	t.Parallel()
	const entity, persistent = "https://posture.example.com/saml/metadata", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	for name, tt := range map[string]struct {
		asked *saml.NameID
		want  saml.NameID
	}{
		"nobody":     {nil, saml.NameID{Value: "ann", Format: saml.FormatUnspecified, NameQualifier: entity}},
		"a name":     {&saml.NameID{Value: "ann"}, saml.NameID{Value: "ann", Format: saml.FormatUnspecified, NameQualifier: entity}},
		"a format":   {&saml.NameID{Value: "ann", Format: persistent}, saml.NameID{Value: "ann", Format: persistent}},
		"everything": {&saml.NameID{Value: "ann", Format: persistent, NameQualifier: "q", SPNameQualifier: "s"}, saml.NameID{Value: "ann", Format: persistent, NameQualifier: "q", SPNameQualifier: "s"}},
		"a qualifier": {&saml.NameID{Value: "ann", NameQualifier: "q"},
			saml.NameID{Value: "ann", Format: saml.FormatUnspecified, NameQualifier: "q"}},
		"the provider's qualifier": {&saml.NameID{Value: "ann", SPNameQualifier: "s"},
			saml.NameID{Value: "ann", Format: saml.FormatUnspecified, SPNameQualifier: "s"}},
	} {
		s := &answering{SAML: &SAML{EntityID: entity}, signIn: signIn{user: "ann"}, request: &saml.Request{Subject: tt.asked}}
		if got := s.nameID(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
