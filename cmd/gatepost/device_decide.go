package main

import (
	"fmt"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
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

type deviceRelease struct {
	ID   string `arg:"" help:"The device's ID."`
	Keep string `enum:",old,new" default:"" placeholder:"old|new" help:"Which key the device goes on with, when a second agent enrolled as it: that of the agent that was there (old), or the second one's (new). The other's certificates are revoked."`
}

// Run releases the device.
func (c *deviceRelease) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		d, err := client.Release(e.ctx, c.ID, devices.Keep(c.Keep))
		if err != nil {
			return fmt.Errorf("release device %q: %w", c.ID, err)
		}
		if e.json {
			return printJSON(e.stdout, d)
		}
		_, err = fmt.Fprintf(e.stdout, "%s is not suspected any more\n", d.ID)
		return err
	})
}
