package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

type deviceCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	List        deviceList        `cmd:"" help:"List devices, with what the default policy makes of each now."`
	Show        deviceShow        `cmd:"" help:"Show one device: facts, their sources and age, certificates, verdict."`
	Import      deviceImport      `cmd:"" help:"Import devices from a file (CSV or JSON lines): all rows or none."`
	Certificate deviceCertificate `cmd:"" help:"Issue a client certificate, to try a device's browser at once."`
	Set         deviceSet         `cmd:"" help:"Change whose device it is."`
	Approve     deviceApprove     `cmd:"" help:"Let a device that enrolled count as managed."`
	PinEK       devicePinEK       `cmd:"" name:"pin-ek" help:"Say which TPM a device has: it then counts whoever certified it."`
	Quarantine  deviceQuarantine  `cmd:"" help:"Keep a device out, or all of a user, for a time or until it is released."`
	Release     deviceRelease     `cmd:"" help:"End a quarantine; or let a device back in that was suspected to be two."`
	Recheck     deviceRecheck     `cmd:"" help:"Have a device's agent report soon."`
	Retire      deviceRetire      `cmd:"" help:"Take a device out of service for good: refused from now on."`
}

type deviceList struct {
	Search    string `placeholder:"TEXT" help:"Only devices with this in their ID, serial number, owner, vendor or model."`
	Owner     string `placeholder:"NAME" help:"Only this owner's devices, in whatever case its letters A to Z are written."`
	Managed   string `enum:",true,false" default:"" placeholder:"true|false" help:"Only those that are managed, or that are not, by the default policy."`
	Compliant string `enum:",true,false" default:"" placeholder:"true|false" help:"Only those that are compliant, or that are not, by the default policy."`
	OS        string `name:"os" placeholder:"NAME" help:"Only those with this operating system."`
	State     string `enum:",enrolled,pending,quarantined,suspected,retired" default:"" placeholder:"enrolled|pending|quarantined|suspected|retired" help:"Only those of which this is true."`
	Limit     int    `default:"1000" help:"Stop after so many; 0: all."`
}

// Run lists devices.
func (c *deviceList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		var found []admin.Device
		q := admin.DeviceQuery{
			Search: c.Search, Owner: c.Owner, OS: c.OS, State: admin.DeviceState(c.State), Limit: 1000,
			Managed: truth(c.Managed), Compliant: truth(c.Compliant),
		}
		cut := false
		for {
			page, err := client.Devices(e.ctx, q)
			if err != nil {
				return fmt.Errorf("list devices: %w", err)
			}
			found = append(found, page.Devices...)
			if c.Limit > 0 && len(found) >= c.Limit {
				cut = len(found) > c.Limit || page.Next != ""
				found = found[:c.Limit]
				break
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if err := printDevices(e, found); err != nil {
			return err
		}
		if cut {
			fmt.Fprintf(e.stderr, "only the first %d; --limit 0 lists all\n", len(found))
		}
		return nil
	})
}

// truth is nil where nothing is asked.
func truth(text string) *bool {
	if text == "" {
		return nil
	}
	is := text == "true"
	return &is
}

func printDevices(e *env, found []admin.Device) error {
	if e.json {
		if found == nil {
			found = []admin.Device{}
		}
		return printJSON(e.stdout, found)
	}
	now := time.Now()
	t := newTable(e.stdout, "ID", "OWNER", "VENDOR", "MODEL", "OS", "MANAGED", "COMPLIANT", "REASON")
	for _, d := range found {
		t.row(d.ID, d.Owner, d.Vendor, d.Model, strings.TrimSpace(d.OS+" "+d.OSVersion),
			yesNo(d.Verdict.Managed), yesNo(d.Verdict.Compliant), reasonInList(&d, now))
	}
	return t.flush()
}

