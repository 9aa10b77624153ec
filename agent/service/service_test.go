package service

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// awkward has arguments that every file format has to write differently.
func awkward(executable string) Program {
	return Program{
		Executable: executable,
		Args:       []string{"run", "--url", `https://device.example.com/?a=1&b=2`, "two words", `<"quoted"> \ 100% $HOME`, ""},
		StateDir:   "/var/lib/gatepost-agent",
		Writes:     []string{"/etc", "/home", "/srv/ann's 100% home"},
	}
}

// recorder runs nothing, and keeps what it should have run.
type recorder struct {
	lines   []string
	answers map[string]string // output, by the line's beginning; a line without one fails
}

func (r *recorder) run(_ context.Context, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	r.lines = append(r.lines, line)
	for begin, answer := range r.answers {
		if strings.HasPrefix(line, begin) {
			return answer, nil
		}
	}
	return "", errors.New("refused by the test")
}

func (r *recorder) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(r.lines, lines) {
		t.Errorf("ran\n  %s\nwant\n  %s", strings.Join(r.lines, "\n  "), strings.Join(lines, "\n  "))
	}
	r.lines = nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantStatus(t *testing.T, i Installer, installed, running bool) {
	t.Helper()
	s, err := i.Status(t.Context())
	check(t, err)
	if s.Installed != installed || s.Running != running {
		t.Errorf("status %+v, want installed %t, running %t", s, installed, running)
	}
}

// wantOnly checks which files are left.
func wantOnly(t *testing.T, root string, names ...string) {
	t.Helper()
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if !d.IsDir() && !slices.Contains(names, d.Name()) {
			t.Error(path, " is left")
		}
		return err
	}))
}

func TestSystemd(t *testing.T) {
	t.Parallel()
	r := &recorder{answers: map[string]string{"systemctl": ""}}
	s := &Systemd{Root: t.TempDir(), Run: r.run}
	check(t, os.MkdirAll(filepath.Join(s.Root, "run/systemd/system"), 0o755))
	wantStatus(t, s, false, false)
	for range 2 {
		next, err := s.Install(t.Context(), awkward("/usr/local/bin/gatepost-agent"))
		check(t, err)
		if next != "" {
			t.Errorf("it leaves %q to do", next)
		}
		r.want(t, "systemctl daemon-reload", "systemctl enable gatepost-agent.service", "systemctl restart gatepost-agent.service")
	}
	if info, err := os.Stat(filepath.Join(s.Root, "/var/lib/gatepost-agent")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state folder: %v, %v", info, err)
	}
	if info, err := os.Stat(s.unitFile()); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the unit: %v, %v", info, err)
	}
	delete(r.answers, "systemctl")
	r.answers["systemctl is-active"] = "active"
	wantStatus(t, s, true, true)
	r.answers["systemctl is-active"] = "failed"
	wantStatus(t, s, true, false)
	r.lines = nil

	if err := s.Remove(t.Context()); err == nil {
		t.Error("a service that cannot be stopped was removed")
	}
	r.answers["systemctl"], r.lines = "", nil
	check(t, s.Remove(t.Context()))
	r.want(t, "systemctl disable --now gatepost-agent.service", "systemctl daemon-reload")
	check(t, s.Remove(t.Context()))
	r.want(t)
	wantOnly(t, s.Root)
}

// TestNoSystemd is a container's case.
func TestNoSystemd(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := &Systemd{Root: t.TempDir(), Run: r.run}
	next, err := s.Install(t.Context(), awkward("/usr/local/bin/gatepost-agent"))
	check(t, err)
	for _, want := range []string{"systemctl enable --now gatepost-agent.service", "/usr/local/bin/gatepost-agent run --url"} {
		if !strings.Contains(next, want) {
			t.Errorf("%q does not say %q", next, want)
		}
	}
	wantStatus(t, s, true, false)
	check(t, os.MkdirAll(filepath.Dir(s.enabled()), 0o755))
	check(t, os.Symlink("../"+unitName, s.enabled()))
	check(t, s.Remove(t.Context()))
	r.want(t)
	wantOnly(t, s.Root)
}

