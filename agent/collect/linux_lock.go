package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// screenLock asks the desktop of who sits in front of the screen, as that user:
// GNOME and KDE Plasma. Of others, and where nobody sits, nothing is known.
func (l *linux) screenLock(ctx context.Context) (bool, error) {
	out, _, err := l.run(ctx, "/usr/bin/loginctl", "show-seat", "seat0", "--property=ActiveSession", "--value")
	if err != nil {
		return false, err
	}
	session := strings.TrimSpace(out)
	if session == "" || strings.Trim(session, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return false, errors.New("nobody is in front of the screen")
	}
	out, _, err = l.run(ctx, "/usr/bin/loginctl", "show-session", session,
		"--property=User", "--property=Class", "--property=Desktop")
	if err != nil {
		return false, err
	}
	about := assignments(out)
	user, err := strconv.ParseUint(about["User"], 10, 31)
	if err != nil || user == 0 || about["Class"] != "user" {
		return false, errors.New("no user is in front of the screen")
	}
	ask := func(program string, args ...string) (string, error) {
		id := strconv.FormatUint(user, 10)
		args = append([]string{"--reuid=" + id, "--regid=" + id, "--clear-groups", "--reset-env", program}, args...)
		out, _, err := l.run(ctx, "/usr/bin/setpriv", args...)
		return strings.TrimSpace(out), err
	}
	switch desktop := strings.ToLower(about["Desktop"]); {
	case slices.Contains([]string{"gnome", "gnome-classic", "gnome-xorg", "ubuntu", "ubuntu-xorg", "pop"}, desktop):
		return gnomeLocks(ask)
	case slices.Contains([]string{"kde", "plasma", "plasmax11", "plasmawayland"}, desktop):
		return plasmaLocks(ask)
	default:
		return false, fmt.Errorf("the desktop is %q, which is not known here", clean(desktop))
	}
}

// gnomeLocks: the screen goes blank when nobody did anything for a while (0:
// never), and is locked a while after that.
func gnomeLocks(ask func(program string, args ...string) (string, error)) (bool, error) {
	get := func(schema, key string) (string, error) {
		return ask("/usr/bin/gsettings", "get", "org.gnome.desktop."+schema, key)
	}
	enabled, err1 := get("screensaver", "lock-enabled")
	forbidden, err2 := get("lockdown", "disable-lock-screen")
	idle, err3 := get("session", "idle-delay")
	delay, err4 := get("screensaver", "lock-delay")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return false, err
	}
	off, err1 := gBool(forbidden)
	on, err2 := gBool(enabled)
	blank, err3 := gSeconds(idle)
	lock, err4 := gSeconds(delay)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return false, err
	}
	return on && !off && blank > 0 && blank+lock <= maxLock, nil
}

// gBool and gSeconds read a GVariant in its text format.
func gBool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, fmt.Errorf("%q is neither true nor false", clean(text))
	}
	return text == "true", nil
}

func gSeconds(text string) (time.Duration, error) {
	number, ok := strings.CutPrefix(text, "uint32 ")
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil {
		return 0, fmt.Errorf("%q is no number of seconds", clean(text))
	}
	return time.Duration(n) * time.Second, nil
}

// plasmaLocks reads the settings of kscreenlocker, by one of the programs of
// Plasma 6 and 5. What is not set is as it comes: after 5 minutes.
func plasmaLocks(ask func(program string, args ...string) (string, error)) (bool, error) {
	get := func(key, otherwise string) (string, error) {
		args := []string{"--file", "kscreenlockerrc", "--group", "Daemon", "--key", key, "--default", otherwise}
		text, err := ask("/usr/bin/kreadconfig6", args...)
		if err != nil {
			text, err = ask("/usr/bin/kreadconfig5", args...)
		}
		return text, err
	}
	auto, err1 := get("Autolock", "true")
	timeout, err2 := get("Timeout", "5")
	if err := errors.Join(err1, err2); err != nil {
		return false, err
	}
	on, err := gBool(auto)
	if err != nil {
		return false, err
	}
	minutes, err := strconv.ParseUint(timeout, 10, 31)
	if err != nil {
		return false, fmt.Errorf("%q is no number of minutes", clean(timeout))
	}
	return on && minutes > 0 && time.Duration(minutes)*time.Minute <= maxLock, nil
}
