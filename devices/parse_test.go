package devices

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost.dev/posture"
)

// collect drains rows into the good rows, the faults as text, and the last
// other error.
func collect(rows Rows) (good []Row, faults []string, last error) {
	for row, err := range rows {
		if bad, ok := errors.AsType[*RowError](err); ok {
			faults = append(faults, bad.Error())
		} else if err != nil {
			last = err
		} else {
			good = append(good, row)
		}
	}
	return good, faults, last
}

func TestParseGoodRows(t *testing.T) {
	t.Parallel()
	want := []Row{
		{Line: 2, Report: posture.Report{DeviceID: "laptop-1", Serial: "C02", Vendor: "Apple, Inc.", Model: `13" Air`, OS: "macOS",
			OSVersion: "15.5", Owner: "zoë@example.com",
			Facts: map[string]string{"IsManaged": "true", "IsCompliant": "false", "Disk.Encrypted": "yes"}}},
		{Line: 4, Report: posture.Report{DeviceID: "urn:x_2.b", Facts: map[string]string{"IsManaged": "false"}}},
	}
	for name, rows := range map[string]Rows{
		"csv": ParseCSV(strings.NewReader("id,serial,vendor,model,os,os_version,owner,managed,compliant,fact.Disk.Encrypted\n" +
			`laptop-1,C02,"Apple, Inc.","13"" Air",macOS,15.5,zoë@example.com,true,false,yes` + "\n\n" +
			`"urn:x_2.b",,"",,,,,false,,`)),
		"csv of a spreadsheet": ParseCSV(strings.NewReader("\uFEFFmanaged,id,serial,vendor,model,os,os_version,owner,compliant,fact.Disk.Encrypted\r\n" +
			`true,laptop-1,C02,"Apple, Inc.","13"" Air",macOS,15.5,zoë@example.com,false,yes` + "\r\n\r\nfalse,urn:x_2.b,,,,,,,,\r\n")),
		"json lines": ParseJSONL(strings.NewReader("\n" +
			`{"id":"laptop-1","serial":"C02","vendor":"Apple, Inc.","model":"13\" Air","os":"macOS","os_version":"15.5",` +
			`"owner":"zo\u00eb@example.com","managed":true,"compliant":"false","fact.Disk.Encrypted":"yes"}` + "\r\n\n" +
			` { "owner" : "" , "id" : "urn:x_2.b" , "managed" : false } `)),
	} {
		good, faults, err := collect(rows)
		if err != nil || len(faults) > 0 {
			t.Fatalf("%s: faults %q, error %v", name, faults, err)
		}
		if len(good) != len(want) {
			t.Fatalf("%s: %d rows, want %d", name, len(good), len(want))
		}
		for i := range want {
			if !sameRow(good[i], want[i]) {
				t.Errorf("%s: row %d:\n%+v, want\n%+v", name, i, good[i], want[i])
			}
		}
	}
}

func sameRow(a, b Row) bool {
	x, y := a.Report, b.Report
	return a.Line == b.Line && x.DeviceID == y.DeviceID && x.Serial == y.Serial && x.Vendor == y.Vendor && x.Model == y.Model &&
		x.OS == y.OS && x.OSVersion == y.OSVersion && x.Owner == y.Owner && maps.Equal(x.Facts, y.Facts)
}

