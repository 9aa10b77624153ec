package browser

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// patience is for one program. maxOutput is what is kept of its output: at a
// prompt that nobody answers, certutil repeats itself for ever.
const (
	patience  = 30 * time.Second
	maxOutput = 1 << 20
)

// nssTools says what to install when NSS's programs are missing.
const nssTools = "libnss3-tools (Debian, Ubuntu), nss-tools (Fedora, RHEL), mozilla-nss-tools (SUSE) or nss (Arch)"

// Exec is the Runner that runs programs.
func Exec(ctx context.Context, c Command) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stdout, stderr := &capped{stop: cancel}, &capped{stop: cancel}
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.Stdin), stdout, stderr
	cmd.WaitDelay = time.Second
	release, err := become(cmd, c.As)
	if err != nil {
		return "", fmt.Errorf("run %s: %w", c.Name, err)
	}
	err = errors.Join(cmd.Run(), release())
	switch {
	case stdout.full || stderr.full:
		err = errors.Join(errors.New("it wrote on and on, and was stopped"), err)
	case errors.Is(err, exec.ErrNotFound):
		return "", missing(c.Name)
	case err != nil && ctx.Err() != nil:
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return stdout.text.String(), fmt.Errorf("%s: %w: %s", c.Name, err, firstLines(stderr.text.String()))
	}
	return stdout.text.String(), nil
}

// missing says what to do about a program that is not there.
func missing(name string) error {
	if name == "certutil" || name == "pk12util" {
		return fmt.Errorf("%s: %w: install the package %s, then run this again", name, exec.ErrNotFound, nssTools)
	}
	return fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// firstLines is the beginning of a message, for an error.
func firstLines(text string) string {
	text = strings.TrimSpace(text)
	return strings.ReplaceAll(text[:min(len(text), 500)], "\n", "; ")
}

// capped keeps the beginning of a program's output and stops the program when
// it writes on and on.
type capped struct {
	text strings.Builder
	full bool
	stop func()
}

func (c *capped) Write(p []byte) (int, error) {
	if c.text.Len()+len(p) > maxOutput {
		c.full = true
		c.stop()
		return 0, errors.New("too much")
	}
	return c.text.Write(p)
}
