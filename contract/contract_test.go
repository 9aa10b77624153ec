package contract

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// sampleAssertion cuts the Assertion out of the published sample response.
func sampleAssertion(t testing.TB) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(vectorDir, "sample-response.xml"))
	if err != nil {
		t.Fatal(err)
	}
	from, to := bytes.Index(doc, []byte("<saml:Assertion")), bytes.Index(doc, []byte("</samlp:Response>"))
	if from < 0 || to < from {
		t.Fatal("no Assertion in the sample response")
	}
	return doc[from:to]
}

func TestParsePostureSample(t *testing.T) {
	t.Parallel()
	want := &Posture{
		Device:       Device{ID: "98bcb804e611de8fb0824b8dbaccfe3cc63171b4", Vendor: "Apple", Model: "iPhoneX", OS: "iOS", OSVersion: "10.2"},
		Facts:        []Fact{{"IsManaged", "true"}, {"IsCompliant", "false"}},
		Attestations: []Attestation{{"iOS", "eyJhbGciOiJIUzI1NiJ9.eyJp…"}},
	}
	got, found := ParsePosture(sampleAssertion(t))
	if found != nil {
		t.Errorf("found %v", found)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParsePostureAuthnContext(t *testing.T) {
	t.Parallel()
	from, to := strings.Index(base, "<saml:AuthnContext>"), strings.Index(base, "</saml:AuthnStatement>")
	doc := strings.Replace(base[from:to], "<saml:AuthnContext>", `<saml:AuthnContext xmlns:saml="`+nsAssertion+`">`, 1)
	p, found := ParsePosture([]byte(doc))
	if found != nil || p == nil || p.Device.ID != "98bcb804" {
		t.Errorf("got %+v, %v", p, found)
	}
}

// More ways to be wrong than one for each requirement.
func TestParsePostureRefuses(t *testing.T) {
	t.Parallel()
	in := func(old, new string) string { return strings.Replace(base, old, new, 1) }
	for name, c := range map[string]struct{ doc, want string }{
		"nothing":              {"", "well-formed"},
		"text":                 {"hello", "well-formed"},
		"doctype":              {"<!DOCTYPE a>" + base, "well-formed"},
		"processing":           {base + "<?x y?>", "well-formed"},
		"two roots":            {base + base, "well-formed"},
		"text behind":          {base + "x", "well-formed"},
		"undeclared prefix":    {in("<Posture>", "<x:y/><Posture>"), "well-formed"},
		"undeclared attribute": {in("<Posture>", `<Posture x:y="">`), "well-formed"},
		"cut off":              {base[:len(base)/2], "well-formed"},
		"deep":                 {strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000), "well-formed"},
		"other root":           {`<Assertion/>`, "authn-context"},
		"no statement":         {`<a:Assertion xmlns:a="` + nsAssertion + `"/>`, "authn-context"},
		"no context":           {`<a:Assertion xmlns:a="` + nsAssertion + `"><a:AuthnStatement/></a:Assertion>`, "authn-context"},
		"no class":             {in(refElement, ""), "class-ref"},
		"two classes":          {in(refElement, refElement+refElement), "class-ref"},
		"padded class":         {in(refElement, strings.Replace(refElement, "urn:", "\nurn:", 1)), "class-ref"},
		"class second":         {in(refElement, "<saml:AuthenticatingAuthority/>"+refElement), "class-ref"},
		"split class":          {in(refElement, strings.Replace(refElement, "Posture<", "Posture<x/><", 1)), "class-ref"},
		"no decl":              {in("<saml:AuthnContextDecl>", "<!--")[:strings.Index(base, "<saml:AuthnContextDecl>")] + "</saml:AuthnContext></saml:AuthnStatement></saml:Assertion>", "decl"},
		"empty decl":           {`<a:AuthnContext xmlns:a="` + nsAssertion + `"><a:AuthnContextClassRef>` + DevicePosture + `</a:AuthnContextClassRef><a:AuthnContextDecl/></a:AuthnContext>`, "declaration"},
		"method in ac":         {in(method, `<AuthnMethod xmlns="urn:oasis:names:tc:SAML:2.0:ac"/>`), "authn-method"},
		"method with text":     {in(method, "<AuthnMethod>password</AuthnMethod>"), "nothing-else"},
		"method second":        {in(method, "<Other/>"+method), "authn-method"},
		"device elsewhere":     {in(`<Device xmlns="urn:okta:saml:2.0:DevicePosture"`, `<Device xmlns="urn:x"`), "device-once"},
		"text in Device":       {in("<Posture>", "x<Posture>"), "nothing-else"},
		"element in Fact":      {in(managed, strings.Replace(managed, " />", "><x/></Fact>", 1)), "nothing-else"},
		"element in Posture":   {in(managed, managed+"<Facts/>"), "nothing-else"},
		"attribute of Posture": {in("<Posture>", `<Posture At="now">`), "posture-once"},
		"attribute of another": {in(` Vendor=`, ` xmlns:x="urn:x" x:Vendor=`), "device-attributes"},
		"lower case name":      {in(managed, strings.Replace(managed, "Name", "name", 1)), "fact-attributes"},
		"managed twice":        {in(managed, managed+managed), "managed-once"},
		"managed padded":       {in(managed, strings.Replace(managed, "true", "true ", 1)), "managed-value"},
		"managed misspelt":     {in(managed, strings.Replace(managed, "IsManaged", "isManaged", 1)), "managed-once"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, found := ParsePosture([]byte(c.doc))
			if !strings.Contains(" "+ids(found)+" ", " "+c.want+" ") || !Failed(found) {
				t.Errorf("found %v, want %s", found, c.want)
			}
		})
	}
}

