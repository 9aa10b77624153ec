// Package webhook delivers events to receivers elsewhere: signed as Standard
// Webhooks (version 1.0.0) has it, in order, at least once, each for a day before
// it is given up.
//
// What waits is kept by the queue, which is handed in; nothing is lost with the
// process.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost.dev/posture"
)

// Purpose, with the webhook's ID behind it, is what the secret of a webhook is
// derived for.
const Purpose = "gatepost webhook v1 "

// Secret is how a secret is written for receivers.
func Secret(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

// Sign is the value of webhook-signature for a body that is sent at a time.
func Sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Payload is what is sent of an event.
type Payload struct {
	Type      string         `json:"type"` // its kind
	Timestamp time.Time      `json:"timestamp"`
	Data      *posture.Event `json:"data"`
}

// Body is the payload of an event as it is sent, each time the same.
func Body(e *posture.Event) ([]byte, error) {
	return json.Marshal(Payload{Type: string(e.Kind), Timestamp: e.Time, Data: e})
}

// ErrBadURL is an address that nothing is sent to.
var ErrBadURL = errors.New("bad URL of a webhook")

// CheckURL refuses what is neither https nor http on this machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "" || len(text) > 2048:
		return fmt.Errorf("%w: %.100q is not such as https://hooks.example.com/gatepost", ErrBadURL, text)
	case u.User != nil:
		return fmt.Errorf("%w: it holds a user; receivers know us by the signature", ErrBadURL)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1" || u.Hostname() == "localhost"):
		return nil
	}
	return fmt.Errorf("%w: %.100q; only https is sent to, and http on this machine", ErrBadURL, text)
}

// Sender sends requests to receivers.
type Sender struct {
	HTTP      *http.Client // that follows no redirects; see NewClient
	UserAgent string
}

// timeout is how long a receiver may take.
const timeout = 15 * time.Second

// NewClient makes the client of a Sender.
func NewClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.ResponseHeaderTimeout = 1, timeout
	return &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Refusal is an answer that is not a success.
type Refusal struct{ Status int }

func (r *Refusal) Error() string {
	return fmt.Sprintf("the receiver answered %d %s", r.Status, http.StatusText(r.Status))
}

// final tells whether asking again is of little use: the receiver understood, and
// refuses.
func (r *Refusal) final() bool {
	switch r.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return r.Status >= 400 && r.Status < 500
}

// ChallengeHeader carries what a receiver must repeat, as {"verification": "..."},
// to show that it is meant to be one; Okta's event hooks are verified alike.
const ChallengeHeader = "X-Gatepost-Verification-Challenge"

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 4 << 10

// Verify asks the receiver to repeat the challenge.
func (s *Sender) Verify(ctx context.Context, to, challenge string) error {
	if err := CheckURL(to); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return err
	}
	request.Header.Set(ChallengeHeader, challenge)
	answer, err := s.do(request)
	if err != nil {
		return err
	}
	var repeated struct{ Verification string }
	if err := json.Unmarshal(answer, &repeated); err != nil || !hmac.Equal([]byte(repeated.Verification), []byte(challenge)) {
		return fmt.Errorf(`the receiver did not repeat the challenge in %s as {"verification": "..."}`, ChallengeHeader)
	}
	return nil
}

// Send sends one event.
func (s *Sender) Send(ctx context.Context, to string, key []byte, id string, body []byte, at time.Time) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	request.Header.Set("Webhook-Signature", Sign(key, id, at, body))
	_, err = s.do(request)
	return err
}

func (s *Sender) do(request *http.Request) ([]byte, error) {
	request.Header.Set("User-Agent", s.UserAgent)
	response, err := s.HTTP.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL, which may hold a secret
		}
		return nil, fmt.Errorf("ask the receiver: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, &Refusal{response.StatusCode}
	}
	return answer, err
}
