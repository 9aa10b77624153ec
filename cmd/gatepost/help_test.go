package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestHelp holds every command to its --help: status 0, what it does, and every
// argument and flag that it takes.
func TestHelp(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		commands = append(commands, strings.Join(path, " "))
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append(path, "--help"), &stdout, &stderr); status != exitOK || stderr.Len() > 0 {
			t.Errorf("%q: status %d, standard error %q", path, status, &stderr)
		}
		// Long names and texts go over several lines.
		help := strings.Join(strings.Fields(stdout.String()), " ")
		want := []string{"Usage: gatepost", n.Help, "-c, --config=FILE", "--json"}
		for _, f := range n.Flags {
			if f.Hidden {
				continue
			}
			if f.Help == "" {
				t.Errorf("%q: flag --%s has no help", path, f.Name)
			}
			want = append(want, "--"+f.Name)
		}
		for _, a := range n.Positional {
			want = append(want, "<"+a.Name+">", a.Help)
		}
		n.Children = slices.DeleteFunc(n.Children, func(c *kong.Node) bool { return c.Hidden })
		for _, child := range n.Children {
			want = append(want, child.Name, child.Help)
		}
		for _, w := range want {
			if !strings.Contains(help, w) {
				t.Errorf("%q: the help does not say %q:\n%s", path, w, &stdout)
			}
		}
		for _, child := range n.Children {
			walk(child, append(slices.Clip(path), child.Name))
		}
	}
	walk(parser.Model.Node, nil)
	for _, c := range []string{"serve", "check", "org add", "device import", "key rotate", "decisions"} {
		if !slices.Contains(commands, c) {
			t.Errorf("there is no command %q among %q", c, commands)
		}
	}
}
