package service

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// label is what launchd calls the service.
const label = "dev.gatepost.agent"

// launchdLog is where the agent's log goes on macOS.
const launchdLog = "/Library/Logs/" + Name + ".log"

// Launchd is the installer of macOS.
type Launchd struct {
	Root string // before the paths of its files and the state folder's; "" is the system itself
	Run  Runner
}

func (l *Launchd) plist() string {
	return filepath.Join(l.Root, "/Library/LaunchDaemons", label+".plist")
}

// Install implements Installer.
func (l *Launchd) Install(ctx context.Context, p Program) (string, error) {
	text, err := plist(p)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(l.Root, p.StateDir), 0o700); err != nil {
		return "", asRoot(err)
	}
	if err := l.unload(ctx); err != nil {
		return "", err
	}
	if err := write(l.plist(), text); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"enable", "system/" + label}, {"bootstrap", "system", l.plist()}} {
		if _, err := l.Run(ctx, "launchctl", args...); err != nil {
			return "", fmt.Errorf("start the service (%s tells more): %w", launchdLog, err)
		}
	}
	return "", nil
}

// Remove implements Installer. The log stays.
func (l *Launchd) Remove(ctx context.Context) error {
	if err := l.unload(ctx); err != nil {
		return err
	}
	return remove(l.plist())
}

// Status implements Installer.
func (l *Launchd) Status(ctx context.Context) (Status, error) {
	found, err := exists(l.plist())
	if err != nil || !found {
		return Status{}, err
	}
	out, err := l.Run(ctx, "launchctl", "print", "system/"+label)
	if err != nil {
		return Status{Installed: true, Detail: "launchd does not have it: install it again"}, nil
	}
	for line := range strings.Lines(out) {
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), "state = "); ok {
			return Status{Installed: true, Running: state == "running", Detail: state}, nil
		}
	}
	return Status{Installed: true}, nil
}

// unload stops the service, if there is one, and waits until it is gone:
// launchctl does not, and what is going cannot be loaded.
func (l *Launchd) unload(ctx context.Context) error {
	for try := range 40 {
		if _, err := l.Run(ctx, "launchctl", "print", "system/"+label); err != nil {
			return nil
		}
		if try == 0 {
			// It says "in progress" as an error.
			_, _ = l.Run(ctx, "launchctl", "bootout", "system/"+label)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	return errors.New("launchd still runs " + label + ": run this as root")
}

// plist is the text of the property list (launchd.plist(5)).
func plist(p Program) (string, error) {
	if err := p.check(isAbsoluteUnix); err != nil {
		return "", err
	}
	var args strings.Builder
	for _, arg := range append([]string{p.Executable}, p.Args...) {
		args.WriteString("\t\t<string>")
		if err := xml.EscapeText(&args, []byte(arg)); err != nil {
			return "", err
		}
		args.WriteString("</string>\n")
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key><string>%s</string>
	<key>ProgramArguments</key>
	<array>
%s	</array>
	<key>RunAtLoad</key><true/>
	<key>KeepAlive</key><true/>
	<key>ThrottleInterval</key><integer>%d</integer>
	<key>ProcessType</key><string>Background</string>
	<key>Umask</key><integer>63</integer>
	<key>StandardOutPath</key><string>%s</string>
	<key>StandardErrorPath</key><string>%s</string>
</dict>
</plist>
`, label, args.String(), int(restartAfter.Seconds()), launchdLog, launchdLog), nil
}
