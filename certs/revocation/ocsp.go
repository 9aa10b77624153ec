package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"gatepost.dev/certs"
)

// Bounds of asking by OCSP.
const (
	ocspTimeout  = 2 * time.Second
	ocspBytes    = 64 << 10
	ocspLongest  = time.Hour        // for which an answer is believed without asking again
	ocspWithout  = time.Minute      // the same of an answer without the time of its next update
	ocspOldest   = 10 * time.Minute // that one without that time may be
	ocspAgain    = 5 * time.Second  // between two tries that fail
	ocspAnswers  = 8192             // that are remembered, and again as many older ones
	ocspInFlight = 64               // questions at once
)

// Results of asking, for Options.Count.
const (
	ocspGood    = "good"
	ocspRevoked = "revoked"
	ocspUnknown = "unknown" // the responder does not know the certificate, or its answer is none
	ocspFailed  = "failed"  // no answer
)

// ocspClient asks responders and remembers their answers.
type ocspClient struct {
	Options
	slots chan struct{}

	mu         sync.Mutex
	young, old map[string]*ocspAnswer // by issuer's key and serial number
	down       map[string]time.Time   // by URL: until when it is not asked again
}

// ocspAnswer is what became of a question. Its fields are set before done is
// closed.
type ocspAnswer struct {
	done  chan struct{}
	err   error // nil: good
	until time.Time
}

func newOCSPClient(o Options) *ocspClient {
	return &ocspClient{
		Options: o, slots: make(chan struct{}, ocspInFlight),
		young: map[string]*ocspAnswer{}, down: map[string]time.Time{},
	}
}

// check asks whether issuer revoked c, of those whom c names or at the URL, unless
// the answer is remembered. Those who ask the same at the same time share one
// question.
func (o *ocspClient) check(c, issuer *x509.Certificate, where string, now time.Time) error {
	key := certs.KeyHash(issuer) + certs.Serial(c)
	o.mu.Lock()
	a := o.remembered(key)
	if a != nil {
		select {
		case <-a.done:
			if !now.After(a.until) {
				o.mu.Unlock()
				return a.err
			}
		default:
			o.mu.Unlock()
			<-a.done // at most ocspTimeout, and a little
			return a.err
		}
	}
	a = &ocspAnswer{done: make(chan struct{}), err: certs.ErrRevocationUnknown}
	o.remember(key, a)
	o.mu.Unlock()
	defer close(a.done) // whatever becomes of it, nobody waits for ever
	a.until, a.err = o.ask(c, issuer, where, now)
	return a.err
}

// remembered is called with mu held, as is remember.
func (o *ocspClient) remembered(key string) *ocspAnswer {
	a := o.young[key]
	if a == nil {
		if a = o.old[key]; a != nil {
			o.remember(key, a)
		}
	}
	return a
}

func (o *ocspClient) remember(key string, a *ocspAnswer) {
	if len(o.young) >= ocspAnswers {
		o.old, o.young = o.young, make(map[string]*ocspAnswer, ocspAnswers)
	}
	o.young[key] = a
}

// ask asks, and tells until when the answer holds.
func (o *ocspClient) ask(c, issuer *x509.Certificate, where string, now time.Time) (until time.Time, err error) {
	result := ocspFailed
	defer func() {
		o.Count(result)
		if result == ocspFailed || result == ocspUnknown {
			o.Log.LogAttrs(context.Background(), slog.LevelError, "revocation not found out by OCSP; the device is not recognised",
				slog.String("authority", issuer.Subject.String()), slog.String("certificate", certs.Serial(c)), slog.String("error", err.Error()))
		}
	}()
	again := now.Add(ocspAgain)
	if where == OCSPOn {
		if len(c.OCSPServer) == 0 {
			return again, fmt.Errorf("%w: the certificate names no OCSP responder", certs.ErrRevocationUnknown)
		}
		where = c.OCSPServer[0]
	}
	answer, err := o.post(c, issuer, where, now)
	if err != nil {
		return again, fmt.Errorf("%w: ask %q: %w", certs.ErrRevocationUnknown, where, err)
	}
	response, until, err := readAnswer(answer, c, issuer, now)
	switch {
	case err != nil:
		result = ocspUnknown
		return again, fmt.Errorf("%w: answer of %q: %w", certs.ErrRevocationUnknown, where, err)
	case response.Status == ocsp.Revoked:
		result = ocspRevoked
		return until, fmt.Errorf("%w: serial number %s, by OCSP, at %s", certs.ErrRevoked, certs.Serial(c), stamp(response.RevokedAt))
	}
	result = ocspGood
	return until, nil
}

