package collect

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "  a b\t": "a b", "a\r\nb": "a  b", "\x00\x1b[31mred\x7f": "[31mred", "a\u202eb\u200bc": "abc",
		"\xff\xfea": "a", "Bürogeräte": "Bürogeräte", strings.Repeat("ü", 300): strings.Repeat("ü", 128),
		"a\u2028b": "ab", "a\u0085b": "ab", strings.Repeat(" ", 255) + "ab": "ab",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"To be filled by O.E.M.", "TO BE FILLED BY O.E.M.", "System Serial Number", "Default string", "0", "0000000", "None",
		"Not Specified", "Not Applicable", "N/A", "................", "xxxxxxxxxx", "XXXXXXX", "FFFFFFFF", "-", "", "INVALID", "123456789"} {
		if got := meant(s); got != "" {
			t.Errorf("%q is no placeholder", s)
		}
	}
	for _, s := range []string{"PF4XXXXX", "C02XXXXXMD6M", "5CD0480TZ0", "LENOVO", "VMware-56 4d 3c", "0A1"} {
		if got := meant(s); got != s {
			t.Errorf("meant(%q) = %q", s, got)
		}
	}
}

func TestHardwareID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"3F2504E0-4F89-11D3-9A0C-0305E82C3301":   "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
		"{3F2504E0-4F89-11D3-9A0C-0305E82C3301}": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
		"00000000-0000-0000-0000-000000000000":   "",
		"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF":   "",
		"FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE":   "",
		"03000200-0400-0500-0006-000700080009":   "",
		"3F2504E04F8911D39A0C0305E82C3301":       "",
		"3F2504E0-4F89-11D3-9A0C-0305E82C330":    "",
		"3F2504E0-4F89-11D3-9A0C-0305E82C330G":   "",
		"3F2504E0-4F89-11D39-A0C-0305E82C3301":   "",
		"Not Settable":                           "",
	} {
		if got := hardwareID(in); got != want {
			t.Errorf("hardwareID(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system, running, want string
	}{
		{"Linux", "systemd,sshd", "none"},
		{"Linux", "", "none"},
		{"Linux", "wazuh-agentd,falcon-sensor,falcon-sensor-b", "crowdstrike falcon,wazuh"},
		{"Linux", "falcon-sensor-x,s1-agents", "none"},
		{"Linux", "Sense", "none"},
		{"Windows", "sense,CSFALCONSERVICE", "crowdstrike falcon,microsoft defender for endpoint"},
		{"macOS", "sentineld", "sentinelone"},
	} {
		if got := strings.Join(recognise(c.system, strings.Split(c.running, ",")), ","); got != c.want {
			t.Errorf("%s with %s: %q, want %q", c.system, c.running, got, c.want)
		}
	}
}
