package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// diskEncrypted tells whether everything below the root file system is on
// dm-crypt. What a disk encrypts by itself, and a file system (ZFS, fscrypt),
// is not seen.
func (l *linux) diskEncrypted(context.Context) (bool, error) {
	text, err := l.read("proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	root, err := rootMount(text)
	if err != nil {
		return false, err
	}
	devices, err := l.devicesOf(root)
	if err != nil {
		return false, err
	}
	for _, device := range devices {
		encrypted, err := l.encrypted(device, map[string]bool{})
		if err != nil || !encrypted {
			return false, err
		}
	}
	return true, nil
}

// mount is one line of proc(5) mountinfo.
type mount struct {
	number string // major:minor
	kind   string // of file system
	source string
}

// rootMount finds what is mounted on /, last if more than once.
func rootMount(text string) (mount, error) {
	var found *mount
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[4] != "/" {
			continue
		}
		// Optional fields end with a hyphen.
		if dash := slices.Index(fields[6:], "-"); dash >= 0 && len(fields) >= 6+dash+3 {
			found = &mount{number: fields[2], kind: fields[6+dash+1], source: fields[6+dash+2]}
		}
	}
	if found == nil {
		return mount{}, errors.New("the mount table has no root")
	}
	return *found, nil
}

// devicesOf names the block devices that a file system is on.
func (l *linux) devicesOf(m mount) ([]string, error) {
	if m.kind == "btrfs" { // its number is of no device
		return l.btrfs(m.source)
	}
	text, err := l.read("sys/dev/block/" + m.number + "/uevent")
	if err != nil || strings.HasPrefix(m.number, "0:") || !fs.ValidPath(m.number) {
		return nil, fmt.Errorf("the root is %s, on no block device", clean(m.kind))
	}
	name := assignments(text)["DEVNAME"]
	if !deviceName(name) {
		return nil, fmt.Errorf("no device has the number %s", clean(m.number))
	}
	return []string{name}, nil
}

// deviceName tells whether it can be a name below /sys/class/block.
func deviceName(s string) bool { return s != "" && s != "." && s != ".." && !strings.Contains(s, "/") }

// btrfs finds all devices of the file system that one of them names.
func (l *linux) btrfs(source string) ([]string, error) {
	name := strings.TrimPrefix(source, "/dev/")
	if mapped, ok := strings.CutPrefix(name, "mapper/"); ok {
		name = ""
		labels, err := fs.Glob(l.files, "sys/class/block/*/dm/name")
		if err != nil {
			return nil, err
		}
		for _, label := range labels {
			if text, err := l.read(label); err == nil && text == mapped {
				name = path.Base(path.Dir(path.Dir(label)))
			}
		}
	}
	if !deviceName(name) {
		return nil, fmt.Errorf("btrfs on %q, which is no device", clean(source))
	}
	members, err := fs.Glob(l.files, "sys/fs/btrfs/*/devices")
	if err != nil {
		return nil, err
	}
	for _, dir := range members {
		entries, err := fs.ReadDir(l.files, dir)
		if err != nil {
			continue
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if slices.Contains(names, name) {
			return names, nil
		}
	}
	return nil, fmt.Errorf("no btrfs is on %q", clean(name))
}

// maxDevices is how many devices one stack may have: disks of an array, each
// with what is on top of it.
const maxDevices = 256

// encrypted tells whether a device is one of dm-crypt, or stands on nothing but
// such: logical volumes, arrays, caches. A partition stands on what its disk
// stands on.
func (l *linux) encrypted(device string, seen map[string]bool) (bool, error) {
	if seen[device] || len(seen) >= maxDevices {
		return false, fmt.Errorf("the devices below the root go round in circles at %q", clean(device))
	}
	seen[device] = true
	defer delete(seen, device)
	if uuid, err := l.read("sys/class/block/" + device + "/dm/uuid"); err == nil && crypt(uuid) {
		return true, nil
	}
	if strings.HasPrefix(device, "loop") {
		return false, fmt.Errorf("the root is in a file (%s)", clean(device))
	}
	below, err := fs.ReadDir(l.files, "sys/class/block/"+device+"/slaves")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if len(below) == 0 {
		if !l.exists("sys/class/block/" + device) {
			return false, fmt.Errorf("no block device %q", clean(device))
		}
		disks, err := fs.Glob(l.files, "sys/block/*/"+device+"/partition")
		if err != nil || len(disks) != 1 {
			return false, err
		}
		return l.encrypted(path.Base(path.Dir(path.Dir(disks[0]))), seen)
	}
	for _, b := range below {
		yes, err := l.encrypted(b.Name(), seen)
		if err != nil || !yes {
			return false, err
		}
	}
	return true, nil
}

// crypt tells whether a device mapper's UUID is one that cryptsetup gives a
// device whose content is encrypted below it. It names others too: verity and
// integrity protect without hiding.
func crypt(uuid string) bool {
	kind, _, _ := strings.Cut(strings.TrimPrefix(uuid, "CRYPT-"), "-")
	return strings.HasPrefix(uuid, "CRYPT-") &&
		slices.Contains([]string{"LUKS1", "LUKS2", "PLAIN", "LOOPAES", "TCRYPT", "BITLK", "FVAULT2"}, kind)
}
