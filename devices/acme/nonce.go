package acme

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatepost.dev/posture"
)

// NoncePurpose is what the key of NewNonces is derived for.
const NoncePurpose = "gatepost ACME nonce, version 1"

// nonceLife is how long a nonce can be used.
const nonceLife = 15 * time.Minute

// claimant is in whose name nonces and orders are claimed: no relying party has
// a name with a space.
const (
	claimantNonce = "acme nonce"
	claimantOrder = "acme order"
)

// Nonces makes nonces that nobody need remember before they are used: they are
// sealed, and claimed when they come back.
type Nonces struct{ aead cipher.AEAD }

// NewNonces takes an AES-256 key, 32 bytes. Whoever has the same one takes what
// the other made.
func NewNonces(key []byte) (*Nonces, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("nonce key of %d bytes, not 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Nonces{aead}, err
}

// make is a new nonce, in base64url.
func (n *Nonces) make(now time.Time) string {
	sealed := n.aead.Seal(nil, nil, binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), nil)
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// check tells whether the nonce was made here, not long ago.
func (n *Nonces) check(nonce string, now time.Time) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil {
		return err
	}
	plain, err := n.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return err
	}
	if len(plain) != 8 {
		return errors.New("not a nonce")
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(plain)), 0)
	if age := now.Sub(made); age > nonceLife || age < -nonceLife {
		return fmt.Errorf("made at %s", made)
	}
	return nil
}

// use claims the nonce: it can be used once, at whichever server.
func (s *Server) use(ctx context.Context, nonce string, now time.Time) error {
	err := s.Records.Claim(ctx, posture.Claim{RelyingParty: claimantNonce, RequestID: nonce, Until: now.Add(2 * nonceLife)})
	if errors.Is(err, posture.ErrReplayed) {
		return badNonceError(err)
	}
	if err != nil {
		return unavailable(fmt.Errorf("claim nonce: %w", err))
	}
	return nil
}

func badNonceError(err error) error {
	return refuse(http.StatusBadRequest, badNonce, "The nonce is not good, or not any more. Try again with the one in this answer.", err)
}

// unavailable is what a client learns when the records cannot be read or written.
func unavailable(err error) error {
	e := refuse(http.StatusServiceUnavailable, serverInternal, "The records cannot be read or written now.", err)
	e.RetryAfter = 5 * time.Second
	return e
}
