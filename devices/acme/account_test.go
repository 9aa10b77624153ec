package acme

import (
	"net/http"
	"testing"
)

// fresh gets a nonce, by which all else can be tried.
func (c *client) fresh() *client {
	c.w.t.Helper()
	c.serve(http.MethodGet, pathNewNonce, "", "")
	return c
}

func TestAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client()
	mine := c.kid[len(issuer):]
	if a := c.post(mine, nil); a.status != http.StatusOK || a.body["status"] != "valid" || a.location != c.kid {
		t.Errorf("%+v", a)
	}
	if a := w.client().post(mine, nil); a.status != http.StatusUnauthorized || a.kind != "unauthorized" {
		t.Errorf("another account's: %+v", a)
	}
	again := *c
	again.kid = ""
	if a := again.post(pathNewAccount, map[string]any{"onlyReturnExisting": true}); a.status != http.StatusOK || a.location != c.kid {
		t.Errorf("the same again: %+v", a)
	}
	stranger := &client{w: w, key: newKey(t)}
	if a := stranger.fresh().post(pathNewAccount, map[string]any{"onlyReturnExisting": true}); a.kind != "accountDoesNotExist" {
		t.Errorf("one that there is not: %+v", a)
	}
	if a := c.fresh().post(mine, map[string]any{"contact": []string{"mailto:a@example.com"}}); a.status != http.StatusOK || a.body["status"] != "valid" {
		t.Errorf("a change of what is not kept: %+v", a)
	}
	if a := c.post(mine, map[string]any{"status": "deactivated"}); a.status != http.StatusOK || a.body["status"] != "deactivated" {
		t.Errorf("deactivate: %+v", a)
	}
	if a := c.post(mine, nil); a.kind != "accountDoesNotExist" {
		t.Errorf("after that: %+v", a)
	}
}

// TestRecordsEnd: what has ended does not count, although it may be in the store
// still.
func TestRecordsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device("mac-1", "ek-1", "")
	c, key := w.client(), newKey(t)
	id, token := c.order("mac-1")
	if a := c.post(pathChallenge+id, c.evidence(token, key.Public(), nil)); a.body["status"] != "valid" {
		t.Fatalf("%+v", a)
	}
	late, lateToken := c.order("mac-1")
	w.offset.Store(int64(orderLife))
	if a := c.fresh().finalize(id, key); a.status != http.StatusNotFound || w.issued("mac-1") != 0 {
		t.Errorf("an order that has ended: %+v", a)
	}
	if a := c.post(pathChallenge+late, c.evidence(lateToken, key.Public(), nil)); a.status != http.StatusNotFound {
		t.Errorf("a challenge that has ended: %+v", a)
	}
	id, token = c.order("mac-1")
	c.post(pathChallenge+id, c.evidence(token, key.Public(), nil))
	if a := c.finalize(id, key); a.body["status"] != "valid" {
		t.Fatalf("%+v", a)
	}
	w.offset.Add(int64(certificateLife) - 1)
	if a := c.fresh().post(pathCertificate+id, nil); a.status != http.StatusOK {
		t.Errorf("a certificate: %+v", a)
	}
	w.offset.Add(1)
	if a := c.fresh().post(pathCertificate+id, nil); a.status != http.StatusNotFound {
		t.Errorf("a certificate after a day: %+v", a)
	}
	w.offset.Store(int64(accountLife))
	if a := c.fresh().post(pathNewOrder, map[string]any{}); a.kind != "accountDoesNotExist" {
		t.Errorf("an account that has ended: %+v", a)
	}
}
