package service

import (
	"context"

	"golang.org/x/sys/windows/svc"
)

// Run runs f, and if Windows started this process as a service, tells it how f
// is doing and cancels its context when Windows wants it to end. f should then
// return within a few seconds.
func Run(ctx context.Context, f func(context.Context) error) error {
	if is, err := svc.IsWindowsService(); err != nil || !is {
		return f(ctx)
	}
	h := &handler{ctx: ctx, run: f}
	if err := svc.Run(Name, h); err != nil {
		return err
	}
	return h.err
}

type handler struct {
	ctx context.Context
	run func(context.Context) error
	err error
}

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.run(ctx) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case h.err = <-done:
			if h.err != nil && ctx.Err() == nil {
				return true, 1 // a failure, after which Windows starts it again
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending, WaitHint: 10_000}
				cancel()
			}
		}
	}
}
