package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost.dev/events/webhook"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// ErrBadWebhook is a webhook that cannot be added.
var ErrBadWebhook = errors.New("bad webhook")

// ErrTooMany says that there are as many of something as there may be.
var ErrTooMany = errors.New("there are too many")

// WebhookRecords keeps the webhooks and what waits for them.
type WebhookRecords interface {
	Webhooks(ctx context.Context) ([]posture.Webhook, error)
	AddWebhook(ctx context.Context, w posture.Webhook) error // posture.ErrExists, ErrTooMany
	// VerifyWebhook and RemoveWebhook give posture.ErrNoWebhook.
	VerifyWebhook(ctx context.Context, name string, at time.Time) (posture.Webhook, error)
	RemoveWebhook(ctx context.Context, name string) error
}

// DeadLetters are the deliveries that were given up, by posture.Webhook.Queue.
type DeadLetters interface {
	Dead(ctx context.Context, queue, after string, limit int) ([]posture.Delivery, error)
	RetryDead(ctx context.Context, queue, id string, at time.Time) error // posture.ErrNoDelivery
	First(ctx context.Context, queue string) (d posture.Delivery, ok bool, err error)
}

// Webhooks adds, verifies and removes receivers of events, and has what was given
// up tried again:
//
//	GET    webhooks
//	POST   webhooks                {"name", "url", "events"}
//	POST   webhooks/{name}/verify
//	GET    webhooks/{name}/dead?after=&limit=
//	POST   webhooks/{name}/retry   {"ids"}
//	DELETE webhooks/{name}
type Webhooks struct {
	Records WebhookRecords
	Letters DeadLetters
	Key     func(salt string) ([]byte, error)                      // of the secret
	Verify  func(ctx context.Context, url, challenge string) error // asks the receiver
	Now     func() time.Time
}

// Operations are what the API serves by h.
func (h *Webhooks) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "webhooks", Role: posture.Operator, Summary: "List webhooks.", Answer: typeOf[webhookList](), serve: h.list},
		{Method: http.MethodPost, Path: "webhooks", Role: posture.Admin, Summary: "Add a webhook and ask it to answer a challenge; its secret is shown this once.",
			Body: typeOf[NewWebhook](), Conceal: []string{"url"}, // which may hold a secret
			Answer: typeOf[IssuedWebhook](), Created: true, Refusals: taken(http.StatusConflict, http.StatusUnprocessableEntity), serve: h.add},
		{Method: http.MethodPost, Path: "webhooks/{name}/verify", Role: posture.Admin, Summary: "Ask a webhook again to answer a challenge; until it does it is told nothing.",
			Answer: typeOf[Webhook](), Refusals: []int{http.StatusNotFound, http.StatusConflict}, serve: h.verify},
		{Method: http.MethodGet, Path: "webhooks/{name}/dead", Role: posture.Operator, Summary: "List deliveries that were given up, the oldest first.",
			Query: paging(), Answer: typeOf[DeadLetterList](), Refusals: []int{http.StatusNotFound}, serve: h.dead},
		{Method: http.MethodPost, Path: "webhooks/{name}/retry", Role: posture.Operator, Summary: "Have deliveries that were given up tried again.",
			Body: typeOf[retryRequest](), Answer: typeOf[Retried](), Refusals: taken(http.StatusNotFound), serve: h.retry},
		{Method: http.MethodDelete, Path: "webhooks/{name}", Role: posture.Admin, Summary: "Remove a webhook with all that waits for it.",
			Refusals: []int{http.StatusNotFound}, serve: h.remove},
	}
}

func (h *Webhooks) list(w http.ResponseWriter, r *http.Request) error {
	known, err := h.Records.Webhooks(r.Context())
	if err != nil {
		return fail(fmt.Errorf("list webhooks: %w", err))
	}
	list := webhookList{Webhooks: []Webhook{}}
	for i := range known {
		wire := wireWebhook(&known[i])
		first, waits, err := h.Letters.First(r.Context(), known[i].Queue())
		if err != nil {
			return fail(fmt.Errorf("list webhooks: %w", err))
		}
		if waits {
			wire.WaitingSince, wire.Tries, wire.LastError = first.Since, first.Tries, first.Error
		}
		list.Webhooks = append(list.Webhooks, wire)
	}
	return web.WriteJSON(w, http.StatusOK, list)
}

func wireWebhook(w *posture.Webhook) Webhook {
	wire := Webhook{Name: w.Name, URL: w.URL, Events: w.Events, CreatedAt: w.CreatedAt, CreatedBy: w.CreatedBy, VerifiedAt: w.VerifiedAt}
	if len(wire.Events) == 0 {
		wire.Events = posture.Told()
	}
	return wire
}

