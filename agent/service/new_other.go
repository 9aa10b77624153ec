//go:build !linux && !darwin && !windows

package service

import (
	"context"
	"errors"
	"runtime"
)

// New is an installer that can only say that there is none.
func New() Installer { return none{} }

type none struct{}

func (none) Install(context.Context, Program) (string, error) {
	return "", errors.New("services of " + runtime.GOOS + " are not known: have something of the system's keep `gatepost-agent run` running")
}

func (none) Remove(context.Context) error { return nil }

func (none) Status(context.Context) (Status, error) { return Status{}, nil }