func TestParseCSVFaults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for _, test := range []struct {
		name, file string
		want       []string // how each fault begins
		good       int
	}{
		{"nothing", "", []string{"line 1: the file is empty"}, 0},
		{"no id column", "serial,owner\na,b\n", []string{`line 1, id: there is no such column`}, 0},
		{"unknown columns, and the rows all the same", "id,Serial, owner,,hostname\na,1,2,3,4\n,1,2,3,4\n", []string{
			"line 1, Serial: unknown column; known are id, serial", `line 1, " owner": unknown column`, `line 1, "": unknown column`,
			"line 1, hostname: unknown column", "line 3, id: no value"}, 1},
		{"doubled column", "id,os,id,os\na,b,c,d\n", []string{
			"line 1, id: column 3 has the same name as column 1", "line 1, os: column 4 has the same name as column 2"}, 1},
		{"facts with columns of their own", "id,fact.IsManaged,fact.ISMANAGED,fact.isCompliant\n", []string{
			"line 1, fact.IsManaged: this fact has a column of its own: managed",
			"line 1, fact.ISMANAGED: this fact has a column of its own: managed",
			"line 1, fact.isCompliant: this fact has a column of its own: compliant"}, 0},
		{"names of facts", "id,fact.,fact.9a,fact.a b,fact." + strings.Repeat("a", 65) + ",fact." + strings.Repeat("a", 64) + "\n", []string{
			"line 1, fact.: bad name of a fact", "line 1, fact.9a: bad name", "line 1, fact.a b: bad name", "line 1, fact.aaa"}, 0},
		{"too few and too many values", "id,os\na\nb,c,d\ne,f\n", []string{
			"line 2: 1 values, but the header names 2 columns", "line 3: 3 values, but"}, 1},
		{"truth values", "id,managed,compliant\na,TRUE,yes\nb,1,false\n", []string{
			`line 2, managed: "TRUE" is not a truth value: write true or false`, `line 2, compliant: "yes" is not`, `line 3, managed: "1" is not`}, 0},
		{"IDs", "id\na b\n..\n" + strings.Repeat("a", 129) + "\n" + strings.Repeat("a", 128) + "\nä\n", []string{
			`line 2, id: device ID "a b" has a character`, `line 3, id: ".." cannot be an ID`, `line 4, id: device ID "aaa`, `line 6, id: device ID`}, 1},
		{"the same ID twice", "id,os\na,1\nb,2\na,3\nA,4\n", []string{`line 4, id: "a" stands on line 2 already`}, 3},
		{"a bad row's ID counts", "id,managed\na,nope\na,true\n", []string{"line 2, managed:", `line 3, id: "a" stands on line 2`}, 0},
		{"values", "id,os,owner\na," + long + "," + long[1:] + "\nb,tab\there,\xff\nc,\x00,\u0085\nd,\uFFFE, x\n", []string{
			"line 2, os: 257 bytes long; at most 256",
			"line 3, os: holds the character U+0009", "line 3, owner: not valid UTF-8",
			"line 4, os: holds the character U+0000", "line 4, owner: holds the character U+0085",
			"line 5, os: holds the character U+FFFE", `line 5, owner: " x" has a space before or after it`}, 0},
		{"quotes", "id,os\na,\"b\nc,\"d\"e\nf,g\"h\"\ni,\"j\"\"\"\n", []string{
			"line 2: a quoted value does not end on its line", "line 3: a quoted value goes on after its closing quote", "line 4: a quote inside an unquoted value"}, 1},
		{"a bad header", "\"id\n", []string{"line 1: a quoted value does not end"}, 0},
		{"a long line", "id,os\na,b\nc," + strings.Repeat("d", maxLine) + "\ne,f\n", []string{"line 3: more than 65536 bytes long"}, 2},
		{"a long last line", "id,os\na," + strings.Repeat("d", 3*maxLine), []string{"line 2: more than 65536 bytes long"}, 0},
		{"a long header", strings.Repeat("d", 2*maxLine) + "\nid\n", []string{"line 1: more than 65536 bytes long"}, 0},
		{"too many facts", manyFacts(65) + manyFacts(64)[strings.Index(manyFacts(64), "\n")+1:], []string{
			"line 2: 65 facts; at most 64 are taken", "line 3: 66 values, but"}, 0},
		{"as many facts as may be", manyFacts(64), nil, 1},
		{"lone carriage returns", "id\rserial\n", []string{`line 1, "id\rserial": unknown column`, "line 1, id: there is no such column"}, 0},
		{"UTF-16", "\xff\xfei\x00d\x00\n", []string{`line 1, "\xff\xfei\x00d\x00": unknown column`, "line 1, id: there is no such"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			good, faults, err := collect(ParseCSV(strings.NewReader(test.file)))
			expectFaults(t, faults, test.want)
			if err != nil || len(good) != test.good {
				t.Errorf("%d good rows and error %v, want %d", len(good), err, test.good)
			}
		})
	}
}