func (h *Webhooks) add(w http.ResponseWriter, r *http.Request) error {
	var asked NewWebhook
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	if err := asked.check(); err != nil {
		return fail(err)
	}
	hook := posture.Webhook{
		Name: asked.Name, Salt: rand.Text(), URL: asked.URL, Events: asked.Events, CreatedAt: h.Now(), CreatedBy: principalOf(r.Context()).Name,
	}
	key, err := h.Key(hook.Salt)
	if err != nil {
		return fmt.Errorf("make the secret of webhook %q: %w", hook.Name, err)
	}
	if err := h.Records.AddWebhook(r.Context(), hook); err != nil {
		return fail(err)
	}
	issued := IssuedWebhook{Secret: webhook.Secret(key)}
	if err := h.challenge(r.Context(), &hook); err != nil {
		issued.Unverified = err.Error()
	}
	issued.Webhook = wireWebhook(&hook)
	return web.WriteJSON(w, http.StatusCreated, issued)
}

func (n *NewWebhook) check() error {
	if !namePattern.MatchString(n.Name) {
		return fmt.Errorf("%w: name %.80q is not 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit", ErrBadWebhook, n.Name)
	}
	if err := webhook.CheckURL(n.URL); err != nil {
		return fmt.Errorf("%w: %w", ErrBadWebhook, err)
	}
	for i, kind := range n.Events {
		if !slices.Contains(posture.Told(), kind) || slices.Contains(n.Events[:i], kind) {
			var all []string
			for _, known := range posture.Told() {
				all = append(all, string(known))
			}
			return fmt.Errorf("%w: event %.60q is not one, or twice; there are %s", ErrBadWebhook, kind, strings.Join(all, ", "))
		}
	}
	return nil
}

// challenge verifies the webhook, and notes that.
func (h *Webhooks) challenge(ctx context.Context, hook *posture.Webhook) (err error) {
	if err := h.Verify(ctx, hook.URL, rand.Text()); err != nil {
		return err
	}
	*hook, err = h.Records.VerifyWebhook(ctx, hook.Name, h.Now())
	return err
}

// named is the webhook in the path.
func (h *Webhooks) named(r *http.Request) (posture.Webhook, error) {
	known, err := h.Records.Webhooks(r.Context())
	if err != nil {
		return posture.Webhook{}, err
	}
	name := r.PathValue("name")
	for _, hook := range known {
		if hook.Name == name {
			return hook, nil
		}
	}
	return posture.Webhook{}, fmt.Errorf("%w: %.80q", posture.ErrNoWebhook, name)
}

func (h *Webhooks) verify(w http.ResponseWriter, r *http.Request) error {
	hook, err := h.named(r)
	if err != nil {
		return fail(err)
	}
	if err := h.challenge(r.Context(), &hook); err != nil {
		return &web.Error{Status: http.StatusConflict, Reason: "unverified", Public: err.Error() + ".", Err: err}
	}
	return web.WriteJSON(w, http.StatusOK, wireWebhook(&hook))
}

func (h *Webhooks) dead(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := readPage(r)
	if err != nil {
		return err
	}
	hook, err := h.named(r)
	if err != nil {
		return fail(err)
	}
	found, err := h.Letters.Dead(r.Context(), hook.Queue(), after, limit+1)
	if err != nil {
		return fail(fmt.Errorf("list dead letters: %w", err))
	}
	var list DeadLetterList
	list.Letters, list.Next = onePage(found, limit, func(d *posture.Delivery) DeadLetter {
		return DeadLetter{ID: d.ID, Since: d.Since, Tries: d.Tries, Error: d.Error, Body: d.Body}
	}, func(d *posture.Delivery) string { return d.ID })
	return web.WriteJSON(w, http.StatusOK, list)
}

func (h *Webhooks) retry(w http.ResponseWriter, r *http.Request) error {
	var asked retryRequest
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	hook, err := h.named(r)
	if err != nil {
		return fail(err)
	}
	ids := asked.IDs
	for all := len(ids) == 0; all; {
		page, err := h.Letters.Dead(r.Context(), hook.Queue(), lastOf(ids), maxLimit)
		if err != nil {
			return fail(fmt.Errorf("list dead letters: %w", err))
		}
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		all = len(page) == maxLimit
	}
	for _, id := range ids {
		if err := h.Letters.RetryDead(r.Context(), hook.Queue(), id, h.Now()); err != nil {
			return fail(fmt.Errorf("%.64q: %w", id, err))
		}
	}
	return web.WriteJSON(w, http.StatusOK, Retried{Deliveries: len(ids)})
}

func lastOf(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

func (h *Webhooks) remove(w http.ResponseWriter, r *http.Request) error {
	hook, err := h.named(r)
	if err != nil {
		return fail(err)
	}
	if err := h.Records.RemoveWebhook(r.Context(), hook.Name); err != nil {
		return fail(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
