package main

import (
	"errors"
	"fmt"
	"strings"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

type devicePinEK struct {
	ID      string `arg:"" help:"The device's ID."`
	Hash    string `arg:"" optional:"" help:"SHA-256 of the endorsement key's SubjectPublicKeyInfo, 64 hexadecimal digits."`
	Pending bool   `help:"In place of HASH: the endorsement key of the TPM that the device proved to have when it enrolled or renewed, which \"gatepost device show\" calls claimed."`
	Remove  bool   `help:"Take the pin back."`
	By      string `placeholder:"NAME" help:"Who says so. Default: the user who runs this command."`
}

// Validate wants one of the three.
func (c *devicePinEK) Validate() error {
	said := 0
	for _, is := range []bool{c.Hash != "", c.Pending, c.Remove} {
		if is {
			said++
		}
	}
	if said != 1 {
		return errors.New("say the hash of an endorsement key, --pending or --remove, and one of them only")
	}
	return nil
}

// Run says which TPM the device has.
func (c *devicePinEK) Run(e *env) error {
	return withServer(e, func(client *admin.Client) (err error) {
		var d posture.Device
		if c.Remove {
			d, err = client.UnpinEK(e.ctx, c.ID)
		} else {
			by := c.By
			if by == "" {
				by = systemUser()
			}
			d, err = client.PinEK(e.ctx, c.ID, devices.Pin{EK: c.Hash, Claimed: c.Pending, By: by})
		}
		switch {
		case err != nil:
			return fmt.Errorf("pin endorsement key of device %q: %w", c.ID, err)
		case e.json:
			return printJSON(e.stdout, d)
		case c.Remove:
			_, err = fmt.Fprintf(e.stdout, "%s has no pinned TPM any more\n", d.ID)
		default:
			_, err = fmt.Fprintf(e.stdout, "the TPM of %s is the one with the endorsement key %s; a key counts as attested once its agent renews or enrols with it\n", d.ID, d.EK)
		}
		return err
	})
}

// tpmRows say what is known of the device's TPM, and of the keys that hardware
// vouched for.
func tpmRows(d *posture.Device) (rows [][2]string) {
	if d.EK != "" {
		who := "certified by an authority of TPMs"
		if d.EKPinnedBy != "" {
			who = "pinned by " + d.EKPinnedBy
		}
		rows = append(rows, [2]string{"ek", d.EK + " " + who})
	}
	if d.EKClaimed != "" {
		rows = append(rows, [2]string{"ek claimed", d.EKClaimed + " nobody vouches for it; gatepost device pin-ek " + d.ID + " --pending"})
	}
	for _, k := range d.AttestedKeys {
		what := strings.Join(strings.Fields(k.Vendor+" "+k.Model+" "+k.Version), " ")
		if k.Pinned {
			what = strings.TrimSpace(what + " pinned")
		}
		rows = append(rows, [2]string{"attested", strings.TrimSpace(k.KeyHash + " " + k.Format + " " + second(k.At) + " " + what)})
	}
	return rows
}
