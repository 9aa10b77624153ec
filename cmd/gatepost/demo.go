package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"gatepost.dev/conform"
	"gatepost.dev/posture"
)

type demoCommand struct {
	Addr    string `default:"127.0.0.1:8443" placeholder:"ADDR" help:"127.0.0.1 and a port (default: ${default}). The two ports after it are used as well; port 0 takes any that are free."`
	Once    bool   `help:"Exit after the sign-ins; with status 1 if any had a wrong outcome."`
	Verbose bool   `help:"Print the server's whole log on standard error, not only warnings and errors."`
}

// Run runs the demo with its eight sign-ins.
func (c *demoCommand) Run(e *env) error { return c.run(e, demoScenarios()) }

// run starts everything, runs the sign-ins and, unless it is to do so only once,
// stays until the context ends. A wrong outcome is an error in the end.
func (c *demoCommand) run(e *env, scenarios []scenario) (err error) {
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelDebug
	}
	// Keys lie in a folder that goes when this ends: also by a terminal that is
	// closed, or by a reader of the output who has seen enough.
	var stopSignals context.CancelFunc
	e.ctx, stopSignals = signal.NotifyContext(e.ctx, syscall.SIGHUP)
	defer stopSignals()
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE) // writing fails then, and ends nothing
	defer signal.Stop(pipe)
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	d, err := startDemo(e.ctx, c.Addr, log, time.Now, scenarios)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()

	report := demoReport{}
	if !e.json {
		fmt.Fprint(e.stdout, "Gatepost, a simulated Okta and three devices, all on this machine. A sign-in of every kind:\n\n")
	}
	for i := range scenarios {
		a := d.signIn(e.ctx, &scenarios[i])
		if e.ctx.Err() != nil {
			return fmt.Errorf("interrupted in sign-in %d of %d", i+1, len(scenarios))
		}
		report.add(a)
		if !e.json {
			printAccount(e.stdout, i+1, a)
		}
	}
	if !c.Once {
		report.Try = d.invitation()
	}
	if e.json {
		if err := printJSON(e.stdout, report); err != nil {
			return err
		}
	} else {
		printSummary(e.stdout, &report)
	}
	if !c.Once {
		if err := d.wait(e.ctx); err != nil {
			return err
		}
	}
	return report.fault()
}

// wait returns when the context ends, or with the error of a server that ended
// before.
func (d *demo) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.failed:
		return err
	case err := <-d.gatepost.failed:
		return err
	}
}

// scenario is one kind of sign-in with the outcome that is right for it.
type scenario struct {
	ID      string // in the start page's addresses
	Title   string
	Device  string // ID; "": the browser has no certificate
	User    string
	OIDC    bool            // by OpenID Connect, else by SAML
	Binding conform.Binding // of SAML
	App     string          // application whose context is sent; may be ""
	Want    outcome
}

// outcome is what a sign-in led to.
type outcome struct {
	Decision  posture.Outcome `json:"decision"`
	Managed   bool            `json:"managed"`
	Compliant bool            `json:"compliant"`
	Reason    posture.Reason  `json:"reason,omitempty"`
	Okta      string          `json:"okta"` // signed-in, failed or rejected
}

// What the simulated Okta makes of an answer.
const (
	oktaSignedIn = "signed-in"
	oktaFailed   = "failed"
)

// demoScenarios are one sign-in for each device of demo/devices.csv, and one
// without any, by each protocol.
func demoScenarios() []scenario {
	saml := []scenario{
		{
			ID: "compliant", Title: "A managed and compliant device",
			Device: "demo-macbook", User: "ana@example.com", Binding: conform.Redirect, App: "Wiki",
			Want: outcome{Decision: posture.Asserted, Managed: true, Compliant: true, Okta: oktaSignedIn},
		},
		{
			ID: "noncompliant", Title: "A managed device that is not compliant",
			Device: "demo-thinkpad", User: "ben@example.com", Binding: conform.Post, App: "Payroll",
			Want: outcome{Decision: posture.Asserted, Managed: true, Reason: posture.NotCompliant, Okta: oktaSignedIn},
		},
		{
			ID: "unmanaged", Title: "A device that is not managed",
			Device: "demo-tablet", User: "cleo@example.com", Binding: conform.Redirect,
			Want: outcome{Decision: posture.Refused, Reason: posture.NotManaged, Okta: oktaFailed},
		},
		{
			ID: "no-certificate", Title: "A browser without a certificate",
			User: "dora@example.com", Binding: conform.Post,
			Want: outcome{Decision: posture.Refused, Reason: posture.NoCertificate, Okta: oktaFailed},
		},
	}
	byOIDC := slices.Clone(saml)
	for i := range saml {
		saml[i].Title += ", by SAML"
		b := &byOIDC[i]
		b.OIDC, b.ID, b.Title, b.Binding = true, "oidc-"+b.ID, b.Title+", by OpenID Connect", ""
	}
	return append(saml, byOIDC...)
}
