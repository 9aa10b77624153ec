package certs

import (
	"errors"
	"fmt"
	"strings"
)

// ring is the keys at one time. It does not change.
type ring struct {
	keys     []*SigningKey // the signing one first
	explicit bool          // the file "signing" is there
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
}

func (n *roles) apply(keys []*SigningKey, explicit bool) (*ring, error) {
	r := &ring{explicit: explicit}
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
	return []byte(s)
}

func parseRoles(data []byte) (roles, error) {
	var n roles
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for i, line := range lines {
		word, id, _ := strings.Cut(line, " ")
		if !validKeyID(id) {
			return roles{}, fmt.Errorf("line %d: %q is not a word and a key ID", i+1, line)
		}
		switch {
		case i == 0 && word == "signing":
			n.signing = id
		case i == 1 && word == "previous" && id != n.signing:
			n.previous = id
		default:
			return roles{}, fmt.Errorf("line %d: %q is not expected there", i+1, line)
		}
	}
	return n, nil
}

func validKeyID(id string) bool {
	return len(id) == keyIDLength && strings.Trim(id, "0123456789abcdef") == ""
}
