package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Pinner is devices.Decider.
type Pinner interface {
	PinEK(ctx context.Context, id string, p devices.Pin) (posture.Device, error)
	UnpinEK(ctx context.Context, id string) (posture.Device, error)
}

// Endorsements says which TPM a device has:
//
//	PUT    devices/{id}/ek  {"ek" or "claimed", "by"}
//	DELETE devices/{id}/ek
type Endorsements struct {
	Pinner Pinner
}

// Operations are what the API serves by h.
func (h *Endorsements) Operations() []Operation {
	return []Operation{
		{Method: http.MethodPut, Path: "devices/{id}/ek", Role: posture.Operator, Summary: "Pin the endorsement key of a device's TPM, which then counts whoever certified it.",
			Body: typeOf[pin](), Answer: typeOf[posture.Device](), Refusals: taken(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity), serve: h.pin},
		{Method: http.MethodDelete, Path: "devices/{id}/ek", Role: posture.Operator, Summary: "Take the pin of an endorsement key back.",
			Answer: typeOf[posture.Device](), Refusals: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, serve: h.unpin},
	}
}

// pin names the endorsement key: one of both.
type pin struct {
	EK      string `json:"ek,omitempty"`      // lower-case hex SHA-256 of its SubjectPublicKeyInfo
	Claimed bool   `json:"claimed,omitempty"` // the one that the device claims
	By      string `json:"by,omitempty"`
}

func (h *Endorsements) pin(w http.ResponseWriter, r *http.Request) error {
	var asked pin
	if err := web.ReadJSON(r, &asked); err != nil {
		return err
	}
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	if asked.Claimed == (asked.EK != "") {
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "pin", Public: "Say either ek, or claimed."}
	}
	p := principalOf(r.Context())
	d, err := h.Pinner.PinEK(r.Context(), id, devices.Pin{EK: asked.EK, Claimed: asked.Claimed, By: cmp.Or(p.signs(asked.By), p.Name)})
	if err != nil {
		return failPin(err)
	}
	return web.WriteJSON(w, http.StatusOK, d)
}

func (h *Endorsements) unpin(w http.ResponseWriter, r *http.Request) error {
	id, err := deviceID(r)
	if err != nil {
		return fail(err)
	}
	d, err := h.Pinner.UnpinEK(r.Context(), id)
	if err != nil {
		return failPin(err)
	}
	return web.WriteJSON(w, http.StatusOK, d)
}

// failPin is fail, with what else can be wrong with a pin.
func failPin(err error) *web.Error {
	switch {
	case errors.Is(err, posture.ErrEKInUse):
		return &web.Error{Status: http.StatusConflict, Reason: "ek_in_use", Public: err.Error(), Err: err}
	case errors.Is(err, devices.ErrPin):
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "pin", Public: err.Error(), Err: err}
	}
	return fail(err)
}

// PinEK says which TPM the device has.
func (c *Client) PinEK(ctx context.Context, id string, p devices.Pin) (d posture.Device, err error) {
	err = c.call(ctx, http.MethodPut, "devices/"+url.PathEscape(id)+"/ek", pin{EK: p.EK, Claimed: p.Claimed, By: p.By}, &d)
	return d, err
}

// UnpinEK takes that back.
func (c *Client) UnpinEK(ctx context.Context, id string) (d posture.Device, err error) {
	err = c.call(ctx, http.MethodDelete, "devices/"+url.PathEscape(id)+"/ek", nil, &d)
	return d, err
}
