package main

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be the programs that scripts and benchmarks
// run: whoever starts it under the name gatepost gets the real program.
func TestMain(m *testing.M) {
	// Programs with the race detector would sleep for a second at their end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	testscript.Main(cleaning{m}, map[string]func(){
		"gatepost":          main,
		"gatepost-fullable": fullableMain,
		"okta":              oktaMain,
	})
}

// cleaning removes the programs that tests built.
type cleaning struct{ *testing.M }

func (c cleaning) Run() int {
	code := c.M.Run()
	if made.Load() {
		os.RemoveAll(programs())
	}
	return code
}

var made atomic.Bool

// programs is a folder for programs that tests build.
var programs = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "gatepost-programs-")
	if err != nil {
		panic(err)
	}
	made.Store(true)
	return dir
})
