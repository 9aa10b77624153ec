package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"gatepost.dev/agentapi"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 10

// wire speaks agentapi to one host.
type wire struct {
	base      string
	http      *http.Client
	transport *http.Transport
}

// newWire speaks to the host at base. certificate is shown to it; nil: none is.
func newWire(base string, roots []byte, certificate *tls.Certificate) (*wire, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(roots) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(roots) {
			return nil, errors.New("the authority's file holds no certificate in PEM")
		}
	}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, TLSHandshakeTimeout: 15 * time.Second,
		MaxIdleConns: 1, IdleConnTimeout: time.Minute,
	}
	return &wire{base: base, transport: transport, http: &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (w *wire) close() { w.transport.CloseIdleConnections() }

// refused is an answer that is no success.
type refused struct {
	agentapi.Problem
	retryAfter time.Duration // 0: not said
}

func (r *refused) Error() string {
	text := fmt.Sprintf("%s (%d)", r.Problem.Error(), r.Status)
	if r.Reference != "" {
		text += ", reference " + r.Reference
	}
	return text
}

// post sends a request as JSON and reads the answer into into.
func (w *wire) post(ctx context.Context, path string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return w.send(ctx, path, body, into)
}

// send is post of a request that is bytes already. Its error is *refused when
// the server answered, and did not do it.
func (w *wire) send(ctx context.Context, path string, body []byte, into any) error {
	return w.do(ctx, http.MethodPost, path, body, into)
}

// do sends a request. An answer without content leaves into as it is.
func (w *wire) do(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := w.http.Do(request)
	if err != nil {
		return err
	}
	defer drain(response.Body)
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return refusalOf(response, text)
	}
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return nil
}

// refusalOf reads an answer that is no success.
func refusalOf(response *http.Response, text []byte) *refused {
	r := &refused{}
	if json.Unmarshal(text, &r.Problem) != nil || r.Status != response.StatusCode {
		r.Problem = agentapi.Problem{Title: response.Status, Status: response.StatusCode}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.retryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	return r
}

// drain reads what is left of an answer, so that its connection can be used
// again.
func drain(r io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r, maxAnswer))
	r.Close()
}
