//go:build !linux && !darwin && !windows

package browser

import (
	"context"
	"errors"
	"runtime"
)

// New is an installer that can only say that there is none.
func New() Installer { return none{} }

type none struct{}

func (none) Install(context.Context, Credential, string) error {
	return errors.New("browsers of " + runtime.GOOS + " are not known: import the certificate by hand")
}

func (none) Remove(context.Context) error { return nil }

func (none) Installed(context.Context) ([]Place, error) { return nil, nil }
