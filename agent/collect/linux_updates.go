package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// pendingUpdates asks the package manager what it would upgrade by what it
// fetched last. It fetches nothing.
func (l *linux) pendingUpdates(ctx context.Context) (int, error) {
	switch {
	case l.exists("usr/bin/apt-get"):
		return l.apt(ctx)
	case l.exists("usr/bin/dnf"):
		return l.dnf(ctx)
	}
	return 0, errors.New("the package manager is neither apt nor dnf")
}

func (l *linux) apt(ctx context.Context) (int, error) {
	const lists = "var/lib/apt/lists"
	entries, err := fs.ReadDir(l.files, lists)
	if err != nil {
		return 0, err
	}
	security := false
	for _, e := range entries {
		security = security || strings.Contains(e.Name(), "-security_")
	}
	if !security {
		return 0, errors.New("apt has no list of security updates")
	}
	// apt works in partial each time, even when no list changed.
	if err := fresh(l.now(), l.newest(lists, lists+"/partial", "var/lib/apt/periodic/update-success-stamp")); err != nil {
		return 0, err
	}
	out, _, err := l.run(ctx, "/usr/bin/apt-get", "-s", "-o", "Debug::NoLocking=true", "--with-new-pkgs", "upgrade")
	if err != nil {
		return 0, err
	}
	return countAPT(out)
}

// newest is when the latest of those was changed that there are.
func (l *linux) newest(names ...string) (latest time.Time) {
	for _, name := range names {
		if info, err := fs.Stat(l.files, name); err == nil && info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	return latest
}

// countAPT counts the packages that a simulated upgrade takes from an archive
// of security updates:
//
//	Inst libssl3 [3.0.11-1] (3.0.15-1~deb12u1 Debian:12.8/stable, Debian-Security:12/stable-security [amd64]) []
//
// A new kernel is a new package: it has no version in brackets.
func countAPT(text string) (int, error) {
	n, summed := 0, false
	for line := range strings.Lines(text) {
		summed = summed || strings.Contains(line, " upgraded, ") && strings.Contains(line, " newly installed, ")
		rest, ok := strings.CutPrefix(line, "Inst ")
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(rest, "(")
		_, origins, _ := strings.Cut(rest, " ") // behind the version
		origins, _, _ = strings.Cut(origins, "[")
		for origin := range strings.SplitSeq(origins, ",") {
			_, suite, _ := strings.Cut(strings.TrimSpace(origin), "/")
			if strings.HasSuffix(strings.TrimRight(suite, " )"), "-security") {
				n++
				break
			}
		}
	}
	if !summed {
		return 0, errors.New("apt-get did not come to its end")
	}
	return n, nil
}

func (l *linux) dnf(ctx context.Context) (int, error) {
	var caches []string
	for _, pattern := range []string{"var/cache/dnf/*/repodata", "var/cache/libdnf5/*/repodata"} {
		dirs, err := fs.Glob(l.files, pattern)
		if err != nil {
			return 0, err
		}
		caches = append(caches, dirs...)
	}
	if err := fresh(l.now(), l.newest(caches...)); err != nil {
		return 0, err
	}
	out, _, err := l.run(ctx, "/usr/bin/dnf", "-q", "-C", "updateinfo", "list", "--security")
	if err != nil {
		return 0, err
	}
	return countDNF(out)
}

// countDNF counts the packages that advisories are about, of the lines of
// version 4 and of version 5:
//
//	RHSA-2026:1234 Important/Sec. openssl-libs-1:3.0.7-27.el9.x86_64
//	FEDORA-2026-1a2b3c security Important openssl-libs-1:3.2.4-1.fc42.x86_64 2026-11-20 01:23:45
func countDNF(text string) (int, error) {
	packages := map[string]bool{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		var name string
		switch {
		case len(fields) == 0, fields[0] == "Name": // the heading
			continue
		case len(fields) == 3 && strings.HasSuffix(fields[1], "/Sec."):
			name = fields[2]
		case len(fields) >= 4 && fields[1] == "security":
			name = fields[3]
		default:
			return 0, fmt.Errorf("dnf writes %q, which is not known here", clean(line))
		}
		// Without version and release, or two advisories count twice.
		for range 2 {
			if i := strings.LastIndexByte(name, '-'); i > 0 {
				name = name[:i]
			}
		}
		packages[name] = true
	}
	return len(packages), nil
}
