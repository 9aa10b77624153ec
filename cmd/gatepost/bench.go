package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

type benchCommand struct {
	Agents benchAgents `cmd:"" help:"Measure a fleet of agents that report, on a server of its own in a temporary folder."`
	Fleet  benchFleet  `cmd:"" hidden:"" help:"The agents' side of \"bench agents\"."`
}

type benchAgents struct {
	Devices  int           `default:"10000" help:"Devices that enrol, each with a connection of its own that stays open."`
	AtOnce   int           `default:"256" help:"Reports on their way at a time."`
	Duration time.Duration `default:"10s" help:"How long each measurement takes."`
	SignIns  int           `default:"50" help:"Sign-ins a second, beside, whose latency is measured; 0: none."`
}

// Validate checks the flags.
func (c *benchAgents) Validate() error {
	switch {
	case c.Devices < 1 || c.Devices > 1_000_000:
		return errors.New("--devices is from 1 to 1000000")
	case c.AtOnce < 1 || c.AtOnce > 10_000:
		return errors.New("--at-once is from 1 to 10000")
	case c.Duration < time.Second || c.Duration > time.Hour:
		return errors.New("--duration is from 1s to 1h")
	case c.SignIns < 0 || c.SignIns > 1000:
		return errors.New("--sign-ins is from 0 to 1000")
	}
	return nil
}

// agentsResult is what was measured. Times are in milliseconds, CPU in
// microseconds, memory in bytes.
type agentsResult struct {
	Devices       int        `json:"devices"`
	Lone          latencies  `json:"lone_agent"`            // reports of one agent, one after the other
	LoneSingly    latencies  `json:"lone_agent_singly"`     // the same with a sync for each commit
	Reports       loadResult `json:"reports"`               // of the fleet
	Singly        loadResult `json:"reports_singly"`        // the same with a sync for each commit
	Ratio         float64    `json:"ratio"`                 // of reports a second
	SignInIdle    latencies  `json:"sign_in_idle"`          // while nobody reports
	SignInLoaded  latencies  `json:"sign_in_under_reports"` // while the fleet reports as fast as it can
	SignInRatio   float64    `json:"sign_in_p99_ratio"`     // loaded to idle
	Beside        loadResult `json:"reports_beside"`        // of the fleet while people sign in, who go first
	ServerMemory  uint64     `json:"server_memory"`         // resident, with all connections open
	EnrollPerSec  float64    `json:"enrolments_per_second"`
	ConnectPerSec float64    `json:"connections_per_second"`
}

