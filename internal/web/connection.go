package web

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// connection is what is known of a client's connection.
type connection struct {
	accepted time.Time
	requests atomic.Int64 // that handlers of this package began to serve
}

type connectionKey struct{}

// Accepted makes the ConnContext of an http.Server whose handlers ask
// AcceptedAt. now is its clock.
func Accepted(now func() time.Time) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, &connection{accepted: now()})
	}
}

// AcceptedAt tells when the connection of the request that ctx belongs to was
// made, and whether the request is the first on it. It is false for a server
// without Accepted.
func AcceptedAt(ctx context.Context) (at time.Time, first, ok bool) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return time.Time{}, false, false
	}
	return c.accepted, c.requests.Load() == 1, true
}

// countRequest notes that a request is served.
func countRequest(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.requests.Add(1)
	}
}
