package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// UsedTokens are the API tokens, for those who are shown one.
type UsedTokens interface {
	APIToken(ctx context.Context, hash string) (posture.APIToken, error) // posture.ErrNoAPIToken
	// UseAPIToken notes that the token was used.
	UseAPIToken(ctx context.Context, hash string, at time.Time, from string) error
}

// Bearer knows callers by the API token that they show (RFC 6750 section 2.1). A
// token that does not count is refused in the same words whatever is wrong with
// it; the log has the reason.
type Bearer struct {
	Tokens    UsedTokens
	Rates     *web.Rates // of each token
	Strangers *web.Rates // of each address without a token that counts
	Now       func() time.Time
}

// noteEvery is how exactly it is noted when a token was used last: a commit for
// every request would cost more than most of them.
const noteEvery = time.Hour

// Identify is an Identify.
func (b *Bearer) Identify(w http.ResponseWriter, r *http.Request) (Principal, error) {
	now, from := b.Now(), addressOf(r)
	t, reason, err := b.token(r, from, now)
	if err != nil {
		return Principal{}, fail(err)
	}
	if reason != "" {
		return Principal{}, b.stranger(w.Header(), from, reason, now)
	}
	if err := throttle(w.Header(), b.Rates.Allow(t.Hash, now)); err != nil {
		return Principal{}, err
	}
	if now.Sub(t.UsedAt) >= noteEvery || t.UsedAt.After(now.Add(noteEvery)) {
		if err := b.Tokens.UseAPIToken(r.Context(), t.Hash, now, from.String()); err != nil {
			return Principal{}, fail(err)
		}
	}
	counts := func(ctx context.Context) bool {
		again, err := b.Tokens.APIToken(ctx, t.Hash)
		return err == nil && whyNot(&again, from, b.Now()) == ""
	}
	return Principal{Name: "token " + t.Name, Role: t.Role, Token: t.ID(), counts: counts}, nil
}

// stranger refuses who shows no token that counts.
func (b *Bearer) stranger(h http.Header, from netip.Addr, reason string, now time.Time) error {
	if err := throttle(h, b.Strangers.Allow(neighbourhood(from), now)); err != nil {
		return err
	}
	challenge := `Bearer realm="gatepost"`
	if reason != reasonNoToken {
		challenge += `, error="invalid_token"`
	}
	h.Set("WWW-Authenticate", challenge)
	return &web.Error{Status: http.StatusUnauthorized, Reason: reason, Public: "The API wants an API token that counts, as a bearer token."}
}

// throttle tells the caller what is left to him, and refuses him when nothing is.
func throttle(h http.Header, a web.Allowance) error {
	a.WriteHeaders(h)
	if a.Wait > 0 {
		return &web.Error{Status: http.StatusTooManyRequests, Reason: "rate_limit", Public: "That is too often.", RetryAfter: a.Wait}
	}
	return nil
}

const reasonNoToken = "no_api_token"

// token is the one that the request shows, or the reason why it does not count.
func (b *Bearer) token(r *http.Request, from netip.Addr, now time.Time) (t posture.APIToken, reason string, err error) {
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return t, reasonNoToken, nil
	}
	scheme, secret, _ := strings.Cut(given[0], " ")
	if len(given) > 1 || !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(secret, apiTokenPrefix) || len(secret) > 128 {
		return t, "api_token_malformed", nil
	}
	t, err = b.Tokens.APIToken(r.Context(), devices.HashToken(secret))
	switch {
	case errors.Is(err, posture.ErrNoAPIToken):
		return t, "api_token_unknown", nil
	case err != nil:
		return t, "", err
	}
	return t, whyNot(&t, from, now), nil
}

// whyNot tells why the token does not count; empty: it does.
func whyNot(t *posture.APIToken, from netip.Addr, now time.Time) string {
	switch state := stateOf(t, now); {
	case state != TokenUsable:
		return "api_token_" + string(state)
	case len(t.Addresses) > 0 && !slices.ContainsFunc(t.Addresses, func(text string) bool { return covers(text, from) }):
		return "api_token_address"
	}
	return ""
}

// neighbourhood is the address, of IPv6 the /64 that one customer has.
func neighbourhood(addr netip.Addr) string {
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// covers tells whether the address lies in the network; in one that cannot be
// read lies none.
func covers(network string, addr netip.Addr) bool {
	p, err := netip.ParsePrefix(network)
	return err == nil && p.Contains(addr)
}

// addressOf is the address at the other end of the connection; behind a proxy, the
// proxy's.
func addressOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // of no prefix
	}
	return at.Addr().Unmap()
}
