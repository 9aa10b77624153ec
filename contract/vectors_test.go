package contract

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the posture vectors anew")

const vectorDir = "../testdata/contract"

// base is the AuthnStatement's part of the published sample response, in an
// Assertion. Every vector is an edit of it.
const base = `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a" IssueInstant="2026-11-22T16:00:00Z" Version="2.0">
<saml:Issuer>https://idp.example.com/saml/metadata</saml:Issuer>
<saml:AuthnStatement AuthnInstant="2026-11-22T16:00:00Z">
<saml:AuthnContext>
<saml:AuthnContextClassRef>urn:okta:saml:2.0:DevicePosture</saml:AuthnContextClassRef>
<saml:AuthnContextDecl>
<AuthenticationContextDeclaration xmlns="urn:okta:saml:2.0:DevicePosture">
<AuthnMethod>
</AuthnMethod>
<Extension>
<Device xmlns="urn:okta:saml:2.0:DevicePosture" ID="98bcb804" Vendor="Apple" Model="iPhoneX" OS="iOS" OSVersion="10.2">
<Posture>
<Fact Name="IsManaged" Value="true" />
<Fact Name="IsCompliant" Value="false" />
<Attestation Type="iOS">eyJhbGciOiJIUzI1NiJ9.eyJp</Attestation>
</Posture>
</Device>
</Extension>
</AuthenticationContextDeclaration>
</saml:AuthnContextDecl>
</saml:AuthnContext>
</saml:AuthnStatement>
</saml:Assertion>
`

// edit replaces old by new, both exactly once there.
type edit struct{ old, new string }

const (
	managed     = `<Fact Name="IsManaged" Value="true" />`
	compliant   = `<Fact Name="IsCompliant" Value="false" />`
	attestation = `<Attestation Type="iOS">eyJhbGciOiJIUzI1NiJ9.eyJp</Attestation>`
	refElement  = `<saml:AuthnContextClassRef>urn:okta:saml:2.0:DevicePosture</saml:AuthnContextClassRef>`
	method      = "<AuthnMethod>\n</AuthnMethod>"
	declOpen    = `<AuthenticationContextDeclaration xmlns="urn:okta:saml:2.0:DevicePosture">`
)

