package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// deviceTarget is one device, or all of an owner.
type deviceTarget struct {
	ID    string `arg:"" optional:"" help:"The device's ID."`
	Owner string `placeholder:"USER" help:"Instead of one device: all devices of this user, in whatever case its letters A to Z are written."`
}

// Validate wants one of both.
func (t *deviceTarget) Validate() error {
	if (t.ID == "") == (t.Owner == "") {
		return errors.New("say the ID of one device, or --owner USER for all devices of a user")
	}
	return nil
}

func (t *deviceTarget) target() devices.Target { return devices.Target{Device: t.ID, Owner: t.Owner} }

// name is how errors call it.
func (t *deviceTarget) name() string {
	if t.Owner != "" {
		return fmt.Sprintf("the devices of %q", t.Owner)
	}
	return fmt.Sprintf("device %q", t.ID)
}

// act runs an action and prints what say has to say of each outcome.
func (t *deviceTarget) act(e *env, verb string, do func(*admin.Client) ([]devices.Outcome, error), say func(*devices.Outcome) string) error {
	return withServer(e, func(client *admin.Client) error {
		done, err := do(client)
		if err != nil {
			return fmt.Errorf("%s %s: %w", verb, t.name(), err)
		}
		return printOutcomes(e, done, say)
	})
}

func printOutcomes(e *env, done []devices.Outcome, say func(*devices.Outcome) string) error {
	if e.json {
		return printJSON(e.stdout, done)
	}
	for i := range done {
		o := &done[i]
		text := say(o)
		if o.Skipped != "" {
			text = "is left alone: " + o.Skipped
		}
		if _, err := fmt.Fprintf(e.stdout, "%s %s\n", o.Device, printable(text)); err != nil {
			return err
		}
		if err := warnSuspected(e.stdout, o); err != nil {
			return err
		}
	}
	return nil
}

// warnSuspected says that a device is refused for another reason as well.
func warnSuspected(w io.Writer, o *devices.Outcome) error {
	if o.Suspected == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s is still suspected to be two: %s; \"gatepost device release %s --suspicion\" settles that\n", o.Device, o.Suspected, o.Device)
	return err
}

// quarantineText tells of a quarantine until when, who and why; empty: there is
// nothing to tell.
func quarantineText(q *posture.Quarantine, now time.Time) string {
	switch {
	case q == nil:
		return ""
	case q.Until.IsZero():
		return fmt.Sprintf("since %s, until it is released, by %s: %s", second(q.At), q.By, q.Why)
	case !q.Holds(now):
		return fmt.Sprintf("over: %s to %s, by %s: %s", second(q.At), second(q.Until), q.By, q.Why)
	}
	return fmt.Sprintf("since %s, until %s, by %s: %s", second(q.At), second(q.Until), q.By, q.Why)
}

type deviceQuarantine struct {
	deviceTarget
	For     *time.Duration `placeholder:"DURATION" help:"How long, such as 8h or 30m. Default: until it is released."`
	Reason  string         `required:"" placeholder:"TEXT" help:"Why, for whoever asks later."`
	By      string         `placeholder:"NAME" help:"Who decides it. Default: the user who runs this command."`
	Shorten bool           `help:"Let it end earlier than the quarantine that holds already, which the later end decides otherwise."`
}

// Validate checks what is asked for.
func (c *deviceQuarantine) Validate() error {
	if c.For != nil && *c.For <= 0 {
		return fmt.Errorf("--for %s is no time that a quarantine can last", *c.For)
	}
	return c.deviceTarget.Validate()
}

// Run keeps the devices out.
func (c *deviceQuarantine) Run(e *env) error {
	order := devices.Order{By: c.By, Why: c.Reason, Shorten: c.Shorten}
	if c.For != nil {
		order.For = *c.For
	}
	if order.By == "" {
		order.By = systemUser()
	}
	return c.act(e, "quarantine", func(client *admin.Client) ([]devices.Outcome, error) {
		return client.Quarantine(e.ctx, c.target(), order)
	}, func(o *devices.Outcome) string {
		text := "is in quarantine "
		if !o.Changed {
			text = "was in quarantine already, and stays so: "
		}
		return text + quarantineText(o.Quarantine, time.Now())
	})
}

// systemUser is who runs this process.
func systemUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

type deviceRelease struct {
	deviceTarget
	Suspicion bool   `help:"Settle the suspicion that there are two of the device, in place of ending a quarantine."`
	Keep      string `enum:",old,new" default:"" placeholder:"old|new" help:"The same where a second agent enrolled as the device: go on with the key of the agent that was there (old), or with the second one's (new). The other's certificates are revoked."`
}

// Validate checks what is asked for.
func (c *deviceRelease) Validate() error {
	if (c.Suspicion || c.Keep != "") && c.Owner != "" {
		return errors.New("a suspicion is settled for one device; say its ID, not --owner")
	}
	return c.deviceTarget.Validate()
}

// Run ends quarantines, or settles a suspicion: never one where the other was
// asked for, so that a release that is repeated lets nothing else in.
func (c *deviceRelease) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if c.Suspicion || c.Keep != "" {
			return c.settle(e, client)
		}
		done, err := client.Lift(e.ctx, c.target())
		if err != nil {
			return fmt.Errorf("release %s: %w", c.name(), err)
		}
		return printOutcomes(e, done, func(o *devices.Outcome) string {
			if o.Changed {
				return "is not in quarantine any more"
			}
			return "is in no quarantine; nothing changed"
		})
	})
}

func (c *deviceRelease) settle(e *env, client *admin.Client) error {
	d, err := client.Release(e.ctx, c.ID, devices.Keep(c.Keep))
	if err != nil {
		return fmt.Errorf("release device %q: %w", c.ID, err)
	}
	if e.json {
		return printJSON(e.stdout, d)
	}
	if _, err := fmt.Fprintf(e.stdout, "%s is not suspected any more\n", d.ID); err != nil || !d.Quarantine.Holds(time.Now()) {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is still in quarantine %s\n", d.ID, quarantineText(d.Quarantine, time.Now()))
	return err
}

type deviceRecheck struct{ deviceTarget }

// Run asks for reports.
func (c *deviceRecheck) Run(e *env) error {
	return c.act(e, "recheck", func(client *admin.Client) ([]devices.Outcome, error) {
		return client.Recheck(e.ctx, c.target())
	}, func(o *devices.Outcome) string {
		if !o.Changed {
			return "was asked for a report already, at " + second(o.RecheckAt)
		}
		return "is asked for a report"
	})
}

type deviceRetire struct {
	deviceTarget
	Reason string `help:"Why, for whoever asks later."`
}

// Run retires the devices.
func (c *deviceRetire) Run(e *env) error {
	return c.act(e, "retire", func(client *admin.Client) ([]devices.Outcome, error) {
		return client.Retire(e.ctx, c.target(), c.Reason)
	}, func(o *devices.Outcome) string {
		if !o.Changed {
			return "was retired already"
		}
		return "is retired and its certificates are revoked; it is refused from now on"
	})
}
