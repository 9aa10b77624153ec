package main

import (
	"fmt"

	"gatepost.dev/admin"
)

type deviceSet struct {
	ID    string  `arg:"" help:"The device."`
	Owner *string `required:"" placeholder:"NAME" help:"Whose device it is from now on; empty: nobody's. An import that names an owner changes it again."`
}

// Run changes the device.
func (c *deviceSet) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		d, err := client.ChangeDevice(e.ctx, c.ID, admin.DeviceChange{Owner: c.Owner})
		if err != nil {
			return fmt.Errorf("change device %q: %w", c.ID, err)
		}
		if e.json {
			return printJSON(e.stdout, d)
		}
		if d.Owner == "" {
			_, err = fmt.Fprintf(e.stdout, "%s is nobody's now\n", printable(d.ID))
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s is %s's now\n", printable(d.ID), printable(d.Owner))
		return err
	})
}
