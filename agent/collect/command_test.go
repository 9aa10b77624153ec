//go:build unix

package collect

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a shell script and gives its path.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRunProgram(t *testing.T) {
	t.Parallel()
	out, complaint, err := runProgram(t.Context(), program(t, `echo "$1 $LC_ALL $HOME$GOPATH$USER"; echo no >&2; cat`), "a b")
	if err != nil || out != "a b C \n" || complaint != "no\n" {
		t.Errorf("%q, %q, %v", out, complaint, err)
	}
	_, _, err = runProgram(t.Context(), filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "no program ") {
		t.Errorf("absent: %v", err)
	}
	_, _, err = runProgram(t.Context(), program(t, "printf 'not \\033allowed\\nreally\\n' >&2; exit 3"))
	if err == nil || !strings.HasSuffix(err.Error(), `exit status 3: "not allowed"`) {
		t.Errorf("failing: %v", err)
	}
	_, complaint, err = runProgram(t.Context(), program(t, "head -c 100000 /dev/zero >&2"))
	if err != nil || len(complaint) != maxErrors {
		t.Errorf("complaining: %d bytes, %v", len(complaint), err)
	}
	out, _, err = runProgram(t.Context(), program(t, "exec yes"))
	if !errors.Is(err, errTooMuch) || len(out) > maxOutput {
		t.Errorf("endless: %d bytes, %v", len(out), err)
	}
}

// TestRunProgramInTime: neither a program that hangs nor a child that it leaves
// behind, with its output open, holds up the collector.
func TestRunProgramInTime(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]error{
		"exec sleep 60":            context.DeadlineExceeded,
		"sleep 60":                 context.DeadlineExceeded,
		"sleep 60 & exec sleep 60": context.DeadlineExceeded,
		"sleep 60 & exit 0":        exec.ErrWaitDelay,
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			before := time.Now()
			_, _, err := runProgram(ctx, program(t, script))
			if took := time.Since(before); !errors.Is(err, want) || took > 30*time.Second {
				t.Errorf("%v after %s, want %v", err, took, want)
			}
		})
	}
}