// reasonOf is why a device is not managed or not compliant, and in words of its
// own that it is retired, that a second agent enrolled as it, or that nobody has
// yet said anything of a device that enrolled.
func reasonOf(d *admin.Device) string {
	switch {
	case d.Retired():
		return "retired"
	case d.Contest != nil && d.Suspected == nil:
		return "contested"
	case d.Pending() && d.Verdict.Reason == posture.NotManaged:
		return "pending"
	}
	return string(d.Verdict.Reason)
}

// reasonInList is reasonOf with the quarantine that holds.
func reasonInList(d *admin.Device, now time.Time) string {
	reason := reasonOf(d)
	if !d.Quarantine.Holds(now) {
		return reason
	}
	if d.Verdict.Reason != posture.Quarantined && reason != "" {
		reason += ", " + string(posture.Quarantined)
	} else {
		reason = string(posture.Quarantined)
	}
	return reason + " " + quarantineText(d.Quarantine, now)
}

type deviceShow struct {
	ID string `arg:"" help:"The device's ID."`
}

// Run shows the device.
func (c *deviceShow) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		d, err := client.Device(e.ctx, c.ID)
		if err != nil {
			return fmt.Errorf("show device %q: %w", c.ID, err)
		}
		if e.json {
			return printJSON(e.stdout, d)
		}
		return printDevice(e.stdout, &d, time.Now())
	})
}

func printDevice(w io.Writer, d *admin.Device, now time.Time) error {
	t := newTable(w, "id", d.ID)
	for _, row := range [][2]string{
		{"owner", d.Owner}, {"serial", d.Serial}, {"vendor", d.Vendor}, {"model", d.Model},
		{"os", strings.TrimSpace(d.OS + " " + d.OSVersion)}, {"created", second(d.CreatedAt)}, {"updated", second(d.UpdatedAt)},
		{"managed", yesNo(d.Verdict.Managed)}, {"compliant", yesNo(d.Verdict.Compliant)}, {"reason", reasonOf(d)},
	} {
		t.row(row[:]...)
	}
	if d.Retired() {
		t.row("retired", second(d.RetiredAt)+" "+d.RetireReason)
	}
	if text := quarantineText(d.Quarantine, now); text != "" {
		t.row("quarantine", text)
	}
	for _, row := range append(agentRows(&d.Device), tpmRows(&d.Device)...) {
		t.row(row[:]...)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(d.Facts) > 0 {
		fmt.Fprintln(w)
		t = newTable(w, "FACT", "VALUE", "SOURCE", "KIND", "AGE")
		for _, f := range d.Facts {
			t.row(f.Name, f.Value, f.Source.Name, string(f.Source.Kind), now.Sub(f.ObservedAt).Truncate(time.Second).String())
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if len(d.Certificates) > 0 {
		fmt.Fprintln(w)
		t = newTable(w, "CERTIFICATE", "FROM", "UNTIL", "CHANNEL", "RANK", "REVOKED")
		for _, c := range d.Certificates {
			revoked := "no"
			switch {
			case c.Revoked():
				revoked = second(c.RevokedAt) + " " + c.RevokeReason
			case c.Held:
				revoked = "held"
			}
			t.row(c.Serial, day(c.NotBefore), day(c.NotAfter), cmp.Or(string(c.Channel), "admin"), string(c.RankOf()), revoked)
		}
		return t.flush()
	}
	return nil
}

// agentRows say what there is to say of the device's agent.
func agentRows(d *posture.Device) (rows [][2]string) {
	for _, e := range []struct {
		name     string
		enrolled *posture.Enrolled
	}{{"enrolled", d.Enrolled}, {"contested", d.Contest}} {
		if e.enrolled != nil {
			rows = append(rows, [2]string{e.name, second(e.enrolled.At) + " with token " + e.enrolled.Token})
		}
	}
	if a := d.Agent; a != nil {
		rows = append(rows, [2]string{"reported", second(a.ReceivedAt) + " report " + strconv.FormatUint(a.Sequence, 10)})
	}
	if s := d.Suspected; s != nil {
		rows = append(rows, [2]string{"suspected", second(s.At) + " " + s.Why})
	}
	return rows
}
