package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Noter writes events into the log.
type Noter interface {
	Note(ctx context.Context, e posture.Event) error
}

// noted serves a change, of which the log says who asks for what before anything
// is done, and what came of it afterwards. What cannot be noted is not done.
//
// Secrets are in answers only, which are not noted.
func (a *API) noted(o *Operation, p Principal, w http.ResponseWriter, r *http.Request) error {
	c := changeOf(o, p, r)
	if err := a.note(r.Context(), p, c); err != nil {
		return fail(err)
	}
	body := &readBody{ReadCloser: r.Body, sum: sha256.New(), keep: !o.File}
	r.Body = body
	r = r.WithContext(context.WithValue(r.Context(), madeKey{}, &c.Made))
	answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	err := o.serve(answer, r)
	c.Status = answer.status
	if err != nil {
		c.Status = statusOf(err)
	}
	body.describe(&c, o.Conceal)
	// The change is made whether or not the client waits for the answer.
	if noteErr := a.note(context.WithoutCancel(r.Context()), p, c); noteErr != nil {
		return errors.Join(err, fmt.Errorf("note what came of the request: %w", noteErr))
	}
	return err
}

// noteRefused notes that somebody asked for a change that his role does not allow.
func (a *API) noteRefused(o *Operation, p Principal, r *http.Request) error {
	if !o.changes() {
		return nil
	}
	c := changeOf(o, p, r)
	c.Status = http.StatusForbidden
	if err := a.note(r.Context(), p, c); err != nil {
		return fail(err)
	}
	return nil
}

func changeOf(o *Operation, p Principal, r *http.Request) posture.Change {
	c := posture.Change{
		Operation: o.Method + " " + Prefix + o.Path, Path: cutText(r.URL.RequestURI()), Role: p.Role, Token: p.Token, Reference: web.Reference(r.Context()),
	}
	if from := addressOf(r); from.IsValid() {
		c.From = from.String()
	}
	return c
}

func (a *API) note(ctx context.Context, p Principal, c posture.Change) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return a.Noter.Note(ctx, posture.Event{Time: a.Options.Now(), Kind: posture.Changed, By: p.Name, Change: &c})
}

// statusOf is the status that an error is answered with.
func statusOf(err error) int {
	if e, ok := errors.AsType[*web.Error](err); ok {
		return e.Status
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}

// made notes the ID of what an operation made, which its request does not name.
func made(ctx context.Context, id string) {
	if to, ok := ctx.Value(madeKey{}).(*string); ok {
		*to = id
	}
}

type madeKey struct{}

const maxNotedPath = 2 << 10

func cutText(s string) string { return s[:min(len(s), maxNotedPath)] }

// readBody is a body of which is known, afterwards, what was read.
type readBody struct {
	io.ReadCloser
	sum  hash.Hash
	size int64
	keep bool
	head bytes.Buffer
}

func (b *readBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sum.Write(p[:n])
	b.size += int64(n)
	if room := web.DefaultMaxBody - b.head.Len(); b.keep && room > 0 {
		b.head.Write(p[:min(n, room)])
	}
	return n, err
}

// describe writes what was read into the change: what was taken for JSON as that,
// in the form that this package gives it, so that whoever reads the log need not
// read everything that whoever writes requests can think of; of all else the hash.
func (b *readBody) describe(c *posture.Change, conceal []string) {
	if b.size == 0 {
		return
	}
	c.BodySize, c.BodyHash = b.size, hex.EncodeToString(b.sum.Sum(nil))
	if !b.keep || c.Status == http.StatusBadRequest || b.size > web.DefaultMaxBody {
		return
	}
	var members map[string]any
	d := json.NewDecoder(&b.head)
	d.UseNumber()
	if d.Decode(&members) != nil {
		return
	}
	for _, name := range conceal {
		if _, there := members[name]; there {
			members[name] = "(not in the log)"
		}
	}
	if text, err := json.Marshal(members); err == nil {
		c.Body = text
	}
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
