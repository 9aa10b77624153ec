package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// interopSteps is more than a sign-in takes: the relying party, the provider,
// the relying party again, and where that leads.
const interopSteps = 8

// openBrowser is a browser of the device, with its certificate, or of none.
func (in *installation) openBrowser(t *testing.T, device string) *browser {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(readAll(t, filepath.Join(in.dir, "gp", "trial-ca.crt"))) {
		t.Fatal("trial-ca.crt holds no certificate")
	}
	var certificate *tls.Certificate
	if device != "" {
		file := filepath.Join(in.dir, device+".pem")
		if _, err := os.Stat(file); err != nil {
			in.gatepost(t, "device", "certificate", device, "--out", file)
		}
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			t.Fatal(err)
		}
		certificate = &pair
	}
	b, err := newBrowser(roots, certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// follow loads the page and what it leads to, until a page leads nowhere. It
// returns that page and how it was asked for.
func (b *browser) follow(t *testing.T, start string) (*page, step) {
	t.Helper()
	at := step{url: start}
	for range interopSteps {
		p, err := b.load(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if p.next == nil {
			return p, at
		}
		at = *p.next
	}
	t.Fatalf("the sign-in that began at %s goes on and on", start)
	return nil, step{}
}

// addClient registers a client and returns its ID and, if it has one, its
// secret.
func (in *installation) addClient(t *testing.T, name, redirectURI string, flags ...string) (id, secret string) {
	t.Helper()
	out := in.gatepost(t, append([]string{"client", "add", name, "--json", "--redirect-uri", redirectURI}, flags...)...)
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(out), &client); err != nil {
		t.Fatalf("client add %s: %v\n%s", name, err, out)
	}
	if client.ID == "" {
		t.Fatalf("client add %s tells no client ID: %s", name, out)
	}
	return client.ID, client.Secret
}

// publishKey adds a key for the algorithm that does not sign yet, and returns
// its ID.
func (in *installation) publishKey(t *testing.T, alg string) string {
	t.Helper()
	var key struct {
		ID string `json:"id"`
	}
	out := in.gatepost(t, "key", "rotate", "--alg", alg, "--json")
	if err := json.Unmarshal([]byte(out), &key); err != nil || key.ID == "" {
		t.Fatalf("key rotate: %v\n%s", err, out)
	}
	return key.ID
}

// checkDeviceContext wants the same device context wherever a relying party
// found it: a JSON object whose booleans are booleans.
func checkDeviceContext(t *testing.T, want string, found map[string]json.RawMessage) {
	t.Helper()
	for where, got := range found {
		if !sameJSON(t, got, []byte(want)) {
			t.Errorf("device_context in %s is %s, want %s", where, got, want)
		}
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var values [2]any
	for i, text := range [][]byte{a, b} {
		if err := json.Unmarshal(text, &values[i]); err != nil {
			t.Errorf("%v: %q", err, text)
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// posture of the devices of an installation, as the contract's claim says it.
const (
	mac1Context = `{"managed": true, "compliant": true, "externalId": "mac-1"}`
	win2Context = `{"managed": true, "compliant": false, "externalId": "win-2"}`
	old3Context = `{"managed": false, "compliant": false, "externalId": "old-3"}`
)

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
