package devices

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"gatepost.dev/posture"
)

// SimulatedInventory is what a simulation reads.
type SimulatedInventory interface {
	// Devices gives up to limit devices by ID from the one after after on.
	Devices(ctx context.Context, after string, limit int) ([]posture.Device, error)
	CountDevices(ctx context.Context) (int, error)
}

// Simulator judges the whole inventory by two policies, and changes nothing.
type Simulator struct {
	Inventory SimulatedInventory
	Now       func() time.Time
}

// Standing is how devices stand by one policy.
type Standing struct {
	Managed   int `json:"managed"`
	Compliant int `json:"compliant"`
}

// Change is a device that another policy judges otherwise.
type Change struct {
	DeviceID string            `json:"device"`
	Owner    string            `json:"owner,omitempty"`
	Before   posture.Reason    `json:"before,omitempty"` // why it was not compliant; empty: it was
	After    posture.Reason    `json:"after,omitempty"`
	Failures []posture.Failure `json:"failures,omitempty"` // by the new policy
}

// Simulation is what would change.
type Simulation struct {
	Devices int            `json:"devices"`
	Before  Standing       `json:"before"`
	After   Standing       `json:"after"`
	Lose    int            `json:"lose"`    // devices that were compliant and would not be
	Gain    int            `json:"gain"`    // the other way round
	Failing map[string]int `json:"failing"` // devices that fail a rule of the new policy, by its name
	Warned  map[string]int `json:"warned"`  // those for which that does not block
	Losing  []Change       `json:"losing"`  // the first of Lose by ID, maxChanges at most
	Took    time.Duration  `json:"took"`
}

const (
	simulatedPage = 256
	maxChanges    = 20
)

// Run judges every device by both policies, as for the application. It reports
// how many are done of how many, now and then. Its memory does not grow with the
// inventory.
func (s *Simulator) Run(ctx context.Context, before, after *posture.Policy, app posture.AppContext, report func(done, total int)) (Simulation, error) {
	now := s.Now()
	total, err := s.Inventory.CountDevices(ctx)
	if err != nil {
		return Simulation{}, err
	}
	report(0, total)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	judge := func(d *posture.Device, r *Simulation) {
		in := &posture.Input{Device: d, App: app, Now: now}
		r.add(d, posture.Judge(in, before), posture.Judge(in, after), now)
	}
	pages := make(chan []posture.Device)
	results := make(chan Simulation)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for page := range pages {
				r := newSimulation()
				for i := range page {
					judge(&page[i], &r)
				}
				results <- r
			}
		})
	}
	go func() {
		defer close(results)
		defer workers.Wait()
		defer close(pages)
		if err := s.read(ctx, pages); err != nil {
			cancel(err)
		}
	}()
	sum := newSimulation()
	for r := range results {
		sum.merge(&r)
		report(sum.Devices, max(total, sum.Devices))
	}
	sum.Took = s.Now().Sub(now)
	return sum, context.Cause(ctx)
}

// read sends the inventory page by page.
func (s *Simulator) read(ctx context.Context, pages chan<- []posture.Device) error {
	for after := ""; ; {
		page, err := s.Inventory.Devices(ctx, after, simulatedPage)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		select {
		case pages <- page:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func newSimulation() Simulation {
	return Simulation{Losing: []Change{}, Failing: map[string]int{}, Warned: map[string]int{}}
}

// add counts a device.
func (r *Simulation) add(d *posture.Device, before, after posture.Verdict, now time.Time) {
	r.Devices++
	r.Before.add(&before)
	r.After.add(&after)
	for i := range after.Failures {
		if f := &after.Failures[i]; f.Blocks(now) {
			r.Failing[f.Rule]++
		} else {
			r.Warned[f.Rule]++
		}
	}
	switch {
	case before.Compliant && !after.Compliant:
		r.Lose++
		r.Losing = append(r.Losing, Change{DeviceID: d.ID, Owner: d.Owner, Before: before.Reason, After: after.Reason, Failures: after.Failures})
	case !before.Compliant && after.Compliant:
		r.Gain++
	}
}

func (s *Standing) add(v *posture.Verdict) {
	if v.Managed {
		s.Managed++
	}
	if v.Compliant {
		s.Compliant++
	}
}

// merge adds what another page showed.
func (r *Simulation) merge(o *Simulation) {
	r.Devices += o.Devices
	r.Lose += o.Lose
	r.Gain += o.Gain
	r.Before.Managed += o.Before.Managed
	r.Before.Compliant += o.Before.Compliant
	r.After.Managed += o.After.Managed
	r.After.Compliant += o.After.Compliant
	for rule, n := range o.Failing {
		r.Failing[rule] += n
	}
	for rule, n := range o.Warned {
		r.Warned[rule] += n
	}
	r.Losing = append(r.Losing, o.Losing...)
	slices.SortFunc(r.Losing, func(a, b Change) int { return cmp.Compare(a.DeviceID, b.DeviceID) })
	r.Losing = r.Losing[:min(len(r.Losing), maxChanges)]
}
