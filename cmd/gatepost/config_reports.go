package main

import (
	"fmt"
	"time"
)

const (
	reportsPath = "devices.reports"

	everyDefault = time.Hour
	everyMin     = time.Minute
	everyMax     = 24 * time.Hour

	perMinuteDefault = 30
	perMinuteMax     = 6000
)

// setDefaults fills in what is not written.
func (r *Reports) setDefaults(written func(path string) bool) {
	if !written(reportsPath + ".every") {
		r.Every = everyDefault
	}
	if !written(reportsPath + ".per_minute") {
		r.PerMinute = perMinuteDefault
	}
}

// validate finds the faults of the values.
func (r *Reports) validate(f *findings) {
	if path := reportsPath + ".every"; (r.Every < everyMin || r.Every > everyMax) && !f.faulty(path) {
		f.add(path, fmt.Sprintf("%q is out of range", r.Every), "write 1m to 24h, such as 1h")
	}
	if path := reportsPath + ".per_minute"; (r.PerMinute < 1 || r.PerMinute > perMinuteMax) && !f.faulty(path) {
		f.add(path, fmt.Sprintf("%d is out of range", r.PerMinute), "write 1 to 6000, such as 30")
	}
}

// agentPortDefault is below the ports that systems hand out by themselves.
const agentPortDefault = 21717
