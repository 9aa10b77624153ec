package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const unitName = Name + ".service"

// Systemd is the installer of Linux. Where systemd does not run, as in a
// container, it writes the unit and leaves the rest to whoever starts systemd.
type Systemd struct {
	Root string // before the paths of its files and the state folder's; "" is the system itself
	Run  Runner
}

func (s *Systemd) unitFile() string { return filepath.Join(s.Root, "/etc/systemd/system", unitName) }

// enabled is the link that systemctl enable makes, and that Remove takes away
// also where there is no systemctl to do so.
func (s *Systemd) enabled() string {
	return filepath.Join(s.Root, "/etc/systemd/system/multi-user.target.wants", unitName)
}

// runs tells whether systemd does, as sd_booted(3) finds out.
func (s *Systemd) runs() bool {
	found, _ := exists(filepath.Join(s.Root, "/run/systemd/system"))
	return found
}

// Install implements Installer.
func (s *Systemd) Install(ctx context.Context, p Program) (string, error) {
	text, err := unit(p)
	if err != nil {
		return "", err
	}
	// systemd starts nothing whose ReadWritePaths are missing.
	if err := os.MkdirAll(filepath.Join(s.Root, p.StateDir), 0o700); err != nil {
		return "", asRoot(err)
	}
	if err := write(s.unitFile(), text); err != nil {
		return "", err
	}
	if !s.runs() {
		return fmt.Sprintf("systemd does not run here, so the service was written down and not started.\n"+
			"Where it runs: systemctl daemon-reload && systemctl enable --now %s\n"+
			"Without it, have something else keep this running: %s", unitName, commandLine(p)), nil
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", unitName}, {"restart", unitName}} {
		if _, err := s.Run(ctx, "systemctl", args...); err != nil {
			return "", fmt.Errorf("start the service (journalctl -u %s tells more): %w", unitName, err)
		}
	}
	return "", nil
}

// Remove implements Installer.
func (s *Systemd) Remove(ctx context.Context) error {
	found, err := exists(s.unitFile())
	if err != nil {
		return asRoot(err)
	}
	if found && s.runs() {
		if _, err := s.Run(ctx, "systemctl", "disable", "--now", unitName); err != nil {
			return err
		}
	}
	if err := errors.Join(remove(s.enabled()), remove(s.unitFile())); err != nil || !found || !s.runs() {
		return err
	}
	_, err = s.Run(ctx, "systemctl", "daemon-reload")
	return err
}

// Status implements Installer.
func (s *Systemd) Status(ctx context.Context) (Status, error) {
	found, err := exists(s.unitFile())
	if err != nil || !found {
		return Status{}, err
	}
	if !s.runs() {
		return Status{Installed: true, Detail: "systemd does not run here"}, nil
	}
	// is-active fails whenever the answer is not "active".
	out, err := s.Run(ctx, "systemctl", "is-active", unitName)
	if out == "" && err != nil {
		return Status{Installed: true}, err
	}
	return Status{Installed: true, Running: out == "active", Detail: out}, nil
}

// unit is the text of the unit.
//
// The agent is root, because it reads what only root may (the serial number,
// what is encrypted, the firewall's rules), and because it becomes each of the
// users to write where only they may. So what it is denied is the rest: it changes
// nothing of the system outside the named folders, loads nothing into the kernel,
// and gains no right that it was not given. It sees the devices, a TPM among
// them, and all processes, which are part of the posture. ProtectClock would leave
// it no device but the clock (DeviceAllow=char-rtc); capabilities and system calls
// that set a clock are denied anyway.
func unit(p Program) (string, error) {
	if err := p.check(isAbsoluteUnix); err != nil {
		return "", err
	}
	if strings.ContainsAny(p.Executable, `$%"'\`) {
		return "", fmt.Errorf("executable %q: systemd wants a name without quotes, $, %% and \\", p.Executable)
	}
	writes := []string{quote(p.StateDir, false)}
	for _, path := range p.Writes {
		writes = append(writes, quote("-"+path, false)) // with a hyphen it may be missing
	}
	return fmt.Sprintf(`[Unit]
Description=%s
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=%s
Restart=always
RestartSec=%d
UMask=0077

ProtectSystem=strict
ReadWritePaths=%s
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_NET_ADMIN CAP_SETGID CAP_SETUID
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`, description, commandLine(p), int(restartAfter.Seconds()), strings.Join(writes, " ")), nil
}

// commandLine is the program with its arguments, by the rules of systemd, which
// on all but % and $ are the shell's too.
func commandLine(p Program) string {
	words := []string{quote(p.Executable, true)}
	for _, arg := range p.Args {
		words = append(words, quote(arg, true))
	}
	return strings.Join(words, " ")
}

// quote makes one word of a text (systemd.syntax(7)). On command lines $ stands
// for variables.
func quote(text string, dollars bool) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@", r)
	})
	if plain {
		return text
	}
	escapes := []string{`\`, `\\`, `"`, `\"`, `%`, `%%`}
	if dollars {
		escapes = append(escapes, `$`, `$$`)
	}
	return `"` + strings.NewReplacer(escapes...).Replace(text) + `"`
}
