package acme

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatepost.dev/internal/web"
)

// signer is by which key a resource must be asked for.
type signer int

const (
	byAccount signer = iota // kid
	byJWK                   // jwk: the account may not be there yet
	byEither
)

// call is a request whose signature was verified and whose nonce was used.
type call struct {
	ctx     context.Context
	key     *jose.JSONWebKey // that signed it
	account string           // its thumbprint, which is the account's ID
	id      string           // of the resource
	payload []byte           // empty: POST-as-GET (RFC 8555 section 6.3)
	now     time.Time
}

// limited bounds how often an address is served, and gives every answer, errors
// included, a nonce for the next request.
func (s *Server) limited(next web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		now := s.Now()
		w.Header().Set("Replay-Nonce", s.Nonces.make(now))
		w.Header().Add("Link", "<"+s.Issuer+pathDirectory+`>;rel="index"`)
		if wait := s.Limiter.Allow(address(r), now).Wait; wait > 0 {
			e := refuse(http.StatusTooManyRequests, rateLimited, "Too many requests came from this address.", nil)
			e.RetryAfter = wait
			return e
		}
		return next(w, r)
	}
}

// address is that at the other end of the connection; behind a proxy, the
// proxy's.
func address(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return at.Addr().Unmap().String()
}

// signed serves requests that are signed as RFC 8555 section 6.2 wants it.
func (s *Server) signed(by signer, serve func(w http.ResponseWriter, r *http.Request, c *call) error) web.HandlerFunc {
	return s.limited(func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.verify(r, by)
		if err != nil {
			return err
		}
		return serve(w, r, c)
	})
}

// verify reads the request, and uses its nonce.
func (s *Server) verify(r *http.Request, by signer) (*call, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/jose+json" {
		return nil, refuse(http.StatusUnsupportedMediaType, malformed, "The Content-Type must be application/jose+json.", err)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(body) > MaxBody {
		return nil, &http.MaxBytesError{Limit: MaxBody}
	}
	m, err := parseMessage(body)
	if err != nil {
		return nil, err
	}
	c := &call{ctx: r.Context(), id: r.PathValue("id"), now: s.Now()}
	if m.url != s.Issuer+r.URL.Path {
		return nil, refuse(http.StatusUnauthorized, unauthorized, "The url in the JWS header is not the one that was asked for.", fmt.Errorf("url %.200q", m.url))
	}
	// Before anything is looked up: the seal says that it was made here.
	if err := s.Nonces.check(m.nonce, c.now); err != nil {
		return nil, badNonceError(err)
	}
	switch {
	case m.key == nil && by == byJWK:
		return nil, badRequest("the JWS header must have jwk here")
	case m.key != nil && by == byAccount:
		return nil, badRequest("the JWS header must have kid here")
	case m.key != nil:
		c.key = m.key
	default:
		if c.key, err = s.accountKey(c, m.kid); err != nil {
			return nil, err
		}
	}
	if c.payload, err = m.jws.Verify(c.key); err != nil {
		return nil, refuse(http.StatusUnauthorized, unauthorized, "The signature is not good.", err)
	}
	if c.account, err = thumbprint(c.key); err != nil {
		return nil, badRequest("the account's key: %w", err)
	}
	return c, s.use(c.ctx, m.nonce, c.now)
}

// accountKey is the key of the account that a URL names.
func (s *Server) accountKey(c *call, kid string) (*jose.JSONWebKey, error) {
	id, ours := strings.CutPrefix(kid, s.Issuer+pathAccount)
	if !ours {
		return nil, noAccount(fmt.Errorf("kid %.200q", kid))
	}
	a, err := load[account](c, s.Records, recordAccount+id)
	switch {
	case errors.Is(err, errGone):
		return nil, noAccount(err)
	case err != nil:
		return nil, err
	}
	return &a.Key, nil
}

func noAccount(err error) error {
	return refuse(http.StatusBadRequest, accountDoesNotExist, "There is no such account, or not any more. Make one.", err)
}

// readOnly refuses a payload where there is nothing to say.
func (c *call) readOnly() error {
	if len(c.payload) > 0 {
		return badRequest("the payload must be empty here")
	}
	return nil
}
