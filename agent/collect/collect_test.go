package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
)

// now is when all recordings are read.
func now() time.Time { return time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC) }

// recording is a device in a file of testdata, put together from what such
// devices were seen to say by those who published it. Its sections are
//
//	/etc/os-release            a file
//	/sys/... quoted            a file, as a Go string
//	$ /usr/bin/sw_vers ...     what a program writes; "stderr:" begins lines of its other end, "exit: 1" says how it ended
//	wmi NAMESPACE CLASS        what ConvertTo-Json makes of the instances, or "error: ..."
//	registry                   a .reg file
//	want                       the observation, as show writes it
type recording map[string]string

func record(t testing.TB, name string) recording {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := recording{}
	for _, f := range archive.Files {
		if _, twice := r[f.Name]; twice {
			t.Fatalf("%s: section %q twice", name, f.Name)
		}
		r[f.Name] = string(f.Data)
	}
	return r
}

// collector is that of the system in the folder's name.
func (r recording) collector(system string) *Collector {
	switch system {
	case "linux":
		return &Collector{(&linux{r.files(), r.run, now}).probes()}
	case "macos":
		return &Collector{(&macOS{r.run, now}).probes()}
	default:
		w := &windows{r.registry(), r.instances, r.run, `C:\Windows\System32`, now}
		return &Collector{w.probes()}
	}
}

func (r recording) files() fs.FS {
	files := fstest.MapFS{}
	for name, text := range r {
		name, ok := strings.CutPrefix(name, "/")
		if !ok {
			continue
		}
		name, quoted := strings.CutSuffix(name, " quoted")
		if quoted {
			var err error
			if text, err = strconv.Unquote(strings.TrimSpace(text)); err != nil {
				panic(err)
			}
		}
		files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o444, ModTime: now().Add(-time.Hour)}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			files[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o555, ModTime: now().Add(-time.Hour)}
		}
	}
	return files
}

func (r recording) run(_ context.Context, program string, args ...string) (stdout, stderr string, err error) {
	line := strings.Join(append([]string{program}, args...), " ")
	text, ok := r["$ "+line]
	if !ok && strings.HasSuffix(program, "powershell.exe") {
		text, ok = r["$ powershell"]
	}
	if !ok {
		return "", "", fmt.Errorf("no program %s: %w", program, fs.ErrNotExist)
	}
	for l := range strings.Lines(text) {
		if complaint, ok := strings.CutPrefix(l, "stderr: "); ok {
			stderr += complaint
		} else if status, ok := strings.CutPrefix(l, "exit: "); ok {
			err = fmt.Errorf("%s: exit status %s: %q", program, strings.TrimSpace(status), strings.TrimSpace(stderr))
		} else {
			stdout += l
		}
	}
	return stdout, stderr, err
}

var fromClass = regexp.MustCompile(` FROM (\w+)`)

func (r recording) instances(_ context.Context, namespace, query string, into any) error {
	text, ok := r["wmi "+namespace+" "+fromClass.FindStringSubmatch(query)[1]]
	if !ok {
		return errors.New("Exception occurred. (Invalid namespace )")
	}
	text = strings.TrimSpace(text)
	if complaint, ok := strings.CutPrefix(text, "error: "); ok {
		return errors.New(complaint)
	}
	if strings.HasPrefix(text, "{") { // one instance
		text = "[" + text + "]"
	}
	return json.Unmarshal([]byte(text), into)
}

// reg is a .reg file: keys in lower case, their values by name in lower case.
type reg map[string]map[string]string

func (r recording) registry() reg {
	long := strings.NewReplacer("HKEY_LOCAL_MACHINE", "HKLM", "HKEY_USERS", "HKU")
	all, key := reg{}, ""
	for line := range strings.Lines(r["registry"]) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			key = strings.ToLower(long.Replace(strings.Trim(line, "[]")))
			all[key] = map[string]string{}
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		if hex, ok := strings.CutPrefix(value, "dword:"); ok {
			n, err := strconv.ParseUint(hex, 16, 32)
			if err != nil {
				panic(err)
			}
			value = strconv.FormatUint(n, 10)
		}
		all[key][strings.ToLower(strings.Trim(name, `"`))] = strings.Trim(value, `"`)
	}
	return all
}

func (r reg) value(key, name string) (string, error) {
	value, ok := r[strings.ToLower(key)][strings.ToLower(name)]
	if !ok {
		return "", fmt.Errorf(`%s, %s: %w`, key, name, fs.ErrNotExist)
	}
	return value, nil
}