// post sends the question. After a failure the same responder is left alone for a
// while: everybody would wait for it.
func (o *ocspClient) post(c, issuer *x509.Certificate, where string, now time.Time) (_ []byte, err error) {
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("it is no http URL")
	}
	o.mu.Lock()
	down := now.Before(o.down[where])
	o.mu.Unlock()
	if down {
		return nil, errors.New("it did not answer a moment ago")
	}
	ctx, cancel := context.WithTimeout(context.Background(), ocspTimeout)
	defer cancel()
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return nil, errors.New("too many questions at once")
	}
	question, err := ocsp.CreateRequest(c, issuer, nil)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/ocsp-request") // RFC 6960 appendix A.1
	request.Header.Set("Accept", "application/ocsp-response")
	answer, err := exchange(o.Client, request, ocspBytes)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.down[where] = now.Add(ocspAgain)
		return nil, err
	}
	delete(o.down, where)
	return answer, nil
}

// readAnswer verifies an answer about c (RFC 6960 section 3.2) and tells until
// when it may be believed. Anything but good and revoked is an error.
func readAnswer(answer []byte, c, issuer *x509.Certificate, now time.Time) (*ocsp.Response, time.Time, error) {
	response, err := ocsp.ParseResponseForCert(answer, c, issuer)
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := certs.CheckSignatureAlgorithm(response.SignatureAlgorithm); err != nil {
		return nil, time.Time{}, err
	}
	if d := response.Certificate; d != nil && !d.Equal(issuer) {
		if err := checkDelegate(d, issuer, now); err != nil {
			return nil, time.Time{}, fmt.Errorf("responder %q: %w", d.Subject, err)
		}
	}
	until := now.Add(ocspLongest)
	switch {
	case response.ThisUpdate.After(now.Add(maxAhead)):
		return nil, time.Time{}, fmt.Errorf("it is of %s, which is in the future", stamp(response.ThisUpdate))
	case response.NextUpdate.IsZero():
		// It says that newer knowledge is always there: only a fresh answer is one.
		if now.Sub(response.ThisUpdate) > ocspOldest {
			return nil, time.Time{}, fmt.Errorf("it is of %s, and does not say until when it is good", stamp(response.ThisUpdate))
		}
		until = now.Add(ocspWithout)
	case now.After(response.NextUpdate):
		return nil, time.Time{}, fmt.Errorf("it was good until %s", stamp(response.NextUpdate))
	case response.NextUpdate.Before(until):
		until = response.NextUpdate
	}
	if response.Status != ocsp.Good && response.Status != ocsp.Revoked {
		return nil, time.Time{}, errors.New("it does not know the certificate")
	}
	return response, until, nil
}

// checkDelegate wants a responder that the authority itself let answer for it
// (RFC 6960 section 4.2.2.2): without its extended key usage any device could.
func checkDelegate(d, issuer *x509.Certificate, now time.Time) error {
	if err := d.CheckSignatureFrom(issuer); err != nil {
		return err
	}
	if err := certs.CheckSignatureAlgorithm(d.SignatureAlgorithm); err != nil {
		return err
	}
	switch {
	case !bytes.Equal(d.RawIssuer, issuer.RawSubject):
		return fmt.Errorf("its certificate is by %q", d.Issuer)
	case now.Before(d.NotBefore) || now.After(d.NotAfter):
		return errors.New("its certificate is not valid now")
	case !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("its certificate does not let it answer for the authority")
	}
	return nil
}
