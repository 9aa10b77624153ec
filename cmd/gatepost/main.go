// Command gatepost is the identity provider that tells Okta whether a device is
// managed and compliant: its server, its administration, and a demonstration
// with a simulated Okta.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses of every command.
const (
	exitOK     = 0
	exitFailed = 1 // it failed
	exitUsage  = 2 // it was used wrongly
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	e := &env{ctx: ctx, stdout: stdout, stderr: stderr}
	command, status, done := parseCommandLine(args, e)
	if done {
		return status
	}
	if err := command.Run(e); err != nil {
		fmt.Fprintf(stderr, "gatepost: %v\n", err)
		return exitFailed
	}
	return exitOK
}
