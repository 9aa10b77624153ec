// Package service has the operating system run the agent: as a unit of systemd,
// a daemon of launchd or a service of Windows, started at boot and again
// whenever it ends; and takes that back.
//
// It does not know what the agent does, only what of the system it touches.
package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// Name is what the service is called, but by launchd.
const Name = "gatepost-agent"

const description = "Gatepost device agent: reports the posture of this device"

// restartAfter is how long an agent that ended stays down.
const restartAfter = 10 * time.Second

// Program is what is to be run. What it is given as arguments everybody on the
// machine may read.
type Program struct {
	Executable string // absolute path
	Args       []string
	StateDir   string   // absolute path of the folder that it keeps its key in; made if it is missing
	Writes     []string // absolute paths of more folders that it writes below; they may be missing
}

// Status is how it stands.
type Status struct {
	Installed bool
	Running   bool
	Detail    string // in the words of the system, or what to do about it
}

// Installer is the part of the system that runs services. Systemd, Launchd and
// Windows are installers.
type Installer interface {
	// Install has the program run now and after every boot, in place of that of an
	// earlier call. If something is left for an administrator to do, next says what.
	Install(ctx context.Context, p Program) (next string, err error)
	// Remove stops it and takes back what Install did. The program and its state
	// stay. There may be nothing to remove.
	Remove(ctx context.Context) error
	Status(ctx context.Context) (Status, error)
}

// Runner runs a program and returns what it printed, also when it fails.
type Runner func(ctx context.Context, name string, args ...string) (string, error)

// patience is for one program.
const patience = time.Minute

// Exec is the Runner that runs programs.
func Exec(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

// check refuses what cannot be written down.
func (p Program) check(isAbsolute func(string) bool) error {
	for _, path := range append([]string{p.Executable, p.StateDir}, p.Writes...) {
		if !isAbsolute(path) {
			return fmt.Errorf("path %q of the service: it must be absolute", path)
		}
	}
	for _, text := range append(append([]string{p.Executable, p.StateDir}, p.Args...), p.Writes...) {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%q: a service cannot have control characters on its command line", text)
		}
	}
	return nil
}

func isAbsoluteUnix(path string) bool { return strings.HasPrefix(path, "/") }

// write puts a file of a service where the system reads it, the whole of it or
// nothing.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return asRoot(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+Name+"-")
	if err != nil {
		return asRoot(err)
	}
	_, err = f.WriteString(text)
	// Neither systemd nor launchd takes a file that others can write.
	err = errors.Join(err, os.Chmod(f.Name(), 0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(asRoot(err), os.Remove(f.Name()))
	}
	return nil
}

// asRoot says who may.
func asRoot(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: run this as root", err)
	}
	return err
}

// remove deletes a file, which may be missing.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return asRoot(err)
	}
	return nil
}

// exists tells whether there is such a file.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
