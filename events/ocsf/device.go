package ocsf

import (
	"net/netip"
	"strings"

	"gatepost.dev/posture"
)

// profileHost adds a device to the classes that have none of their own.
const profileHost = "host"

// hostDevice says by the host profile which device it is about; nil: none.
func (w *writer) hostDevice(d *device) {
	if d != nil {
		w.Device, w.profiles = d, append(w.profiles, profileHost)
	}
}

// knownDevice is the event's device, or nil.
func (w *writer) knownDevice() *device {
	if w.event.DeviceID == "" {
		return nil
	}
	return w.device()
}

// device is the event's device as it was then. A class that demands one gets one
// that is unknown.
func (w *writer) device() *device {
	id, f := w.event.DeviceID, w.event.Device
	d := &device{UID: w.text(id), TypeID: unknown.id, Type: unknown.name}
	if id == "" {
		d.Name = "unknown"
	}
	if f == nil {
		return d
	}
	kind := deviceType(f.OS)
	d.TypeID, d.Type = kind.id, kind.name
	d.Vendor, d.Model = w.text(f.Vendor), w.text(f.Model)
	d.Managed = &f.Managed
	if f.OS != "" || f.OSVersion != "" {
		kind := w.osType(f.OS)
		d.OS = &system{Name: w.or(f.OS, "unknown"), TypeID: kind.id, Type: kind.name, Version: w.text(f.OSVersion)}
	}
	if f.Serial != "" {
		d.Hardware = &hardware{Serial: w.text(f.Serial)}
	}
	d.Owner = w.owner()
	return d
}

// owner is whose the device is, or nil.
func (w *writer) owner() *user {
	if w.event.Device == nil || w.event.Device.Owner == "" {
		return nil
	}
	u := w.user(w.event.Device.Owner)
	return &u
}

// deviceType is what an operating system tells of the hardware under it, which is
// little: desktops and laptops run the same.
func deviceType(os string) label {
	switch strings.ToLower(os) {
	case "ios":
		return label{5, "Mobile"}
	case "ipados":
		return label{4, "Tablet"}
	}
	return unknown
}

func (w *writer) osType(os string) label {
	switch strings.ToLower(os) {
	case "":
		return unknown
	case "windows":
		return label{100, "Windows"}
	case "linux":
		return label{200, "Linux"}
	case "android":
		return label{201, "Android"}
	case "macos":
		return label{300, "macOS"}
	case "ios":
		return label{301, "iOS"}
	case "ipados":
		return label{302, "iPadOS"}
	}
	return label{other, w.text(os)}
}

// user is somebody by the name that the relying party or the inventory has for
// them. The schema demands one even where nobody is known: then without an ID, so
// that it cannot be taken for somebody of that name.
func (w *writer) user(name string) user {
	if name == "" {
		return user{Name: "unknown", TypeID: unknown.id, Type: unknown.name}
	}
	return user{Name: w.text(name), UID: w.text(name), TypeID: 1, Type: "User"}
}

// by is who did something: a person, a token or a program, which cannot be told
// from the name.
func (w *writer) by(name string) user {
	u := w.user(name)
	u.TypeID, u.Type = unknown.id, unknown.name
	return u
}

// endpoint is where a request came from, an address with or without a port; nil:
// it is not known.
func (w *writer) endpoint(from string) *endpoint {
	if from == "" {
		return nil
	}
	at, err := netip.ParseAddrPort(from)
	if err != nil {
		addr, err := netip.ParseAddr(from)
		if err != nil {
			return &endpoint{Name: w.text(from)}
		}
		at = netip.AddrPortFrom(addr, 0)
	}
	// A zone means something on this machine only, and the schema bounds addresses.
	return &endpoint{IP: at.Addr().Unmap().WithZone("").String(), Port: int(at.Port())}
}

// inventory is of devices that come and go, as Device Inventory Info.
//
// An import that is held is there too, for what it would have done to the
// inventory. The class demands a device, and it is about many: so it has one that
// is unknown.
func (w *writer) inventory() {
	e := w.event
	w.Status = success
	var done string
	switch e.Kind {
	case posture.DeviceEnrolled:
		w.classify(deviceInventory, label{1, "Log"})
		done = "Enrolled device"
	case posture.DeviceRetired:
		w.classify(deviceInventory, label{other, "Retire"})
		done = "Retired device"
	default:
		w.classify(deviceInventory, label{other, "Hold Import"})
		w.Severity, w.Status = medium, failure
		done = "Held an import that would have made too many devices unmanaged"
	}
	w.Device = w.device()
	w.Message = w.join(": ", strings.TrimSpace(done+" "+w.text(e.DeviceID)), e.Why)
	w.StatusDetail = w.text(e.Why)
	if e.By != "" {
		w.Actor = &actor{User: w.by(e.By)}
	}
	w.keepFailures("failures", e.Failures)
	w.keepRaw("detail", e.Detail)
}
