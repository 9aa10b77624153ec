package gatepost_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Limits on length, in lines. They are where a second subject usually hides.
const (
	maxFile     = 300
	maxTestFile = 500 // tables are long
	maxFunc     = 60
	maxWiring   = 100 // a function of a command, where the wiring reads top to bottom
	maxMethods  = 4   // of an interface
)

// tooLong excuses a file ("dir/file.go") or a function ("dir.Func",
// "dir.Type.Method") from its limit, with the reason.
var tooLong = map[string]string{}

func TestLengths(t *testing.T) {
	t.Parallel()
	excused := map[string]bool{}
	complain := func(t *testing.T, name, where string, lines, limit int) {
		if lines <= limit {
			return
		}
		if tooLong[name] != "" {
			excused[name] = true
			return
		}
		t.Errorf("%s: %s has %d lines, %d are the limit: is there a second subject in it?", where, name, lines, limit)
	}
	eachSource(t, func(t *testing.T, s *source) {
		limit := maxFile
		if s.test {
			limit = maxTestFile
		}
		complain(t, s.path, s.path, s.fset.File(s.file.Pos()).LineCount()-1, limit)
		if s.test || s.pkg == suite {
			return // a long test is a list of steps
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			limit := maxFunc
			if isCommand(s.pkg) {
				limit = maxWiring
			}
			complain(t, funcName(s.pkg, f), s.at(f), s.fset.Position(f.End()).Line-s.fset.Position(f.Pos()).Line+1, limit)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(tooLong)) {
		if !excused[name] {
			t.Errorf("%s is excused and needs no excuse: remove it", name)
		}
	}
}

func isCommand(pkg string) bool { return strings.HasPrefix(pkg, "cmd/") }

// funcName is "dir.Func" or "dir.Type.Method".
func funcName(pkg string, f *ast.FuncDecl) string {
	name := f.Name.Name
	if f.Recv != nil {
		receiver := f.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if id, ok := receiver.(*ast.Ident); ok {
			name = id.Name + "." + name
		}
	}
	return pkg + "." + name
}

// forbidden lists, by import path, the names that only a command may use, with
// the reason. "*" is every name.
var forbidden = map[string]map[string]string{
	"time": {
		"Now":   "the clock is a field or a parameter",
		"Since": "it reads the clock: subtract from the given one",
		"Until": "it reads the clock: subtract the given one",
	},
	"log": {"*": "the logger is a *slog.Logger that is handed in"},
	"log/slog": {
		"Default": "the logger is handed in", "SetDefault": "there is no global logger", "With": "the logger is handed in",
		"Debug": "the logger is handed in", "DebugContext": "the logger is handed in",
		"Info": "the logger is handed in", "InfoContext": "the logger is handed in",
		"Warn": "the logger is handed in", "WarnContext": "the logger is handed in",
		"Error": "the logger is handed in", "ErrorContext": "the logger is handed in",
		"Log": "the logger is handed in", "LogAttrs": "the logger is handed in",
	},
	"fmt": {
		"Print": "output goes to a writer that is handed in", "Printf": "output goes to a writer that is handed in",
		"Println": "output goes to a writer that is handed in",
	},
	"os": {
		"Exit": "only main ends the process", "Args": "the command parses", "Stdout": "output goes to a writer that is handed in",
		"Stderr": "output goes to a writer that is handed in", "Getenv": "settings come from the configuration",
	},
	"net/http": {
		"DefaultServeMux": "it is a package variable that anybody changes", "Handle": "it changes DefaultServeMux",
		"HandleFunc": "it changes DefaultServeMux", "DefaultClient": "it never times out", "Get": "it uses DefaultClient",
		"Post": "it uses DefaultClient", "PostForm": "it uses DefaultClient",
	},
}

// suite is test code that is no test file, since two packages run it; its crash
// test starts the test binary again and talks to it by environment and output.
const suite = "store/storetest"

func TestNoHiddenState(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		if s.test {
			return
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: no init: whoever needs it calls it", s.at(f))
			}
		}
		if isCommand(s.pkg) || s.pkg == suite {
			return
		}
		for _, complaint := range hiddenState(s) {
			t.Error(complaint)
		}
	})
}

// hiddenState lists the uses of forbidden names in a file, as values too
// (`Now: time.Now`).
func hiddenState(s *source) (complaints []string) {
	imported := map[string]string{} // by the name that the file uses
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = p
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		names := forbidden[imported[x.Name]]
		for _, name := range []string{sel.Sel.Name, "*"} {
			if why, bad := names[name]; bad {
				complaints = append(complaints, fmt.Sprintf("%s: %s.%s: %s", s.at(sel), x.Name, sel.Sel.Name, why))
			}
		}
		return true
	})
	return complaints
}

func TestInterfacesAreSmall(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxMethods {
				t.Errorf("%s: an interface of %d methods: %d are the limit", s.at(i), i.Methods.NumFields(), maxMethods)
			}
			return true
		})
	})
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{} // files that have one, by package
	eachSource(t, func(t *testing.T, s *source) {
		if s.test {
			return
		}
		files := comments[s.pkg]
		if s.file.Doc != nil {
			files = append(files, s.path)
			want := "Package " + s.file.Name.Name + " "
			if isCommand(s.pkg) {
				want = "Command " + path.Base(s.pkg) + " "
			}
			if !strings.HasPrefix(s.file.Doc.Text(), want) {
				t.Errorf("%s: the package comment does not begin with %q", s.path, want)
			}
		}
		comments[s.pkg] = files
	})
	for _, pkg := range slices.Sorted(maps.Keys(comments)) {
		if n := len(comments[pkg]); n != 1 {
			t.Errorf("package %s has %d package comments, want one that says what it is and is not: %v", pkg, n, comments[pkg])
		}
	}
}

// TestHiddenStateIsFound shows that the scan sees through aliases and values.
func TestHiddenStateIsFound(t *testing.T) {
	t.Parallel()
	file := parseText(t, `package p
import (
	clock "time"
	"log"
	"log/slog"
)
type time struct{ Now int }
var now = clock.Now
func f(l *slog.Logger, time time) { log.Print(time.Now); l.Info("handed in") }
`)
	want := []string{"p.go:8: clock.Now: ", "p.go:9: log.Print: "}
	got := hiddenState(file)
	if len(got) != len(want) {
		t.Fatalf("found %q, want %d", got, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("found %q, want %q...", got[i], want[i])
		}
	}
}

func parseText(t *testing.T, text string) *source {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return &source{path: "p.go", pkg: "p", fset: fset, file: f}
}
