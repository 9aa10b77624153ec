package contract

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ofSchema names the requirements that device-posture.xsd states itself.
var ofSchema = map[string]bool{
	"device-attributes": true, "posture-once": true, "facts-first": true,
	"fact-attributes": true, "attestation-type": true, "nothing-else": true,
}

// TestSchema asks xmllint and the published schema about random Device
// elements, most of them wrong, and wants the same answer from the checks.
func TestSchema(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatal("xmllint is needed for this test: install libxml2-utils")
	}
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	args := []string{"--noout", "--schema", filepath.Join(vectorDir, "device-posture.xsd")}
	docs := map[string]string{}
	for i := range 400 {
		file := filepath.Join(dir, fmt.Sprintf("%03d.xml", i))
		docs[file] = randomDevice(rnd)
		if err := os.WriteFile(file, []byte(docs[file]), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	// It exits with an error as soon as one document is not valid.
	out, _ := exec.Command("xmllint", args...).CombinedOutput()
	lines := "\n" + string(out)
	valid := 0
	for file, doc := range docs {
		yes, no := strings.Contains(lines, "\n"+file+" validates\n"), strings.Contains(lines, "\n"+file+" fails to validate\n")
		if yes == no {
			t.Fatalf("xmllint gave no verdict on %s: %.2000s", file, out)
		}
		if yes {
			valid++
		}
		_, found := ParsePosture([]byte(wrap(doc)))
		broken := ""
		for _, f := range found {
			if ofSchema[f.ID] {
				broken += f.String() + "\n"
			}
		}
		if yes != (broken == "") {
			t.Errorf("xmllint says valid=%v of\n%s\nthe checks find: %q", yes, doc, broken)
		}
	}
	if valid < 50 || valid > 350 {
		t.Errorf("%d of %d documents are valid: the generator is lopsided", valid, len(docs))
	}
}

// wrap puts a Device where it belongs.
func wrap(device string) string {
	from, to := strings.Index(base, "<Device"), strings.Index(base, "</Device>")+len("</Device>")
	return base[:from] + device + base[to:]
}

// randomDevice writes a Device that has up to three faults.
func randomDevice(rnd *rand.Rand) string {
	content := []string{managed, compliant, attestation}
	attrs := []string{`ID="a"`, `OS="b"`}
	posture := ""
	for range rnd.IntN(3) {
		switch rnd.IntN(12) {
		case 0:
			content = append(content, `<Fact Name="late" Value="x"/>`)
		case 1:
			content = append([]string{`<Attestation Type="early">x</Attestation>`}, content...)
		case 2:
			content = append([]string{`<Fact Name="early">x</Fact>`}, content...)
		case 3:
			content = append(content, `<Attestation>x</Attestation>`)
		case 4:
			content = append(content, `<Attestation Type="t" Name="n">x</Attestation>`)
		case 5:
			content[0] = `<Fact Name="n" Value="v" Type="t"/>`
		case 6:
			content = append(content, `<Other/>`)
		case 7:
			content = append(content, "text")
		case 8:
			attrs = []string{`ID="a"`, `Serial="b"`}
		case 9:
			posture = "<Posture/>"
		case 10:
			content = append(content, `<Attestation Type="t"><x/></Attestation>`)
		case 11:
			content = append([]string{`<Fact xmlns="urn:x" Name="n" Value="v"/>`}, content...)
		}
	}
	if rnd.IntN(3) == 0 {
		content = content[:rnd.IntN(len(content)+1)]
	}
	return `<Device xmlns="urn:okta:saml:2.0:DevicePosture" ` + strings.Join(attrs, " ") + "><Posture>\n" +
		strings.Join(content, "\n") + "</Posture>" + posture + "</Device>"
}