// Run measures.
func (c *benchAgents) Run(e *env) error {
	dir, err := os.MkdirTemp("", "gatepost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{env: e, dir: dir, progress: newProgress(e.stderr, time.Now)}
	defer b.progress.clear()
	result, err := c.measure(b)
	if err != nil {
		err = fmt.Errorf("%w\nthe server's log ends with: %s", err, logTail(dir, "server"))
	}
	if err := errors.Join(err, b.stop()); err != nil {
		return err
	}
	b.progress.clear()
	if e.json {
		return printJSON(e.stdout, result)
	}
	return result.print(e.stdout)
}

func (c *benchAgents) measure(b *bench) (*agentsResult, error) {
	r := &agentsResult{Devices: c.Devices}
	steps := []struct {
		name string
		do   func() error
	}{
		{"start the server", func() error { return b.start() }},
		{"enrol the fleet", func() error { return b.enrol(c, r) }},
		{"connect the fleet", func() error { return b.connect(r) }},
		{"measure a lone agent", func() (err error) { r.Lone, err = b.lone(c); return err }},
		{"measure sign-ins alone", func() (err error) { r.SignInIdle, err = b.signIns(c, nil); return err }},
		{"measure the fleet", func() (err error) { r.Reports, err = b.load(c); return err }},
		{"measure sign-ins while the fleet reports", func() (err error) {
			if c.SignIns == 0 {
				return nil
			}
			r.SignInLoaded, err = b.signIns(c, func() (err error) { r.Beside, err = b.load(c); return err })
			return err
		}},
		{"start the server again, with a sync for each commit", func() error { return b.restart("--commit-singly") }},
		{"connect the fleet again", func() error { return b.connect(r) }},
		{"measure a lone agent again", func() (err error) { r.LoneSingly, err = b.lone(c); return err }},
		{"measure the fleet again", func() (err error) { r.Singly, err = b.load(c); return err }},
	}
	for i, s := range steps {
		b.progress.next = time.Time{}
		b.progress.show("%d of %d: %s", i+1, len(steps), s.name)
		if err := s.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	r.Ratio = r.Reports.PerSecond / r.Singly.PerSecond
	if r.SignInIdle.P99 > 0 {
		r.SignInRatio = r.SignInLoaded.P99 / r.SignInIdle.P99
	}
	return r, nil
}

func (r *agentsResult) print(w io.Writer) error {
	t := newTable(w, "MEASURED", "VALUE", "")
	t.row("devices", fmt.Sprint(r.Devices), fmt.Sprintf("enrolled at %.0f a second, connected and reported at %.0f a second", r.EnrollPerSec, r.ConnectPerSec))
	t.row("reports a second", fmt.Sprintf("%.0f", r.Reports.PerSecond), fmt.Sprintf("durable, over mTLS; %s; %.0f µs of the server's CPU each", r.Reports.Latency, r.Reports.ServerCPU))
	t.row("  one commit a report", fmt.Sprintf("%.0f", r.Singly.PerSecond), fmt.Sprintf("%s; %.0f µs of the server's CPU each", r.Singly.Latency, r.Singly.ServerCPU))
	t.row("  ratio", fmt.Sprintf("%.1f", r.Ratio), "of the two, in this run")
	t.row("a lone agent's report", fmt.Sprintf("%.2f ms", r.Lone.P50), r.Lone.String())
	t.row("  one commit a report", fmt.Sprintf("%.2f ms", r.LoneSingly.P50), r.LoneSingly.String())
	if r.SignInIdle.Count > 0 {
		t.row("a sign-in, idle", fmt.Sprintf("%.2f ms", r.SignInIdle.P50), r.SignInIdle.String())
		t.row("  under the reports", fmt.Sprintf("%.2f ms", r.SignInLoaded.P50), r.SignInLoaded.String())
		t.row("  reports a second then", fmt.Sprintf("%.0f", r.Beside.PerSecond), r.Beside.Latency.String())
		t.row("  ratio of p99", fmt.Sprintf("%.1f", r.SignInRatio), "")
	}
	t.row("server's memory", fmt.Sprintf("%d MiB", r.ServerMemory>>20), "resident, with all connections open")
	return t.flush()
}

// latencies sum up how long something took, in milliseconds.
type latencies struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func summarise(all []time.Duration) latencies {
	if len(all) == 0 {
		return latencies{}
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[min(len(all)-1, int(share*float64(len(all))))].Microseconds()) / 1000
	}
	return latencies{Count: len(all), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func (l latencies) String() string {
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, max %.2f ms of %d", l.P50, l.P99, l.Max, l.Count)
}

// logTail is the last thing that a child logged.
func logTail(dir, name string) string {
	text, _ := os.ReadFile(filepath.Join(dir, name+".log"))
	text = bytes.TrimSpace(text)
	return string(text[max(0, bytes.LastIndexByte(text, '\n')+1, len(text)-1000):])
}

// child is another process of this program.
type child struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *json.Decoder
	end io.Closer // its standard input
}

// startChild runs this program with other arguments, once ready has prepared
// it. Its log goes to a file in dir.
func startChild(e *env, dir, name string, ready func(*exec.Cmd) error, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own by then
	cmd := exec.CommandContext(e.ctx, self, args...)
	cmd.Args[0] = "gatepost"
	cmd.Stderr = log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	if err := ready(cmd); err != nil {
		return nil, err
	}
	return cmd, cmd.Start()
}
