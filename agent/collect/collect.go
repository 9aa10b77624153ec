// Package collect finds out what a device can say about itself: its hardware
// and its system, this boot of it, and the facts that policies ask for.
//
// It judges nothing, reports nothing, changes no setting and reaches no network.
// What it cannot find out it leaves out, with the reason among the problems:
// unknown is not false. How each fact is come by, and what is doubtful about it,
// is at the function that finds it, one file or more for each operating system.
package collect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatepost.dev/agentapi"
)

// Observation is what was found out at one time.
type Observation struct {
	Device agentapi.Device
	// BootID names this boot of the system: the same until the next one.
	BootID string
	// Facts are those that could be found out:
	//
	//	DiskEncrypted           true, false  the volume that holds the system
	//	FirewallOn              true, false  what comes in is denied unless a rule lets it in
	//	ScreenLock              true, false  a screen that is left locks itself within 15 minutes
	//	SecureBoot              true, false  the firmware starts only what is signed
	//	TPMPresent              true, false  never on macOS, whose Secure Enclave is no TPM
	//	PendingSecurityUpdates  a number     as of the system's own last look, which is at most a week ago
	//	EDR                     names        those of the agents that run, sorted, with commas between, or none
	Facts map[string]string
	// Problems say what could not be found out, and why.
	Problems []string
}

// Limits of one probe.
const (
	quick = 10 * time.Second
	slow  = 60 * time.Second // the package managers
)

// maxLock is within which time a screen has to lock itself.
const maxLock = 15 * time.Minute

// maxAge is how old the system's own look for updates may be. Behind a look
// that never comes again there are never any updates.
const maxAge = 7 * 24 * time.Hour

// Collector observes the device that it runs on.
type Collector struct {
	probes []probe
}

// probe finds out one thing, or some that come from one place.
type probe struct {
	what  string
	limit time.Duration
	find  func(ctx context.Context, o *Observation) error
}

// Collect looks at everything, one after the other. It ends, at the latest, a
// little after ctx or after the limits of all probes.
func (c *Collector) Collect(ctx context.Context) Observation {
	o := Observation{Facts: map[string]string{}}
	for _, p := range c.probes {
		if err := p.run(ctx, &o); err != nil {
			o.Problems = append(o.Problems, clean(fmt.Sprintf("%s: %v", p.what, err)))
		}
	}
	d := &o.Device
	for _, field := range []*string{&d.Vendor, &d.Model, &d.OS, &d.OSVersion, &d.Serial, &d.HardwareID, &o.BootID} {
		*field = clean(*field)
	}
	d.Vendor, d.Model, d.Serial = meant(d.Vendor), meant(d.Model), meant(d.Serial)
	d.HardwareID = hardwareID(d.HardwareID)
	return o
}

func (p *probe) run(ctx context.Context, o *Observation) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.find(ctx, o)
}

// flag is the probe of a fact that is true or false.
func flag(name string, find func(ctx context.Context) (bool, error)) probe {
	return probe{name, quick, func(ctx context.Context, o *Observation) error {
		yes, err := find(ctx)
		if err == nil {
			o.Facts[name] = strconv.FormatBool(yes)
		}
		return err
	}}
}

// updates is the probe of how many security updates wait.
func updates(find func(ctx context.Context) (int, error)) probe {
	const name = "PendingSecurityUpdates"
	return probe{name, slow, func(ctx context.Context, o *Observation) error {
		n, err := find(ctx)
		if err == nil && n < 0 {
			err = fmt.Errorf("a number of %d", n)
		}
		if err == nil {
			o.Facts[name] = strconv.Itoa(n)
		}
		return err
	}}
}

// agents is the probe of which EDR agents run. What find returns are names of
// running processes or services of that system.
func agents(system string, find func(ctx context.Context) ([]string, error)) probe {
	const name = "EDR"
	return probe{name, quick, func(ctx context.Context, o *Observation) error {
		running, err := find(ctx)
		if err == nil {
			o.Facts[name] = strings.Join(recognise(system, running), ",")
		}
		return err
	}}
}

// fresh refuses what the system last looked for too long ago.
func fresh(now, looked time.Time) error {
	switch {
	case looked.IsZero():
		return errors.New("the system never looked for updates")
	case looked.Before(now.Add(-maxAge)):
		return fmt.Errorf("the system last looked for updates at %s", looked.UTC().Format(time.RFC3339))
	}
	return nil
}
