package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost.dev/agent"
	"gatepost.dev/agent/service"
	"gatepost.dev/agentapi"
)

type enrollCommand struct {
	Server    string `required:"" placeholder:"URL" help:"The server's issuer, such as https://posture.example.com."`
	Token     string `required:"" env:"GATEPOST_ENROLL_TOKEN" placeholder:"TOKEN" help:"One-time token from \"gatepost token create\"; - reads it from standard input, where other users cannot see it."`
	CA        string `type:"existingfile" placeholder:"FILE" help:"Certificates in PEM that the server's is trusted by, in place of the system's."`
	NoBrowser bool   `help:"Leave the browsers alone: neither certificate nor policy."`
	Home      string `type:"existingdir" placeholder:"DIR" help:"Only the browsers of the user whose home this is (Linux). Default: of all users, or without root of your own."`
	NoService bool   `help:"Install no service that reports by itself."`
	TPM       string `name:"tpm" default:"auto" placeholder:"auto|off|require|PATH" help:"Where the agent's key is: in the system's TPM if it can be used (auto, the default), in a file (off), in the system's TPM or nowhere (require), or in the TPM at PATH, a device or a Unix socket, or nowhere."`
}

// Validate checks what is asked for.
func (c *enrollCommand) Validate() error {
	switch agent.TPMChoice(c.TPM) {
	case agent.TPMAuto, agent.TPMOff, agent.TPMRequire:
		return nil
	}
	if !strings.ContainsRune(c.TPM, filepath.Separator) {
		return fmt.Errorf("--tpm %q is neither auto, off nor require, and no path", c.TPM)
	}
	return nil
}

// Run enrols the device.
func (c *enrollCommand) Run(e *env) error {
	token := strings.TrimSpace(c.Token)
	if token == "-" {
		text, err := io.ReadAll(io.LimitReader(e.stdin, 1<<10))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	var roots []byte
	if c.CA != "" {
		var err error
		if roots, err = os.ReadFile(c.CA); err != nil {
			return err
		}
	}
	a := newAgent(e)
	s, err := a.Enroll(e.ctx, agent.Enrollment{
		Server: strings.TrimSuffix(c.Server, "/"), Token: token, Roots: roots, Browsers: agent.Browsers{None: c.NoBrowser, Home: c.Home},
		TPM: agent.TPMChoice(c.TPM),
	})
	if errors.Is(err, agent.ErrEnrolled) {
		return fmt.Errorf("%w; \"gatepost-agent status\" says as what, \"gatepost-agent uninstall\" ends it", err)
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok && c.CA == "" {
		return fmt.Errorf("%w (%v); if that is right, name its authority with --ca", err, unknown.Cert.Issuer)
	}
	if err != nil {
		return err
	}
	var failed error
	next := ""
	if !c.NoService {
		next, failed = installService(e)
	}
	if e.json {
		if err := printJSON(e.stdout, statusOf(e, a, &s)); err != nil {
			return err
		}
		return failed
	}
	fmt.Fprintf(e.stdout, "This device is enrolled as %s.\n%s\n", s.DeviceID, meaning(s.Enrolled))
	if s.TPM != (agent.TPM{}) {
		fmt.Fprintf(e.stdout, "Its key is %s.\n", keyPlace(&s.TPM))
	}
	if s.BrowserTrouble != "" {
		fmt.Fprintf(e.stderr, "The browsers do not have its certificate yet: %s\n", s.BrowserTrouble)
	}
	if next != "" {
		fmt.Fprintln(e.stderr, next)
	}
	return failed
}

// meaning says what the server made of the device.
func meaning(s agentapi.State) string {
	switch s {
	case agentapi.Managed:
		return "It counts as managed."
	case agentapi.Held:
		return "The same hardware is enrolled already, so its certificate is held: an administrator decides, with \"gatepost device release\"."
	}
	return "It is pending: it counts as managed once an administrator says so, with an import or \"gatepost device approve\"."
}

type reportCommand struct {
	Once   bool `help:"Report once, which is what this command does anyway; for scripts."`
	DryRun bool `name:"dry-run" help:"Only show what would be reported, also before the device is enrolled."`
}

// Run looks at the device, and reports.
func (c *reportCommand) Run(e *env) error {
	if c.DryRun {
		return showObservation(e)
	}
	a := newAgent(e)
	if err := a.Report(e.ctx); err != nil {
		if n := a.Waiting(); n > 0 {
			fmt.Fprintf(e.stderr, "gatepost-agent: %d reports wait to be sent\n", n)
		}
		return enrolledFirst(err)
	}
	s, err := a.State()
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdout, statusOf(e, a, &s))
	}
	_, err = fmt.Fprintf(e.stdout, "Report %d of %s is stored.\n", s.Sequence, s.DeviceID)
	return err
}

// enrolledFirst says what to do about a device that is not enrolled.
func enrolledFirst(err error) error {
	if errors.Is(err, agent.ErrNotEnrolled) {
		return fmt.Errorf("%w: \"gatepost-agent enroll\" does that", err)
	}
	return err
}

// showObservation prints what a report would say.
func showObservation(e *env) error {
	o := collector().Collect(e.ctx)
	if e.json {
		return printJSON(e.stdout, map[string]any{"device": o.Device, "boot_id": o.BootID, "facts": o.Facts, "problems": o.Problems})
	}
	d := o.Device
	rows := [][2]string{
		{"vendor", d.Vendor}, {"model", d.Model}, {"serial", d.Serial}, {"hardware", d.HardwareID},
		{"os", strings.TrimSpace(d.OS + " " + d.OSVersion)}, {"boot", o.BootID},
	}
	for _, name := range slices.Sorted(maps.Keys(o.Facts)) {
		rows = append(rows, [2]string{name, o.Facts[name]})
	}
	printRows(e.stdout, rows)
	for _, p := range o.Problems {
		fmt.Fprintf(e.stdout, "not known: %s\n", p)
	}
	return nil
}

type runCommand struct{}

// Run reports until it is stopped.
func (*runCommand) Run(e *env) error {
	a := newAgent(e)
	a.Log = slog.New(slog.NewJSONHandler(e.stderr, nil)) // nobody is looking
	return enrolledFirst(service.Run(e.ctx, func(ctx context.Context) error { return runListening(ctx, a) }))
}

type uninstallCommand struct{}

// Run removes everything of the agent. What fails does not keep the rest.
func (*uninstallCommand) Run(e *env) error {
	a := newAgent(e)
	s, err := a.State()
	if err != nil && !errors.Is(err, agent.ErrNotEnrolled) {
		fmt.Fprintf(e.stderr, "gatepost-agent: %v\n", err)
	}
	err = errors.Join(service.New().Remove(e.ctx), browsersOf(s.Browsers).Remove(e.ctx), a.Forget(e.ctx))
	if err != nil {
		return err
	}
	if s.DeviceID != "" {
		fmt.Fprintf(e.stdout, "Removed. The server still knows the device: \"gatepost device retire %s\" there ends that.\n", s.DeviceID)
		return nil
	}
	_, err = fmt.Fprintln(e.stdout, "Removed.")
	return err
}

// printRows prints names and values in two columns.
func printRows(w io.Writer, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%-*s  %s\n", width, r[0], r[1])
	}
}

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
