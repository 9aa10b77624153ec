package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatepost.dev/posture"
)

var now = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)

// inventory is a Staging that keeps what was committed.
type inventory struct {
	source    posture.Source
	at        time.Time
	replace   bool
	staged    []posture.Report
	devices   []posture.Report // what Commit made of it
	discard   bool             // keeps no reports, only counts them
	count     int
	began     bool
	aborted   bool
	stageErr  error
	commitErr error

	lost, managed int
	lossErr       error
}

func (v *inventory) begin(_ context.Context, source posture.Source, at time.Time, replace bool) (Staging, error) {
	v.began, v.source, v.at, v.replace = true, source, at, replace
	return v, nil
}

func (v *inventory) Stage(_ context.Context, reports []posture.Report) error {
	v.count += len(reports)
	if !v.discard {
		v.staged = append(v.staged, reports...)
	}
	return v.stageErr
}

func (v *inventory) Losses(context.Context) (lost, managed int, err error) {
	return v.lost, v.managed, v.lossErr
}

func (v *inventory) Abort(ctx context.Context) error {
	v.aborted = true
	return ctx.Err()
}

func (v *inventory) Commit(_ context.Context, progress func(done, total int)) (Result, error) {
	if v.commitErr != nil {
		return Result{}, v.commitErr
	}
	v.devices = v.staged
	progress(v.count, v.count)
	return Result{Created: v.count}, nil
}

func (v *inventory) importer() *Importer {
	return &Importer{Begin: v.begin, Now: func() time.Time { return now }}
}

func TestImport(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("id,managed\n")
	for i := range 2501 {
		fmt.Fprintf(&file, "d%d,true\n", i)
	}
	v := &inventory{}
	var events []Event
	result, err := v.importer().Import(t.Context(), strings.NewReader(file.String()), CSV, "hr", Mode{Replace: true}, func(e Event) { events = append(events, e) })
	if err != nil || result.Created != 2501 {
		t.Fatal(result, err)
	}
	if v.source != (posture.Source{Name: "hr", Kind: posture.Import}) || !v.at.Equal(now) || !v.replace || v.aborted {
		t.Errorf("%+v", v.source)
	}
	if len(v.devices) != 2501 || v.devices[2500].DeviceID != "d2500" || v.devices[2500].Facts[posture.FactManaged] != "true" {
		t.Errorf("%d devices, last %+v", len(v.devices), v.devices[len(v.devices)-1])
	}
	want := []Event{{Read: 1000}, {Read: 2000}, {Read: 2501}, {Read: 2501, Applied: 2501, Total: 2501}}
	if fmt.Sprint(events) != fmt.Sprint(want) {
		t.Errorf("events %+v, want %+v", events, want)
	}
}

func TestImportRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file, source string
		format             Format
		replace            bool
		want               error
		faults             int
		began              bool
	}{
		{"bad rows, early and late", "id\na\n..\n" + ids(300) + "//\n", "import", CSV, false, ErrBadRows, 2, true},
		{"two faults in a row", `{"id":"a","managed":"x","compliant":"y"}`, "import", JSONL, false, ErrBadRows, 2, true},
		{"no header", "", "import", CSV, false, ErrBadRows, 1, true},
		{"nothing, to replace what there is", "id\n", "import", CSV, true, ErrEmptyReplace, 0, true},
		{"nothing in JSON, to replace what there is", "\n", "import", JSONL, true, ErrEmptyReplace, 0, true},
		{"format", "id\na\n", "import", "xml", false, ErrBadFormat, 0, false},
		{"no source", "id\na\n", "", CSV, false, ErrBadSource, 0, false},
		{"source with a slash", "id\na\n", "a/b", CSV, false, ErrBadSource, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v, faults := &inventory{}, 0
			_, err := v.importer().Import(t.Context(), strings.NewReader(test.file), test.format, test.source, Mode{Replace: test.replace}, func(e Event) {
				if e.Bad != nil {
					faults++
				}
			})
			if !errors.Is(err, test.want) || faults != test.faults {
				t.Errorf("error %v and %d faults, want %v and %d", err, faults, test.want, test.faults)
			}
			if v.devices != nil || v.began != test.began || v.aborted != v.began {
				t.Errorf("began %v, aborted %v, imported %d", v.began, v.aborted, len(v.devices))
			}
		})
	}
}

func ids(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "d%d\n", i)
	}
	return b.String()
}

func TestImportErrorCountsRows(t *testing.T) {
	t.Parallel()
	v := &inventory{}
	_, err := v.importer().Import(t.Context(), strings.NewReader("id,managed,compliant\na,true,true\nb,x,y\nc,,\nd,z,\n"), CSV, "import", Mode{}, func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "2 bad of 4 rows") {
		t.Error(err)
	}
}

func TestImportNothingIsNoError(t *testing.T) {
	t.Parallel()
	v := &inventory{}
	if result, err := v.importer().Import(t.Context(), strings.NewReader("id\n"), CSV, "import", Mode{}, func(Event) {}); err != nil || result != (Result{}) {
		t.Error(result, err)
	}
}

