package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gatepost.dev/admin"
	"gatepost.dev/agentapi"
)

// benchFleet is many agents in one process. It does what it is told on standard
// input, one JSON object after the other, and answers on standard output.
type benchFleet struct {
	Issuer string `required:""`
	Socket string `required:""`
	Roots  string `required:""`
}

// fleetRequest tells the fleet what to do.
type fleetRequest struct {
	Do      string  `json:"do"` // enrol, connect, lone or load
	N       int     `json:"n,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// fleetAnswer is what came of it.
type fleetAnswer struct {
	PerSecond float64   `json:"per_second"`
	Latency   latencies `json:"latency"`
	Error     string    `json:"error,omitempty"`
}

// Run serves requests until standard input ends.
func (c *benchFleet) Run(e *env) error {
	yield()
	pem, err := os.ReadFile(c.Roots)
	if err != nil {
		return err
	}
	f := &fleet{issuer: c.Issuer, admin: admin.NewSocketClient(c.Socket), roots: x509.NewCertPool()}
	f.roots.AppendCertsFromPEM(pem)
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(e.stdout)
	for {
		var q fleetRequest
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := f.do(e.ctx, q)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// member is one device of the fleet with its connection.
type member struct {
	id          string
	url         string // where it reports
	certificate tls.Certificate
	conn        *tls.Conn
	in          *bufio.Reader
	sequence    uint64
	body        bytes.Buffer
	request     bytes.Buffer
}

type fleet struct {
	issuer  string
	admin   *admin.Client
	roots   *x509.CertPool
	members []*member
}

func (f *fleet) do(ctx context.Context, q fleetRequest) (fleetAnswer, error) {
	began := time.Now()
	rate := func(n int) fleetAnswer { return fleetAnswer{PerSecond: float64(n) / time.Since(began).Seconds()} }
	switch q.Do {
	case "enrol":
		f.members = make([]*member, q.N)
		client := newFleetHTTP(f.roots)
		err := eachNumber(q.N, 64, func(i int) (err error) {
			f.members[i], err = enrolMember(ctx, f.admin, client, f.issuer, i+1)
			return err
		})
		return rate(q.N), err
	case "connect":
		err := eachNumber(len(f.members), 64, func(i int) error {
			if err := f.members[i].connect(ctx, f.roots); err != nil {
				return err
			}
			_, err := f.members[i].report() // a connection that asks nothing is not kept
			return err
		})
		return rate(len(f.members)), err
	case "lone":
		return f.load(f.members, 1, q.Seconds) // another member each time, but one at a time
	case "load":
		return f.load(f.members, min(q.N, len(f.members)), q.Seconds)
	}
	return fleetAnswer{}, fmt.Errorf("what is %q?", q.Do)
}

// load lets the members report, n at a time, one after the other.
func (f *fleet) load(members []*member, n int, seconds float64) (fleetAnswer, error) {
	began := time.Now()
	until := began.Add(time.Duration(seconds * float64(time.Second)))
	var mu sync.Mutex
	var all []time.Duration
	var faults []error
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			var mine []time.Duration
			// A member is one worker's, so its reports never overtake each other.
			for i := w; time.Now().Before(until); i += n {
				if i >= len(members) {
					i = w
				}
				took, err := members[i].report()
				if err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
					return
				}
				mine = append(mine, took)
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	took := time.Since(began)
	if len(faults) > 0 {
		return fleetAnswer{}, fmt.Errorf("%d agents failed, the first: %w", len(faults), faults[0])
	}
	return fleetAnswer{PerSecond: float64(len(all)) / took.Seconds(), Latency: summarise(all)}, nil
}

// eachNumber calls do for every number below n, some at a time, until one fails.
func eachNumber(n, atOnce int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// newFleetHTTP speaks to the issuer's host, where devices enrol.
func newFleetHTTP(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: tlsFor(roots, nil), ForceAttemptHTTP2: true}, Timeout: time.Minute}
}

// enrolMember enrols the device of that number.
func enrolMember(ctx context.Context, tokens *admin.Client, client *http.Client, issuer string, number int) (*member, error) {
	token, err := tokens.CreateToken(ctx, admin.NewToken{Kind: admin.KindEnroll, Managed: true, Owner: fmt.Sprintf("user%d@example.com", number)})
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(agentapi.EnrollRequest{
		Token: token.Secret, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), Device: memberDevice(number),
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+agentapi.EnrollPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return nil, fmt.Errorf("enrolment was answered with %s: %s", response.Status, text)
	}
	var e agentapi.Enrollment
	if err := json.NewDecoder(response.Body).Decode(&e); err != nil {
		return nil, err
	}
	leaf, err := parseCertificatePEM(e.Certificate)
	if err != nil {
		return nil, err
	}
	return &member{id: e.DeviceID, url: e.DeviceURL, certificate: tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}}, nil
}

func memberDevice(number int) agentapi.Device {
	return agentapi.Device{
		Vendor: "Dell Inc.", Model: "Latitude 5450", OS: "Linux", OSVersion: "12.11", Serial: fmt.Sprintf("BENCH%07d", number), HardwareID: fmt.Sprintf("board-%d", number),
	}
}
