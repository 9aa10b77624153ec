package agent

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gatepost.dev/agentapi"
)

// Bounds of what is answered on loopback. Whoever runs a program on this device
// can ask, and is then told what he could find out anyway.
const (
	maxChallenge = 8 << 10 // bytes of a request's header
	listenAgain  = time.Minute
	atOnce       = 4 // signatures
)

// ServeChallenges answers the challenges that browsers on this device bring, on
// loopback only, until ctx ends. The server said at enrolment on which port, and
// by which key its challenges are known; without that there is nothing to do. It
// may go on beside Run.
func (a *Agent) ServeChallenges(ctx context.Context) {
	for ctx.Err() == nil {
		if err := a.serveChallenges(ctx); err != nil && ctx.Err() == nil {
			a.Log.LogAttrs(ctx, slog.LevelWarn, "takes no challenges", slog.String("error", err.Error()), slog.Duration("again_in", listenAgain))
		}
		if err := a.Wait(ctx, listenAgain); err != nil {
			return
		}
	}
}

// serveChallenges listens until ctx ends; it returns when there is no port to
// listen on yet.
func (a *Agent) serveChallenges(ctx context.Context) error {
	s, err := a.readState()
	if err != nil || s.Loopback == nil {
		return err
	}
	port := strconv.Itoa(s.Loopback.Port)
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	listeners := []net.Listener{v4}
	if v6, err := net.Listen("tcp6", net.JoinHostPort("::1", port)); err == nil { // not every machine has it
		listeners = append(listeners, v6)
	}
	server := &http.Server{
		Handler:           &challenges{Agent: a, hosts: []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port}, turns: make(chan struct{}, atOnce)},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: maxChallenge,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.Serve(l) }()
	}
	moving, stopLooking := context.WithCancel(ctx)
	go a.untilMoved(moving, s.Loopback.Port, func() { server.Close() })
	err = <-failed
	stopLooking()
	server.Close()
	for range listeners[1:] {
		<-failed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// untilMoved calls moved when the server says that another port is to be listened
// on.
func (a *Agent) untilMoved(ctx context.Context, port int, moved func()) {
	for a.Wait(ctx, listenAgain) == nil {
		if s, err := a.readState(); err == nil && (s.Loopback == nil || s.Loopback.Port != port) {
			moved()
			return
		}
	}
}

// challenges answers challenges of the server that the device is enrolled at. It
// sends the browser back there and nowhere else, whatever the challenge says.
type challenges struct {
	*Agent
	hosts []string // by which browsers may call it: a name that somebody points here is none (DNS rebinding)
	turns chan struct{}
}

func (c *challenges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		w.Header().Set(name, value)
	}
	status, text := http.StatusBadRequest, "This is not a device check of your organisation."
	switch {
	case !slices.Contains(c.hosts, r.Host):
		status, text = http.StatusMisdirectedRequest, "This is the agent of a device, and no host by that name."
	case r.URL.Path != agentapi.ChallengePath:
		status, text = http.StatusNotFound, "There is nothing here."
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		status, text = http.StatusMethodNotAllowed, "Only a browser that is sent here by your organisation has business here."
	case !navigates(r):
		status, text = http.StatusForbidden, "A page asked for this in the background."
	default:
		back, err := c.inTurn(r.Context(), r.URL.Query()["request"])
		if err == nil {
			w.Header().Set("Location", back)
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		c.Log.LogAttrs(r.Context(), slog.LevelWarn, "challenge refused", slog.String("error", err.Error()))
		if !errors.Is(err, agentapi.ErrChallenge) {
			status, text = http.StatusInternalServerError, "The agent of this device cannot answer now."
		}
	}
	http.Error(w, text, status)
}

// inTurn answers, a few at a time.
func (c *challenges) inTurn(ctx context.Context, requests []string) (string, error) {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
		return c.answer(requests)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// navigates tells whether the browser itself goes to this address, as far as it
// says so: no script, image or frame asks (Fetch metadata, W3C).
func navigates(r *http.Request) bool {
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	return (mode == "" || mode == "navigate") && (dest == "" || dest == "document")
}

// answer signs the challenge, and says where the browser goes with that.
func (c *challenges) answer(requests []string) (back string, err error) {
	if len(requests) != 1 {
		return "", fmt.Errorf("%w: %d requests, not one", agentapi.ErrChallenge, len(requests))
	}
	s, err := c.readState()
	if err != nil {
		return "", err
	}
	if s.Loopback == nil {
		return "", fmt.Errorf("%w: the server has none", agentapi.ErrChallenge)
	}
	block, _ := pem.Decode([]byte(s.Loopback.Key))
	if block == nil {
		return "", errors.New("the server's key is no PEM")
	}
	known, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("the server's key: %w", err)
	}
	if _, err := agentapi.ReadChallenge(requests[0], known, s.Server, c.Now(), true); err != nil {
		return "", err
	}
	credential, err := c.Credential()
	if err != nil {
		return "", err
	}
	key, ok := credential.PrivateKey.(crypto.Signer)
	if !ok {
		return "", errors.New("the device's key cannot sign")
	}
	leaf, err := x509.ParseCertificate(credential.Certificate[0])
	if err != nil {
		return "", err
	}
	answer, err := agentapi.SignAnswer(requests[0], s.Server, leaf, key)
	if err != nil {
		return "", err
	}
	return s.DeviceURL + agentapi.AnswerPath + "#answer=" + answer, nil
}
