package collect

import "time"

// New gives the collector of this system. Run as root, it finds out more.
func New(now func() time.Time) *Collector {
	m := &macOS{run: runProgram, now: now}
	return &Collector{probes: m.probes()}
}