func TestImportFailures(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	for name, v := range map[string]*inventory{"staging": {stageErr: full}, "staging the rest": {stageErr: full}, "commit": {commitErr: full}} {
		file := map[string]string{"staging": "id\n" + ids(150), "staging the rest": "id\na\n", "commit": "id\na\n"}[name]
		_, err := v.importer().Import(t.Context(), strings.NewReader(file), CSV, "import", Mode{}, func(Event) {})
		if !errors.Is(err, full) || v.aborted != (v.commitErr == nil) {
			t.Errorf("%s: error %v, aborted %v", name, err, v.aborted)
		}
	}
	begin := Importer{Begin: func(context.Context, posture.Source, time.Time, bool) (Staging, error) { return nil, full }, Now: time.Now}
	if _, err := begin.Import(t.Context(), strings.NewReader("id\n"), CSV, "import", Mode{}, func(Event) {}); !errors.Is(err, full) {
		t.Error(err)
	}
}

func TestImportAbortsWhenTheClientHasGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	v, gone := &inventory{}, errors.New("connection reset")
	body := io.MultiReader(strings.NewReader("id\n"+ids(250)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, gone
	}))
	_, err := v.importer().Import(ctx, body, CSV, "import", Mode{}, func(Event) {})
	if !errors.Is(err, gone) || !errors.Is(err, ErrUnreadable) || errors.Is(err, context.Canceled) || !v.aborted || v.devices != nil {
		t.Errorf("error %v, aborted %v, imported %d", err, v.aborted, len(v.devices))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// endless gives rows with ascending IDs, n of them, without holding them.
func endless(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.WriteString(w, "id,serial,vendor,model,os,os_version,owner,managed,compliant,fact.DiskEncrypted\n")
		for i := 0; i < n && err == nil; i++ {
			_, err = fmt.Fprintf(w, "device-%07d,C02%07d,Apple,\"MacBook Air, M3\",macOS,15.5,user%d@example.com,true,true,true\n", i, i, i)
		}
		w.CloseWithError(err)
	}()
	return r
}

func TestImportMemoryIsFlat(t *testing.T) {
	rows := 300_000
	if testing.Short() {
		rows = 30_000
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	v := &inventory{discard: true}
	result, err := v.importer().Import(t.Context(), endless(rows), CSV, "import", Mode{}, func(e Event) {
		if e.Total > 0 { // all read, and the parser still alive
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	})
	if err != nil || result.Created != rows {
		t.Fatal(result, err)
	}
	const perRow, fixed = 64, 2 << 20 // the table of IDs, which may be half empty after it grew
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > int64(rows*perRow+fixed) {
		t.Errorf("%d rows left %d bytes on the heap", rows, grown)
	}
}

func BenchmarkParseCSV(b *testing.B) {
	const rows = 100_000
	var file strings.Builder
	if _, err := io.Copy(&file, endless(rows)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if good, faults := count(ParseCSV(strings.NewReader(file.String()))); good != rows || faults != 0 {
			b.Fatal(good, faults)
		}
	}
}

func BenchmarkParseJSONL(b *testing.B) {
	const rows = 100_000
	var file strings.Builder
	for i := range rows {
		fmt.Fprintf(&file, `{"id":"device-%07d","serial":"C02%07d","vendor":"Apple","model":"MacBook Air, M3","os":"macOS","os_version":"15.5",`+
			`"owner":"user%d@example.com","managed":true,"compliant":true,"fact.DiskEncrypted":"true"}`+"\n", i, i, i)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if good, faults := count(ParseJSONL(strings.NewReader(file.String()))); good != rows || faults != 0 {
			b.Fatal(good, faults)
		}
	}
}

func count(rows Rows) (good, faults int) {
	for _, err := range rows {
		if err != nil {
			faults++
		} else {
			good++
		}
	}
	return good, faults
}

// TestHold: what takes more than a fifth away needs an approval, and has no
// effect without one.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		lost, managed int
		held          bool
	}{
		{0, 0, false}, {0, 100, false}, {4, 4, false}, {1, 5, false}, {2, 5, true}, {5, 5, true},
		{20, 100, false}, {21, 100, true}, {200, 1000, false}, {201, 1000, true},
	} {
		for _, approved := range []bool{false, true} {
			v := &inventory{lost: test.lost, managed: test.managed}
			_, err := v.importer().Import(t.Context(), strings.NewReader("id\na\n"), CSV, "hr", Mode{Approved: approved}, func(Event) {})
			held := test.held && !approved
			if errors.Is(err, ErrHeld) != held || v.aborted != held || (len(v.devices) == 0) != held {
				t.Errorf("%+v, approved %t: %v", test, approved, err)
			}
			if held && !strings.Contains(err.Error(), fmt.Sprintf("%d of the %d devices", test.lost, test.managed)) {
				t.Error(err)
			}
		}
	}
	broken := errors.New("broken")
	v := &inventory{lossErr: broken}
	if _, err := v.importer().Import(t.Context(), strings.NewReader("id\na\n"), CSV, "hr", Mode{}, func(Event) {}); !errors.Is(err, broken) || !v.aborted {
		t.Error(err)
	}
}
