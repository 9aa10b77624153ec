package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"
)

type checkCommand struct{}

// Run says every fault of the configuration and of the files that it names.
func (*checkCommand) Run(e *env) error {
	c, faults := CheckConfig(e.ctx, e.config, os.LookupEnv, parsers(), time.Now())
	if e.json {
		if faults == nil {
			faults = []Fault{}
		}
		if err := printJSON(e.stdout, faults); err != nil {
			return err
		}
	} else {
		for _, f := range faults {
			fmt.Fprintln(e.stdout, f)
		}
	}
	if c == nil {
		return unusable(e.config, faults)
	}
	if !e.json {
		fmt.Fprintf(e.stdout, "%s is good (%s)\n", e.config, counted(len(faults), "warning"))
	}
	return nil
}

// unusable is the error for a configuration whose faults were printed.
func unusable(file string, faults []Fault) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return errors.New("name the configuration by --config FILE or in GATEPOST_CONFIG; \"gatepost init\" makes one")
	}
	refused := 0
	for _, f := range faults {
		if !f.Warning {
			refused++
		}
	}
	return fmt.Errorf("%s cannot be used as it is: %s above", file, counted(refused, "fault"))
}

// counted is a number of things in words, such as "1 fault" or "2 faults".
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

type versionCommand struct{}

// Run prints the version and what it was built with.
func (*versionCommand) Run(e *env) error {
	v := version()
	if e.json {
		return printJSON(e.stdout, map[string]string{"version": v})
	}
	_, err := fmt.Fprintf(e.stdout, "gatepost %s\n", v)
	return err
}

// version is the module's version, or the revision that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision := "development"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			revision = s.Value[:12]
		}
	}
	return revision
}
