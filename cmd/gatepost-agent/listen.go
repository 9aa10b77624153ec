package main

import (
	"context"
	"sync"

	"gatepost.dev/agent"
)

// runListening reports on time, and when the server wants it, and answers the
// challenges of the server.
func runListening(ctx context.Context, a *agent.Agent) error {
	ctx, stop := context.WithCancel(ctx)
	asked := make(chan agent.Ask)
	a.Asked = asked
	var beside sync.WaitGroup
	beside.Go(func() { a.Listen(ctx, asked) })
	beside.Go(func() { a.ServeChallenges(ctx) })
	defer func() {
		stop()
		beside.Wait()
	}()
	return a.Run(ctx)
}