func TestLaunchd(t *testing.T) {
	t.Parallel()
	r := &recorder{answers: map[string]string{"launchctl enable": "", "launchctl bootstrap": ""}}
	l := &Launchd{Root: t.TempDir(), Run: r.run}
	wantStatus(t, l, false, false)
	_, err := l.Install(t.Context(), awkward("/usr/local/bin/gatepost-agent"))
	check(t, err)
	r.want(t, "launchctl print system/dev.gatepost.agent",
		"launchctl enable system/dev.gatepost.agent", "launchctl bootstrap system "+l.plist())
	wantStatus(t, l, true, false)
	loaded := "dev.gatepost.agent = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 7\n}\n"
	r.answers["launchctl print"] = loaded
	wantStatus(t, l, true, true)
	r.lines = nil

	stops := &recorder{answers: r.answers}
	l.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		out, err := stops.run(ctx, name, args...)
		if args[0] == "bootout" {
			delete(stops.answers, "launchctl print")
		}
		return out, err
	}
	check(t, l.Remove(t.Context()))
	stops.want(t, "launchctl print system/dev.gatepost.agent", "launchctl bootout system/dev.gatepost.agent",
		"launchctl print system/dev.gatepost.agent")
	check(t, l.Remove(t.Context()))
	wantOnly(t, l.Root)

	stops.answers["launchctl print"] = loaded
	l.Run = stops.run
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Remove(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a service that does not stop: %v", err)
	}
}

// TestPlist reads it as strictly as XML can be read.
func TestPlist(t *testing.T) {
	t.Parallel()
	p := awkward("/usr/local/bin/gatepost-agent")
	text, err := plist(p)
	check(t, err)
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	var args, keys []string
	var path []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
			if strings.Join(path, "/") == "plist/dict/array/string" {
				args = append(args, "")
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			switch strings.Join(path, "/") {
			case "plist/dict/array/string":
				args[len(args)-1] += string(token)
			case "plist/dict/key":
				keys = append(keys, string(token))
			}
		}
	}
	if want := append([]string{p.Executable}, p.Args...); !slices.Equal(args, want) {
		t.Errorf("arguments %q, want %q", args, want)
	}
	if slices.Sort(keys); len(slices.Compact(keys)) != 9 || !slices.Contains(keys, "KeepAlive") {
		t.Errorf("keys %q", keys)
	}
}

// scm is a service control manager.
type scm struct {
	put   []Definition
	lines []string
}

func (s *scm) Put(d Definition) error {
	s.put = append(s.put, d)
	return nil
}

func (s *scm) Restart(_ context.Context, name string) error {
	s.lines = append(s.lines, "restart "+name)
	return nil
}

func (s *scm) Delete(_ context.Context, name string) error {
	s.lines = append(s.lines, "delete "+name)
	return nil
}

func (s *scm) Query(string) (Status, error) { return Status{Installed: true, Running: true}, nil }

func TestWindows(t *testing.T) {
	t.Parallel()
	c := &scm{}
	w := &Windows{Control: c, Mkdir: func(path string) error {
		c.lines = append(c.lines, "mkdir "+path)
		return nil
	}}
	p := Program{Executable: `C:\Program Files\Gatepost\gatepost-agent.exe`, Args: []string{"run", "two words"}, StateDir: `C:\ProgramData\Gatepost`}
	_, err := w.Install(t.Context(), p)
	check(t, err)
	wantStatus(t, w, true, true)
	check(t, w.Remove(t.Context()))
	if want := []string{`mkdir C:\ProgramData\Gatepost`, "restart gatepost-agent", "delete gatepost-agent"}; !slices.Equal(c.lines, want) {
		t.Errorf("it did %q, want %q", c.lines, want)
	}
	d := c.put[0]
	if d.Name != Name || d.Executable != p.Executable || !slices.Equal(d.Args, p.Args) || len(d.Restarts) == 0 || d.Forget != 24*time.Hour {
		t.Errorf("it defined %+v", d)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ok := Program{Executable: "/bin/agent", StateDir: "/var/lib/agent"}
	for name, change := range map[string]func(*Program){
		"relative program": func(p *Program) { p.Executable = "agent" },
		"relative state":   func(p *Program) { p.StateDir = "state" },
		"relative folder":  func(p *Program) { p.Writes = []string{"etc"} },
		"new line":         func(p *Program) { p.Args = []string{"a\nExecStartPre=/bin/evil"} },
		"odd name":         func(p *Program) { p.Executable = `/bin/$agent` },
	} {
		p := ok
		change(&p)
		if text, err := unit(p); err == nil {
			t.Errorf("%s: systemd gets\n%s", name, text)
		}
		if text, err := plist(p); err == nil && name != "odd name" {
			t.Errorf("%s: launchd gets\n%s", name, text)
		}
	}
	w := &Windows{Control: &scm{}, Mkdir: func(string) error { return nil }}
	if _, err := w.Install(t.Context(), ok); err == nil {
		t.Error("Windows takes the paths of Unix")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	want := errors.New("it ended")
	if err := Run(t.Context(), func(context.Context) error { return want }); !errors.Is(err, want) {
		t.Error(err)
	}
	out, err := Exec(t.Context(), "sh", "-c", "echo inactive; exit 3")
	if err == nil || out != "inactive" {
		t.Errorf("%q, %v", out, err)
	}
}
