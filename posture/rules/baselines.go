package rules

import "slices"

// Baseline is a set of built-in rules.
type Baseline struct {
	Name  string     `json:"name"`
	About string     `json:"about"`
	Rules []RuleSpec `json:"rules"`
}

// Baselines are the built-in rules, by name. The caller owns them.
func Baselines() []Baseline {
	return slices.Clone(baselines)
}

// The versions are the oldest that their makers still mend, as of November 2026.
var baselines = []Baseline{
	{"disk-encryption", "The volume that holds the system is encrypted.", []RuleSpec{
		{
			Name: "disk-encryption-macos", Platforms: []string{macOS}, Require: `facts.DiskEncrypted == "true"`,
			Help: "Turn on FileVault: System Settings, Privacy & Security, FileVault.", Link: "https://support.apple.com/guide/mac-help/mh11785/mac",
		},
		{
			Name: "disk-encryption-windows", Platforms: []string{windows}, Require: `facts.DiskEncrypted == "true"`,
			Help: "Turn on BitLocker or device encryption: Settings, Privacy & security, Device encryption.", Link: "https://support.microsoft.com/windows/device-encryption-in-windows-cf7e2b6f-3e70-4882-9532-18633605b7df",
		},
		{
			Name: "disk-encryption-linux", Platforms: []string{linux}, Require: `facts.DiskEncrypted == "true"`,
			Help: "Encrypt the disk with LUKS. For most distributions this is chosen when they are installed.",
		},
		{
			Name: "disk-encryption-mobile", Platforms: []string{iOS, android, chromeOS}, Require: `facts.DiskEncrypted == "true"`, Unknown: "pass",
			Help: "Set a passcode: that encrypts the device.",
		},
	}},
	{"firewall", "What comes in from the network is denied unless a rule lets it in.", []RuleSpec{
		{
			Name: "firewall-macos", Platforms: []string{macOS}, Require: `facts.FirewallOn == "true"`,
			Help: "Turn on the firewall: System Settings, Network, Firewall.", Link: "https://support.apple.com/guide/mac-help/mh34041/mac",
		},
		{
			Name: "firewall-windows", Platforms: []string{windows}, Require: `facts.FirewallOn == "true"`,
			Help: "Turn on the firewall for every network: Windows Security, Firewall & network protection.", Link: "https://support.microsoft.com/windows/turn-microsoft-defender-firewall-on-or-off-ec0844f7-aebd-0583-67fe-601ecf5d774f",
		},
		{Name: "firewall-linux", Platforms: []string{linux}, Require: `facts.FirewallOn == "true"`, Help: "Turn on the firewall, such as with: sudo ufw enable"},
	}},
	{"screen-lock", "A screen that is left locks itself within 15 minutes.", []RuleSpec{
		{Name: "screen-lock", Platforms: []string{macOS, windows, linux}, Require: `facts.ScreenLock == "true"`, Help: "Have the screen lock itself after 15 minutes or less, and ask for the password."},
		{Name: "screen-lock-mobile", Platforms: []string{iOS, android, chromeOS}, Require: `facts.ScreenLock == "true"`, Unknown: "pass", Help: "Set a passcode, and have the screen lock itself."},
	}},
	{"secure-boot", "The firmware starts only what is signed.", []RuleSpec{
		{Name: "secure-boot", Platforms: []string{macOS, windows, linux}, Require: `facts.SecureBoot == "true"`, Help: "Turn on Secure Boot in the firmware's settings; on a Mac, choose Full Security in Startup Security Utility."},
	}},
	{"os-version-macos", "macOS 14 or later.", []RuleSpec{osVersion("macos", macOS, "14.0", "Update macOS: System Settings, General, Software Update.")}},
	{"os-version-windows", "Windows 11 24H2 or later.", []RuleSpec{osVersion("windows", windows, "10.0.26100", "Update Windows: Settings, Windows Update.")}},
	{"os-version-ios", "iOS and iPadOS 18 or later.", []RuleSpec{osVersion("ios", iOS, "18.0", "Update iOS: Settings, General, Software Update.")}},
	{"os-version-android", "Android 14 or later.", []RuleSpec{osVersion("android", android, "14", "Update Android: Settings, System, Software updates.")}},
	{"os-version-chromeos", "ChromeOS 138 or later.", []RuleSpec{osVersion("chromeos", chromeOS, "138", "Update ChromeOS: Settings, About ChromeOS, Check for updates.")}},
}

func osVersion(name, platform, least, help string) RuleSpec {
	return RuleSpec{Name: "os-version-" + name, Platforms: []string{platform}, Require: `device.os_version.atLeast("` + least + `")`, Help: help}
}
