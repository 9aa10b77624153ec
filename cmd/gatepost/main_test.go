package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the programs that scripts and benchmarks
// run: whoever starts it under the name gatepost gets the real program.
func TestMain(m *testing.M) {
	// Programs with the race detector would sleep for a second at their end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	testscript.Main(m, map[string]func(){
		"gatepost":          main,
		"gatepost-fullable": fullableMain,
		"okta":              oktaMain,
	})
}
