package rules

import (
	"strconv"
	"strings"
)

// compareVersions compares two versions number by number; parts that are missing
// count as 0. What is no version compares with nothing: "1.2-beta", "", "14.x".
// Dashes separate as dots do, for Android's patch levels (2026-10-05).
func compareVersions(a, b string) (order int, ok bool) {
	for a != "" || b != "" {
		var x, y uint64
		if x, a, ok = nextPart(a); !ok {
			return 0, false
		}
		if y, b, ok = nextPart(b); !ok {
			return 0, false
		}
		if order == 0 && x != y {
			order = 1
			if x < y {
				order = -1
			}
		}
	}
	return order, true
}

// maxVersion is how long a version may be, in bytes.
const maxVersion = 100

// isVersion tells whether s is a version.
func isVersion(s string) bool {
	_, ok := compareVersions(s, s)
	return ok && s != "" && len(s) <= maxVersion
}

// nextPart is the number that s begins with, 0 if s is empty, and what follows it.
func nextPart(s string) (n uint64, rest string, ok bool) {
	if s == "" {
		return 0, "", true
	}
	end := strings.IndexAny(s, ".-")
	switch {
	case end == 0, end == len(s)-1:
		return 0, "", false
	case end > 0:
		s, rest = s[:end], s[end+1:]
	}
	if s[0] < '0' || s[0] > '9' {
		return 0, "", false // ParseUint takes a sign
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, rest, err == nil
}

// atLeast tells whether a version is the least one or a later one; ok is false if
// either is no version.
func atLeast(version, least string) (yes, ok bool) {
	if !isVersion(version) || !isVersion(least) {
		return false, false
	}
	order, ok := compareVersions(version, least)
	return ok && order >= 0, ok
}