// manyFacts is a file with one row that has n facts and says managed.
func manyFacts(n int) string {
	header, row := "id,managed", "a,true"
	for i := range n {
		header += ",fact.F" + strconv.Itoa(i)
		row += ",v"
	}
	return header + "\n" + row + "\n"
}

func expectFaults(t *testing.T, faults, want []string) {
	t.Helper()
	if len(faults) != len(want) {
		t.Errorf("%d faults, want %d:\n%s", len(faults), len(want), strings.Join(faults, "\n"))
		return
	}
	for i := range want {
		if !strings.HasPrefix(faults[i], want[i]) {
			t.Errorf("fault %q, want %q", faults[i], want[i])
		}
	}
}

func TestParseJSONLFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file string
		want       []string
		good       int
	}{
		{"no object", "[]\n\"a\"\nnull\n \nid,os\n", []string{"line 1: not a JSON object", "line 2: not a", "line 3: not a", "line 4: not a", "line 5: not a"}, 0},
		{"two objects", `{"id":"a"}{"id":"b"}` + "\n" + `{"id":"c"} x`, []string{
			"line 1: something stands after the object", "line 2: something stands after the object"}, 0},
		{"broken", `{"id":"a"` + "\n" + `{"id" "b"}` + "\n" + `{"id":"c",}` + "\n" + `{"id":"\ud800"}` + "\n{\"id\":\"\xff\"}\n{", []string{
			"line 1: not valid JSON: the line ends", "line 2: not valid JSON at byte", "line 3: not valid JSON at byte",
			"line 4: not valid JSON at byte", "line 5: not valid JSON at byte", "line 6: not valid JSON: the line ends"}, 0},
		{"unknown and differently cased names", `{"id":"a","ID":"b","Managed":true,"nested":{"id":"c"}}`, []string{
			"line 1, ID: unknown column", "line 1, Managed: unknown column", "line 1, nested: unknown column"}, 0},
		{"the same name twice", `{"id":"a","os":"b","os":"c"}` + "\n" + `{"id":"d","\u0069d":"e"}`, []string{
			`line 1: the name "os" comes twice`, `line 2: the name "id" comes twice`}, 0},
		{"types", `{"id":7}` + "\n" + `{"id":"a","os":null,"fact.A":true,"owner":["x"],"managed":1,"compliant":null}`, []string{
			"line 1, id: not a string", "line 2, os: not a string", "line 2, fact.A: not a string", "line 2, owner: not a string",
			"line 2, managed: not a truth value", "line 2, compliant: not a truth value"}, 0},
		{"values", `{"id":"a","os":"\u0000","managed":"True","owner":"x "}`, []string{
			"line 1, os: holds the character U+0000", `line 1, managed: "True" is not`, `line 1, owner: "x " has a space`}, 0},
		{"no id", `{"os":"x"}` + "\n{}\n" + `{"id":""}`, []string{"line 1, id: no value", "line 2, id: no value", "line 3, id: no value"}, 0},
		{"the same ID twice", `{"id":"a"}` + "\n" + `{"id":"\u0061"}`, []string{`line 2, id: "a" stands on line 1 already`}, 1},
		{"the fact of the verdict", `{"id":"a","fact.IsManaged":"true"}`, []string{"line 1, fact.IsManaged: this fact has"}, 0},
		{"a long line", `{"id":"` + strings.Repeat("a", maxLine) + `"}` + "\n" + `{"id":"a"}`, []string{"line 1: more than"}, 1},
		{"nothing", "", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			good, faults, err := collect(ParseJSONL(strings.NewReader(test.file)))
			expectFaults(t, faults, test.want)
			if err != nil || len(good) != test.good {
				t.Errorf("%d good rows and error %v, want %d", len(good), err, test.good)
			}
		})
	}
}

func TestParseReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for name, parse := range map[string]func(io.Reader) Rows{"csv": ParseCSV, "jsonl": ParseJSONL} {
		file := map[string]string{"csv": "id\na\nb", "jsonl": `{"id":"a"}` + "\n" + `{"id":`}[name]
		good, faults, err := collect(parse(io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken))))
		if !errors.Is(err, broken) || len(good) != 1 || len(faults) != 0 {
			t.Errorf("%s: %d rows, faults %q, error %v: what was cut must not count as a row", name, len(good), faults, err)
		}
	}
	if _, _, err := collect(ParseCSV(iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("error %v in the header", err)
	}
}

func TestParseStopsWhenAsked(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"id\na\nb\n", "id\n..\n..\n", "id,x,y\n"} {
		seen := 0
		for range ParseCSV(strings.NewReader(file)) {
			seen++
			break
		}
		if seen != 1 {
			t.Errorf("%q: %d", file, seen)
		}
	}
}

// writeCSV writes rows so that ParseCSV gives them back.
func writeCSV(rows []Row) string {
	facts := map[string]bool{}
	for _, row := range rows {
		for name := range row.Report.Facts {
			facts[name] = true
		}
	}
	delete(facts, posture.FactManaged)
	delete(facts, posture.FactCompliant)
	names := slices.Sorted(maps.Keys(facts))
	var b strings.Builder
	b.WriteString("id,serial,vendor,model,os,os_version,owner,managed,compliant")
	for _, name := range names {
		b.WriteString(",fact." + name)
	}
	for _, row := range rows {
		r := row.Report
		b.WriteString("\n")
		for i, value := range []string{r.DeviceID, r.Serial, r.Vendor, r.Model, r.OS, r.OSVersion, r.Owner,
			r.Facts[posture.FactManaged], r.Facts[posture.FactCompliant]} {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(`"` + strings.ReplaceAll(value, `"`, `""`) + `"`)
		}
		for _, name := range names {
			b.WriteString(`,"` + strings.ReplaceAll(r.Facts[name], `"`, `""`) + `"`)
		}
	}
	return b.String()
}

func FuzzParseCSV(f *testing.F) {
	for _, seed := range []string{
		"id,serial,managed\na,b,true\n", "\uFEFFid,fact.A\r\n\"a\",\"\"\"\"\r\n", "id\na\na\n", "id,id\n\"", "id,owner\n\xff,\x00\n", "", "\n\n,",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) { fuzzParse(t, ParseCSV, file) })
}

func FuzzParseJSONL(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","managed":true,"fact.X":"y"}`, `{"id":"a"}` + "\n" + `{"id":"a"}`, `{"id":"\ud83d\ude00","ID":1}`, "[[[[", `{"id":{"id":[]}} {`, "\n", `{"a`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) { fuzzParse(t, ParseJSONL, file) })
}

// fuzzParse checks that good rows survive being written and read again, and
// that faults stand on lines of the file.
func fuzzParse(t *testing.T, parse func(io.Reader) Rows, file string) {
	var good []Row
	for row, err := range parse(strings.NewReader(file)) {
		if bad, ok := errors.AsType[*RowError](err); ok {
			if bad.Line < 1 || bad.Line > strings.Count(file, "\n")+1 || bad.Problem == "" {
				t.Fatalf("fault %+v of a file with %d line ends", bad, strings.Count(file, "\n"))
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, row)
	}
	again, faults, err := collect(ParseCSV(strings.NewReader(writeCSV(good))))
	if err != nil || len(faults) > 0 || len(again) != len(good) {
		t.Fatalf("%d rows became %d, faults %q, error %v", len(good), len(again), faults, err)
	}
	for i := range good {
		again[i].Line = good[i].Line
		if !sameRow(good[i], again[i]) {
			t.Fatalf("row %+v became %+v", good[i], again[i])
		}
	}
}
