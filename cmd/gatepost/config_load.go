package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxConfig is the largest file that is read, in bytes.
const maxConfig = 1 << 20

// LoadConfig reads the configuration from the file at path and finds every
// fault of its text, in the order of the file; it opens nothing that the file
// names. The Config is nil if a fault is more than a warning.
func LoadConfig(path string, getenv func(string) (string, bool)) (*Config, []Fault) {
	c, f := readConfig(path, getenv)
	if Refused(f.faults) {
		c = nil
	}
	return c, f.sorted()
}

// readConfig is LoadConfig that gives what it understood in spite of faults, nil
// if nothing.
func readConfig(path string, getenv func(string) (string, bool)) (*Config, *findings) {
	f := newFindings(path)
	data, err := readUpTo(path, maxConfig)
	if err != nil {
		f.addAt(0, "", err.Error(), "")
		return nil, f
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		f.addAt(0, "", err.Error(), "")
		return nil, f
	}
	return parseConfig(f, data, dir, getenv), f
}

// parseConfig is readConfig of bytes. Relative paths are relative to dir, which
// is absolute.
func parseConfig(f *findings, data []byte, dir string, getenv func(string) (string, bool)) *Config {
	f.last = 1 + bytes.Count(data, []byte("\n"))
	root := parseYAML(f, data)
	if root == nil {
		return nil
	}
	c := &Config{file: f.file, lines: f.lines}
	d := &decoder{findings: f, getenv: getenv}
	d.value("", root, reflect.ValueOf(c).Elem())
	c.setDefaults()
	c.resolve(dir)
	c.validate(f)
	return c
}

// readUpTo reads a whole file of at most limit bytes.
func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, plain(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, nil
}

// plain is the reason in err without the path, which the fault says already.
func plain(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return fmt.Errorf("cannot be read: %w", pathError.Err)
	}
	return err
}

// parseYAML gives the one mapping that data holds, nil after a fault that leaves
// nothing to look at.
func parseYAML(f *findings, data []byte) *yaml.Node {
	if line, problem := unreadable(data); problem != "" {
		f.addAt(line, "", problem, "save it as plain text in UTF-8, without such characters")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		f.addAt(1, "", "is empty", "`gatepost init` writes one to begin with")
		return nil
	}
	if err != nil {
		line, problem := syntaxError(data, err)
		f.addAt(line, "", problem, hint(data, line))
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		line := second.Line
		if err != nil {
			line, _ = syntaxError(data, err)
		}
		f.addAt(line, "", "begins a second document", "write one document, without another ---")
	}
	refuseReferences(f, &document)
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		f.addAt(root.Line, "", "does not hold keys", "write keys, such as issuer: https://posture.example.com")
		return nil
	}
	return root
}

// unreadable finds what is no text, or would show otherwise than it is read:
// bytes that are not UTF-8, control characters, and line breaks other than LF
// and CR LF, which YAML counts and editors do not.
func unreadable(data []byte) (line int, problem string) {
	line = 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return line, "is not UTF-8"
		case r == '\n':
			line++
		case r == '\t', r == '\r' && bytes.HasPrefix(data[i+1:], []byte("\n")), r == '\uFEFF' && i == 0:
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r == '\uFEFF':
			return line, fmt.Sprintf("holds the control character %U", r)
		}
		i += size
	}
	return line, ""
}

// syntaxError takes the YAML parser's error apart into the line, always one of
// data, and the problem.
func syntaxError(data []byte, err error) (line int, problem string) {
	text := err.Error()
	problem = strings.TrimPrefix(text, "yaml: ")
	line = 1
	if rest, ok := strings.CutPrefix(problem, "line "); ok {
		number, rest, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, problem = n, rest
		}
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	switch {
	case strings.HasPrefix(problem, "did not find expected") && len(data) < 64<<10:
		// The line in the error is that of the block around the fault. The
		// fault itself is on the first line with which the error appears.
		end := 0
		ends := make([]int, len(lines))
		for i, l := range lines {
			end += len(l)
			ends[i] = end
		}
		line = 1 + sort.Search(len(ends)-1, func(i int) bool {
			err := yaml.Unmarshal(data[:ends[i]], &yaml.Node{})
			return err != nil && err.Error() == text
		})
	case strings.HasPrefix(problem, "unknown anchor '"):
		name := strings.Split(problem, "'")[1]
		before, _, _ := bytes.Cut(data, []byte("*"+name))
		line = 1 + bytes.Count(before, []byte("\n"))
		problem = "refers to *" + name + ", and references are not known"
	}
	return min(max(line, 1), len(lines)), problem
}

// hint says what to do about the commonest syntax errors on a line.
func hint(data []byte, line int) string {
	text := bytes.Split(data, []byte("\n"))[line-1]
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(text, " "), []byte("\t")):
		return "indent with spaces, not with tabs"
	case bytes.Contains(text, []byte("${")):
		return `write a value with ${NAME} in quotes, as "${NAME}"`
	default:
		return "look at the indentation and the quotes here and just above"
	}
}

// refuseReferences finds anchors, aliases and tags: nothing here needs them, and
// a few aliases of aliases make a small file huge.
func refuseReferences(f *findings, n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		f.addAt(n.Line, "", fmt.Sprintf("refers to *%s, and references are not known", n.Value), "write the value out")
		return // and not on into what it refers to, which may be itself
	case n.Anchor != "":
		f.addAt(n.Line, "", fmt.Sprintf("names a value &%s, and references are not known", n.Anchor), "delete the name")
	case n.Style&yaml.TaggedStyle != 0:
		f.addAt(n.Line, "", fmt.Sprintf("gives a value the type %s, and types are not known", quote(n.Tag)), "delete the type")
	}
	for _, child := range n.Content {
		refuseReferences(f, child)
	}
}
