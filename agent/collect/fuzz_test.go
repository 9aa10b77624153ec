package collect

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seed adds the texts of all recordings of a system, and of those of nft.
func seed(f *testing.F, system string) {
	f.Helper()
	names, err := filepath.Glob("testdata/" + system + "/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatalf("no recordings of %s: %v", system, err)
	}
	for _, name := range names {
		for _, text := range record(f, name) {
			f.Add(text)
		}
	}
}

// FuzzClean: values are bounded, whatever they were made from.
func FuzzClean(f *testing.F) {
	seed(f, "linux")
	f.Fuzz(func(t *testing.T, text string) {
		o := Observation{BootID: clean(text), Problems: []string{clean(text + text)}}
		o.Device.Serial, o.Device.HardwareID = meant(clean(text)), hardwareID(text)
		bounded(t, o)
		if once := clean(text); clean(once) != once {
			t.Errorf("%q is not clean yet: %q", once, clean(once))
		}
	})
}

// FuzzLinux puts a text everywhere where a machine with Linux is read.
func FuzzLinux(f *testing.F) {
	seed(f, "linux")
	whole := record(f, "testdata/linux/fedora-gnome.txtar")
	f.Fuzz(func(t *testing.T, text string) {
		r := recording{}
		for section := range whole {
			r[section] = text
		}
		for _, section := range []string{"/usr/bin/apt-get", "/var/lib/apt/lists/x-security_InRelease", "/proc/net/ip_tables_names",
			"$ /usr/sbin/iptables-legacy-save -t filter", "$ /usr/sbin/ufw status",
			"$ /usr/bin/apt-get -s -o Debug::NoLocking=true --with-new-pkgs upgrade"} {
			r[section] = text
		}
		for section, real := range whole {
			if strings.HasSuffix(section, " quoted") {
				r[section] = real
			}
		}
		bounded(t, r.collector("linux").Collect(t.Context()))
		root, err := rootMount(text)
		if err == nil {
			if names, err := machine(r).devicesOf(root); err == nil && len(names) == 0 {
				t.Errorf("a file system on nothing, which is encrypted")
			}
		}
		if n, err := countDNF(text); err == nil && (n < 0 || n > len(text)) {
			t.Errorf("%d updates", n)
		}
		if n, err := countAPT(text); err == nil && (n < 0 || n > len(text)) {
			t.Errorf("%d updates", n)
		}
	})
}

// FuzzNetfilter reads a text as both programs' listings.
func FuzzNetfilter(f *testing.F) {
	names, err := filepath.Glob("testdata/nft/*.json")
	if err != nil || len(names) == 0 {
		f.Fatalf("no recordings: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("*filter\n:INPUT ACCEPT [0:0]\n:last - [0:0]\n-A INPUT -g last\n-A last -m comment --comment \"the \\\"end\\\"\" -j DROP\nCOMMIT\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := parseNFT(text)
		if err == nil && rules.denies("ip") && !json.Valid([]byte(text)) {
			t.Error("denies by what is no JSON")
		}
		parseIPTables("ip", text).denies("ip")
	})
}

// FuzzMacOS lets every program of macOS write the text.
func FuzzMacOS(f *testing.F) {
	seed(f, "macos")
	whole := record(f, "testdata/macos/14-intel-t2.txtar")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kept := range []string{"", "$ /usr/bin/stat -f %u /dev/console"} { // without a user, nobody is asked
			r := recording{}
			for section, real := range whole {
				if r[section] = text; section == kept {
					r[section] = real
				}
			}
			bounded(t, r.collector("macos").Collect(t.Context()))
		}
	})
}

// FuzzWindows has the text in every value, every query and every output.
func FuzzWindows(f *testing.F) {
	seed(f, "windows")
	f.Add("20261128083015.500000+060")
	f.Add("2026-11-27T18:03:44Z\n12")
	f.Add("118")
	whole := record(f, "testdata/windows/11-managed.txtar")
	f.Fuzz(func(t *testing.T, text string) {
		r := recording{}
		for section := range whole {
			r[section] = text
		}
		everywhere := whole.registry()
		for _, values := range everywhere {
			for name := range values {
				values[name] = text
			}
		}
		w := &windows{everywhere, r.instances, r.run, "", now}
		bounded(t, (&Collector{w.probes()}).Collect(t.Context()))
		if _, n, err := parseUpdates(text); err == nil && n < 0 {
			t.Errorf("%d updates", n)
		}
		_, _ = cimTime(text)
	})
}
