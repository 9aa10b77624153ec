package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

type decisionsCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	Follow bool   `short:"f" help:"Go on with new decisions as they are made."`
	Last   int    `short:"n" default:"20" help:"How many to begin with, the newest."`
	Device string `placeholder:"ID" help:"Only those on this device."`
	User   string `placeholder:"NAME" help:"Only those on this user, in whatever case its letters A to Z are written."`
	Party  string `name:"relying-party" placeholder:"NAME" help:"Only those for this relying party."`
	Result string `name:"outcome" enum:",asserted,refused" default:"" placeholder:"asserted|refused" help:"Only those with this outcome."`
	ID     string `name:"reference" placeholder:"ID" help:"Only the decision with this reference, as a page showed it."`
}

// Validate checks the flags.
func (c *decisionsCommand) Validate() error {
	if c.Last < 1 || c.Last > 1000 {
		return fmt.Errorf("--last %d is not from 1 to 1000", c.Last)
	}
	if c.Follow && c.Device+c.User+c.Party+c.Result != "" {
		return errors.New("--follow goes with none of --device, --user, --relying-party and --outcome")
	}
	return nil
}

// filtered are the newest of the decisions that are asked for.
func (c *decisionsCommand) filtered(e *env, client *admin.Client) (found []posture.Decision, err error) {
	q := admin.DecisionQuery{Limit: 1000, DeviceID: c.Device, Subject: c.User, RelyingParty: c.Party, Outcome: posture.Outcome(c.Result)}
	for more := true; more; more = q.After != "" {
		page, err := client.Decisions(e.ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, page.Decisions...)
		found = found[max(0, len(found)-c.Last):]
		q.After = page.Next
	}
	return found, nil
}

// Run prints decisions, the oldest first; as JSON, one a line.
func (c *decisionsCommand) Run(e *env) error {
	reach := withServer
	if c.Follow {
		// Only a server decides, and to wait on the store itself would keep one
		// from starting.
		reach = withRunningServer
	}
	return reach(e, func(client *admin.Client) error {
		p := &decisionPrinter{e: e}
		if c.ID != "" {
			return p.printOne(client, c.ID)
		}
		p.head()
		var err error
		switch {
		case c.Follow:
			err = client.FollowDecisions(e.ctx, admin.DecisionQuery{Last: c.Last}, p.print)
			if errors.Is(err, context.Canceled) {
				err = nil // stopped by whoever started it
			}
		case c.Device+c.User+c.Party+c.Result != "":
			var found []posture.Decision
			if found, err = c.filtered(e, client); err == nil {
				for _, d := range found {
					p.print(d)
				}
			}
		default:
			var list admin.DecisionList
			if list, err = client.Decisions(e.ctx, admin.DecisionQuery{Last: c.Last}); err == nil {
				for _, d := range list.Decisions {
					p.print(d)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("read decisions: %w", err)
		}
		return nil
	})
}

// decisionPrinter prints a line a decision. A table cannot measure rows that
// are still to come, so its columns have fixed widths.
type decisionPrinter struct{ e *env }

const decisionLine = "%-19s  %-26s  %-13s  %-24s  %-20s  %-20s  %-8s  %-7s  %-9s  %s\n"

func (p *decisionPrinter) head() {
	if !p.e.json {
		fmt.Fprintf(p.e.stdout, decisionLine, "TIME (UTC)", "REFERENCE", "RELYING PARTY", "SUBJECT", "DEVICE", "PROOF", "OUTCOME", "MANAGED", "COMPLIANT", "REASON")
	}
}

func (p *decisionPrinter) print(d posture.Decision) {
	if p.e.json {
		writeLine(p.e.stdout, d)
		return
	}
	fmt.Fprintf(p.e.stdout, decisionLine, second(d.Time), d.ID, printable(d.RelyingParty), printable(d.Subject), printable(d.DeviceID), proofOf(&d),
		d.Outcome, yesNo(d.Managed), yesNo(d.Compliant), strings.Join(reasonsOf(&d), ", "))
}

// proofOf is by what the device was recognised.
func proofOf(d *posture.Decision) string {
	if d.Proof == (posture.Proof{}) {
		return "-"
	}
	return string(d.Proof.Method) + "/" + string(d.Proof.Rank)
}

// reasonsOf are why it was so decided, and what else is to be known of it.
func reasonsOf(d *posture.Decision) []string {
	var reasons []string
	if reason := cmp.Or(string(d.Reason), d.Status); reason != "" {
		reasons = append(reasons, reason)
	}
	if q := d.Quarantine; q != nil {
		until := ""
		if !q.Until.IsZero() {
			until = " until " + second(q.Until)
		}
		reasons = append(reasons, "by "+printable(q.By)+until+": "+printable(q.Why))
	}
	for _, f := range d.Failures {
		switch {
		case f.Blocks(d.Time):
			reasons = append(reasons, "fails "+f.Rule)
		case f.Severity == posture.Warn:
			reasons = append(reasons, "warning: "+f.Rule)
		default:
			reasons = append(reasons, "fails "+f.Rule+" from "+second(f.Until)+" on")
		}
	}
	for _, w := range d.Warnings {
		reasons = append(reasons, "warning: "+string(w))
	}
	if s := d.Shadow; s != nil && (s.Managed != d.Managed || s.Compliant != d.Compliant) {
		reasons = append(reasons, fmt.Sprintf("by %s: managed %s, compliant %s", s.Policy, yesNo(s.Managed), yesNo(s.Compliant)))
	}
	return reasons
}

func (p *decisionPrinter) printOne(client *admin.Client, id string) error {
	d, err := client.Decision(p.e.ctx, id)
	if problem := (*admin.Problem)(nil); errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return fmt.Errorf("no decision has the reference %q; a request that could not be used has none, look for it in the server's log", id)
	}
	if err != nil {
		return fmt.Errorf("read decision: %w", err)
	}
	return printJSON(p.e.stdout, d)
}

func writeLine(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v)
}
