// Command gatepost-agent is the reference device agent: it enrols the device
// that it runs on, reports what it finds out about it, and gives the device's
// certificate to the browsers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit statuses of every command.
const (
	exitOK     = 0
	exitFailed = 1 // it failed
	exitUsage  = 2 // it was used wrongly
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// env is what a command runs in.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	state          string // folder of the agent's state
	json           bool   // JSON for programs instead of text for people
}

// commandLine is every command and flag; its tags are what --help says.
type commandLine struct {
	State string `env:"GATEPOST_AGENT_STATE" type:"path" default:"${state}" placeholder:"DIR" help:"Folder of the agent's key and state (default: ${default})."`
	JSON  bool   `help:"Print JSON for programs instead of text."`

	Enroll    enrollCommand    `cmd:"" help:"Enrol this device with a token."`
	Run       runCommand       `cmd:"" help:"Report again and again, until stopped; the service does this."`
	Report    reportCommand    `cmd:"" help:"Look at this device and report now, or only show what would be said."`
	Status    statusCommand    `cmd:"" help:"Say how this agent is."`
	Uninstall uninstallCommand `cmd:"" help:"Remove the service, the certificate from the browsers, and the agent's key and state."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c commandLine
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("gatepost-agent"),
		kong.Description("Device agent of Gatepost, the device posture identity provider for Okta."),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{"state": defaultState(os.Getenv)},
	)
	if err != nil {
		fmt.Fprintf(stderr, "gatepost-agent: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case exited >= 0:
		return exited
	case err != nil:
		fmt.Fprintf(stderr, "gatepost-agent: %v\nRun \"gatepost-agent --help\" for the commands, or \"gatepost-agent COMMAND --help\" for one.\n", err)
		return exitUsage
	}
	e := &env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, state: c.State, json: c.JSON}
	switch err := parsed.Run(e); {
	case errors.Is(err, errSaid):
		return exitFailed
	case err != nil:
		fmt.Fprintf(stderr, "gatepost-agent: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// errSaid ends a command that has said itself what went wrong.
var errSaid = errors.New("said already")
