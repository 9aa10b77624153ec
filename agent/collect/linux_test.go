package collect

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// machine is a linux of a few files, and of what programs say.
func machine(files recording) *linux { return &linux{files.files(), files.run, now} }

// rootOn is a machine whose root is on a device of such a stack of others.
func rootOn(name string, more recording) *linux {
	files := recording{
		"/proc/self/mountinfo":          "1 0 0:2 / / rw - rootfs rootfs rw\n27 1 9:9 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw\n",
		"/sys/dev/block/9:9/uevent":     "MAJOR=9\nDEVNAME=" + name + "\n",
		"/sys/class/block/sda/size":     "1",
		"/sys/class/block/sda2/size":    "1",
		"/sys/block/sda/sda2/partition": "2",
	}
	maps.Copy(files, more)
	return machine(files)
}

func TestDiskEncrypted(t *testing.T) {
	t.Parallel()
	const at, luks = "/sys/class/block/", "CRYPT-LUKS2-aa-x\n"
	for about, c := range map[string]struct {
		device string
		more   recording
		want   string // true, false, or part of the problem
	}{
		"a partition":         {"sda2", nil, "false"},
		"a disk":              {"sda", nil, "false"},
		"LUKS 1":              {"dm-0", recording{at + "dm-0/dm/uuid": "CRYPT-LUKS1-aa-x"}, "true"},
		"LUKS with OPAL":      {"dm-0", recording{at + "dm-0/dm/uuid": "CRYPT-LUKS2-OPAL-aa-x"}, "true"},
		"verity":              {"dm-0", recording{at + "dm-0/dm/uuid": "CRYPT-VERITY-aa-x", at + "dm-0/slaves/sda2/size": "1"}, "false"},
		"verity on LUKS":      {"dm-1", recording{at + "dm-1/dm/uuid": "CRYPT-VERITY-aa-x", at + "dm-1/slaves/dm-0/size": "1", at + "dm-0/dm/uuid": luks}, "true"},
		"LVM":                 {"dm-1", recording{at + "dm-1/dm/uuid": "LVM-x", at + "dm-1/slaves/sda2/size": "1"}, "false"},
		"LVM named so":        {"dm-1", recording{at + "dm-1/dm/uuid": "LVM-CRYPT-LUKS2-x", at + "dm-1/slaves/sda2/size": "1"}, "false"},
		"LVM on LUKS":         {"dm-1", recording{at + "dm-1/dm/uuid": "LVM-x", at + "dm-1/slaves/dm-0/size": "1", at + "dm-0/dm/uuid": luks}, "true"},
		"LVM on LUKS and not": {"dm-1", recording{at + "dm-1/slaves/dm-0/size": "1", at + "dm-1/slaves/sda2/size": "1", at + "dm-0/dm/uuid": luks}, "false"},
		"partition of an array of LUKS": {"md0p1", recording{at + "md0p1/size": "1", "/sys/block/md0/md0p1/partition": "1", at + "md0/slaves/dm-0/size": "1",
			at + "md0/slaves/dm-1/size": "1", at + "dm-0/dm/uuid": luks, at + "dm-1/dm/uuid": luks}, "true"},
		"a file":     {"loop0", recording{at + "loop0/size": "1"}, "in a file"},
		"a loop":     {"dm-0", recording{at + "dm-0/slaves/dm-0/size": "1"}, "in circles"},
		"no device":  {"sdz", nil, "no block device"},
		"a path":     {"../../../etc", nil, "no device has the number"},
		"nothing":    {"", nil, "no device has the number"},
		"no root":    {"sda", recording{"/proc/self/mountinfo": "1 0 0:2 / /home rw - ext4 /dev/sda rw\n"}, "no root"},
		"overlay":    {"sda", recording{"/proc/self/mountinfo": "1 0 0:50 / / rw - overlay overlay rw\n"}, "on no block device"},
		"over-mount": {"sda", recording{"/proc/self/mountinfo": "1 0 9:9 / / rw - ext4 /dev/sda rw\n2 1 0:7 / / rw - tmpfs tmpfs rw\n"}, "on no block device"},
		"btrfs on two, one LUKS": {"sda", recording{"/proc/self/mountinfo": "1 0 0:33 / / rw - btrfs /dev/mapper/a rw\n", at + "dm-0/dm/name": "a\n", at + "dm-0/dm/uuid": luks,
			"/sys/fs/btrfs/u1/devices/dm-0/size": "1", "/sys/fs/btrfs/u1/devices/sda2/size": "1"}, "false"},
		"btrfs nowhere":    {"sda", recording{"/proc/self/mountinfo": "1 0 0:33 / / rw - btrfs /dev/sda2 rw\n"}, "no btrfs"},
		"btrfs on nothing": {"sda", recording{"/proc/self/mountinfo": "1 0 0:33 / / rw - btrfs /dev/mapper/b rw\n"}, "no device"},
	} {
		got, err := rootOn(c.device, c.more).diskEncrypted(t.Context())
		switch {
		case c.want != "true" && c.want != "false":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %t, %v, want %q", about, got, err, c.want)
			}
		case err != nil || got != (c.want == "true"):
			t.Errorf("%s: %t, %v, want %s", about, got, err, c.want)
		}
	}
}

