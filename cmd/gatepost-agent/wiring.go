package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"gatepost.dev/agent"
	"gatepost.dev/agent/browser"
	"gatepost.dev/agent/collect"
	"gatepost.dev/agent/service"
)

// newAgent is the agent of this device.
func newAgent(e *env) *agent.Agent {
	return &agent.Agent{
		Dir:     e.state,
		Observe: func(ctx context.Context) collect.Observation { return collector().Collect(ctx) },
		Install: installInBrowsers,
		Now:     time.Now,
		Wait:    wait,
		Random:  rand.Float64,
		Log:     slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), // somebody is looking
	}
}

func collector() *collect.Collector { return collect.New(time.Now) }

// wait waits until d has passed or ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// installInBrowsers gives the browsers the certificate.
func installInBrowsers(ctx context.Context, c tls.Certificate, s agent.State) error {
	key, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("the key cannot sign")
	}
	return browsersOf(s.Browsers).Install(ctx, browser.Credential{Certificate: c.Leaf, Key: key}, s.DeviceURL)
}

// inBrowsers are the places where browsers find the certificate.
func inBrowsers(e *env, s *agent.State) []string {
	where := []string{}
	if s.Browsers.None {
		return where
	}
	places, err := browsersOf(s.Browsers).Installed(e.ctx)
	if err != nil {
		return append(where, err.Error())
	}
	for _, p := range places {
		where = append(where, p.Where)
	}
	return where
}

// installService has the system run this program. What is left for an
// administrator to do is said in next.
func installService(e *env) (next string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	next, err = service.New().Install(e.ctx, service.Program{Executable: self, Args: []string{"--state", e.state, "run"}, StateDir: e.state, Writes: browserFolders()})
	if err != nil {
		return "", fmt.Errorf("the device is enrolled, but no service reports by itself: %w; \"gatepost-agent run\" does that as well", err)
	}
	return next, nil
}

// browserFolders are where the certificate and the policies of browsers are: the
// service may write nowhere else but to its state.
func browserFolders() []string {
	if runtime.GOOS != "linux" {
		return nil
	}
	return []string{"/etc", "/home", "/root"}
}

// serviceStatus says how the service is.
func serviceStatus(e *env) string {
	s, err := service.New().Status(e.ctx)
	switch {
	case err != nil:
		return err.Error()
	case s.Running:
		return "runs"
	case s.Installed:
		return "installed, does not run: " + s.Detail
	}
	return "not installed"
}
