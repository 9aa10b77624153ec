//go:build !windows

package service

import "context"

// Run runs f: systemd and launchd ask for nothing but a process, which they end
// by a signal.
func Run(ctx context.Context, f func(context.Context) error) error { return f(ctx) }
