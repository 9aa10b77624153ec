package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"gatepost.dev/certs"
	"gatepost.dev/events/webhook"
	"gatepost.dev/internal/web"
	"gatepost.dev/store"
	"gatepost.dev/store/bolt"
)

type serveCommand struct {
	CreateStore  bool `help:"Make the store, with no devices in it, if its file does not exist. Without this a lost store stops the server: every device would be turned away."`
	CommitSingly bool `hidden:"" help:"Give every commit a sync of its own; \"gatepost bench\" measures with it what sharing them is worth."`
}

// Run serves until it is told to stop; SIGHUP reads the configuration again.
func (c *serveCommand) Run(e *env) error {
	if c.CreateStore {
		if err := createStore(e); err != nil {
			return err
		}
	}
	return serve(e, c.CommitSingly)
}

func serve(e *env, singly bool) error {
	if os.Getenv("GOGC") == "" {
		// What lives is some ten megabytes; collecting at each further ten would
		// cost more than all else that is not the signature.
		debug.SetGCPercent(400)
	}
	log := slog.New(slog.NewJSONHandler(e.stderr, nil))
	c, err := loadForServing(e)
	if err != nil {
		return err
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	s, err := startServer(e.ctx, c, serverOptions{log: log, now: time.Now, getenv: os.LookupEnv, configFile: e.config, singly: singly})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "gatepost serves %s on %s (health and metrics on http://%s)\n", c.Issuer, s.public.Addr(), s.opsListener.Addr())
	for {
		select {
		case <-reload:
			s.reload(e.ctx)
		case <-e.ctx.Done():
			return s.stop()
		case err := <-s.failed:
			return errors.Join(err, s.stop())
		}
	}
}

// loadForServing reads and checks the configuration, and says every fault.
func loadForServing(e *env) (*Config, error) {
	c, faults := CheckConfig(e.ctx, e.config, os.LookupEnv, parsers(), time.Now())
	for _, f := range faults {
		fmt.Fprintln(e.stderr, f)
	}
	if c == nil {
		return nil, unusable(e.config, faults)
	}
	return c, nil
}

type serverOptions struct {
	log        *slog.Logger
	now        func() time.Time
	getenv     func(string) (string, bool)
	configFile string        // read again by reload
	listener   net.Listener  // in place of listen.https; nil: that
	sweepEvery time.Duration // 0: a minute
	singly     bool          // each commit has a sync of its own, for measuring
}

// server is the running process.
type server struct {
	serverOptions
	kv      store.KV
	records *store.Records
	ops     *ops
	tracing *tracing // nil: nothing is traced
	sites   *certs.Sites
	web     *web.Options
	current generations
	process process

	misdirected http.Handler // answers who is on a connection for another host

	public, opsListener, socket net.Listener
	servers                     []*http.Server
	failed                      chan error
	background                  context.Context // ends when the server stops
	stopBackground              context.CancelFunc
	loops                       sync.WaitGroup // that run in the background
}

// startServer opens the store and the listeners, and serves. Everything that
// runs is wired here.
func startServer(ctx context.Context, c *Config, o serverOptions) (_ *server, err error) {
	s := &server{serverOptions: o, failed: make(chan error, 3)}
	s.background, s.stopBackground = context.WithCancel(context.Background())
	s.process = newProcess(o.now, s.background.Done(), s.askedOCSP)
	kv, err := bolt.Open(c.StorePath(), bolt.Options{Singly: o.singly})
	if err != nil {
		return nil, err
	}
	s.ops = newOps(kv, c.StorePath(), &s.current, o.now, o.log)
	s.kv, s.records, s.process.signIns = kv, s.ops.records, s.ops.signIns
	s.ops.watchGate(s.process.gate)
	s.web = &web.Options{Log: o.log, Now: o.now, Count: s.ops.count}
	s.misdirected = web.Handle("misdirected", func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: http.StatusMisdirectedRequest, Reason: "misdirected", Public: "This connection is for another host."}
	}, s.web)
	defer func() {
		if err != nil {
			s.stopBackground()
			s.closeListeners()
			s.tracing.stop(o.log)
			kv.Close()
		}
	}()

	if s.tracing, err = newTracing(c.Tracing, s.ops.spans, s.web); err != nil {
		return nil, err
	}
	g, err := newGeneration(ctx, c, s.records, nil, s.process, s.web)
	if err != nil {
		return nil, err
	}
	if s.sites, err = certs.NewSites(g.sites); err != nil {
		return nil, err
	}
	s.current.adopt(ctx, s.background, g)
	s.current.watching.Go(func() { s.ops.countDevices(s.background) })

	if err := s.listen(c); err != nil {
		return nil, err
	}
	for _, loop := range []func(context.Context){s.sweep, s.seal, s.deliver} {
		s.loops.Go(func() { loop(s.background) })
	}

	errorLog := slog.NewLogLogger(o.log.Handler(), slog.LevelDebug) // a browser aborts a handshake at every sign-in
	public := &http.Server{
		Handler: s.ops.limit(http.HandlerFunc(s.servePublic)), TLSConfig: certs.NewTLSConfig(s.sites), ErrorLog: errorLog,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 96 << 10, ConnContext: web.Accepted(o.now),
	}
	opsServer := &http.Server{Handler: s.ops.handler(), ErrorLog: errorLog, ReadHeaderTimeout: 10 * time.Second}
	admin := &http.Server{Handler: http.HandlerFunc(s.serveAdmin), ErrorLog: errorLog, ReadHeaderTimeout: 10 * time.Second}
	s.serve(public, func() error { return public.ServeTLS(s.public, "", "") })
	s.serve(opsServer, func() error { return opsServer.Serve(s.opsListener) })
	s.serve(admin, func() error { return admin.Serve(s.socket) })
	return s, nil
}