func (r reg) subkeys(key string) (names []string, err error) {
	for k := range r {
		if rest, ok := strings.CutPrefix(k, strings.ToLower(key)+`\`); ok {
			first, _, _ := strings.Cut(rest, `\`)
			names = append(names, strings.ToUpper(first[:1])+first[1:])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// show writes an observation: a line for what is known of the device, for each
// fact, and for each problem.
func show(o Observation) string {
	var b strings.Builder
	for _, f := range [][2]string{{"vendor", o.Device.Vendor}, {"model", o.Device.Model}, {"OS", o.Device.OS}, {"version", o.Device.OSVersion},
		{"serial", o.Device.Serial}, {"hardware ID", o.Device.HardwareID}, {"boot", o.BootID}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Facts)) {
		fmt.Fprintf(&b, "%s = %s\n", name, o.Facts[name])
	}
	for _, p := range o.Problems {
		fmt.Fprintf(&b, "? %s\n", p)
	}
	return b.String()
}

// TestRecorded observes the recorded devices of all three systems.
func TestRecorded(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "macos", "windows"} {
		names, err := filepath.Glob("testdata/" + system + "/*.txtar")
		if err != nil || len(names) < 3 {
			t.Fatalf("%d recordings of %s: %v", len(names), system, err)
		}
		for _, name := range names {
			t.Run(system+"/"+strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
				t.Parallel()
				r := record(t, name)
				o := r.collector(system).Collect(t.Context())
				bounded(t, o)
				if got := show(o); got != r["want"] {
					t.Errorf("got\n%s\nwant\n%s", got, r["want"])
				}
			})
		}
	}
}

// bounded checks what holds of every observation, whatever was found.
func bounded(t testing.TB, o Observation) {
	t.Helper()
	values := []string{o.Device.Vendor, o.Device.Model, o.Device.OS, o.Device.OSVersion, o.Device.Serial, o.Device.HardwareID, o.BootID}
	values = append(values, o.Problems...)
	for name, value := range o.Facts {
		values = append(values, value)
		switch _, err := strconv.ParseUint(value, 10, 31); {
		case value == "":
			t.Errorf("%s is empty: it should be absent", name)
		case name == "EDR":
		case name == "PendingSecurityUpdates":
			if err != nil {
				t.Errorf("%s = %q", name, value)
			}
		case value != "true" && value != "false":
			t.Errorf("%s = %q", name, value)
		}
	}
	for _, v := range values {
		if len(v) > maxValue || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) ||
			v != strings.TrimSpace(v) {
			t.Errorf("not bounded and clean: %q", v)
		}
	}
}

// TestTruncated cuts short what each program and each query answers, in several
// places: no panic, and what is protected is not what was not. (Half of a number
// is a number, and of several boot policies the first look complete.)
func TestTruncated(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "macos", "windows"} {
		names, err := filepath.Glob("testdata/" + system + "/*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "hostile.txtar") {
				continue
			}
			whole := record(t, name)
			facts := whole.collector(system).Collect(t.Context()).Facts
			for section, text := range whole {
				if !strings.HasPrefix(section, "$ ") && !strings.HasPrefix(section, "wmi ") ||
					strings.Contains(section, "bputil") {
					continue
				}
				for part := range 4 {
					cut := maps.Clone(whole)
					cut[section] = text[:len(text)*part/4]
					o := cut.collector(system).Collect(t.Context())
					bounded(t, o)
					for _, fact := range []string{"DiskEncrypted", "FirewallOn", "SecureBoot", "TPMPresent"} {
						if o.Facts[fact] == "true" && facts[fact] != "true" {
							t.Errorf("%s: %s became true with %d/4 of %s", name, fact, part, section)
						}
					}
				}
			}
		}
	}
}

// TestNothingThere: a machine on which nothing can be found out is an unknown
// one, not an insecure one.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "macos", "windows"} {
		o := recording{}.collector(system).Collect(t.Context())
		bounded(t, o)
		if len(o.Facts) != 0 {
			t.Errorf("%s: facts out of nothing: %v", system, o.Facts)
		}
		if len(o.Problems) < 7 {
			t.Errorf("%s: problems %q", system, o.Problems)
		}
	}
}

func TestOutOfTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := record(t, "testdata/linux/fedora-gnome.txtar").collector("linux").Collect(ctx)
	if len(o.Facts) != 0 || len(o.Problems) != 10 || !strings.Contains(o.Problems[0], "context canceled") {
		t.Errorf("facts %v, problems %q", o.Facts, o.Problems)
	}
}