// vectors has, for each requirement, an edit that breaks it and one that comes
// near without breaking it.
var vectors = []struct {
	id        string
	bad, good edit
	finds     string // instead of id
}{
	{"well-formed", edit{` Vendor="Apple"`, ` Vendor="Apple" Vendor="Dell"`}, edit{` Vendor="Apple"`, ` Vendor="&#65;pple"`}, ""},
	{"authn-context", edit{"</saml:AuthnStatement>", `</saml:AuthnStatement><saml:AuthnStatement/>`},
		edit{"</saml:AuthnStatement>", `</saml:AuthnStatement><saml:AttributeStatement/>`}, ""},
	{"class-ref", edit{refElement, strings.Replace(refElement, "DevicePosture", "deviceposture", 1)},
		edit{"<saml:AuthnContextDecl>", "<!-- none -->\n<saml:AuthnContextDecl>"}, ""},
	{"decl", edit{refElement, refElement + "<saml:AuthenticatingAuthority>x</saml:AuthenticatingAuthority>"},
		edit{"</saml:AuthnContextDecl>", "</saml:AuthnContextDecl><saml:AuthenticatingAuthority>x</saml:AuthenticatingAuthority>"}, ""},
	{"declaration", edit{declOpen, strings.Replace(declOpen, "urn:okta:saml:2.0:DevicePosture", "urn:oasis:names:tc:SAML:2.0:ac", 1)},
		edit{declOpen, strings.Replace(declOpen, ">", ` xmlns:x="urn:x">`, 1)}, ""},
	{"authn-method", edit{method + "\n", ""}, edit{method, "<AuthnMethod/>"}, ""},
	{"extension", edit{"</Extension>", "</Extension><Extension/>"}, edit{"<Extension>\n", "<Extension>"}, ""},
	{"device-once", edit{"</Device>", "</Device><Device><Posture>" + managed + "</Posture></Device>"}, edit{"</Device>\n", "</Device>"}, ""},
	{"device-attributes", edit{` OSVersion="10.2"`, ` OSVersion="10.2" Serial="C02"`}, edit{` OSVersion="10.2"`, ""}, ""},
	{"posture-once", edit{"</Posture>", "</Posture><Posture/>"}, edit{"</Posture>\n", "</Posture>"}, ""},
	{"facts-first", edit{compliant + "\n" + attestation, attestation + compliant}, edit{managed + "\n" + compliant, compliant + managed}, ""},
	{"fact-attributes", edit{compliant, `<Fact Name="IsCompliant" Value="false" Source="mdm" />`},
		edit{compliant, `<Fact Value="false" Name="IsCompliant"></Fact>`}, ""},
	{"attestation-type", edit{attestation, "<Attestation>x</Attestation>"}, edit{attestation, `<Attestation Type="tpm"/>`}, ""},
	{"nothing-else", edit{compliant, compliant + "yes"}, edit{compliant, strings.Replace(compliant, " />", ">text that says nothing</Fact>", 1)}, ""},
	// No XML parser lets such a character through, so bytes cannot break this
	// one by itself; TestCheck breaks it with a value.
	{"characters", edit{` Vendor="Apple"`, ` Vendor="&#1;"`}, edit{` Vendor="Apple"`, ` Vendor="&#9;é &lt;&#x1F600;"`}, "well-formed"},
	{"device-id", edit{` ID="98bcb804"`, ` ID=""`}, edit{` ID="98bcb804"`, ` ID="1"`}, ""},
	{"fact-name", edit{compliant, `<Fact Name="" Value="x" />`}, edit{compliant, `<Fact Name="x" Value="" />`}, ""},
	{"managed-once", edit{managed + "\n", ""}, edit{managed, `<Fact Value="true" Name="IsManaged" />`}, ""},
	{"managed-value", edit{managed, `<Fact Name="IsManaged" Value="True" />`}, edit{managed, `<Fact Name="IsManaged" Value="false" />`}, ""},
	{"compliant-once", edit{compliant, compliant + compliant}, edit{compliant + "\n", ""}, ""},
	{"compliant-value", edit{compliant, `<Fact Name="IsCompliant" Value="1" />`}, edit{compliant, `<Fact Name="IsCompliant" Value="true" />`}, ""},
	{"fact-repeated", edit{compliant, `<Fact Name="DiskEncrypted" Value="true" /><Fact Name="DiskEncrypted" Value="false" />`},
		edit{compliant, `<Fact Name="DiskEncrypted" Value="true" /><Fact Name="diskencrypted" Value="true" />`}, ""},
	{"attestation-named", edit{attestation, `<Attestation Type="">x</Attestation>`}, edit{attestation, attestation + attestation}, ""},
}

func (e edit) apply(t *testing.T) []byte {
	t.Helper()
	if n := strings.Count(base, e.old); n != 1 {
		t.Fatalf("%q is %d times in the base", e.old, n)
	}
	return []byte(strings.Replace(base, e.old, e.new, 1))
}

// vector reads the vector as it lies in testdata, after making sure that it is
// the edit that stands above.
func vector(t *testing.T, name string, e edit) []byte {
	t.Helper()
	file := filepath.Join(vectorDir, "posture-"+name+".xml")
	if *update {
		if err := os.WriteFile(file, e.apply(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc, e.apply(t)) {
		t.Fatalf("%s is not the edit that its test describes; run with -update", file)
	}
	return doc
}

func ids(findings []Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, f.ID)
	}
	return strings.Join(all, " ")
}

func TestVectors(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, v := range vectors {
		tested[v.id] = true
		t.Run(v.id, func(t *testing.T) {
			if _, found := ParsePosture(vector(t, v.id+"-good", v.good)); found != nil {
				t.Errorf("good: %v", found)
			}
			want := v.id
			if v.finds != "" {
				want = v.finds
			}
			_, found := ParsePosture(vector(t, v.id+"-bad", v.bad))
			if !strings.Contains(" "+ids(found)+" ", " "+want+" ") {
				t.Errorf("bad: found %v, want %s", found, want)
			}
			for _, f := range found {
				if f.Message == "" || f.Citation == "" || f.Severity == "" {
					t.Errorf("finding with a hole: %#v", f)
				}
			}
		})
	}
	for _, v := range claimVectors { // TestClaimVectors runs them
		tested[v.id] = true
	}
	for _, r := range Requirements() {
		if !tested[r.ID] {
			t.Errorf("requirement %s has no vectors", r.ID)
		}
		if r.Citation == "" || r.Text == "" || r.Severity == "" {
			t.Errorf("requirement with a hole: %#v", r)
		}
	}
	if len(tested) != len(Requirements()) {
		t.Errorf("%d vectors for %d requirements", len(tested), len(Requirements()))
	}
}
