package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Keyring is certs.Keyring: keys for one algorithm.
type Keyring interface {
	Published() []*certs.SigningKey
	Rotate(now time.Time, force bool) (*certs.SigningKey, error)
	Activate(id string, now time.Time, force bool) error
}

// Keys lists and rotates the signing keys. There is no way to get a private
// one:
//
//	GET  keys
//	POST keys/rotate         {"algorithm", "force"}
//	POST keys/{id}/activate  {"force"}
//
// Without a body the algorithm is RS256, and nothing is forced.
type Keys struct {
	Rings func() []Keyring // those in use, none empty; a reload may replace them
	Now   func() time.Time
}

// Operations are what the API serves by h.
func (h *Keys) Operations() []Operation {
	return []Operation{
		{Method: http.MethodGet, Path: "keys", Role: posture.Viewer, Summary: "List the published signing keys; never a private one.", Answer: typeOf[keyList](), serve: h.list},
		{Method: http.MethodPost, Path: "keys/rotate", Role: posture.Admin, Summary: "Publish a next signing key.",
			Body: typeOf[keyRotation](), NoBodyToo: true, Answer: typeOf[Key](), Created: true, Refusals: taken(http.StatusNotFound, http.StatusConflict), serve: h.rotate},
		{Method: http.MethodPost, Path: "keys/{id}/activate", Role: posture.Admin, Summary: "Make a published key sign.",
			Body: typeOf[keyActivation](), NoBodyToo: true, Answer: typeOf[keyList](), Refusals: taken(http.StatusNotFound, http.StatusConflict), serve: h.activate},
	}
}

func (h *Keys) list(w http.ResponseWriter, _ *http.Request) error {
	list := keyList{Keys: []Key{}}
	for _, ring := range h.Rings() {
		for _, k := range ring.Published() {
			list.Keys = append(list.Keys, wireKey(k))
		}
	}
	return web.WriteJSON(w, http.StatusOK, list)
}

func wireKey(k *certs.SigningKey) Key {
	return Key{ID: k.ID, Algorithm: k.Algorithm(), State: string(k.State), Certificate: string(certs.CertificatePEM(k.Certificate)),
		NotBefore: k.Certificate.NotBefore, NotAfter: k.Certificate.NotAfter}
}

// readStep reads the body of a request that may have none.
func readStep(r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	return web.ReadJSON(r, into)
}

// rotate publishes a next key. A previous one makes room for it.
func (h *Keys) rotate(w http.ResponseWriter, r *http.Request) error {
	var request keyRotation
	if err := readStep(r, &request); err != nil {
		return err
	}
	ring, err := h.ring(cmp.Or(request.Algorithm, certs.RS256))
	if err != nil {
		return err
	}
	for _, k := range ring.Published() {
		if k.State == certs.StateNext {
			return &web.Error{Status: http.StatusConflict, Reason: "key_is_next",
				Public: fmt.Sprintf("The key %q is next already; activate it once every relying party has it.", k.ID)}
		}
	}
	next, err := ring.Rotate(h.Now(), request.Force)
	if err != nil {
		return tooSoon(fmt.Errorf("rotate keys: %w", err))
	}
	made(r.Context(), next.ID)
	return web.WriteJSON(w, http.StatusCreated, wireKey(next))
}

// ring is the one whose keys sign by the algorithm.
func (h *Keys) ring(algorithm string) (Keyring, error) {
	for _, ring := range h.Rings() {
		if ring.Published()[0].Algorithm() == algorithm {
			return ring, nil
		}
	}
	return nil, &web.Error{Status: http.StatusNotFound, Reason: "no_keys",
		Public: fmt.Sprintf("There are no keys for %.40q: the configuration names none.", algorithm)}
}

// activate makes a published key sign. Activating the one that signs changes
// nothing.
func (h *Keys) activate(w http.ResponseWriter, r *http.Request) error {
	var request keyActivation
	if err := readStep(r, &request); err != nil {
		return err
	}
	id := r.PathValue("id")
	for _, ring := range h.Rings() {
		for _, k := range ring.Published() {
			if k.ID != id {
				continue
			}
			if err := ring.Activate(id, h.Now(), request.Force); err != nil {
				return tooSoon(fmt.Errorf("activate key: %w", err))
			}
			return h.list(w, r)
		}
	}
	return &web.Error{Status: http.StatusNotFound, Reason: "no_key", Public: fmt.Sprintf("There is no key %.40q.", id)}
}

// tooSoon says until when to wait, if that is what the error is about.
func tooSoon(err error) error {
	soon, ok := errors.AsType[*certs.TooSoon](err)
	if !ok {
		return err
	}
	until, minutes := soon.Until.UTC().Format(time.RFC3339), int(certs.PublishFor.Minutes())
	public := fmt.Sprintf("Relying parties keep the keys they know for %d minutes, so not all may know the key %q yet. Wait until %s, or force it.",
		minutes, soon.Key, until)
	if soon.State == certs.StatePrevious {
		public = fmt.Sprintf("Answers that the key %q signed less than %d minutes ago may still have to be verified, and it would be dropped. Wait until %s, or force it.",
			soon.Key, minutes, until)
	}
	return &web.Error{Status: http.StatusConflict, Reason: "too_soon", Public: public, Err: err}
}
