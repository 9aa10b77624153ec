package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// firewallOn asks the kernel, by nft, which sees the rules of every program that
// makes some (nft, firewalld, ufw, iptables-nft), while `iptables -L` sees its
// own only. Rules of iptables-legacy are in tables apart. Only root may ask.
func (l *linux) firewallOn(ctx context.Context) (bool, error) {
	families := l.families()
	out, _, err := l.run(ctx, "/usr/sbin/nft", "-j", "list", "ruleset")
	var rules ruleset
	if err == nil {
		rules, err = parseNFT(out)
	}
	var open []string
	for _, family := range families {
		if !rules.denies(family) {
			open = append(open, family)
		}
	}
	if err == nil && len(open) == 0 {
		return true, nil
	}
	legacy, problem := l.legacy(ctx, open)
	switch {
	case legacy:
		return true, nil
	case err != nil && l.frontEnd(ctx):
		return true, nil
	}
	return false, errors.Join(err, problem)
}

// families are those by which something can come in.
func (l *linux) families() []string {
	text, err := l.read("proc/net/if_inet6")
	if err != nil {
		return []string{"ip"}
	}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 6 && fields[5] != "lo" {
			return []string{"ip", "ip6"}
		}
	}
	return []string{"ip"}
}

// legacy tells whether the tables of iptables-legacy deny for the families.
func (l *linux) legacy(ctx context.Context, families []string) (bool, error) {
	for _, family := range families {
		tables, err := l.read("proc/net/" + family + "_tables_names") // root's
		if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.Contains(tables, "filter") {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		program := map[string]string{"ip": "iptables", "ip6": "ip6tables"}[family]
		out, _, err := l.run(ctx, "/usr/sbin/"+program+"-legacy-save", "-t", "filter")
		if errors.Is(err, fs.ErrNotExist) { // older systems have no other
			out, _, err = l.run(ctx, "/usr/sbin/"+program+"-save", "-t", "filter")
		}
		if err != nil {
			return false, fmt.Errorf("%s has rules: %w", program, err)
		}
		if !parseIPTables(family, out).denies(family) {
			return false, nil
		}
	}
	return true, nil
}

// frontEnd asks the usual programs where nft cannot be asked. When they say no,
// something else may still have made rules.
func (l *linux) frontEnd(ctx context.Context) bool {
	if out, _, err := l.run(ctx, "/usr/bin/firewall-cmd", "--state"); err == nil && strings.TrimSpace(out) == "running" {
		return true
	}
	out, _, err := l.run(ctx, "/usr/sbin/ufw", "status")
	first, _, _ := strings.Cut(out, "\n")
	return err == nil && strings.TrimSpace(first) == "Status: active"
}
