package main

import (
	"fmt"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints the version, or the revision that the program was built from.
func (*versionCommand) Run(e *env) error {
	v := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
	}
	if e.json {
		return printJSON(e.stdout, map[string]string{"version": v})
	}
	_, err := fmt.Fprintf(e.stdout, "gatepost-agent %s\n", v)
	return err
}
