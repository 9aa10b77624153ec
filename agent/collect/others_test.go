package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// check compares what a parser makes of texts with true, false, or unknown.
func check(t *testing.T, parse func(string) (bool, error), texts map[string]string) {
	t.Helper()
	for text, want := range texts {
		got := "unknown"
		if yes, err := parse(text); err == nil {
			got = fmt.Sprint(yes)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestFileVault(t *testing.T) {
	t.Parallel()
	check(t, fileVault, map[string]string{
		"FileVault is On.\n":  "true",
		"FileVault is Off.\n": "false",
		"FileVault is Off.\nDeferred enablement appears to be active for user 'ann'.\n": "false",
		"FileVault is Off, but will be enabled after the next restart.\n":               "false",
		"FileVault is On.\nEncryption in progress: Percent completed = 12\n":            "false",
		"FileVault is On.\nEncryption in progress: Pending\n":                           "false",
		"FileVault is On.\nDecryption in progress: Percent completed = 80\n":            "false",
		"Encryption in progress: Percent completed = 45.3\n":                            "false",
		"FileVault is On, but needs to be restarted to finish.\n":                       "unknown",
		"FileVault ist aktiviert.\n":                                                    "unknown",
		"FileVault is On.\nFileVault is Off.\n":                                         "unknown",
		"FileVault is On.":                                                              "unknown",
		"":                                                                              "unknown",
		"\x00\xff\n":                                                                    "unknown",
	})
}

func TestScreenLocks(t *testing.T) {
	t.Parallel()
	const stamp = "2026-11-28 10:00:01.123 sysadminctl[4711:81902] "
	check(t, screenLocks, map[string]string{
		"\n" + stamp + "screenLock delay is immediate\n":       "true",
		stamp + "screenLock delay is 900 seconds\n":            "true",
		stamp + "screenLock delay is 14400 seconds\n":          "false",
		stamp + "screenLock delay is 5.000000 seconds\n":       "true",
		stamp + "screenLock delay is -1.000000 seconds\n":      "false",
		stamp + "screenLock is off\n":                          "false",
		stamp + "screenLock is OFF\n":                          "false",
		stamp + "screenLock is on\n":                           "unknown",
		stamp + "screenLock delay is 99999999999999 seconds\n": "unknown",
		stamp + "screenLock delay is immediate, or is it?\n":   "unknown",
		stamp + "Bildschirmsperre ist aus\n":                   "unknown",
		"screenLock is off\nscreenLock delay is immediate\n":   "unknown",
		"": "unknown",
	})
}

func TestBootPolicies(t *testing.T) {
	t.Parallel()
	const full, reduced, permissive = "Security Mode:               Full       (smb0): absent\n", "Security Mode:               Reduced    (smb0): 1\n",
		"Security Mode:               Permissive (smb0 && smb1): 1\n"
	check(t, bootPolicies, map[string]string{
		full: "true", reduced: "true", full + "x\n" + reduced: "true", "  " + full: "true",
		permissive: "false", permissive + permissive: "false", full + permissive: "unknown",
		"Security Mode                           (CSEC): 1\n": "unknown", "": "unknown", "Note: " + full: "unknown",
	})
	check(t, t2Policy, map[string]string{
		"94b7:AppleSecureBootPolicy\t%02\n": "true", "94b7:AppleSecureBootPolicy\t%01": "true", "94b7:AppleSecureBootPolicy\t%00": "false",
		"94b7:AppleSecureBootPolicy\t%03": "unknown", "": "unknown", "%02": "unknown",
	})
}

func TestCountApple(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"[]": 0,
		`[{"Identifier":"MSU_UPDATE_22F770820d_patch_13.4.1_rsr"},{"Identifier":"MSU_UPDATE_22G830_patch_13.6.9_minor"},{"Identifier":"MSU_UPDATE_25B78_patch_26.1_major"}]`: 2,
		`[{"Identifier":"MSU_UPDATE_20G80_patch_11.5.1"}]`:                                                       1,
		`[{"Identifier":"062-1","Display Name":"XProtectPlistConfigData"},{"Display Name":"Pro Video Formats"}]`: 1,
		"": -1, "null": -1, "{}": -1, `[{"Identifier":7}]`: -1, "[": -1,
	} {
		n, err := countApple(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || n != want) {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
}

func TestCIMTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"20261128083015.500000+060": "2026-11-28T07:30:15Z", "20261128083015.500000-480": "2026-11-28T16:30:15Z", "20261128083015.500000+000": "2026-11-28T08:30:15Z",
		"20261128083015.500000": "", "20261328083015.500000+060": "", "20261128083015.******+***": "", "": "", "20261128083015,500000+060": "2026-11-28T07:30:15Z",
	} {
		got, err := cimTime(text)
		if (err != nil) != (want == "") || err == nil && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %s, %v, want %q", text, got, err, want)
		}
	}
}

// TestBootID: the second choice does not change with the zone, in which Windows
// tells it.
func TestBootID(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, text := range []string{"20261025005959.500000+120", "20261024235959.500000+060"} {
		w := &windows{registry: reg{}, instances: recording{`wmi root\CIMV2 Win32_OperatingSystem`: `{"LastBootUpTime":"` + text + `"}`}.instances}
		var o Observation
		if err := w.boot(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
		ids[o.BootID] = true
	}
	if len(ids) != 1 || !ids["boot-2026-10-24T22:59:00Z"] {
		t.Errorf("%v", ids)
	}
}

// TestWindowsUnknown: what WMI gives as null, and what fails, is unknown.
func TestWindowsUnknown(t *testing.T) {
	t.Parallel()
	const system, bitLocker = `wmi root\CIMV2 Win32_OperatingSystem`, `wmi root\CIMV2\Security\MicrosoftVolumeEncryption Win32_EncryptableVolume`
	for about, c := range map[string]recording{
		"null":      {system: `{"SystemDrive":"C:"}`, bitLocker: `{"DriveLetter":"C:","ProtectionStatus":null}`},
		"locked":    {system: `{"SystemDrive":"C:"}`, bitLocker: `{"DriveLetter":"C:","ProtectionStatus":2}`},
		"others":    {system: `{"SystemDrive":"C:"}`, bitLocker: `{"DriveLetter":"D:","ProtectionStatus":1}`},
		"none":      {system: `{"SystemDrive":"C:"}`, bitLocker: `[]`},
		"no rights": {system: `{"SystemDrive":"C:"}`, bitLocker: `error: Exception occurred. (Zugriff verweigert )`},
		"no drive":  {system: `{}`, bitLocker: `{"DriveLetter":"","ProtectionStatus":1}`},
		"no system": {bitLocker: `{"DriveLetter":"C:","ProtectionStatus":1}`},
		"two":       {system: `[{"SystemDrive":"C:"},{"SystemDrive":"D:"}]`, bitLocker: `{"DriveLetter":"C:","ProtectionStatus":1}`},
	} {
		w := &windows{instances: c.instances}
		if on, err := w.diskEncrypted(t.Context()); err == nil {
			t.Errorf("%s: encrypted = %t", about, on)
		}
	}
	w := &windows{instances: recording{}.instances}
	if present, err := w.tpmPresent(t.Context()); err == nil {
		t.Errorf("TPM present = %t", present)
	}
}

// failing is a registry that may not be read.
type failing struct{}

func (failing) value(string, string) (string, error) { return "", errors.New("access is denied") }
func (failing) subkeys(string) ([]string, error)     { return nil, errors.New("access is denied") }

// TestRegistryDenied: what may not be read is not what is not set.
func TestRegistryDenied(t *testing.T) {
	t.Parallel()
	w := &windows{registry: failing{}, instances: func(_ context.Context, _, _ string, into any) error {
		return json.Unmarshal([]byte(`[{"Name":"mpssvc"}]`), into)
	}}
	for name, find := range map[string]func(context.Context) (bool, error){
		"firewall": w.firewallOn, "screen lock": w.screenLock, "secure boot": w.secureBoot,
	} {
		if yes, err := find(t.Context()); err == nil || !strings.Contains(err.Error(), "access is denied") {
			t.Errorf("%s: %t, %v", name, yes, err)
		}
	}
}
