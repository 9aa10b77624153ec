package rules

import (
	"slices"
	"strings"
)

// The platforms, as device.platform and Spec name them.
const (
	macOS    = "macOS"
	windows  = "Windows"
	iOS      = "iOS"
	iPadOS   = "iPadOS"
	android  = "Android"
	chromeOS = "ChromeOS"
	linux    = "Linux"
)

var platforms = []string{macOS, windows, iOS, iPadOS, android, chromeOS, linux}

// platformWords are how operating systems are called, in lower case: the first that
// a name begins with decides.
var platformWords = []struct{ word, platform string }{
	{"macos", macOS}, {"mac os", macOS}, {"os x", macOS}, {"darwin", macOS},
	{"windows", windows},
	{"ipados", iPadOS}, {"ios", iOS}, {"iphone", iOS},
	{"android", android},
	{"chromeos", chromeOS}, {"chrome os", chromeOS},
	{"linux", linux}, {"ubuntu", linux}, {"debian", linux}, {"fedora", linux}, {"red hat", linux}, {"gnu/linux", linux},
}

// platformOf is the platform of an operating system by its name, empty if it is none
// that is known.
func platformOf(os string) string {
	for _, p := range platformWords {
		if len(os) >= len(p.word) && strings.EqualFold(os[:len(p.word)], p.word) {
			return p.platform
		}
	}
	return ""
}

// canonical is the platform that a policy names, in any case.
func canonical(name string) (platform string, ok bool) {
	i := slices.IndexFunc(platforms, func(p string) bool { return strings.EqualFold(p, name) })
	if i < 0 {
		return "", false
	}
	return platforms[i], true
}

// covers tells whether what is demanded of one platform is demanded of a device of
// another: what is said of iOS goes for iPads too.
func covers(demanded, platform string) bool {
	return demanded == platform || demanded == iOS && platform == iPadOS
}
