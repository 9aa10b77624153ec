// Package trail is the log in which nothing can be changed unseen: a chain of
// entries, each of which names the hash of the one before it, and a signed record
// of where the chain begins and ends.
//
// It is pure: bytes and keys. Where entries are kept is the store's; what they
// say is posture's.
package trail

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"gatepost.dev/posture"
)

// Purpose is what the key that signs bounds is derived for.
const Purpose = "gatepost log bounds v1"

// Entry is one link of the chain of a node.
type Entry struct {
	Node     string        `json:"node"`
	Seq      uint64        `json:"seq"`  // from 1, without a gap
	Prev     string        `json:"prev"` // Hash of the entry before; empty: this is the first
	Event    posture.Event `json:"event"`
	Decision string        `json:"decision_sha256,omitempty"` // Hash of the record of the decision that the event is of
}

// Encode is the entry as it is kept and hashed. Reading and encoding it again
// gives the same.
func (e *Entry) Encode() ([]byte, error) {
	encoded, err := json.Marshal(e)
	if err != nil || !bytes.Contains(encoded, []byte(`\ufffd`)) {
		return encoded, err
	}
	// What is no UTF-8 becomes U+FFFD, which is written as such the second time.
	var again Entry
	if err := json.Unmarshal(encoded, &again); err != nil {
		return nil, err
	}
	return json.Marshal(&again)
}

// Hash is the lower-case hex SHA-256 of what is kept.
func Hash(kept []byte) string {
	sum := sha256.Sum256(kept)
	return hex.EncodeToString(sum[:])
}

// Bounds say where the chain of a node begins and ends. What was before First was
// deleted when it was old enough.
type Bounds struct {
	Node      string `json:"node"`
	First     uint64 `json:"first"`     // Seq of the oldest entry that is kept
	Before    string `json:"before"`    // Hash of the entry before First; empty: there was none
	Last      uint64 `json:"last"`      // Seq of the newest entry; First-1: there is none
	Hash      string `json:"hash"`      // of the newest entry; Before if there is none
	Signature []byte `json:"signature"` // Ed25519 (RFC 8032) of all else
}

// Encode is the bounds as they are kept.
func (b *Bounds) Encode() ([]byte, error) { return json.Marshal(b) }

// ParseBounds reads what Encode wrote, and nothing else: ErrBroken.
func ParseBounds(kept []byte) (b Bounds, err error) {
	if err := json.Unmarshal(kept, &b); err != nil {
		return b, fmt.Errorf("%w: its beginning and end: %w", ErrBroken, err)
	}
	if again, err := b.Encode(); err != nil || !bytes.Equal(again, kept) {
		return b, fmt.Errorf("%w: its beginning and end are written otherwise than the server writes", ErrBroken)
	}
	return b, nil
}

// NewBounds are those of a chain that is to begin. Next adds to them.
func NewBounds(node string) Bounds { return Bounds{Node: node, First: 1} }

// Next is the entry that follows, of which only the event and the decision are
// missing.
func (b *Bounds) Next() Entry { return Entry{Node: b.Node, Seq: b.Last + 1, Prev: b.Hash} }

// Append notes that the entry with the encoding follows.
func (b *Bounds) Append(encoded []byte) { b.Last, b.Hash = b.Last+1, Hash(encoded) }

// Drop notes that the oldest entry, with this encoding, is kept no longer.
func (b *Bounds) Drop(encoded []byte) { b.First, b.Before = b.First+1, Hash(encoded) }

func (b *Bounds) message() []byte {
	return fmt.Appendf(nil, "%s\n%q %d %q %d %q\n", Purpose, b.Node, b.First, b.Before, b.Last, b.Hash)
}

// Sign signs the bounds.
func (b *Bounds) Sign(key ed25519.PrivateKey) { b.Signature = ed25519.Sign(key, b.message()) }

// ErrBroken is a log that is not as it was written.
var ErrBroken = errors.New("the log is not as it was written")

// Verifier goes through a chain from First to Last.
type Verifier struct {
	bounds  Bounds
	next    uint64
	prev    string
	decided int
}

// NewVerifier begins with the bounds, which key must have signed: ErrBroken.
func NewVerifier(b Bounds, key ed25519.PublicKey) (*Verifier, error) {
	switch {
	case !ed25519.Verify(key, b.message(), b.Signature):
		return nil, fmt.Errorf("%w: the signature over its beginning and end is not of key %x", ErrBroken, []byte(key))
	case b.First < 1 || b.Last < b.First-1 || b.Last == b.First-1 && b.Hash != b.Before:
		return nil, fmt.Errorf("%w: it is said to go from %d to %d", ErrBroken, b.First, b.Last)
	}
	return &Verifier{bounds: b, next: b.First, prev: b.Before}, nil
}

// Add checks the next entry, as it is kept, and gives it. decision is the record
// of the decision that it is of, nil for one that is not there.
func (v *Verifier) Add(encoded []byte, decision func(id string) ([]byte, error)) (Entry, error) {
	var e Entry
	fault := func(format string, args ...any) (Entry, error) {
		return e, fmt.Errorf("%w: entry %d: %s", ErrBroken, v.next, fmt.Sprintf(format, args...))
	}
	d := json.NewDecoder(bytes.NewReader(encoded))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return fault("%v", err)
	}
	switch again, err := e.Encode(); {
	case err != nil || !bytes.Equal(again, encoded):
		return fault("it is written otherwise than the server writes")
	case e.Node != v.bounds.Node:
		return fault("it is of node %q", e.Node)
	case e.Seq != v.next:
		return fault("%d stands in its place", e.Seq)
	case e.Prev != v.prev:
		return fault("it does not follow the one before it")
	case e.Seq > v.bounds.Last:
		return fault("the log ends at %d", v.bounds.Last)
	}
	if e.Decision != "" {
		record, err := decision(e.Event.Decision)
		switch {
		case err != nil:
			return e, err
		case record == nil:
			return fault("its decision %q is not there", e.Event.Decision)
		case Hash(record) != e.Decision:
			return fault("its decision %q is not as it was written", e.Event.Decision)
		}
		v.decided++
	}
	v.next, v.prev = v.next+1, Hash(encoded)
	return e, nil
}

// Total is how many entries there are to be.
func (v *Verifier) Total() uint64 { return v.bounds.Last + 1 - v.bounds.First }

// End checks that the last entry is the one that was signed, and counts what was
// checked.
func (v *Verifier) End() (entries uint64, decisions int, err error) {
	switch {
	case v.next != v.bounds.Last+1:
		err = fmt.Errorf("%w: entry %d is not there", ErrBroken, v.next)
	case v.prev != v.bounds.Hash:
		err = fmt.Errorf("%w: entry %d is not the one that was signed", ErrBroken, v.bounds.Last)
	}
	return v.next - v.bounds.First, v.decided, err
}
