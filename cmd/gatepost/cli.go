package main

import (
	"context"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// env is what a command runs in.
type env struct {
	ctx            context.Context
	stdout, stderr io.Writer
	config         string // path of the configuration
	remote         remote // instead of it, for what another machine's server is asked
	json           bool   // JSON for programs instead of tables for people
}

// commandLine is every command and flag; its tags are what --help says.
type commandLine struct {
	Config string `short:"c" default:"gatepost.yaml" env:"GATEPOST_CONFIG" placeholder:"FILE" help:"Configuration of the server (default: ${default})."`
	JSON   bool   `help:"Print JSON for programs instead of tables."`

	Serve     serveCommand     `cmd:"" help:"Run the server."`
	Demo      demoCommand      `cmd:"" help:"Show a sign-in of every kind, with a simulated Okta; nothing to prepare."`
	Init      initCommand      `cmd:"" help:"Write a configuration, keys, a device authority and an empty store."`
	Check     checkCommand     `cmd:"" help:"Say every fault of the configuration, with its line."`
	Org       orgCommand       `cmd:"" help:"Okta organisations that may ask (SAML)."`
	Client    clientCommand    `cmd:"" help:"Okta organisations that may ask (OpenID Connect)."`
	Device    deviceCommand    `cmd:"" help:"Devices in the inventory."`
	Policy    policyCommand    `cmd:"" help:"Policies: check, explain and try them."`
	Token     tokenCommand     `cmd:"" help:"Tokens, with which devices enrol and others administer."`
	Key       keyCommand       `cmd:"" help:"Keys that sign answers."`
	Decisions decisionsCommand `cmd:"" help:"What was decided, for whom and why."`
	Log       logCommand       `cmd:"" help:"Who changed what, what was decided and what happened: a log that shows if it was tampered with."`
	Webhook   webhookCommand   `cmd:"" help:"Receivers elsewhere that are told of events."`
	Bench     benchCommand     `cmd:"" help:"Measure how fast a server is here, on one of its own."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// parseCommandLine understands the arguments. done tells that there is nothing
// to run: help was printed, or the program was used wrongly.
func parseCommandLine(args []string, e *env) (command *kongCommand, status int, done bool) {
	var c commandLine
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("gatepost"),
		kong.Description("Device posture identity provider for Okta."),
		kong.Bind(e),
		kong.UsageOnError(),
		kong.Writers(e.stdout, e.stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		fmt.Fprintf(e.stderr, "gatepost: %v\n", err)
		return nil, exitFailed, true
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case exited >= 0:
		return nil, exited, true
	case err != nil:
		fmt.Fprintf(e.stderr, "gatepost: %v\nRun \"gatepost --help\" for the commands, or \"gatepost COMMAND --help\" for one.\n", err)
		return nil, exitUsage, true
	}
	e.config, e.json = c.Config, c.JSON
	return &kongCommand{parsed}, exitOK, false
}

// kongCommand is the command that was chosen.
type kongCommand struct{ parsed *kong.Context }

// Run runs it.
func (k *kongCommand) Run(e *env) error { return k.parsed.Run(e) }
