package certs

import (
	"fmt"
	"time"
)

// PublishFor is how long relying parties may keep the list of published keys
// before they ask for it again: the max-age of a JWKS (RFC 9111 section
// 5.2.2.1). A token must be verifiable for no longer than that after it was
// signed.
const PublishFor = 5 * time.Minute

// settle is added to it: dates are in whole seconds, and an answer is a while
// under way before its age counts.
const settle = 10 * time.Second

// TooSoon refuses a step of a rotation after which relying parties that keep the
// list of keys for PublishFor would refuse good signatures.
type TooSoon struct {
	Key string // ID
	// State says why: a next key is not known to all of them yet, a previous one
	// has signed what they may still have to verify.
	State KeyState
	Until time.Time // when the step can be taken
}

func (e *TooSoon) Error() string {
	if e.State == StateNext {
		return fmt.Sprintf("relying parties may not know key %q before %s", e.Key, stamp(e.Until))
	}
	return fmt.Sprintf("relying parties may need key %q until %s", e.Key, stamp(e.Until))
}

// unknownUntil is when all relying parties know a next key. Any other one has
// signed, and they know it.
func (k *SigningKey) unknownUntil() time.Time {
	if k.State != StateNext {
		return time.Time{}
	}
	return k.madeAt().Add(PublishFor + settle)
}

// neededUntil is when nobody needs the previous key any more. A ring whose file
// does not say when the keys changed is of a time before there was a JWKS.
func (r *ring) neededUntil() time.Time {
	other := r.other()
	if other == nil || other.State != StatePrevious || r.since.IsZero() {
		return time.Time{}
	}
	return r.since.Add(PublishFor + settle)
}
