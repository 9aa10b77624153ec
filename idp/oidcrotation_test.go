package idp_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/certs"
)

// cachingParty verifies ID tokens by a key set that it fetches anew only when
// the last one may be kept no longer: not even for a key that it does not know.
type cachingParty struct {
	w    *world
	set  jose.JSONWebKeySet
	ends time.Time
}

func (p *cachingParty) verifies(token string) bool {
	p.w.t.Helper()
	if !p.w.now().Before(p.ends) {
		r := p.w.do(browser(nil), http.MethodGet, p.w.op.JWKSURL, nil)
		if err := json.Unmarshal([]byte(r.body), &p.set); err != nil || r.header.Get("Cache-Control") != "public, max-age=300" {
			p.w.t.Fatal(err, r.header)
		}
		p.ends = p.w.now().Add(300 * time.Second)
	}
	signed := must(jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256}))(p.w.t)
	for _, key := range p.set.Key(signed.Signatures[0].Header.KeyID) {
		if _, err := signed.Verify(key); err == nil {
			return true
		}
	}
	return false
}

// TestOIDCRotationFailsNoVerification rotates twice, as soon as it is allowed,
// under a relying party that caches keys for as long as it may; and by force, to
// see that such a relying party would notice.
func TestOIDCRotationFailsNoVerification(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		w, client := newOIDCWorld(t)
		party := cachingParty{w: w}
		var next *certs.SigningKey
		var held []string // tokens that did not expire yet
		signers := map[string]bool{}
		failed := 0
		for range 40 { // half a minute each
			if next == nil {
				next, _ = w.keyring.Rotate(w.now(), force)
			} else if w.keyring.Activate(next.ID, w.now(), force) == nil {
				next = nil
			}
			held = append(held, w.tokens(w.redeem(w.code(client))).IDToken)
			if len(held) > 10 { // five minutes
				held = held[1:]
			}
			for _, token := range held {
				if !party.verifies(token) {
					failed++
				}
			}
			signers[w.keyring.Signing().ID] = true
			w.offset.Add(int64(30 * time.Second))
		}
		if (failed > 0) != force || len(signers) < 2 {
			t.Errorf("forced %v: %d verifications failed, %d keys signed", force, failed, len(signers))
		}
	}
}
