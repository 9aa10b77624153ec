package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// source is one place where lists of one authority come from: a file, or a URL
// with a copy of what it last gave. One goroutine at a time fills it.
type source struct {
	name      string // as it was configured
	file      string // the file, or the copy
	url       string // empty: a file
	authority *x509.Certificate
	held      atomic.Pointer[List] // the last good one, nil before the first

	Options
	read      [sha256.Size]byte // hash of what was read last
	err       error             // why that is no good list
	info      os.FileInfo       // of the file when it was read last
	readAt    time.Time
	said      string // the last fault, which is not logged again
	outOfDate bool   // the list is, and that was logged
}

func newSource(name string, authority *x509.Certificate, o Options) *source {
	s := &source{name: name, file: name, authority: authority, Options: o}
	if IsURL(name) {
		sum := sha256.Sum256(append([]byte(name+"\x00"), authority.RawSubjectPublicKeyInfo...))
		s.url, s.file = name, filepath.Join(o.Dir, hex.EncodeToString(sum[:16])+".crl")
	}
	return s
}

// IsURL tells a URL from the path of a file, for lists.
func IsURL(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// look reads the file if it changed since it was read.
func (s *source) look(ctx context.Context) {
	info, err := os.Stat(s.file)
	if err != nil {
		s.info = nil
		s.fault(ctx, err)
		return
	}
	// A file that is written twice within a tick of the file system's clock looks
	// the same both times, so a young one is read again.
	same := s.info != nil && os.SameFile(info, s.info) && info.Size() == s.info.Size() && info.ModTime().Equal(s.info.ModTime())
	if same && s.readAt.Sub(info.ModTime()) > racy && (s.err == nil || s.Now().Sub(s.readAt) < fetchSoonest) {
		return
	}
	s.info, s.readAt = info, s.Now()
	data, err := readFile(s.file)
	if err != nil {
		s.info = nil
		s.fault(ctx, err)
		return
	}
	if sum := sha256.Sum256(data); sum != s.read || s.err != nil {
		s.read, s.err = sum, s.take(ctx, data)
	}
	s.fault(ctx, s.err)
}

// racy is more than a tick of any file system's clock.
const racy = 2 * time.Second

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // and reading a pipe might not end
		return nil, fmt.Errorf("%q is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxListBytes+1))
}

// take holds a list from now on. An older one is refused: whoever is between us
// and the authority could bring back a time at which a device was not revoked.
func (s *source) take(ctx context.Context, data []byte) error {
	l, err := ParseList(data, s.authority, s.Now())
	if err != nil {
		return err
	}
	if held := s.held.Load(); held != nil && l.ThisUpdate.Before(held.ThisUpdate) {
		return fmt.Errorf("revocation list of %s, older than the one of %s that is held", stamp(l.ThisUpdate), stamp(held.ThisUpdate))
	}
	s.held.Store(l)
	s.outOfDate = false
	s.Log.LogAttrs(ctx, slog.LevelInfo, "revocation list read", slog.String("source", s.name),
		slog.String("authority", s.authority.Subject.String()), slog.Int("revoked", l.Entries),
		slog.Time("this_update", l.ThisUpdate), slog.Time("next_update", l.NextUpdate))
	return nil
}

// fault logs what is wrong with the source, once; nil: nothing is.
func (s *source) fault(ctx context.Context, err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != s.said && said != "" {
		s.Log.LogAttrs(ctx, slog.LevelError, "revocation list not read; the last good one counts until its next update",
			slog.String("source", s.name), slog.String("authority", s.authority.Subject.String()), slog.String("error", said))
	}
	s.said = said
}

func (s *source) sayIfOutOfDate(ctx context.Context) {
	if l := s.held.Load(); l != nil && !l.Current(s.Now()) && !s.outOfDate {
		s.outOfDate = true
		s.Log.LogAttrs(ctx, slog.LevelError, "revocation list is out of date; no device of its authority is recognised",
			slog.String("source", s.name), slog.String("authority", s.authority.Subject.String()), slog.Time("next_update", l.NextUpdate))
	}
}

// load reads the file, or the copy of what was fetched before; that there is no
// copy yet is no fault.
func (s *source) load(ctx context.Context) {
	if _, err := os.Stat(s.file); s.url != "" && errors.Is(err, os.ErrNotExist) {
		return
	}
	s.look(ctx)
	s.sayIfOutOfDate(ctx)
}

// run keeps the list fresh until ctx ends.
func (s *source) run(ctx context.Context) {
	next := s.Now() // of a fetch
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		switch {
		case s.url == "":
			s.look(ctx)
		case !s.Now().Before(next):
			began := s.Now()
			err := s.fetch(ctx)
			if ctx.Err() != nil {
				return
			}
			s.fault(ctx, err)
			next = began.Add(s.pause(err, began))
		}
		s.sayIfOutOfDate(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lookEvery is how often files are looked at: a change counts within a second.
const lookEvery = 250 * time.Millisecond

// Bounds of the time between two fetches.
const (
	fetchSoonest = time.Minute
	fetchLatest  = time.Hour
	fetchTimeout = 30 * time.Second
)

// pause is the time until the next fetch: half of what the list has left, so that
// there is time to try again, and an hour at most, since an authority that
// revokes does not wait for the announced time.
func (s *source) pause(err error, now time.Time) time.Duration {
	l := s.held.Load()
	if err != nil || l == nil {
		return fetchSoonest
	}
	return min(max(l.NextUpdate.Sub(now)/2, fetchSoonest), fetchLatest)
}

// fetch gets the list from the URL, and keeps a copy.
func (s *source) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	data, err := exchange(s.Client, request, MaxListBytes)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if sum == s.read && s.err == nil {
		return nil
	}
	if err := s.take(ctx, data); err != nil {
		return err
	}
	s.read, s.err = sum, nil
	if err := writeFile(s.file, data); err != nil {
		s.err = fmt.Errorf("keep a copy of the revocation list: %w", err) // and tried again with the next fetch
	}
	return s.err
}

// exchange sends a request and reads an answer of at most limit bytes.
func exchange(client *http.Client, request *http.Request, limit int64) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", request.URL.Host, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s answered more than %d bytes", request.URL.Host, limit)
	}
	return data, nil
}

// writeFile puts data at path durably, all or nothing.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
