package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the real programs as an operator would.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:         "testdata/script",
		WorkdirRoot: t.TempDir(), // its own is left behind when only some scripts run
		Setup: func(e *testscript.Env) error {
			running := map[string]*background{}
			e.Values[backgrounds{}] = running
			e.Defer(func() {
				for _, b := range running {
					b.kill()
				}
			})
			e.Setenv("GORACE", os.Getenv("GORACE"))
			// Commands that open the store themselves make a folder there.
			return os.MkdirAll(e.Getenv("TMPDIR"), 0o700)
		},
		Cmds:                scriptCommands(),
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
	})
}
