package ocsf

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"gatepost.dev/posture"
)

// change is what somebody asked of the administration API, as API Activity.
//
// Entity Management would name what was changed, and demands it; the log has the
// call that was made, its path, its body and what it was answered, and a call may
// concern a thousand devices or none (an import, a key rotation). That is what API
// Activity is made of, and how cloud providers' audit logs arrive.
func (w *writer) change() {
	c := w.event.Change
	if c == nil {
		c = &posture.Change{}
	}
	method, path, _ := strings.Cut(c.Operation, " ")
	w.classify(apiActivity, w.activity(method, path))
	w.cameOf(c)
	w.related = c.Reference
	w.Actor = &actor{User: w.by(w.event.By)}
	if c.Token != "" {
		w.Actor.User.Credentials = []credential{{UID: w.text(c.Token), Type: "API token"}} // its ID, by which nobody gets in
	}
	if c.Role != "" {
		w.Actor.Role = &entity{Name: w.text(string(c.Role))}
	}
	if w.Source = w.endpoint(c.From); w.Source == nil {
		w.Source = &endpoint{Name: "unix socket"} // the class demands one, and a socket has no address
	}
	w.called(c)
	w.Request = w.httpRequest(c, method)
	w.Message = w.join(": ", w.event.By, w.or(c.Operation, "unknown operation"), w.Status.name)
	w.keep("why", w.event.Why)
	w.keep("body_sha256", c.BodyHash)
	w.keepFailures("failures", w.event.Failures)
	w.keepRaw("detail", w.event.Detail)
}

// activity is what the method does to what the path names. A POST to a collection
// makes something; one further down acts on what is there.
func (w *writer) activity(method, path string) label {
	switch method {
	case "GET", "HEAD":
		return label{2, "Read"}
	case "POST":
		if strings.Contains(strings.TrimPrefix(path, "/api/v1/"), "/") {
			return label{3, "Update"}
		}
		return label{1, "Create"}
	case "PUT", "PATCH":
		return label{3, "Update"}
	case "DELETE":
		return label{4, "Delete"}
	case "":
		return unknown
	}
	return label{other, w.text(method)}
}

// cameOf is what came of the call. What is recorded before anything is done has no
// outcome yet, which is not the same as one that nobody knows: its status is the
// log's own.
func (w *writer) cameOf(c *posture.Change) {
	switch {
	case c.Status == 0:
		w.Status = label{other, "Requested"}
		return
	case c.Status < 100 || c.Status > 599:
		w.StatusCode = strconv.Itoa(c.Status) // no answer that HTTP knows
		return
	case c.Status >= 400:
		w.Status, w.Severity = failure, low
	default:
		w.Status = success
	}
	w.StatusCode = strconv.Itoa(c.Status)
	w.Response = &httpResponse{Code: c.Status}
}

func (w *writer) called(c *posture.Change) {
	w.API = &api{Operation: w.or(c.Operation, "unknown"), Service: entity{Name: "Gatepost administration API"}}
	if w.Response != nil {
		w.API.Response = &apiResponse{Code: c.Status}
	}
	if c.Reference == "" { // the schema knows no request without an ID
		w.keepRaw("body", c.Body)
		return
	}
	w.API.Request = &apiRequest{UID: w.text(c.Reference), Data: w.raw(c.Body)}
}

func (w *writer) httpRequest(c *posture.Change, method string) *httpRequest {
	r := &httpRequest{UID: w.text(c.Reference), BodyLength: min(max(0, c.BodySize), math.MaxInt32)}
	if slices.Contains([]string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"}, method) {
		r.Method = method
	}
	if path, query, _ := strings.Cut(c.Path, "?"); path != "" {
		r.URL = &target{Path: w.text(path), Query: w.text(query)}
	} else {
		w.keep("path", c.Path)
	}
	return r
}
