package admin

import (
	"context"
	"log/slog"
	"net/http"

	"gatepost.dev/internal/web"
	"gatepost.dev/posture"
)

// Principal is who sends a request.
type Principal struct {
	Name  string // in records, such as "token ci" or "local"
	Role  posture.Role
	Token string // ID of the API token; empty: the socket's owner
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
