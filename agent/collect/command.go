package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"time"
)

// Limits on what a program may write.
const (
	maxOutput = 8 << 20 // a ruleset with long sets of addresses
	maxErrors = 4 << 10
)

// run runs a program, by its absolute path, and gives what it wrote to both
// ends. An error wraps fs.ErrNotExist when there is no such program.
type run func(ctx context.Context, program string, args ...string) (stdout, stderr string, err error)

var errTooMuch = errors.New("it writes too much")

// capped keeps the beginning. Behind it, it refuses to take more, or drops it.
// It embeds no buffer: io.Copy would fill that by itself, past the limit.
type capped struct {
	kept   bytes.Buffer
	max    int
	refuse bool
	over   bool
}

func (w *capped) Write(p []byte) (int, error) {
	room := min(len(p), w.max-w.kept.Len())
	w.kept.Write(p[:room])
	if room == len(p) {
		return len(p), nil
	}
	w.over = true
	if w.refuse {
		return room, errTooMuch
	}
	return len(p), nil
}

// runProgram is run for real: without input, in a fixed environment, in which
// programs speak English.
func runProgram(ctx context.Context, program string, args ...string) (stdout, stderr string, err error) {
	out, complaint := &capped{max: maxOutput, refuse: true}, &capped{max: maxErrors}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "LANG=C",
		"SYSTEM_VERSION_COMPAT=0", // macOS says 10.16 to programs that were built for older ones
	}
	cmd.Stdout, cmd.Stderr = out, complaint
	apart(cmd)
	cmd.WaitDelay = time.Second // a child that it left behind holds its output open
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = cmd.Cancel() // there is nobody else to tell
	}
	switch {
	case out.over:
		err = fmt.Errorf("%s: %w", program, errTooMuch)
	case ctx.Err() != nil:
		err = fmt.Errorf("%s: %w", program, ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("no program %s: %w", program, fs.ErrNotExist)
	case err != nil:
		said := strings.TrimSpace(complaint.kept.String())
		if said == "" {
			said = strings.TrimSpace(out.kept.String())
		}
		first, _, _ := strings.Cut(said, "\n")
		err = fmt.Errorf("%s: %w: %q", program, err, clean(first))
	}
	return out.kept.String(), complaint.kept.String(), err
}
