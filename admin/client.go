package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost.dev/devices"
	"gatepost.dev/posture"
)

// Client speaks the administration API. Its errors are *Problem when the server
// refused.
type Client struct {
	HTTP *http.Client
	Base string // scheme and host of the server, without a path
}

// NewSocketClient makes a client of the server that listens on the unix socket
// at path.
func NewSocketClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{
		HTTP: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}},
		Base: "http://gatepost", // never looked up
	}
}

// NewTokenClient makes a client of the server at base that shows the API token.
// Of its authorities (nil: the system's) the server's certificate must be. It
// follows no redirect, which could take the token elsewhere.
func NewTokenClient(base, token string, authorities *x509.CertPool) *Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
	}
	return &Client{
		HTTP: &http.Client{
			Transport:     bearing{token, transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Base: base,
	}
}

// bearing shows a token with each request.
type bearing struct {
	token string
	next  http.RoundTripper
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// Devices gets one page of devices.
func (c *Client) Devices(ctx context.Context, q DeviceQuery) (list DeviceList, err error) {
	values := url.Values{}
	set(values, "after", q.After)
	set(values, "q", q.Search)
	set(values, "owner", q.Owner)
	set(values, "os", q.OS)
	set(values, "state", string(q.State))
	setNumber(values, "limit", q.Limit)
	if q.Managed != nil {
		values.Set("managed", strconv.FormatBool(*q.Managed))
	}
	if q.Compliant != nil {
		values.Set("compliant", strconv.FormatBool(*q.Compliant))
	}
	err = c.call(ctx, http.MethodGet, "devices?"+values.Encode(), nil, &list)
	return list, err
}

// Device gets one device with its certificates.
func (c *Client) Device(ctx context.Context, id string) (d Device, err error) {
	err = c.call(ctx, http.MethodGet, "devices/"+url.PathEscape(id), nil, &d)
	return d, err
}

// ChangeDevice changes a device, whatever it is by now, and gets it.
func (c *Client) ChangeDevice(ctx context.Context, id string, change DeviceChange) (d Device, err error) {
	err = c.call(ctx, http.MethodPatch, "devices/"+url.PathEscape(id), change, &d)
	return d, err
}

// IssueCertificate has a certificate made for the key of the request (PKCS #10,
// PEM). Lifetime 0 is what the server is configured for.
func (c *Client) IssueCertificate(ctx context.Context, id string, csr []byte, lifetime time.Duration) (cert IssuedCertificate, err error) {
	request := certificateRequest{CSR: string(csr)}
	if lifetime != 0 {
		request.Lifetime = lifetime.String()
	}
	err = c.call(ctx, http.MethodPost, "devices/"+url.PathEscape(id)+"/certificates", request, &cert)
	return cert, err
}

// Import sends a file of devices and calls onEvent with what the server tells
// meanwhile, faults of the file among it.
func (c *Client) Import(ctx context.Context, file io.Reader, o ImportOptions, onEvent func(devices.Event)) (devices.Result, error) {
	values := url.Values{"format": {string(o.Format)}}
	set(values, "source", o.Source)
	if o.Replace {
		values.Set("replace", "true")
	}
	if o.Approve {
		values.Set("approve", "true")
	}
	response, err := c.send(ctx, http.MethodPost, "devices/import?"+values.Encode(), "application/octet-stream", io.NopCloser(file))
	if err != nil {
		return devices.Result{}, err
	}
	defer response.Body.Close()
	var result devices.Result
	err = readLines(response.Body, "the server broke off, and may or may not have imported the file", func(line *importLine) (last bool, err error) {
		switch {
		case line.Problem != nil:
			return true, line.Problem
		case line.Result != nil:
			result = *line.Result
			return true, nil
		case line.Event != nil:
			onEvent(*line.Event)
		}
		return false, nil
	})
	return result, err
}

// Keys gets the published signing keys, RS256 before ES256, and of each the one
// that signs first.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	var list keyList
	err := c.call(ctx, http.MethodGet, "keys", nil, &list)
	return list.Keys, err
}

// RotateKey publishes a next key for the algorithm (empty: RS256). Unless forced
// it drops no previous one that relying parties may need.
func (c *Client) RotateKey(ctx context.Context, algorithm string, force bool) (next Key, err error) {
	err = c.call(ctx, http.MethodPost, "keys/rotate", keyRotation{algorithm, force}, &next)
	return next, err
}

// ActivateKey makes a published key sign, unless forced only one that relying
// parties know, and gets the keys as they are then.
func (c *Client) ActivateKey(ctx context.Context, id string, force bool) ([]Key, error) {
	var list keyList
	err := c.call(ctx, http.MethodPost, "keys/"+url.PathEscape(id)+"/activate", keyActivation{force}, &list)
	return list.Keys, err
}

// Decisions gets decisions, the oldest first.
func (c *Client) Decisions(ctx context.Context, q DecisionQuery) (list DecisionList, err error) {
	err = c.call(ctx, http.MethodGet, "decisions?"+q.encode().Encode(), nil, &list)
	return list, err
}

// Decision gets one decision by its reference.
func (c *Client) Decision(ctx context.Context, id string) (d posture.Decision, err error) {
	err = c.call(ctx, http.MethodGet, "decisions/"+url.PathEscape(id), nil, &d)
	return d, err
}

// FollowDecisions calls onDecision with the decisions that q asks for (its Limit
// must be 0) and then with each new one, until ctx ends (the error is ctx's) or
// the server stops (nil).
func (c *Client) FollowDecisions(ctx context.Context, q DecisionQuery, onDecision func(posture.Decision)) error {
	values := q.encode()
	values.Set("follow", "true")
	response, err := c.send(ctx, http.MethodGet, "decisions?"+values.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(response.Body); ; {
		var line decisionLine
		switch err := lines.Decode(&line); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("follow decisions: %w", err)
		case line.Problem != nil:
			return line.Problem
		case line.Decision != nil:
			onDecision(*line.Decision)
		}
	}
}

func (q DecisionQuery) encode() url.Values {
	values := url.Values{}
	set(values, "after", q.After)
	setNumber(values, "limit", q.Limit)
	setNumber(values, "last", q.Last)
	set(values, "relying_party", q.RelyingParty)
	set(values, "device", q.DeviceID)
	set(values, "subject", q.Subject)
	set(values, "outcome", string(q.Outcome))
	return values
}

// Status gets how the server is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}

func set(values url.Values, name, value string) {
	if value != "" {
		values.Set(name, value)
	}
}

func setNumber(values url.Values, name string, n int) {
	if n != 0 {
		values.Set(name, strconv.Itoa(n))
	}
}

// call sends a request as JSON, unless it is nil, and reads the answer into
// into, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, request, into any) error {
	var body io.Reader
	contentType := ""
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body, contentType = bytes.NewReader(text), "application/json"
	}
	response, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read answer to %s %s: %w", method, path, err)
	}
	return nil
}

// maxProblem is how many bytes of an answer that is not a success are read.
const maxProblem = 64 << 10

// send gives the answer to a request if it is a success.
func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.Base+Prefix+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		// The URL that is not one of a socket would only confuse.
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	p := &Problem{}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil || json.Unmarshal(text, p) != nil || p.Status == 0 {
		p = &Problem{Title: response.Status, Status: response.StatusCode}
	}
	return nil, p
}
