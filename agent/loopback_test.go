package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost.dev/agentapi"
)

const (
	server1   = "https://posture.example.com"
	deviceURL = "https://device.example.com"
)

// challengeable gives the rig a certificate, and a server whose challenges the
// returned key signs.
func (r *rig) challengeable(port int) *ecdsa.PrivateKey {
	r.t.Helper()
	key, err := softwareKey()
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mac-1"}, NotBefore: start, NotAfter: start.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.signer.Public(), key.signer)
	if err != nil {
		r.t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err := r.writeCredential(credentialFile, key, certificate, certificate); err != nil {
		r.t.Fatal(err)
	}
	signs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(signs.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	s := State{
		Server: server1, DeviceURL: deviceURL, Every: time.Hour,
		Loopback: &agentapi.Loopback{Port: port, Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))},
	}
	if err := r.writeState(s); err != nil {
		r.t.Fatal(err)
	}
	return signs
}

func aChallenge(t *testing.T, issuer string, key *ecdsa.PrivateKey) string {
	t.Helper()
	text, err := (&agentapi.Challenge{Issuer: issuer, ID: "c1", SignIn: "s1", Expires: start.Add(agentapi.ChallengeLife)}).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestLoopbackAnswersItsServerOnly: whoever is not a browser that the server sent
// here gets nothing signed, and nothing goes anywhere but to the device host.
func TestLoopbackAnswersItsServerOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.challengeable(21717)
	handler := &challenges{Agent: r.Agent, hosts: []string{"127.0.0.1:21717"}, turns: make(chan struct{}, atOnce)}
	good := "/v1/challenge?request=" + aChallenge(t, server1, key)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what, method, host, path string
		fetch                    [2]string // mode and destination
		status                   int
	}{
		{"a browser", "GET", "127.0.0.1:21717", good, [2]string{"navigate", "document"}, 303},
		{"an old browser", "GET", "127.0.0.1:21717", good, [2]string{}, 303},
		{"a rebound name", "GET", "rebind.example.com:21717", good, [2]string{"navigate", "document"}, 421},
		{"another port", "GET", "127.0.0.1:80", good, [2]string{"navigate", "document"}, 421},
		{"a script", "GET", "127.0.0.1:21717", good, [2]string{"no-cors", "empty"}, 403},
		{"an image", "GET", "127.0.0.1:21717", good, [2]string{"no-cors", "image"}, 403},
		{"a frame", "GET", "127.0.0.1:21717", good, [2]string{"navigate", "iframe"}, 403},
		{"a form", "POST", "127.0.0.1:21717", good, [2]string{"navigate", "document"}, 405},
		{"elsewhere", "GET", "127.0.0.1:21717", "/" + good, [2]string{"navigate", "document"}, 404},
		{"two challenges", "GET", "127.0.0.1:21717", good + "&request=x", [2]string{"navigate", "document"}, 400},
		{"no challenge", "GET", "127.0.0.1:21717", "/v1/challenge", [2]string{"navigate", "document"}, 400},
		{"another's key", "GET", "127.0.0.1:21717", "/v1/challenge?request=" + aChallenge(t, server1, other), [2]string{"navigate", "document"}, 400},
		{"another server", "GET", "127.0.0.1:21717", "/v1/challenge?request=" + aChallenge(t, "https://evil.example.com", key), [2]string{"navigate", "document"}, 400},
	} {
		request := httptest.NewRequest(tt.method, tt.path, nil)
		request.Host = tt.host
		for i, name := range []string{"Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
			if tt.fetch[i] != "" {
				request.Header.Set(name, tt.fetch[i])
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		location := w.Header().Get("Location")
		if w.Code != tt.status || (location != "") != (tt.status == 303) || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v: %s", tt.what, w.Code, w.Header(), w.Body)
		}
		if tt.status != 303 {
			continue
		}
		answer, ok := strings.CutPrefix(location, deviceURL+agentapi.AnswerPath+"#answer=")
		if read, err := agentapi.ReadAnswer(answer, server1); !ok || err != nil || read.Certificate.Subject.CommonName != "mac-1" {
			t.Errorf("%s: back to %q: %v", tt.what, location, err)
		}
	}
}

// TestLoopbackListens on loopback, on the port that the server said, until it is
// told to stop.
func TestLoopbackListens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	key := r.challengeable(port)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	r.Wait = func(ctx context.Context, _ time.Duration) error {
		l.Close() // it was taken at first
		time.Sleep(10 * time.Millisecond)
		return ctx.Err()
	}
	go func() { defer close(ended); r.ServeChallenges(ctx) }()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	var status int
	for range 500 {
		resp, err := client.Get("http://127.0.0.1:" + strconv.Itoa(port) + "/v1/challenge?request=" + aChallenge(t, server1, key))
		if err == nil {
			resp.Body.Close()
			status = resp.StatusCode
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if status != http.StatusSeeOther {
		t.Errorf("status %d", status)
	}
	// The server says another port.
	moved, err := r.readState()
	if err != nil {
		t.Fatal(err)
	}
	former := port
	other, err := net.Listen("tcp", "127.0.0.1:0") // not l, which Wait closes
	if err != nil {
		t.Fatal(err)
	}
	port = other.Addr().(*net.TCPAddr).Port
	other.Close()
	moved.Loopback.Port = port
	if err := r.writeState(moved); err != nil {
		t.Fatal(err)
	}
	reached := false
	for range 500 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			reached = true
			conn.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(former)); err == nil || !reached {
		if err == nil {
			conn.Close()
		}
		t.Errorf("moved: %t, still on the former port: %t", reached, err == nil)
	}
	cancel()
	<-ended
	if conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}
