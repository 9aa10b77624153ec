package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// windows finds out by the registry and by WMI, neither of which speaks the
// language of the system in what is read here.
type windows struct {
	registry  registry
	instances instances
	run       run
	system32  string // folder
	now       func() time.Time
}

// registry reads the registry. Keys begin with HKLM\ or HKU\; a number is given
// in decimal. An error wraps fs.ErrNotExist when there is no such key or value.
type registry interface {
	value(key, name string) (string, error)
	subkeys(key string) ([]string, error)
}

// instances fills a slice of structs with what a WMI query gives. A field that
// is a pointer stays nil when the property is null, or not there.
type instances func(ctx context.Context, namespace, query string, into any) error

const cimv2 = `root\CIMV2`

func (w *windows) probes() []probe {
	return []probe{
		{"device", quick, w.device},
		{"system", quick, w.system},
		{"boot ID", quick, w.boot},
		flag("DiskEncrypted", w.diskEncrypted),
		flag("FirewallOn", w.firewallOn),
		flag("ScreenLock", w.screenLock),
		flag("SecureBoot", w.secureBoot),
		flag("TPMPresent", w.tpmPresent),
		updates(w.pendingUpdates),
		agents("Windows", w.services),
	}
}

// The classes of WMI that are asked for. Names of types and fields are WMI's.
type (
	computerSystem struct{ Manufacturer, Model string }
	biosElement    struct{ SerialNumber string }
	systemProduct  struct{ UUID string }
	operating      struct{ SystemDrive, LastBootUpTime string }
	service        struct{ Name string }
	tpm            struct{ SpecVersion string }
	volume         struct {
		DriveLetter      string
		ProtectionStatus *uint32
	}
	firewallProduct struct{ ProductState *uint32 }
)

// only gives the one instance that there is of a class.
func only[T any](ctx context.Context, w *windows, query string) (T, error) {
	var rows []T
	if err := w.instances(ctx, cimv2, query, &rows); err != nil {
		return *new(T), fmt.Errorf("%s: %w", query, err)
	}
	if len(rows) != 1 {
		return *new(T), fmt.Errorf("%s: %d instances", query, len(rows))
	}
	return rows[0], nil
}

func (w *windows) device(ctx context.Context, o *Observation) error {
	computer, err1 := only[computerSystem](ctx, w, "SELECT Manufacturer, Model FROM Win32_ComputerSystem")
	bios, err2 := only[biosElement](ctx, w, "SELECT SerialNumber FROM Win32_BIOS")
	product, err3 := only[systemProduct](ctx, w, "SELECT UUID FROM Win32_ComputerSystemProduct")
	o.Device.Vendor, o.Device.Model = computer.Manufacturer, computer.Model
	o.Device.Serial, o.Device.HardwareID = bios.SerialNumber, product.UUID
	return errors.Join(err1, err2, err3)
}

// system makes the version with its revision, which the monthly updates count:
// 10.0.22631.4460.
func (w *windows) system(_ context.Context, o *Observation) error {
	o.Device.OS = "Windows"
	const key = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	var parts []string
	for _, name := range []string{"CurrentMajorVersionNumber", "CurrentMinorVersionNumber", "CurrentBuildNumber", "UBR"} {
		part, err := w.registry.value(key, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		parts = append(parts, part)
	}
	version := strings.Join(parts, ".")
	if !dotted.MatchString(version) {
		return fmt.Errorf("%q is no version", clean(version))
	}
	o.Device.OSVersion = version
	return nil
}

// boot is how often the system was started, which the loader counts. The time at
// which it was is the second choice: Windows reckons it back from now, so it
// moves when the clock is set.
func (w *windows) boot(ctx context.Context, o *Observation) error {
	const key = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters`
	if n, err := w.number(key, "BootId"); err == nil && n > 0 {
		o.BootID = "boot-" + strconv.FormatUint(n, 10)
		return nil
	}
	system, err := only[operating](ctx, w, "SELECT SystemDrive, LastBootUpTime FROM Win32_OperatingSystem")
	if err != nil {
		return err
	}
	at, err := cimTime(system.LastBootUpTime)
	if err != nil {
		return err
	}
	o.BootID = "boot-" + at.UTC().Truncate(time.Minute).Format(time.RFC3339)
	return nil
}

// cimTime reads a CIM date and time (DSP0004 section 5.2.4), whose end is the
// distance to UTC in minutes: 20261128083015.500000+060.
func cimTime(text string) (time.Time, error) {
	var t time.Time
	fault := fmt.Errorf("%q is no CIM time", clean(text))
	if len(text) != 25 {
		return t, fault
	}
	minutes, err := strconv.Atoi(text[21:])
	if err != nil {
		return t, fault
	}
	if t, err = time.Parse("20060102150405.000000", text[:21]); err != nil {
		return t, fault
	}
	return t.Add(-time.Duration(minutes) * time.Minute), nil
}

// number reads a value that is one.
func (w *windows) number(key, name string) (uint64, error) {
	text, err := w.registry.value(key, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %q, no number", name, clean(text))
	}
	return n, nil
}

// diskEncrypted asks BitLocker about the drive of the system. While it is
// encrypted, and while it is suspended, the key lies open: that is off.
func (w *windows) diskEncrypted(ctx context.Context) (bool, error) {
	system, err := only[operating](ctx, w, "SELECT SystemDrive, LastBootUpTime FROM Win32_OperatingSystem")
	if err != nil {
		return false, err
	}
	var volumes []volume
	err = w.instances(ctx, cimv2+`\Security\MicrosoftVolumeEncryption`, "SELECT DriveLetter, ProtectionStatus FROM Win32_EncryptableVolume", &volumes)
	if err != nil {
		return false, err
	}
	for _, v := range volumes {
		if system.SystemDrive == "" || !strings.EqualFold(v.DriveLetter, system.SystemDrive) {
			continue
		}
		if v.ProtectionStatus == nil || *v.ProtectionStatus > 1 { // 2: locked
			return false, fmt.Errorf("BitLocker does not know about %s", clean(v.DriveLetter))
		}
		return *v.ProtectionStatus == 1, nil
	}
	return false, fmt.Errorf("BitLocker does not name %q, the drive of the system", clean(system.SystemDrive))
}

// secureBoot reads what the loader found. A machine that was started by a BIOS
// has nothing there.
func (w *windows) secureBoot(context.Context) (bool, error) {
	const control = `HKLM\SYSTEM\CurrentControlSet\Control`
	on, err := w.number(control+`\SecureBoot\State`, "UEFISecureBootEnabled")
	if errors.Is(err, fs.ErrNotExist) {
		if firmware, err := w.number(control, "PEFirmwareType"); err == nil && firmware == 1 {
			return false, nil
		}
	}
	if err == nil && on > 1 {
		err = fmt.Errorf("UEFISecureBootEnabled is %d", on)
	}
	return on == 1 && err == nil, err
}

func (w *windows) tpmPresent(ctx context.Context) (bool, error) {
	var found []tpm
	err := w.instances(ctx, cimv2+`\Security\MicrosoftTpm`, "SELECT SpecVersion FROM Win32_Tpm", &found)
	return len(found) > 0 && err == nil, err
}

func (w *windows) services(ctx context.Context) ([]string, error) {
	var running []service
	if err := w.instances(ctx, cimv2, "SELECT Name FROM Win32_Service WHERE Started = TRUE", &running); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range running {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return nil, errors.New("WMI names no running service")
	}
	return names, nil
}
