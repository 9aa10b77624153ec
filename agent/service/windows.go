package service

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// Definition is what Windows knows of a service.
type Definition struct {
	Name        string
	DisplayName string
	Description string
	Executable  string
	Args        []string
	Restarts    []time.Duration // after the first failure, the second, and each further one
	Forget      time.Duration   // after which failures count from the first again
}

// Control is the service control manager.
type Control interface {
	// Put creates a service that starts at boot, or makes the one of that name so.
	Put(d Definition) error
	// Restart starts it, after it was stopped if it runs.
	Restart(ctx context.Context, name string) error
	// Delete stops and deletes it. It is no error that there is none.
	Delete(ctx context.Context, name string) error
	Query(name string) (Status, error)
}

// Windows is the installer of Windows. The service runs as LocalSystem.
type Windows struct {
	Control Control
	Mkdir   func(path string) error // makes a folder for SYSTEM and administrators only
}

// Install implements Installer.
func (w *Windows) Install(ctx context.Context, p Program) (string, error) {
	if err := p.check(regexp.MustCompile(`^[A-Za-z]:\\`).MatchString); err != nil {
		return "", err
	}
	if err := w.Mkdir(p.StateDir); err != nil {
		return "", fmt.Errorf("make the folder %s, which administrators can: %w", p.StateDir, err)
	}
	err := w.Control.Put(Definition{
		Name: Name, DisplayName: "Gatepost agent", Description: description,
		Executable: p.Executable, Args: p.Args,
		Restarts: []time.Duration{restartAfter, time.Minute, 5 * time.Minute}, Forget: 24 * time.Hour,
	})
	if err != nil {
		return "", fmt.Errorf("create the service, which administrators can: %w", err)
	}
	if err := w.Control.Restart(ctx, Name); err != nil {
		return "", fmt.Errorf("start the service (the Windows event log tells more): %w", err)
	}
	return "", nil
}

// Remove implements Installer.
func (w *Windows) Remove(ctx context.Context) error {
	if err := w.Control.Delete(ctx, Name); err != nil {
		return fmt.Errorf("delete the service, which administrators can: %w", err)
	}
	return nil
}

// Status implements Installer.
func (w *Windows) Status(context.Context) (Status, error) { return w.Control.Query(Name) }
