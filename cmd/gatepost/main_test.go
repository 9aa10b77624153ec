package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the programs that scripts and benchmarks
// run: whoever starts it under the name gatepost gets the real program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gatepost": main,
		"okta":     oktaMain,
	})
}
