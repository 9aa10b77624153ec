package idp

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"gatepost.dev/idp/oidc"
)

// Configuration serves the discovery document (OpenID Connect discovery 4).
type Configuration struct {
	Provider *oidc.Provider
	MaxAge   time.Duration // how long it may be cached
}

// ServeConfiguration writes the document.
func (c *Configuration) ServeConfiguration(w http.ResponseWriter, r *http.Request) error {
	document, err := oidc.Configuration(c.Provider)
	if err != nil {
		return err
	}
	return writeCached(w, r, document, c.MaxAge)
}

// KeySet serves the keys that sign ID tokens, those to come and those of before
// among them.
type KeySet struct {
	Keys   func() []oidc.PublicKey
	MaxAge time.Duration // how long it may be cached: no key signs before it was published for so long
}

// ServeKeySet writes the JSON Web Key Set (RFC 7517 section 5).
func (k *KeySet) ServeKeySet(w http.ResponseWriter, r *http.Request) error {
	set, err := oidc.KeySet(k.Keys())
	if err != nil {
		return err
	}
	return writeCached(w, r, set, k.MaxAge)
}

// writeCached writes JSON that anybody may keep for maxAge, or that it has not
// changed (RFC 9110 section 13.1.2).
func writeCached(w http.ResponseWriter, r *http.Request, body []byte, maxAge time.Duration) error {
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second)))
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	_, err := w.Write(body)
	return err
}