// TestFirewallLegacy: nft does not see what iptables-legacy made.
func TestFirewallLegacy(t *testing.T) {
	t.Parallel()
	const nft, ipt, ip6t = "$ /usr/sbin/nft -j list ruleset", "$ /usr/sbin/iptables-legacy-save -t filter", "$ /usr/sbin/ip6tables-legacy-save -t filter"
	const empty, closed = `{"nftables":[{"metainfo":{}}]}`, "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
	const v6 = "fe80 02 40 20 80 eth0\n"
	for about, c := range map[string]struct {
		files recording
		want  string
	}{
		"no rules":             {recording{nft: empty}, "false"},
		"legacy":               {recording{nft: empty, "/proc/net/ip_tables_names": "nat\nfilter\n", ipt: closed}, "true"},
		"legacy without IPv6":  {recording{nft: empty, "/proc/net/ip_tables_names": "filter\n", ipt: closed, "/proc/net/if_inet6": v6}, "false"},
		"legacy with IPv6":     {recording{nft: empty, "/proc/net/ip_tables_names": "filter\n", ipt: closed, "/proc/net/ip6_tables_names": "filter\n", ip6t: closed, "/proc/net/if_inet6": v6}, "true"},
		"legacy, old names":    {recording{"/proc/net/ip_tables_names": "filter\n", "$ /usr/sbin/iptables-save -t filter": closed}, "true"},
		"legacy, no program":   {recording{nft: empty, "/proc/net/ip_tables_names": "filter\n"}, "iptables has rules"},
		"legacy, nothing said": {recording{nft: empty, "/proc/net/ip_tables_names": "nat\n"}, "false"},
		"no nft":               {recording{}, "no program /usr/sbin/nft"},
		"no nft, legacy open":  {recording{"/proc/net/ip_tables_names": "filter\n", ipt: "*filter\n:INPUT ACCEPT [0:0]\n"}, "no program /usr/sbin/nft"},
		"firewalld":            {recording{"$ /usr/bin/firewall-cmd --state": "running\n"}, "true"},
		"firewalld is off":     {recording{"$ /usr/bin/firewall-cmd --state": "stderr: not running\nexit: 252\n"}, "no program /usr/sbin/nft"},
		"ufw":                  {recording{"$ /usr/sbin/ufw status": "Status: active\n\nTo                         Action      From\n"}, "true"},
		"ufw is off":           {recording{"$ /usr/sbin/ufw status": "Status: inactive\n"}, "no program /usr/sbin/nft"},
		"nft in pieces":        {recording{nft: empty[:9]}, "the ruleset"},
	} {
		got, err := machine(c.files).firewallOn(t.Context())
		switch {
		case c.want != "true" && c.want != "false":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %t, %v, want %q", about, got, err, c.want)
			}
		case err != nil || got != (c.want == "true"):
			t.Errorf("%s: %t, %v, want %s", about, got, err, c.want)
		}
	}
}

// TestStaleUpdates: who stopped looking has no updates, and is not up to date.
func TestStaleUpdates(t *testing.T) {
	t.Parallel()
	files := recording{"/usr/bin/apt-get": "", "/var/lib/apt/lists/x_dists_noble-security_InRelease": "",
		"$ /usr/bin/apt-get -s -o Debug::NoLocking=true --with-new-pkgs upgrade": "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"}
	l := machine(files)
	if n, err := l.pendingUpdates(t.Context()); n != 0 || err != nil {
		t.Errorf("fresh: %d, %v", n, err)
	}
	l.now = func() time.Time { return now().Add(maxAge) }
	if n, err := l.pendingUpdates(t.Context()); err == nil || !strings.Contains(err.Error(), "last looked for updates at 2026-11-28T08:00:00Z") {
		t.Errorf("stale: %d, %v", n, err)
	}
}

func TestCountDNF(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0,
		"RHSA-2026:1234 Important/Sec. openssl-libs-1:3.0.7-27.el9.x86_64\nRHSA-2026:1234 Important/Sec. openssl-1:3.0.7-27.el9.x86_64\n" +
			"RHSA-2026:0999 Moderate/Sec.  openssl-1:3.0.7-25.el9.x86_64\n": 2,
		"Name Type Severity Package Issued\nFEDORA-1 security None a-b-0:1-1.fc42.noarch 2026-11-20 01:23:45\n": 1,
		"Sicherheitsaktualisierungen:\n":           -1,
		"Error: Cache-only enabled but no cache\n": -1,
	} {
		n, err := countDNF(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || n != want) {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
}

// TestGNOME goes through the settings that keep a screen open.
func TestGNOME(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		enabled, forbidden, idle, delay string
		want                            bool
	}{
		"as it comes": {"true", "false", "uint32 300", "uint32 0", true},
		"disabled":    {"false", "false", "uint32 300", "uint32 0", false},
		"forbidden":   {"true", "true", "uint32 300", "uint32 0", false},
		"never blank": {"true", "false", "uint32 0", "uint32 0", false},
		"much later":  {"true", "false", "uint32 300", "uint32 3600", false},
	} {
		ask := func(_ string, args ...string) (string, error) {
			return map[string]string{"lock-enabled": c.enabled, "disable-lock-screen": c.forbidden, "idle-delay": c.idle, "lock-delay": c.delay}[args[2]], nil
		}
		if got, err := gnomeLocks(ask); err != nil || got != c.want {
			t.Errorf("%s: %t, %v, want %t", about, got, err, c.want)
		}
	}
	nonsense := func(string, ...string) (string, error) { return "@b nothing", nil }
	if _, err := gnomeLocks(nonsense); err == nil {
		t.Error("GNOME: nonsense is accepted")
	}
	if _, err := plasmaLocks(nonsense); err == nil {
		t.Error("Plasma: nonsense is accepted")
	}
}
