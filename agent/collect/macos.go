package collect

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// macOS finds out by the programs of the system, none of which is asked to
// change anything. What they write is not for programs to read, and differs
// between versions: what is not known here is unknown.
type macOS struct {
	run run
	now func() time.Time
}

func (m *macOS) probes() []probe {
	return []probe{
		{"device", quick, m.device},
		{"system", quick, m.system},
		{"boot ID", quick, m.boot},
		flag("DiskEncrypted", m.diskEncrypted),
		flag("FirewallOn", m.firewallOn),
		flag("ScreenLock", m.screenLock),
		flag("SecureBoot", m.secureBoot),
		updates(m.pendingUpdates),
		agents("macOS", m.processes),
	}
}

// property is a line of ioreg's: a text, or the bytes of one.
var property = regexp.MustCompile(`^[ |]*"(IOPlatformSerialNumber|IOPlatformUUID|model)" = <?"([^"]*)">?\s*$`)

func (m *macOS) device(ctx context.Context, o *Observation) error {
	out, _, err := m.run(ctx, "/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
	if err != nil {
		return err
	}
	d := &o.Device
	d.Vendor = "Apple"
	for line := range strings.Lines(out) {
		found := property.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		switch found[1] {
		case "IOPlatformSerialNumber":
			d.Serial = found[2]
		case "IOPlatformUUID":
			d.HardwareID = found[2]
		case "model":
			d.Model = found[2]
		}
	}
	if d.Serial == "" || d.HardwareID == "" || d.Model == "" {
		return errors.New("ioreg does not tell all of serial number, UUID and model")
	}
	return nil
}

var dotted = regexp.MustCompile(`^[0-9]{1,5}(\.[0-9]{1,9}){0,4}$`)

func (m *macOS) system(ctx context.Context, o *Observation) error {
	o.Device.OS = "macOS"
	out, _, err := m.run(ctx, "/usr/bin/sw_vers", "-productVersion")
	if err != nil {
		return err
	}
	version := strings.TrimSpace(out)
	if !dotted.MatchString(version) {
		return fmt.Errorf("sw_vers says %q, which is no version", clean(version))
	}
	o.Device.OSVersion = version
	return nil
}

func (m *macOS) boot(ctx context.Context, o *Observation) error {
	out, _, err := m.run(ctx, "/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
	if err != nil {
		return err
	}
	id := hardwareID(strings.TrimSpace(out))
	if id == "" {
		return fmt.Errorf("kern.bootsessionuuid is %q, no UUID", clean(out))
	}
	o.BootID = id
	return nil
}

func (m *macOS) diskEncrypted(ctx context.Context) (bool, error) {
	out, _, err := m.run(ctx, "/usr/bin/fdesetup", "status")
	if err != nil {
		return false, err
	}
	return fileVault(out)
}

// fileVault reads what fdesetup says of the volume. While it is encrypted or
// decrypted, part of it is not.
func fileVault(text string) (bool, error) {
	on, off, halfway := false, false, false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		on = on || line == "FileVault is On."
		off = off || line == "FileVault is Off." || strings.HasPrefix(line, "FileVault is Off, ")
		halfway = halfway || strings.HasPrefix(line, "Encryption in progress:") || strings.HasPrefix(line, "Decryption in progress:")
	}
	if on == off && !halfway || !strings.HasSuffix(text, "\n") { // the line that is missing may be the one that counts
		return false, fmt.Errorf("fdesetup says %q", clean(text))
	}
	return on && !off && !halfway, nil
}

var firewallState = regexp.MustCompile(`(?m)\(State = ([0-9]+)\)\s*$`)

// firewallOn asks the application firewall: 1 asks by application, 2 lets
// nothing in. What pf does is not seen.
func (m *macOS) firewallOn(ctx context.Context) (bool, error) {
	out, _, err := m.run(ctx, "/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate")
	if err != nil {
		return false, err
	}
	found := firewallState.FindStringSubmatch(out)
	if found == nil || len(found[1]) != 1 || found[1] > "2" {
		return false, fmt.Errorf("socketfilterfw says %q", clean(out))
	}
	return found[1] != "0", nil
}

// screenLock asks, for who sits in front of the screen, how long after it went
// blank the password is wanted. When it goes blank is not looked at.
func (m *macOS) screenLock(ctx context.Context) (bool, error) {
	out, _, err := m.run(ctx, "/usr/bin/stat", "-f", "%u", "/dev/console")
	if err != nil {
		return false, err
	}
	user, err := strconv.ParseUint(strings.TrimSpace(out), 10, 31)
	if err != nil || user < 500 {
		return false, errors.New("no user is in front of the screen")
	}
	id := strconv.FormatUint(user, 10)
	out, complaint, err := m.run(ctx, "/bin/launchctl", "asuser", id,
		"/usr/bin/sudo", "-n", "-u", "#"+id, "/usr/sbin/sysadminctl", "-screenLock", "status")
	if err != nil {
		return false, err
	}
	return screenLocks(out + "\n" + complaint) // it answers as if it complained
}

var lockDelay = regexp.MustCompile(`(?mi)\bscreenLock (?:is (off)|delay is (immediate|-?[0-9]{1,9}(?:\.[0-9]{1,9})?)(?: seconds?)?)\s*$`)

func screenLocks(text string) (bool, error) {
	found := lockDelay.FindAllStringSubmatch(text, 2)
	if len(found) != 1 {
		return false, fmt.Errorf("sysadminctl says %q", clean(text))
	}
	off, delay := found[0][1], strings.ToLower(found[0][2])
	switch {
	case off != "", strings.HasPrefix(delay, "-"):
		return false, nil
	case delay == "immediate":
		return true, nil
	}
	seconds, err := strconv.ParseFloat(delay, 64)
	if err != nil {
		return false, err
	}
	return seconds <= maxLock.Seconds(), nil
}

// secureBoot asks for the boot policies of Apple silicon, or else for the
// variable of the T2 chip. Macs with neither start whatever they are told: there
// is nothing to ask.
func (m *macOS) secureBoot(ctx context.Context) (bool, error) {
	out, _, err1 := m.run(ctx, "/usr/bin/bputil", "--display-all-policies")
	if err1 == nil {
		return bootPolicies(out)
	}
	out, _, err2 := m.run(ctx, "/usr/sbin/nvram", "94b73556-2197-4702-82a8-3e1337dafbfb:AppleSecureBootPolicy")
	if err2 == nil {
		return t2Policy(out)
	}
	return false, errors.Join(err1, err2)
}

var securityMode = regexp.MustCompile(`(?m)^\s*Security Mode:\s+([A-Za-z]+)\s+\(smb0`)

// bootPolicies: full security starts what Apple signs today, reduced security
// what Apple ever signed, permissive security anything. Which of several systems
// runs, the policies do not tell.
func bootPolicies(text string) (bool, error) {
	secure, permissive := 0, 0
	for _, mode := range securityMode.FindAllStringSubmatch(text, -1) {
		switch mode[1] {
		case "Full", "Reduced":
			secure++
		case "Permissive":
			permissive++
		default:
			return false, fmt.Errorf("bputil names the security mode %q", clean(mode[1]))
		}
	}
	if secure == 0 && permissive == 0 {
		return false, errors.New("bputil names no security mode")
	}
	if secure > 0 && permissive > 0 {
		return false, errors.New("of several systems some are started with permissive security")
	}
	return secure > 0, nil
}

func t2Policy(text string) (bool, error) {
	fields := strings.Fields(text)
	if len(fields) == 2 {
		switch fields[1] {
		case "%02", "%01": // full, medium
			return true, nil
		case "%00":
			return false, nil
		}
	}
	return false, fmt.Errorf("nvram says %q", clean(text))
}

// processes names those of root.
func (m *macOS) processes(ctx context.Context) ([]string, error) {
	out, _, err := m.run(ctx, "/bin/ps", "-A", "-o", "uid=,comm=")
	if err != nil {
		return nil, err
	}
	return rootProcesses(out)
}

func rootProcesses(text string) ([]string, error) {
	var names []string
	for line := range strings.Lines(text) {
		uid, program, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && uid == "0" {
			names = append(names, path.Base(strings.TrimSpace(program)))
		}
	}
	if len(names) == 0 { // there is launchd at least
		return nil, errors.New("ps lists no process of root")
	}
	return names, nil
}
