package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// background is a program that runs beside a test. Its output goes to files, so
// that it can be read while the program runs.
type background struct {
	cmd            *exec.Cmd
	stdout, stderr string        // paths
	ended          chan struct{} // closed when the program has ended, and err is set
	err            error
}

// startBackground starts the program with its output in base.stdout and
// base.stderr. Whoever starts it calls kill in the end.
func startBackground(cmd *exec.Cmd, base string) (*background, error) {
	b := &background{cmd: cmd, stdout: base + ".stdout", stderr: base + ".stderr", ended: make(chan struct{})}
	stdout, err1 := os.Create(b.stdout)
	stderr, err2 := os.Create(b.stderr)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		b.err = cmd.Wait()
		close(b.ended)
	}()
	return b, nil
}

// kill ends the program at once, if it still runs.
func (b *background) kill() {
	b.cmd.Process.Kill()
	<-b.ended
}

// until asks every few milliseconds until the answer is yes. It gives up when
// the program has ended or patience has.
func (b *background) until(what string, ok func() bool) error {
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-b.ended:
			if ok() {
				return nil
			}
			return fmt.Errorf("waiting for %s: the program has ended: %v", what, b.err)
		case <-deadline:
			return fmt.Errorf("waiting for %s: not within %s", what, patience)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// says waits until what the program wrote to a file matches n times.
func (b *background) says(file, pattern string, n int) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return err
	}
	return b.until(fmt.Sprintf("%d times %q", n, pattern), func() bool {
		text, err := os.ReadFile(file)
		return err == nil && len(re.FindAllIndex(text, n)) == n
	})
}

var opsAddress = regexp.MustCompile(`health and metrics on (http://\S+)\)`)

// ready waits until the server that it is says so, at the address that it
// printed, and returns that.
func (b *background) ready() (ops string, err error) {
	client := webClient(nil, nil)
	defer client.CloseIdleConnections()
	err = b.until("/readyz", func() bool {
		text, err := os.ReadFile(b.stdout)
		found := opsAddress.FindSubmatch(text)
		if err != nil || found == nil {
			return false
		}
		ops = string(found[1])
		resp, err := client.Get(ops + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	return ops, err
}

// ends waits until the program ends and demands its exit status.
func (b *background) ends(status int) error {
	select {
	case <-b.ended:
	case <-time.After(patience):
		return fmt.Errorf("the program has not ended within %s", patience)
	}
	if got := b.cmd.ProcessState.ExitCode(); got != status {
		return fmt.Errorf("exit status %d (%v), want %d", got, b.err, status)
	}
	return nil
}

// stop sends a signal and demands that the program ends with the status.
func (b *background) stop(signal os.Signal, status int) error {
	if err := b.cmd.Process.Signal(signal); err != nil {
		return err
	}
	return b.ends(status)
}
