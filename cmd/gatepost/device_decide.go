package main

import (
	"fmt"

	"gatepost.dev/admin"
)

type deviceApprove struct {
	ID string `arg:"" help:"The device's ID."`
}

// Run approves the device.
func (c *deviceApprove) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		d, err := client.Approve(e.ctx, c.ID)
		if err != nil {
			return fmt.Errorf("approve device %q: %w", c.ID, err)
		}
		if e.json {
			return printJSON(e.stdout, d)
		}
		_, err = fmt.Fprintf(e.stdout, "%s is managed from now on, for as long as its agent reports\n", d.ID)
		return err
	})
}
