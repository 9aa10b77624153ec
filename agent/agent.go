// Package agent is the device side of agentapi: it enrols the device, keeps its
// key, in a TPM where there is one, reports what was observed, renews the
// certificate, and waits and tries again when the server cannot be reached. To
// browsers on the device it answers, on loopback, the challenges of its server.
//
// What there is to observe is collect's, where a browser finds the certificate is
// browser's, and how a service is installed is service's; all three are handed
// in as functions.
package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"gatepost.dev/agent/collect"
	"gatepost.dev/agentapi"
)

// Agent is the agent of one device. Its methods are not for concurrent use;
// several processes may have the same Dir.
type Agent struct {
	Dir     string                                                      // its state, for its owner only
	Observe func(ctx context.Context) collect.Observation               // what to report
	Install func(ctx context.Context, c tls.Certificate, s State) error // gives the certificate to the browsers; nil: nobody does
	Now     func() time.Time
	Wait    func(ctx context.Context, d time.Duration) error // until d has passed or ctx ends
	Random  func() float64                                   // from 0 up to 1, for jitter
	Log     *slog.Logger
	Asked   <-chan Ask // by Listen, for reports out of turn; nil: nobody asks

	systemTPM string // its path; empty: tpmkey.DefaultPath
	tpms      tpms
}

// Errors of an agent.
var (
	ErrNotEnrolled = errors.New("the device is not enrolled")
	ErrEnrolled    = errors.New("the device is enrolled already")
)

// Enrollment is what it takes to enrol.
type Enrollment struct {
	Server   string   // the issuer's URL
	Token    string   // one use
	Roots    []byte   // PEM certificates that the server's is trusted by; nil: the system's
	Browsers Browsers // who gets the certificate
	TPM      TPMChoice
}

// Enroll enrols the device. Errors: ErrEnrolled, or what the server said.
func (a *Agent) Enroll(ctx context.Context, n Enrollment) (State, error) {
	if err := checkServer(n.Server); err != nil {
		return State{}, err
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return State{}, err
	}
	defer unlock()
	switch _, err := a.readState(); {
	case err == nil:
		return State{}, ErrEnrolled
	case !errors.Is(err, ErrNotEnrolled):
		return State{}, err
	}
	observed := a.look(ctx)
	w, err := newWire(n.Server, n.Roots, nil)
	if err != nil {
		return State{}, err
	}
	defer w.close()
	key, err := a.firstKey(ctx, w, &n)
	if err != nil {
		return State{}, fmt.Errorf("enrol at %s: %w", n.Server, err)
	}
	var e agentapi.Enrollment
	request := agentapi.EnrollRequest{Token: n.Token, CSR: key.csr, Device: observed.Device, TPM: key.evidence}
	if err := w.post(ctx, agentapi.EnrollPath, request, &e); err != nil {
		return State{}, fmt.Errorf("enrol at %s: %w", n.Server, err)
	}
	if err := checkServer(e.DeviceURL); err != nil {
		return State{}, fmt.Errorf("the server names a device URL: %w", err)
	}
	s := State{
		Server: n.Server, Roots: string(n.Roots), Browsers: n.Browsers, DeviceURL: e.DeviceURL, DeviceID: e.DeviceID, Enrolled: e.State,
		Sequence: e.Sequence, Every: time.Duration(e.ReportEvery) * time.Second, RenewAt: e.RenewAt, Loopback: e.Loopback,
		TPM: key.state(e.NotAttested),
	}
	if err := a.writeCredential(credentialFile, key, e.Certificate, e.Authority); err != nil {
		return State{}, err
	}
	if err := a.writeState(s); err != nil {
		return State{}, err
	}
	if s.ownBrowserKey() {
		a.keepBrowserKey(ctx, &s)
	}
	a.install(ctx, &s)
	return s, nil
}

// look observes the device, and notes what could not be found out.
func (a *Agent) look(ctx context.Context) collect.Observation {
	o := a.Observe(ctx)
	if len(o.Problems) > 0 {
		a.Log.LogAttrs(ctx, slog.LevelInfo, "not all could be found out", slog.Any("problems", o.Problems))
	}
	return o
}

// checkServer wants https, a host, and nothing behind it.
func checkServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is no URL of a server: write https:// and its host", server)
	}
	return nil
}

// install gives the certificate to the browsers. That it cannot is noted, and no
// reason not to report.
func (a *Agent) install(ctx context.Context, s *State) {
	if a.Install == nil || s.Browsers.None {
		return
	}
	c, err := a.browserCredential(s)
	if err == nil {
		err = a.Install(ctx, c, *s)
	}
	s.BrowserTrouble = ""
	if err != nil {
		s.BrowserTrouble = err.Error()
		a.Log.LogAttrs(ctx, slog.LevelWarn, "browsers do not have the certificate", slog.String("error", err.Error()))
	}
	if err := a.writeState(*s); err != nil {
		a.Log.LogAttrs(ctx, slog.LevelError, "state not written", slog.String("error", err.Error()))
	}
}

// State tells how the agent is, or ErrNotEnrolled.
func (a *Agent) State() (State, error) { return a.readState() }

// Credential is the agent's certificate with its key, which may be in a TPM, or
// ErrNotEnrolled.
func (a *Agent) Credential() (tls.Certificate, error) { return a.credential() }
