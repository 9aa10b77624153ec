package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with the configuration, or, as a warning,
// that is likely not meant so.
type Fault struct {
	File    string `json:"file"`              // the configuration file, as it was given
	Line    int    `json:"line,omitempty"`    // from 1; 0 when it concerns the file as a whole
	Path    string `json:"path,omitempty"`    // of the key, such as relying_parties[0].sign
	Problem string `json:"problem"`           // what is wrong, the offending value quoted
	Instead string `json:"instead,omitempty"` // what to write or do instead
	Warning bool   `json:"warning"`           // the server starts all the same
}

// String is one line, such as
//
//	gatepost.yaml:12: relying_parties[0].sign: "all" is not known; write both, assertion or response
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": ")
	if f.Warning {
		b.WriteString("warning: ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Problem)
	if f.Instead != "" {
		b.WriteString("; " + f.Instead)
	}
	return b.String()
}

// Refused tells whether the configuration cannot be used: at least one fault is
// more than a warning.
func Refused(faults []Fault) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return !f.Warning })
}

// findings collects faults and knows on which line each key stands.
type findings struct {
	file   string
	lines  map[string]int // by path
	texts  map[string]int // on which line the text at a path begins, if its lines are the file's
	last   int            // the last line of the file; 0: not known
	faults []Fault
	refuse map[string]bool // paths with a fault that is no warning
}

func newFindings(file string) *findings {
	return &findings{file: file, lines: map[string]int{}, texts: map[string]int{}, refuse: map[string]bool{}}
}

// add notes a fault of the key at path.
func (f *findings) add(path, problem, instead string) {
	f.addAt(f.line(path), path, problem, instead)
}

// addText notes a fault at a line and column of the text at path, from 1; of the
// text as a whole for line 0.
func (f *findings) addText(path string, line, column int, problem string) {
	if line == 0 {
		f.add(path, problem, "")
		return
	}
	problem = fmt.Sprintf("column %d: %s", max(1, column), problem)
	if begins, ok := f.texts[path]; ok {
		f.addAt(begins+line-1, path, problem, "")
		return
	}
	if line > 1 {
		problem = fmt.Sprintf("line %d of it, %s", line, problem)
	}
	f.add(path, problem, "")
}

// addAt notes a fault on a line that is not that of path. The same one again is
// not said twice.
func (f *findings) addAt(line int, path, problem, instead string) {
	f.refuse[path] = true
	if f.last > 0 {
		line = min(line, f.last) // YAML puts what is empty behind the end
	}
	fault := Fault{File: f.file, Line: line, Path: path, Problem: problem, Instead: instead}
	if n := len(f.faults); n == 0 || f.faults[n-1] != fault {
		f.faults = append(f.faults, fault)
	}
}

// warn notes what is likely not meant so.
func (f *findings) warn(path, problem, instead string) {
	f.faults = append(f.faults, Fault{
		File: f.file, Line: f.line(path), Path: path, Problem: problem, Instead: instead, Warning: true,
	})
}

// line is the line of the key at path, or of the nearest key around it that is
// written.
func (f *findings) line(path string) int {
	for ; path != ""; path = parent(path) {
		if line, ok := f.lines[path]; ok {
			return line
		}
	}
	return 1
}

// written tells whether the key at path stands in the file, or some key that
// was meant to be it.
func (f *findings) written(path string) bool {
	_, ok := f.lines[path]
	return ok
}

// faulty tells whether the key at path or one around it has a fault, so that
// what follows from that need not be said as well.
func (f *findings) faulty(path string) bool {
	for ; path != ""; path = parent(path) {
		if f.refuse[path] {
			return true
		}
	}
	return false
}

// sorted gives the faults in the order of the file.
func (f *findings) sorted() []Fault {
	slices.SortStableFunc(f.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return f.faults
}

// parent is the path around path: a[0].b, a[0], a, "".
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// quote quotes a value for a fault, a long one cut.
func quote(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// list joins names as prose: "a", "a or b", "a, b or c". Of a great many it gives
// the first.
func list(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " or another"
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
