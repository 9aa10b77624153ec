package admin

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Principal is who sends a request.
type Principal struct {
	Name  string // in records, such as "token ci" or "local"
	Role  posture.Role
	Token string // ID of the API token; empty: the socket's owner

	counts func(ctx context.Context) bool // whether the token still does; nil: for ever
}

// watchEvery is how often it is looked, while a long answer is given, whether the
// token still counts.
const watchEvery = time.Second

// watched is a context that ends when the principal's token counts no longer, for
// operations that may take long.
func (p Principal) watched(ctx context.Context, o *Operation) (context.Context, context.CancelFunc) {
	if p.counts == nil || !o.Lines && !o.Follows {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if !p.counts(ctx) {
					cancel()
				}
			}
		}
	}()
	return ctx, cancel
}

// Local is whoever can open the server's socket: its owner, who could change the
// store as well.
func Local(http.ResponseWriter, *http.Request) (Principal, error) {
	return Principal{Name: "local", Role: posture.Admin}, nil
}

type principalKey struct{}

func (p Principal) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// principalOf is who sent the request that ctx belongs to.
func principalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

func (p Principal) annotate(ctx context.Context) {
	web.Annotate(ctx, slog.String("by", p.Name))
	if p.Token != "" {
		web.Annotate(ctx, slog.String("token", p.Token))
	}
}

// signs is the name that stands under what the principal decides. The socket's
// owner may say for whom he acts; a token speaks for itself, and what it adds
// stands behind its name.
func (p Principal) signs(said string) string {
	switch {
	case p.Token == "":
		return said
	case said == "":
		return p.Name
	}
	return p.Name + " for " + said
}
