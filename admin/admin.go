// Package admin is the administration API, both sides of it: handlers for
// /api/v1, each a struct of exactly what it needs, and the Client that the
// commands use.
//
// Each operation asks for a role. Who sends a request is known by the API token
// that it shows, or by the socket, which only the server's owner can open. The
// package is no console and keeps nothing; the records are behind small
// interfaces.
//
// Errors are application/problem+json (RFC 9457). Streams are JSON lines
// (application/x-ndjson); one that fails says so in its last line, as
// {"problem": ...}.
package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Prefix begins the path of everything in the API.
const Prefix = "/api/v1/"

// Sizes of pages.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// query is the parameters of a request, each given once at most and one that the
// operation knows: checkQuery saw to that.
type query struct{ values url.Values }

func queryOf(r *http.Request) *query { return &query{r.URL.Query()} }

// checkQuery refuses parameters that the operation does not know, and those that
// are given twice.
func (o *Operation) checkQuery(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badQuery("The query is not well formed.")
	}
	for name, given := range values {
		if !slices.ContainsFunc(o.Query, func(p Parameter) bool { return p.Name == name }) {
			return badQuery(fmt.Sprintf("The parameter %.64q is not known here.", name))
		}
		if len(given) > 1 {
			return badQuery(fmt.Sprintf("The parameter %q is given twice.", name))
		}
	}
	return nil
}

func badQuery(public string) error {
	return &web.Error{Status: http.StatusBadRequest, Reason: "query_invalid", Public: public}
}

// number reads a number from 1 to most, or gives standard when there is none.
func (q *query) number(name string, standard, most int) (int, error) {
	text := q.values.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badQuery(fmt.Sprintf("The parameter %q is not a number from 1 to %d.", name, most))
	}
	return n, nil
}

// readPage reads the parameters of a list that has no others.
func readPage(r *http.Request) (after string, limit int, err error) {
	q := queryOf(r)
	limit, err = q.number("limit", defaultLimit, maxLimit)
	return q.values.Get("after"), limit, err
}

// newest reads how many records are asked for: the newest so many (last is not 0),
// or a page of limit.
func (q *query) newest() (limit, last int, err error) {
	if limit, err = q.number("limit", defaultLimit, maxLimit); err != nil {
		return 0, 0, err
	}
	if last, err = q.number("last", 0, maxLimit); err != nil {
		return 0, 0, err
	}
	if last > 0 && (q.values.Has("after") || q.values.Has("limit")) {
		return 0, 0, badQuery("last goes with neither after nor limit.")
	}
	return limit, last, nil
}

// onePage is what is shown of records of which one more than the limit was read,
// and behind which of them the next page begins; empty: there is none.
func onePage[T, W any](read []T, limit int, wire func(*T) W, cursor func(*T) string) (shown []W, next string) {
	shown = []W{}
	for i := range read[:min(len(read), limit)] {
		shown = append(shown, wire(&read[i]))
	}
	if len(read) > limit {
		next = cursor(&read[limit-1])
	}
	return shown, next
}

// truth reads true or false; given tells whether it is there.
func (q *query) truth(name string) (value, given bool, err error) {
	switch text := q.values.Get(name); text {
	case "":
		return false, false, nil
	case "true", "false":
		return text == "true", true, nil
	}
	return false, false, badQuery(fmt.Sprintf("The parameter %q is neither true nor false.", name))
}

// fail says what the client may know of an error: what is wrong with what he
// asked for in its own words, else that the records failed.
func fail(err error) *web.Error {
	if e, ok := errors.AsType[*web.Error](err); ok {
		return e
	}
	for _, f := range []struct {
		sentinel error
		status   int
		reason   string
	}{
		{posture.ErrNoDevice, http.StatusNotFound, "no_device"},
		{posture.ErrNoRelyingParty, http.StatusNotFound, "no_relying_party"},
		{posture.ErrNoDecision, http.StatusNotFound, "no_decision"},
		{ErrNoPolicy, http.StatusNotFound, "no_policy"},
		{ErrBadPolicies, http.StatusUnprocessableEntity, "bad_policies"},
		{posture.ErrNoToken, http.StatusNotFound, "no_token"},
		{posture.ErrNoAPIToken, http.StatusNotFound, "no_api_token"},
		{posture.ErrNoWebhook, http.StatusNotFound, "no_webhook"},
		{posture.ErrNoDelivery, http.StatusNotFound, "no_delivery"},
		{ErrBadWebhook, http.StatusUnprocessableEntity, "webhook"},
		{ErrTooMany, http.StatusConflict, "too_many"},
		{ErrBadAPIToken, http.StatusUnprocessableEntity, "api_token"},
		{posture.ErrRetired, http.StatusConflict, "retired"},
		{posture.ErrKeyInUse, http.StatusConflict, "key_in_use"},
		{posture.ErrExists, http.StatusConflict, "exists"},
		{devices.ErrBadFormat, http.StatusBadRequest, "format"},
		{devices.ErrBadSource, http.StatusBadRequest, "source"},
		{devices.ErrBadRows, http.StatusUnprocessableEntity, "bad_rows"},
		{devices.ErrEmptyReplace, http.StatusUnprocessableEntity, "empty_replace"},
		{devices.ErrHeld, http.StatusConflict, "held"},
		{devices.ErrWhichKey, http.StatusConflict, "which_key"},
		{devices.ErrBadToken, http.StatusUnprocessableEntity, "token"},
		{devices.ErrBadReason, http.StatusUnprocessableEntity, "retire_reason"},
		{devices.ErrBadRequest, http.StatusUnprocessableEntity, "certificate_request"},
		{devices.ErrBadTarget, http.StatusBadRequest, "target"},
		{devices.ErrNoOwner, http.StatusNotFound, "no_owner"},
		{devices.ErrBadOrder, http.StatusUnprocessableEntity, "quarantine"},
		{devices.ErrNoAgent, http.StatusConflict, "no_agent"},
		{devices.ErrBadLifetime, http.StatusUnprocessableEntity, "lifetime"},
	} {
		if errors.Is(err, f.sentinel) {
			return &web.Error{Status: f.status, Reason: f.reason, Public: err.Error(), Err: err}
		}
	}
	if errors.Is(err, posture.ErrUnfinished) {
		return &web.Error{Status: http.StatusServiceUnavailable, Reason: "unfinished", Err: err,
			Public: "The file is taken, but the records could not be written to their end; the server goes on with that by itself. See its log for what is in the way."}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &web.Error{Status: http.StatusRequestEntityTooLarge, Reason: "body_too_large",
			Public: fmt.Sprintf("More than %d bytes are not taken.", tooLarge.Limit), Err: err}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &web.Error{Status: http.StatusRequestTimeout, Reason: "body_timeout", Public: "The request took too long to arrive.", Err: err}
	}
	if errors.Is(err, devices.ErrUnreadable) {
		return &web.Error{Status: http.StatusBadRequest, Reason: "body_cut", Public: "The file did not arrive whole.", Err: err}
	}
	return &web.Error{Status: http.StatusServiceUnavailable, Reason: "unavailable",
		Public: "The records cannot be read or written now.", Err: err, RetryAfter: 5 * time.Second}
}

// deviceID is the ID in the path. One that no device can have is not found,
// before anybody looks for it.
func deviceID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if certs.ValidDeviceID(id) != nil {
		return "", fmt.Errorf("%w: %.64q", posture.ErrNoDevice, id)
	}
	return id, nil
}
