package main

import (
	"fmt"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/posture"
)

type webhookCommand struct {
	Remote remote `embed:"" group:"A server elsewhere"`

	Add    webhookAdd    `cmd:"" help:"Add a receiver of events, and ask it to answer a challenge."`
	List   webhookList   `cmd:"" help:"List webhooks, and how far each is behind."`
	Verify webhookVerify `cmd:"" help:"Ask a webhook again to answer a challenge; until it does it is told nothing."`
	Dead   webhookDead   `cmd:"" help:"List events that could not be delivered and were given up."`
	Retry  webhookRetry  `cmd:"" help:"Have such events delivered again."`
	Remove webhookRemove `cmd:"" help:"Remove a webhook with all that waits for it."`
}

type webhookAdd struct {
	Name  string   `arg:"" help:"Its name."`
	URL   string   `name:"url" required:"" placeholder:"URL" help:"Where it is: https, or http on the server's machine."`
	Event []string `placeholder:"KIND" help:"Tell it of this only, such as device.retired; may be given again. Without it: of all."`
}

// Run adds the webhook.
func (c *webhookAdd) Run(e *env) error {
	return withRunningServer(e, func(client *admin.Client) error {
		n := admin.NewWebhook{Name: c.Name, URL: c.URL}
		for _, kind := range c.Event {
			n.Events = append(n.Events, posture.EventKind(kind))
		}
		w, err := client.AddWebhook(e.ctx, n)
		if err != nil {
			return fmt.Errorf("add webhook %q: %w", c.Name, err)
		}
		if e.json {
			return printJSON(e.stdout, w)
		}
		fmt.Fprintln(e.stdout, w.Secret)
		if w.Unverified != "" {
			_, err = fmt.Fprintf(e.stderr, "It is told nothing yet: %s. Once it answers the challenge: gatepost webhook verify %s\n", printable(w.Unverified), w.Name)
			return err
		}
		_, err = fmt.Fprintln(e.stderr, "It is verified, and told of events from now on. The secret, by which it knows us, is not shown again.")
		return err
	})
}

type webhookList struct{}

// Run lists webhooks.
func (c *webhookList) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		found, err := client.Webhooks(e.ctx)
		if err != nil {
			return fmt.Errorf("list webhooks: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, found)
		}
		t := newTable(e.stdout, "NAME", "URL", "EVENTS", "VERIFIED", "WAITING SINCE", "LAST ERROR")
		for _, w := range found {
			events := fmt.Sprint(len(w.Events))
			if len(w.Events) == len(posture.Told()) {
				events = "all"
			}
			t.row(w.Name, w.URL, events, secondOrNever(w.VerifiedAt), secondOrNothing(w.WaitingSince), w.LastError)
		}
		return t.flush()
	})
}

func secondOrNothing(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return second(t)
}

type webhookVerify struct {
	Name string `arg:"" help:"Its name."`
}

// Run verifies the webhook.
func (c *webhookVerify) Run(e *env) error {
	return withRunningServer(e, func(client *admin.Client) error {
		w, err := client.VerifyWebhook(e.ctx, c.Name)
		if err != nil {
			return fmt.Errorf("verify webhook %q: %w", c.Name, err)
		}
		if e.json {
			return printJSON(e.stdout, w)
		}
		_, err = fmt.Fprintf(e.stdout, "%s is told of events from now on\n", w.Name)
		return err
	})
}

type webhookDead struct {
	Name string `arg:"" help:"The webhook."`
}

// Run lists dead letters.
func (c *webhookDead) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		found, err := allPages(func(after string) ([]admin.DeadLetter, string, error) {
			page, err := client.DeadLetters(e.ctx, c.Name, after, 1000)
			return page.Letters, page.Next, err
		}, func(*admin.DeadLetter) bool { return true })
		if err != nil {
			return fmt.Errorf("list what was given up: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, found)
		}
		t := newTable(e.stdout, "ID", "SINCE", "TRIES", "ERROR", "EVENT")
		for _, l := range found {
			t.row(l.ID, second(l.Since), fmt.Sprint(l.Tries), l.Error, string(l.Body))
		}
		return t.flush()
	})
}

type webhookRetry struct {
	Name string   `arg:"" help:"The webhook."`
	IDs  []string `arg:"" optional:"" name:"id" help:"Only these, by the ID that \"gatepost webhook dead\" shows; without it all."`
}

// Run has dead letters tried again.
func (c *webhookRetry) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		done, err := client.RetryDeadLetters(e.ctx, c.Name, c.IDs)
		if err != nil {
			return fmt.Errorf("retry: %w", err)
		}
		if e.json {
			return printJSON(e.stdout, done)
		}
		_, err = fmt.Fprintf(e.stdout, "%s tried again\n", counted(done.Deliveries, "event"))
		return err
	})
}

type webhookRemove struct {
	Name string `arg:"" help:"Its name."`
}

// Run removes the webhook.
func (c *webhookRemove) Run(e *env) error {
	return withServer(e, func(client *admin.Client) error {
		if err := client.RemoveWebhook(e.ctx, c.Name); err != nil {
			return fmt.Errorf("remove webhook %q: %w", c.Name, err)
		}
		if e.json {
			return printJSON(e.stdout, map[string]string{"removed": c.Name})
		}
		_, err := fmt.Fprintf(e.stdout, "%s is told nothing any more\n", printable(c.Name))
		return err
	})
}
