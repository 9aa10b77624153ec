package admin

import (
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/internal/web"
)

// Keyring is certs.Keyring.
type Keyring interface {
	Published() []*certs.SigningKey
	Rotate(now time.Time, force bool) (*certs.SigningKey, error)
	Activate(id string, now time.Time, force bool) error
}

// Keys lists and rotates the signing keys. There is no way to get a private
// one:
//
//	GET  keys
//	POST keys/rotate
//	POST keys/{id}/activate
type Keys struct {
	Ring    func() Keyring // the one in use; a reload may replace it
	Now     func() time.Time
	Options *web.Options
}

// Mount adds the routes to mux.
func (h *Keys) Mount(mux *http.ServeMux) {
	route(mux, h.Options, http.MethodGet, "keys", h.list)
	route(mux, h.Options, http.MethodPost, "keys/rotate", h.rotate)
	route(mux, h.Options, http.MethodPost, "keys/{id}/activate", h.activate)
}

func (h *Keys) list(w http.ResponseWriter, _ *http.Request) error {
	return h.answer(w, http.StatusOK, h.Ring())
}

func (h *Keys) answer(w http.ResponseWriter, status int, ring Keyring) error {
	list := keyList{Keys: []Key{}}
	for _, k := range ring.Published() {
		list.Keys = append(list.Keys, wireKey(k))
	}
	return web.WriteJSON(w, status, list)
}

func wireKey(k *certs.SigningKey) Key {
	return Key{ID: k.ID, State: string(k.State), Certificate: certificatePEM(k.Certificate),
		NotBefore: k.Certificate.NotBefore, NotAfter: k.Certificate.NotAfter}
}

// rotate publishes a next key. A previous one makes room for it.
func (h *Keys) rotate(w http.ResponseWriter, _ *http.Request) error {
	ring := h.Ring()
	for _, k := range ring.Published() {
		if k.State == certs.StateNext {
			return &web.Error{Status: http.StatusConflict, Reason: "key_is_next",
				Public: fmt.Sprintf("The key %q is next already; activate it first.", k.ID)}
		}
	}
	next, err := ring.Rotate(h.Now(), true)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	return web.WriteJSON(w, http.StatusCreated, wireKey(next))
}

// activate makes a published key sign. Activating the one that signs changes
// nothing.
func (h *Keys) activate(w http.ResponseWriter, r *http.Request) error {
	ring, id := h.Ring(), r.PathValue("id")
	for _, k := range ring.Published() {
		if k.ID != id {
			continue
		}
		if err := ring.Activate(id, h.Now(), true); err != nil {
			return fmt.Errorf("activate key: %w", err)
		}
		return h.answer(w, http.StatusOK, ring)
	}
	return &web.Error{Status: http.StatusNotFound, Reason: "no_key", Public: fmt.Sprintf("There is no key %.40q.", id)}
}
