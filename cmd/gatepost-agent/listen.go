package main

import (
	"context"

	"gatepost.dev/agent"
)

// runListening reports on time, and when the server wants it.
func runListening(ctx context.Context, a *agent.Agent) error {
	ctx, stop := context.WithCancel(ctx)
	asked, ended := make(chan agent.Ask), make(chan struct{})
	a.Asked = asked
	go func() {
		defer close(ended)
		a.Listen(ctx, asked)
	}()
	defer func() {
		stop()
		<-ended
	}()
	return a.Run(ctx)
}