func good() *Posture {
	return &Posture{
		Device: Device{ID: "d1", Vendor: "Apple", Model: "Mac15,3", OS: "macOS", OSVersion: "15.5"},
		Facts: []Fact{{FactManaged, "true"}, {FactCompliant, "false"}, {"DiskEncrypted", "true"},
			{"FirewallOn", "true"}, {"SerialNumber", "C02AB12CD"}},
		Attestations: []Attestation{{"tpm", strings.Repeat("QUJD", 100)}},
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	if found := good().Check(); found != nil {
		t.Fatalf("a good posture: %v", found)
	}
	many := func(names ...string) func(*Posture) {
		return func(p *Posture) {
			for i := range 40 {
				p.Facts = append(p.Facts, Fact{"f" + strconv.Itoa(i), ""})
			}
			for _, n := range names {
				p.Facts = append(p.Facts, Fact{Name: n})
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*Posture)
		want   string
	}{
		"empty":               {func(p *Posture) { *p = Posture{} }, "device-id managed-once"},
		"no device ID":        {func(p *Posture) { p.Device.ID = "" }, "device-id"},
		"not managed":         {func(p *Posture) { p.Facts[0].Value = "false" }, ""},
		"managed unsaid":      {func(p *Posture) { p.Facts = p.Facts[1:] }, "managed-once"},
		"managed upper case":  {func(p *Posture) { p.Facts[0].Value = "TRUE" }, "managed-value"},
		"managed empty":       {func(p *Posture) { p.Facts[0].Value = "" }, "managed-value"},
		"compliant unsaid":    {func(p *Posture) { p.Facts = p.Facts[:1] }, ""},
		"compliant yes":       {func(p *Posture) { p.Facts[1].Value = "yes" }, "compliant-value"},
		"compliant twice":     {func(p *Posture) { p.Facts[2].Name = FactCompliant }, "compliant-once fact-repeated"},
		"fact without a name": {func(p *Posture) { p.Facts[2].Name = "" }, "fact-name"},
		"fact twice":          {func(p *Posture) { p.Facts[4].Name = "DiskEncrypted" }, "fact-repeated"},
		"many facts":          {many(), ""},
		"many facts, two one": {many("f3"), "fact-repeated"},
		"attestation unnamed": {func(p *Posture) { p.Attestations[0].Type = "" }, "attestation-named"},
		"control in device":   {func(p *Posture) { p.Device.Model = "a\x00b" }, "characters"},
		"control in fact":     {func(p *Posture) { p.Facts[2].Value = "\x1b[31m" }, "characters"},
		"not UTF-8":           {func(p *Posture) { p.Facts[2].Value = "caf\xe9" }, "characters"},
		"surrogate":           {func(p *Posture) { p.Facts[2].Value = "\xed\xa0\x80" }, "characters"},
		"not a character":     {func(p *Posture) { p.Attestations[0].Value = "\uffff" }, "characters"},
		"replacement":         {func(p *Posture) { p.Device.Model = "\ufffd é 😀\t\r\n" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := good()
			c.change(p)
			if got := ids(p.Check()); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	p := good()
	if n := testing.AllocsPerRun(100, func() { p.Check() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	if Failed([]Finding{broken(deviceID, "none")}) {
		t.Error("a Should fails")
	}
	if !Failed([]Finding{broken(deviceID, "none"), broken(managedOnce, "none")}) {
		t.Error("a Must does not fail")
	}
}

func BenchmarkCheck(b *testing.B) {
	p := good()
	for b.Loop() {
		if p.Check() != nil {
			b.Fatal("not good")
		}
	}
}

func FuzzParsePosture(f *testing.F) {
	f.Add([]byte(base))
	f.Add(sampleAssertion(f))
	for _, v := range vectors {
		f.Add([]byte(strings.Replace(base, v.bad.old, v.bad.new, 1)))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, found := ParsePosture(doc)
		if p == nil && !Failed(found) {
			t.Error("no posture, and nothing wrong")
		}
		// What passes as bytes passes as a value.
		if p != nil && found == nil && p.Check() != nil {
			t.Errorf("the value breaks %v", p.Check())
		}
	})
}