func (s *server) serve(h *http.Server, run func() error) {
	s.servers = append(s.servers, h)
	go func() {
		if err := run(); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

func (s *server) listen(c *Config) (err error) {
	if s.public = s.listener; s.public == nil {
		if s.public, err = net.Listen("tcp", c.Listen.HTTPS); err != nil {
			return fmt.Errorf("listen.https: %w", err)
		}
	}
	if s.opsListener, err = net.Listen("tcp", c.Listen.Ops); err != nil {
		return fmt.Errorf("listen.ops: %w", err)
	}
	if s.socket, err = listenSocket(c.SocketPath()); err != nil {
		return fmt.Errorf("administration socket: %w", err)
	}
	return nil
}

// listenSocket listens on the unix socket, for its owner only. Whatever lies
// there is left over from a process that ended: the store, which is open by now,
// has one owner at a time.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Until now only the usual umask kept others from writing to it, which is
	// what connecting takes.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// servePublic hands a request to the generation of this moment, which serves it
// to its end.
func (s *server) servePublic(w http.ResponseWriter, r *http.Request) {
	if s.sites.Misdirected(r.TLS.ServerName, r.Host) {
		s.misdirected.ServeHTTP(w, r)
		return
	}
	s.current.Load().ServeHTTP(w, r, s.sites.SiteFor(r.TLS.ServerName))
}

func (s *server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	s.current.Load().admin.ServeHTTP(w, r)
}

// reload reads the configuration and the files that it names again. What is
// faulty changes nothing: the former configuration goes on.
func (s *server) reload(ctx context.Context) {
	if err := s.tryReload(ctx); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "configuration not reloaded; the former one goes on", slog.String("error", err.Error()))
		return
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "configuration reloaded")
}

func (s *server) tryReload(ctx context.Context) error {
	c, faults := CheckConfig(ctx, s.configFile, s.getenv, parsers(), s.now())
	var said []error
	for _, f := range faults {
		said = append(said, errors.New(f.String()))
	}
	if c == nil {
		return errors.Join(said...)
	}
	for _, f := range faults {
		s.log.LogAttrs(ctx, slog.LevelWarn, "configuration", slog.String("warning", f.String()))
	}
	former := s.current.Load()
	if c.Storage != former.config.Storage || c.Listen != former.config.Listen || c.Tracing != former.config.Tracing {
		return errors.New("storage, listen and tracing cannot change while the server runs; restart it for that")
	}
	g, err := newGeneration(ctx, c, s.records, former, s.process, s.web)
	if err != nil {
		return err
	}
	if err := s.sites.Replace(g.sites); err != nil {
		return err
	}
	s.current.adopt(ctx, s.background, g)
	return nil
}

// stopWithin is how long requests in hand may take when the server stops.
const stopWithin = 10 * time.Second

// stop ends gracefully: not ready first, then no new requests, then the store.
func (s *server) stop() error {
	s.ops.stopping.Store(true)
	s.stopBackground() // streams end, or they would be waited for
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var faults []error
	for _, h := range s.servers {
		if err := h.Shutdown(ctx); err != nil {
			faults = append(faults, h.Close())
		}
	}
	s.tracing.stop(s.log)
	s.loops.Wait()
	// What the last requests noted waits for no next start.
	faults = append(faults, s.records.Seal(ctx, s.current.Load().logKey, webhook.Body))
	s.current.watching.Wait()
	s.closeListeners()
	return errors.Join(append(faults, s.kv.Close())...)
}

func (s *server) closeListeners() {
	for _, l := range []net.Listener{s.public, s.opsListener, s.socket} {
		if l != nil {
			l.Close()
		}
	}
}
