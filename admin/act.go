package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Actor is devices.Actor.
type Actor interface {
	Quarantine(ctx context.Context, t devices.Target, order devices.Order) ([]devices.Outcome, error)
	Lift(ctx context.Context, t devices.Target) ([]devices.Outcome, error)
	Retire(ctx context.Context, t devices.Target, reason string) ([]devices.Outcome, error)
	Recheck(ctx context.Context, t devices.Target) ([]devices.Outcome, error)
}

// Actions acts on one device or on all of an owner:
//
//	POST actions/quarantine  {"device" or "owner", "for", "by", "why", "shorten"}
//	POST actions/lift        {"device" or "owner"}
//	POST actions/retire      {"device" or "owner", "why"}
//	POST actions/recheck     {"device" or "owner"}
type Actions struct {
	Actor Actor
}

// Operations are what the API serves by h.
func (h *Actions) Operations() []Operation {
	return []Operation{
		h.operation("quarantine", posture.Helpdesk, "Keep devices out, for a time or until they are released.", h.quarantine),
		h.operation("lift", posture.Helpdesk, "End the quarantine of devices, and no suspicion.", func(ctx context.Context, a *action) ([]devices.Outcome, error) {
			return h.Actor.Lift(ctx, a.Target)
		}),
		h.operation("retire", posture.Operator, "Take devices out of service for good.", func(ctx context.Context, a *action) ([]devices.Outcome, error) {
			return h.Actor.Retire(ctx, a.Target, a.Why)
		}),
		h.operation("recheck", posture.Helpdesk, "Have the agents of devices report soon.", func(ctx context.Context, a *action) ([]devices.Outcome, error) {
			return h.Actor.Recheck(ctx, a.Target)
		}),
	}
}

func (h *Actions) operation(name string, role posture.Role, summary string, act func(context.Context, *action) ([]devices.Outcome, error)) Operation {
	return Operation{
		Method: http.MethodPost, Path: "actions/" + name, Role: role, Summary: summary, Body: typeOf[action](), Answer: typeOf[outcomeList](),
		Refusals: taken(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity),
		serve: func(w http.ResponseWriter, r *http.Request) error {
			var asked action
			if err := web.ReadJSON(r, &asked); err != nil {
				return err
			}
			if id := asked.Device; id != "" && certs.ValidDeviceID(id) != nil {
				return fail(fmt.Errorf("%w: %.64q", posture.ErrNoDevice, id))
			}
			done, err := act(r.Context(), &asked)
			if err != nil {
				return fail(err)
			}
			return web.WriteJSON(w, http.StatusOK, outcomeList{done})
		},
	}
}

func (h *Actions) quarantine(ctx context.Context, a *action) ([]devices.Outcome, error) {
	order := devices.Order{By: principalOf(ctx).signs(a.By), Why: a.Why, Shorten: a.Shorten}
	if a.For != "" {
		var err error
		if order.For, err = time.ParseDuration(a.For); err != nil || order.For <= 0 {
			return nil, fmt.Errorf("%w: %.40q is no time that it can last; write it as 8h", devices.ErrBadOrder, a.For)
		}
	}
	return h.Actor.Quarantine(ctx, a.Target, order)
}

type action struct {
	devices.Target
	For     string `json:"for,omitempty"` // such as "8h"; empty: until it is released
	By      string `json:"by,omitempty"`
	Why     string `json:"why,omitempty"`
	Shorten bool   `json:"shorten,omitempty"`
}

type outcomeList struct {
	Devices []devices.Outcome `json:"devices"`
}

// Quarantine keeps devices out.
func (c *Client) Quarantine(ctx context.Context, t devices.Target, o devices.Order) ([]devices.Outcome, error) {
	a := action{Target: t, By: o.By, Why: o.Why, Shorten: o.Shorten}
	if o.For != 0 {
		a.For = o.For.String()
	}
	return c.act(ctx, "quarantine", a)
}

// Lift ends the quarantine of devices, and no suspicion.
func (c *Client) Lift(ctx context.Context, t devices.Target) ([]devices.Outcome, error) {
	return c.act(ctx, "lift", action{Target: t})
}

// Retire takes devices out of service for good.
func (c *Client) Retire(ctx context.Context, t devices.Target, reason string) ([]devices.Outcome, error) {
	return c.act(ctx, "retire", action{Target: t, Why: reason})
}

// Recheck has the agents of devices report soon.
func (c *Client) Recheck(ctx context.Context, t devices.Target) ([]devices.Outcome, error) {
	return c.act(ctx, "recheck", action{Target: t})
}

func (c *Client) act(ctx context.Context, name string, a action) ([]devices.Outcome, error) {
	var list outcomeList
	err := c.call(ctx, http.MethodPost, "actions/"+name, a, &list)
	return list.Devices, err
}
