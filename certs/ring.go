package certs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ring is the keys at one time. It does not change.
type ring struct {
	keys     []*SigningKey // the signing one first
	explicit bool          // the file "signing" is there
	since    time.Time     // when the key that signs took over; zero: not known, or it was the first
}

// other returns the key that does not sign, or nil.
func (r *ring) other() *SigningKey {
	if len(r.keys) < maxKeys {
		return nil
	}
	return r.keys[1]
}

func (r *ring) find(id string) *SigningKey {
	for _, k := range r.keys {
		if k.ID == id {
			return k
		}
	}
	return nil
}

// same tells whether both hold the same keys in the same states.
func (r *ring) same(o *ring) bool {
	if len(r.keys) != len(o.keys) {
		return false
	}
	for i, k := range r.keys {
		if k.ID != o.keys[i].ID || k.State != o.keys[i].State {
			return false
		}
	}
	return true
}

// arrange gives each key its state.
func arrange(keys []*SigningKey, named *roles) (*ring, error) {
	switch {
	case len(keys) == 0:
		return nil, errors.New("there is no signing key")
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("there are %d keys; relying parties hold at most %d", len(keys), maxKeys)
	case named == nil && len(keys) > 1:
		return nil, fmt.Errorf("there are two keys and no file %q that says which one signs", rolesFile)
	case named == nil:
		named = &roles{signing: keys[0].ID}
		return named.apply(keys, false)
	}
	return named.apply(keys, true)
}

// roles is the content of the file "signing".
type roles struct {
	signing  string // key ID
	previous string // key ID; empty if none. It may be gone from the ring.
	// since is when signing took over from previous, in UTC and whole seconds.
	// Files from before there was a JWKS do not say it: zero.
	since time.Time
}

func (n *roles) apply(keys []*SigningKey, explicit bool) (*ring, error) {
	r := &ring{explicit: explicit, since: n.since}
	for _, k := range keys {
		switch k.ID {
		case n.signing:
			k.State = StateSigning
			r.keys = append([]*SigningKey{k}, r.keys...)
			continue
		case n.previous:
			k.State = StatePrevious
		default:
			k.State = StateNext
		}
		r.keys = append(r.keys, k)
	}
	if r.keys[0].State != StateSigning {
		return nil, fmt.Errorf("the file %q names key %q, which is not there", rolesFile, n.signing)
	}
	return r, nil
}

func (n roles) encode() []byte {
	s := "signing " + n.signing + "\n"
	if n.previous != "" {
		s += "previous " + n.previous + "\n"
	}
	if !n.since.IsZero() {
		s += "since " + stamp(n.since) + "\n"
	}
	return []byte(s)
}

func parseRoles(data []byte) (roles, error) {
	var n roles
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for i, line := range lines {
		word, value, _ := strings.Cut(line, " ")
		var err error
		switch {
		case i == 0 && word == "signing":
			n.signing, err = value, checkKeyID(value)
		case i == 1 && word == "previous" && value != n.signing:
			n.previous, err = value, checkKeyID(value)
		case i == 2 && word == "since":
			n.since, err = parseStamp(value)
		default:
			err = errors.New("it is not expected there")
		}
		if err != nil {
			return roles{}, fmt.Errorf("line %d: %q: %w", i+1, line, err)
		}
	}
	return n, nil
}

func checkKeyID(id string) error {
	if !validKeyID(id) {
		return errors.New("it names no key")
	}
	return nil
}

// parseStamp reads a time as stamp writes it.
func parseStamp(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil && stamp(t) != s {
		err = errors.New("it is not written in UTC and whole seconds")
	}
	return t.UTC(), err
}

func validKeyID(id string) bool {
	return len(id) == keyIDLength && strings.Trim(id, "0123456789abcdef") == ""
}
