package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// linux finds out by sysfs and procfs, and by programs where the kernel does
// not tell.
type linux struct {
	files fs.FS // from /
	run   run
	now   func() time.Time
}

func (l *linux) probes() []probe {
	return []probe{
		{"device", quick, l.device},
		{"system", quick, l.system},
		{"boot ID", quick, l.boot},
		flag("DiskEncrypted", l.diskEncrypted),
		flag("FirewallOn", l.firewallOn),
		flag("ScreenLock", l.screenLock),
		flag("SecureBoot", l.secureBoot),
		flag("TPMPresent", l.tpmPresent),
		updates(l.pendingUpdates),
		agents("Linux", l.processes),
	}
}

// maxRead is how much of a file is read: a mount table is the longest.
const maxRead = 1 << 20

func (l *linux) read(name string) (string, error) {
	f, err := l.files.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRead))
	if err != nil {
		return "", err
	}
	return strings.Trim(string(data), "\x00 \t\n"), nil
}

func (l *linux) exists(name string) bool {
	_, err := fs.Stat(l.files, name)
	return err == nil
}

// device reads the SMBIOS, or the device tree where there is none. Serial number
// and UUID are shown to root only.
func (l *linux) device(_ context.Context, o *Observation) error {
	d := &o.Device
	const dmi, tree = "sys/class/dmi/id/", "sys/firmware/devicetree/base/"
	places := []struct {
		name string
		into *string
	}{
		{dmi + "sys_vendor", &d.Vendor}, {dmi + "product_name", &d.Model},
		{dmi + "product_serial", &d.Serial}, {dmi + "product_uuid", &d.HardwareID},
	}
	if !l.exists(path.Clean(dmi)) {
		if !l.exists(path.Clean(tree)) {
			return errors.New("the firmware tells nothing: neither SMBIOS nor a device tree")
		}
		places = places[:2]
		places[0].name, places[0].into = tree+"model", &d.Model
		places[1].name, places[1].into = tree+"serial-number", &d.Serial
	}
	var all []error
	for _, p := range places {
		value, err := l.read(p.name)
		if err != nil {
			all = append(all, err)
			continue
		}
		*p.into = value
	}
	return errors.Join(all...)
}

// system reads os-release(5). A rolling distribution has no version.
func (l *linux) system(_ context.Context, o *Observation) error {
	o.Device.OS = "Linux"
	text, err := l.read("etc/os-release")
	if err != nil {
		if text, err = l.read("usr/lib/os-release"); err != nil {
			return err
		}
	}
	release := assignments(text)
	o.Device.OSVersion = release["VERSION_ID"]
	if release["ID"] == "debian" { // which leaves out its point releases
		if point, err := l.read("etc/debian_version"); err == nil && strings.HasPrefix(point, o.Device.OSVersion+".") {
			o.Device.OSVersion = point
		}
	}
	return nil
}

// assignments reads lines of NAME=value, where the value may be quoted.
func assignments(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		for _, quote := range []string{`"`, `'`} {
			if len(value) >= 2 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
				value = value[1 : len(value)-1]
				break
			}
		}
		values[name] = value
	}
	return values
}

func (l *linux) boot(_ context.Context, o *Observation) (err error) {
	o.BootID, err = l.read("proc/sys/kernel/random/boot_id")
	return err
}

// secureBoot reads the firmware's variable (UEFI section 3.3). Shim can be told
// to start anything in spite of it, and says so in a variable of its own.
func (l *linux) secureBoot(context.Context) (bool, error) {
	const variables = "sys/firmware/efi/efivars/"
	if !l.exists("sys/firmware/efi") {
		if about, err := fs.ReadDir(l.files, "sys/firmware"); err != nil || len(about) == 0 {
			return false, errors.New("/sys/firmware is hidden") // in a container
		}
		return false, nil // started without UEFI
	}
	on, err := l.variable(variables + "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
	if err != nil || !on {
		return false, err
	}
	ignored, err := l.variable(variables + "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return !ignored, err
}

// variable reads one of one byte, behind four of attributes.
func (l *linux) variable(name string) (bool, error) {
	data, err := fs.ReadFile(l.files, name)
	if err != nil {
		return false, err
	}
	if len(data) != 5 || data[4] > 1 {
		return false, fmt.Errorf("%s: no such value: %.16x", name, data)
	}
	return data[4] == 1, nil
}

// tpmPresent tells whether the kernel has a TPM. One that the firmware has and
// the kernel has not is neither here nor there.
func (l *linux) tpmPresent(context.Context) (bool, error) {
	if l.exists("sys/class/tpm/tpm0") {
		return true, nil
	}
	if classes, err := fs.ReadDir(l.files, "sys/class"); err != nil || len(classes) == 0 {
		return false, errors.New("/sys/class is hidden")
	}
	if l.exists("sys/firmware/acpi/tables/TPM2") || l.exists("sys/firmware/acpi/tables/TCPA") {
		return false, errors.New("the firmware names one, of which the kernel knows nothing")
	}
	return false, nil
}

// processes names those of root. Anybody can give a process of theirs the name
// of an agent.
func (l *linux) processes(ctx context.Context) ([]string, error) {
	if _, err := l.read("proc/1/status"); err != nil {
		return nil, fmt.Errorf("the processes of others are hidden: %w", err)
	}
	entries, err := fs.ReadDir(l.files, "proc")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if strings.Trim(e.Name(), "0123456789") != "" {
			continue
		}
		text, err := l.read("proc/" + e.Name() + "/status")
		if err != nil {
			continue // it ended
		}
		if name, root := process(text); root {
			names = append(names, name)
		}
	}
	return names, nil
}

// process reads /proc/PID/status: the name, and whether it runs as root.
func process(status string) (name string, root bool) {
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		switch fields := strings.Fields(value); {
		case key == "Name":
			name = strings.TrimSpace(value)
		case key == "Uid" && len(fields) == 4: // real, effective, saved, of files
			root = fields[1] == "0"
		}
	}
	return name, root && name != ""
}
