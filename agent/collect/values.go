package collect

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxValue is how many bytes a value may have.
const maxValue = 256

// clean makes one bounded line of a text: what a device says ends up in logs
// and on pages. Line ends and tabs become spaces; other control characters, and
// those that steer how text is shown, are dropped.
func clean(s string) string {
	if len(s) > 4*maxValue { // enough to find a whole value in, whatever is dropped
		s = s[:4*maxValue]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r == utf8.RuneError || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) ||
			unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	for len(s) > maxValue {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}

// placeholders are what makers leave in the firmware where a value belongs, in
// lower case.
var placeholders = map[string]bool{
	"to be filled by o.e.m.": true, "to be filled by o.e.m": true, "filled by o.e.m.": true, "o.e.m.": true, "oem": true,
	"system serial number": true, "system manufacturer": true, "system product name": true, "system name": true,
	"chassis serial number": true, "base board serial number": true, "serial number": true, "sernum0": true,
	"default string": true, "default": true, "none": true, "null": true, "n/a": true, "na": true, "unknown": true, "empty": true,
	"not specified": true, "not available": true, "not applicable": true, "not defined": true, "not settable": true,
	"invalid": true, "undefined": true, "type1productconfigid": true, "0123456789": true, "1234567890": true, "123456789": true, "12345678": true,
	"standard": true, "system": true, "xxxxxxx": true, "empty string": true, "uninitialized": true,
}

// meant is a value of the firmware, or nothing where it is a placeholder.
func meant(s string) string {
	if placeholders[strings.ToLower(s)] || strings.Trim(s, "0.-_ xX") == "" || strings.Trim(s, "Ff") == "" {
		return ""
	}
	return s
}

// hardwareID is a UUID of the firmware in lower case, as which all systems on
// one machine say the same, or nothing where it is none, or one that many
// machines have.
func hardwareID(s string) string {
	s = strings.ToLower(strings.Trim(s, "{}"))
	if len(s) != 36 {
		return ""
	}
	digits := map[rune]int{}
	for i, r := range s {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (r == '-') || !hyphen && !strings.ContainsRune("0123456789abcdef", r) {
			return ""
		}
		if !hyphen {
			digits[r]++
		}
	}
	switch {
	case len(digits) <= 2, // all zeros, all ones, fefefefe-...
		s == "03000200-0400-0500-0006-000700080009", // boards of AMI whose maker set none
		s == "00020003-0004-0005-0006-000700080009",
		s == "12345678-1234-5678-90ab-cddeefaabbcc",
		s == "12345678-1234-1234-1234-123456789abc":
		return ""
	}
	return s
}
